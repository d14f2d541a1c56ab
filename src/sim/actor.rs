//! Peers that act by themselves: receivers of every temper, upstreams, and an echo.
//!
//! An actor acts at ticks. It rests while there is nothing it could do, and bytes or room that come wake it: so a
//! world where nothing more can happen has an empty agenda.

use std::rc::Rc;
use std::time::Duration;

use super::pattern::pattern_into;
use super::remote::RemoteId;
use super::world::{Due, World};
use crate::base::time::Time;
use crate::reactor::net::Close;

/// What a peer does by itself.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Nothing: the driver moves it.
    Manual,
    /// Reads, in its own way.
    Receiver(Receiver),
    /// Says something, in its own time, and reads what it is told.
    Source(Source),
    /// Sends back what it is sent, and closes when that ends.
    Echo,
}

/// Someone who reads. All moments are counted from its connection on.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Reads up to so many bytes...
    pub bytes: usize,
    /// ...so often.
    pub every: Duration,
    /// Reads no more from then on.
    pub stall_after: Option<Duration>,
    /// Reads again from then on, if it had stalled.
    pub resume_after: Option<Duration>,
    /// Ends its own direction then.
    pub half_close_after: Option<Duration>,
    /// Closes, or resets, then.
    pub leave_after: Option<(Duration, Close)>,
    /// Says these things at these moments: a request, a password, rubbish.
    pub says: Vec<(Duration, Vec<u8>)>,
    /// Closes when it has read the end.
    pub close_at_end: bool,
}

impl Receiver {
    /// Reads everything, at once, and closes at the end.
    pub const fn eager() -> Self {
        Self {
            bytes: 64 << 10,
            every: Duration::from_micros(10),
            stall_after: None,
            resume_after: None,
            half_close_after: None,
            leave_after: None,
            says: Vec::new(),
            close_at_end: true,
        }
    }
}

/// Someone who says something.
#[derive(Clone, Debug)]
pub struct Source {
    /// What.
    pub content: Content,
    /// From this offset of it...
    pub from: u64,
    /// ...up to this one; not beyond the end of a [`Content::Bytes`].
    pub to: u64,
    /// In pieces of up to so many bytes, of random size...
    pub chunk_max: usize,
    /// ...up to so long apart, at random.
    pub gap_max: Duration,
    /// What it does then.
    pub ending: Ending,
}

/// What a [`Source`] says.
#[derive(Clone, Debug)]
pub enum Content {
    /// The pattern of the upstream with this number.
    Pattern(u16),
    /// These bytes.
    Bytes(Rc<[u8]>),
}

/// How a [`Source`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not at all: it stays, in silence.
    Stay,
    /// It ends its direction and stays.
    HalfClose,
    /// It closes.
    Close,
    /// It resets.
    Reset,
}

impl Source {
    /// The first `bytes` of an upstream's pattern, in pieces of up to 4 KiB,
    /// a millisecond apart at most; then it closes.
    pub const fn pattern(upstream: u16, bytes: u64) -> Self {
        Self {
            content: Content::Pattern(upstream),
            from: 0,
            to: bytes,
            chunk_max: 4 << 10,
            gap_max: Duration::from_millis(1),
            ending: Ending::Close,
        }
    }
}

/// An actor on stage.
pub(super) struct Acting {
    actor: Actor,
    // Steps that were planned for an earlier actor of the same peer carry an earlier number.
    act: u32,
    ticking: bool,
    stalled: bool,
    last_tick: Option<Time>,
}

/// Something an actor does at a planned moment.
pub(super) struct Step {
    act: u32,
    what: What,
}

enum What {
    Tick,
    Stall(bool),
    HalfClose,
    Leave(Close),
    Say(Vec<u8>),
}

impl Acting {
    pub(super) const fn new(actor: Actor) -> Self {
        Self {
            actor,
            act: 0,
            ticking: false,
            stalled: false,
            last_tick: None,
        }
    }

    /// The next actor of the same peer; what this one had planned is off.
    pub(super) fn followed_by(&self, actor: Actor) -> Self {
        Self {
            act: self.act + 1,
            ..Self::new(actor)
        }
    }
}

impl World {
    /// The peer is connected: its actor begins.
    pub(super) fn begin(&mut self, id: RemoteId) {
        let Actor::Receiver(receiver) = &self.remotes[id.index()].acting.actor else {
            return self.wake(id);
        };
        let receiver = receiver.clone();
        for (after, bytes) in receiver.says {
            self.plan(id, after, What::Say(bytes));
        }
        for (after, what) in [
            (receiver.stall_after, What::Stall(true)),
            (receiver.resume_after, What::Stall(false)),
            (receiver.half_close_after, What::HalfClose),
        ] {
            if let Some(after) = after {
                self.plan(id, after, what);
            }
        }
        if let Some((after, how)) = receiver.leave_after {
            self.plan(id, after, What::Leave(how));
        }
        self.wake(id);
    }

    /// There may be something to do.
    pub(super) fn wake(&mut self, id: RemoteId) {
        let acting = &self.remotes[id.index()].acting;
        let pause = match &acting.actor {
            Actor::Manual => return,
            Actor::Receiver(receiver) => receiver.every,
            Actor::Source(_) | Actor::Echo => Duration::ZERO,
        };
        let earliest = acting
            .last_tick
            .map_or(self.now, |last| last + pause.max(TICK_MIN));
        let after = earliest.since(self.now);
        self.plan_tick(id, after);
    }

    fn plan_tick(&mut self, id: RemoteId, after: Duration) {
        let acting = &mut self.remotes[id.index()].acting;
        if !acting.ticking && !acting.stalled {
            acting.ticking = true;
            self.plan(id, after, What::Tick);
        }
    }

    fn plan(&mut self, id: RemoteId, after: Duration, what: What) {
        let act = self.remotes[id.index()].acting.act;
        self.schedule(self.now + after, Due::Actor(id, Step { act, what }));
    }

    pub(super) fn on_step(&mut self, id: RemoteId, step: Step) {
        if step.act != self.remotes[id.index()].acting.act {
            return;
        }
        let acting = &mut self.remotes[id.index()].acting;
        match step.what {
            What::Stall(stalled) => {
                acting.stalled = stalled;
                if !stalled {
                    self.wake(id);
                }
            }
            What::HalfClose => self.remote_shutdown(id),
            What::Leave(Close::Orderly) => self.remote_close(id),
            What::Leave(Close::Reset) => self.remote_reset(id),
            What::Say(bytes) => {
                self.remote_send(id, &bytes);
            }
            What::Tick => {
                acting.ticking = false;
                acting.last_tick = Some(self.now);
                if !acting.stalled {
                    self.tick(id);
                }
            }
        }
    }

    fn tick(&mut self, id: RemoteId) {
        match self.remotes[id.index()].acting.actor.clone() {
            Actor::Manual => {}
            Actor::Receiver(receiver) => self.tick_receiver(id, &receiver),
            Actor::Source(source) => self.tick_source(id, source),
            Actor::Echo => self.tick_echo(id),
        }
    }

    fn tick_receiver(&mut self, id: RemoteId, receiver: &Receiver) {
        self.remote_read(id, receiver.bytes);
        if self.remote_unread(id) > 0 {
            self.wake(id);
        } else if receiver.close_at_end && self.saw_fin(id) {
            self.remote_close(id);
        }
    }

    fn tick_source(&mut self, id: RemoteId, mut source: Source) {
        self.remote_read(id, usize::MAX);
        if let Content::Bytes(bytes) = &source.content {
            source.to = source.to.min(bytes.len() as u64);
        }
        let left = source.to.saturating_sub(source.from);
        if left == 0 {
            match source.ending {
                Ending::Stay => {}
                Ending::HalfClose => self.remote_shutdown(id),
                Ending::Close => self.remote_close(id),
                Ending::Reset => self.remote_reset(id),
            }
            return;
        }
        let most = left.min(source.chunk_max.max(1) as u64);
        let count = (1 + self.index(most)).min(self.remote_room(id));
        let mut chunk = Vec::new();
        match &source.content {
            Content::Pattern(upstream) => pattern_into(*upstream, source.from, count, &mut chunk),
            Content::Bytes(bytes) => {
                let from = usize::try_from(source.from).expect("an offset into a slice");
                chunk.extend_from_slice(&bytes[from..from + count]);
            }
        }
        let sent = self.remote_send(id, &chunk);
        source.from += sent as u64;
        let gap = source.gap_max;
        self.remotes[id.index()].acting.actor = Actor::Source(source);
        // With no room at all it rests until there is some.
        if sent > 0 {
            let after = self.below(gap).max(TICK_MIN);
            self.plan_tick(id, after);
        }
    }

    fn tick_echo(&mut self, id: RemoteId) {
        let room = self.remote_room(id);
        let bytes = self.remote_read(id, room);
        self.remote_send(id, &bytes);
        if self.saw_fin(id) {
            self.remote_close(id);
        }
    }
}

/// Nobody acts more often.
const TICK_MIN: Duration = Duration::from_micros(1);
