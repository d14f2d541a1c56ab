//! A session: its streams, what it has to say, and the limits that it keeps. What comes in is read in `input`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::error::{OpenError, Silent, Violation};
use super::flight::Flight;
use super::frame::{Flags, GoAway, HEADER_LEN, Header, Kind, StreamId};
use super::guard::{Patience, Used};
use super::input::{Note, Reading};
use super::payload::Payload;
use super::pings::Pings;
use super::stream::{Stream, WINDOW_MIN};
use crate::base::time::Time;

/// Which ids a side gives to the streams that it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one who dialled: odd ids.
    Client,
    /// The other one: even ids.
    Server,
}

/// What a session allows itself and its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams at a time, the peer's and our own together. A SYN beyond it is answered by a reset.
    pub streams_max: usize,
    /// How large the window of one stream may grow, in bytes; at least [`WINDOW_MIN`].
    pub window_max: u32,
    /// How large all windows together may grow, in bytes. The least that each stream has is not refused for it.
    pub windows_max: u64,
    /// A ping is sent so often...
    pub ping_every: Duration,
    /// ...and a peer that has been silent for so long since is given up.
    pub ping_timeout: Duration,
    /// How many bytes may be under way to the peer, of which no answer has told that they arrived; at least one frame.
    /// `None`: as many as the windows allow, for what carries the session pushes back itself.
    pub flight_max: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 1024,
            window_max: 16 << 20,
            windows_max: 64 << 20,
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            flight_max: None,
        }
    }
}

/// Something that came in. Each tells of a stream with the tag that the user gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The peer opened a stream. It is [`Session::accept`]ed or [`Session::reset`] now, before more is fed.
    Opened(StreamId),
    /// The peer took a stream that we opened.
    Taken(StreamId, u32),
    /// Payload of a stream. The peer gets credit for it when it is [`Session::consumed`].
    Data(StreamId, u32, Payload<'a>),
    /// A stream could send nothing, for want of credit or since too much was under way, and may be able to again.
    Credit(StreamId, u32),
    /// The peer ended its direction of a stream. If ours has ended, too, it is gone.
    Finished(StreamId, u32),
    /// The peer ended both directions of a stream at once. It is gone.
    Reset(StreamId, u32),
    /// A ping of ours was answered.
    Pong,
    /// The peer opens no more streams, and takes none.
    GoAway(GoAway),
}

/// One end of a session. See the module for its verbs.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) side: Side,
    pub(super) limits: Limits,
    pub(super) streams: BTreeMap<u32, Stream>,
    next_id: u32,
    pub(super) used: Used,
    /// Streams of ours that the peer has not taken yet.
    pub(super) untaken: usize,
    /// All windows together.
    windows: u64,
    /// The largest window that any stream needed so far: where the line is long, the next ones begin with it.
    learned: u32,
    /// Answers and the like that are to be sent, oldest first.
    pub(super) answers: VecDeque<Header>,
    /// Streams with something to say, oldest first.
    saying: VecDeque<u32>,
    pub(super) pings: Pings,
    pub(super) flight: Option<Flight>,
    pub(super) patience: Patience,
    pub(super) reading: Reading,
    pub(super) notes: VecDeque<Note>,
    pub(super) going_away: bool,
    pub(super) said_goaway: bool,
}

impl Session {
    /// A session whose connection has just been made.
    pub fn new(side: Side, limits: Limits, now: Time) -> Self {
        Self {
            side,
            limits,
            streams: BTreeMap::new(),
            next_id: match side {
                Side::Client => 1,
                Side::Server => 2,
            },
            used: Used::new(),
            untaken: 0,
            windows: 0,
            learned: WINDOW_MIN,
            answers: VecDeque::new(),
            saying: VecDeque::new(),
            pings: Pings::new(now, limits.ping_every, limits.ping_timeout),
            flight: limits.flight_max.map(Flight::new),
            patience: Patience::new(),
            reading: Reading::new(),
            notes: VecDeque::new(),
            going_away: false,
            said_goaway: false,
        }
    }

    /// Takes the next of what the connection brings, and moves `input` on. `None`: all of it is taken. The answers
    /// that come of it wait for [`Session::poll`], which is to be asked after each event.
    ///
    /// # Errors
    /// A rule was broken. The session is over then: say so with [`Session::go_away`], and feed it no more.
    pub fn feed<'a>(
        &mut self,
        now: Time,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, Violation> {
        if !input.is_empty() {
            self.pings.hear(now);
        }
        self.read(now, input)
    }

    /// The next header that is to be sent, before any [`Session::data`].
    pub fn poll(&mut self, now: Time) -> Option<[u8; HEADER_LEN]> {
        if let Some(header) = self.answers.pop_front() {
            self.sends(HEADER_LEN);
            return Some(header.encode());
        }
        while let Some(&id) = self.saying.front() {
            if let Some(header) = self.say(now, id) {
                self.sends(HEADER_LEN);
                return Some(header.encode());
            }
            self.saying.pop_front();
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.queued = false;
            }
            self.remove_if_over(id);
        }
        None
    }

    /// Opens a stream. Its first frame waits for [`Session::poll`]; data may follow at once.
    pub fn open(&mut self, now: Time, tag: u32) -> Result<StreamId, OpenError> {
        if self.going_away || self.said_goaway {
            return Err(OpenError::GoingAway);
        }
        if self.untaken >= UNTAKEN_MAX || self.streams.len() >= self.limits.streams_max {
            return Err(OpenError::Backlog);
        }
        let id = self.next_id;
        self.next_id = id
            .checked_add(2)
            .filter(|next| *next <= ID_MAX)
            .ok_or(OpenError::IdsUsedUp)?;
        self.untaken += 1;
        self.insert(id, Stream::new(now, tag, true));
        self.start_wide(id);
        self.queue(id);
        Ok(StreamId(id))
    }

    /// Takes a stream that the peer opened, and gives it a tag.
    pub fn accept(&mut self, id: StreamId, tag: u32) {
        let Some(stream) = self.streams.get_mut(&id.0) else {
            return;
        };
        stream.tag = tag;
        stream.taken = true;
        stream.greet = true;
        self.start_wide(id.0);
        self.queue(id.0);
    }

    /// Ends both directions of a stream at once, and forgets it. What still comes for it is thrown away.
    pub fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.remove(id.0) else {
            return;
        };
        self.patience.owe(stream.granted());
        if !stream.ours && !stream.taken {
            self.patience.refuse();
        }
        let unknown_to_peer = stream.ours && stream.greet;
        if !unknown_to_peer {
            self.answers.push_back(Header {
                kind: Kind::WindowUpdate,
                flags: Flags::RST,
                stream: id.0,
                length: 0,
            });
        }
    }

    /// Ends our direction of a stream, behind the data that was sent.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id.0)
            && stream.finish()
        {
            self.queue(id.0);
        }
    }

    /// `len` bytes of a stream's payload have left the user: the peer may send as many more. Credit goes back once half
    /// of the window is free; if that took no more than a round trip, and little is held, the window grows.
    pub fn consumed(&mut self, now: Time, id: StreamId, len: usize) {
        let Some(stream) = self.streams.get_mut(&id.0) else {
            return;
        };
        if !stream.consume(len as u32) {
            return;
        }
        let round_trip = self.pings.round_trip();
        if round_trip.is_some_and(|round_trip| stream.is_narrow(now, round_trip)) {
            let by = stream.window();
            self.widen(id.0, by);
        }
        self.queue(id.0);
    }

    /// Says that we open no more streams and take none, and why.
    pub fn go_away(&mut self, why: GoAway) {
        self.said_goaway = true;
        self.answers.push_back(Header {
            kind: Kind::GoAway,
            flags: Flags::NONE,
            stream: 0,
            length: why.code(),
        });
    }

    /// Asks the peer whether it is there, unless that is under way already.
    pub fn ping(&mut self, now: Time) {
        if let Some(value) = self.pings.ask(now) {
            self.answers.push_back(Header {
                kind: Kind::Ping,
                flags: Flags::SYN,
                stream: 0,
                length: value,
            });
        }
    }

    /// Asks the peer when it is time to. When it is time again is what [`Session::due`] says then.
    ///
    /// # Errors
    /// The peer has been silent for too long since it was asked: it is dead.
    pub fn tick(&mut self, now: Time) -> Result<(), Silent> {
        if self.pings.tick(now)? {
            self.ping(now);
        }
        Ok(())
    }

    /// When [`Session::tick`] has something to do.
    pub fn due(&self) -> Time {
        self.pings.due()
    }

    /// When anything last came in.
    pub fn heard(&self) -> Time {
        self.pings.heard()
    }

    /// How long a ping takes there and back, as far as it is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.pings.round_trip()
    }

    /// What the user knows a stream by; `None` where it is gone.
    pub fn tag(&self, id: StreamId) -> Option<u32> {
        self.streams.get(&id.0).map(|stream| stream.tag)
    }

    /// Whether a stream is there still: not both of its directions have ended.
    pub fn has(&self, id: StreamId) -> bool {
        self.streams.contains_key(&id.0)
    }

    /// The window that a stream has now, in bytes; 0 where it is gone.
    pub fn window(&self, id: StreamId) -> u32 {
        self.streams.get(&id.0).map_or(0, Stream::window)
    }

    /// The streams that are there.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().map(|id| StreamId(*id))
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are no streams.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Payload that the user holds, or that a frame under way has announced.
    pub fn held(&self) -> u64 {
        let held = self.streams.values().map(|stream| stream.held());
        held.map(u64::from).sum()
    }

    /// Bytes that were sent and are not known to have arrived; 0 where that is not counted.
    pub fn under_way(&self) -> u64 {
        self.flight.as_ref().map_or(0, Flight::under_way)
    }

    /// Panics where the books do not agree. For tests and the simulator.
    pub fn check_invariants(&self) {
        if let Some(flight) = &self.flight {
            flight.check_invariants();
        }
        let windows: u64 = self.streams.values().map(|s| u64::from(s.window())).sum();
        assert_eq!(windows, self.windows, "the sum of all windows");
        let least = self.streams.len() as u64 * u64::from(WINDOW_MIN);
        assert!(windows <= self.limits.windows_max.max(least));
        for stream in self.streams.values() {
            stream.check_invariants(self.limits.window_max);
        }
        let untaken = self.streams.values().filter(|s| s.ours && !s.taken);
        assert_eq!(untaken.count(), self.untaken, "streams not taken");
        assert!(self.answers.len() <= ANSWERS_MAX + self.streams.len() + UNTAKEN_MAX);
    }

    /// Puts an answer to the peer's own frames in the queue, which a peer can't make grow without reading.
    pub(super) fn answer(&mut self, header: Header) -> Result<(), Violation> {
        if self.answers.len() >= ANSWERS_MAX {
            return Err(Violation::TooManyAnswers);
        }
        self.answers.push_back(header);
        Ok(())
    }

    pub(super) fn insert(&mut self, id: u32, stream: Stream) {
        self.windows += u64::from(stream.window());
        self.streams.insert(id, stream);
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        self.windows -= u64::from(stream.window());
        if stream.ours && !stream.taken {
            self.untaken -= 1;
        }
        Some(stream)
    }

    pub(super) fn remove_if_over(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(Stream::is_over) {
            self.remove(id);
        }
    }

    /// What a stream has to say next.
    fn say(&mut self, now: Time, id: u32) -> Option<Header> {
        let stream = self.streams.get_mut(&id)?;
        let header = |kind, flags, length| Header {
            kind,
            flags,
            stream: id,
            length,
        };
        if std::mem::take(&mut stream.greet) {
            let flag = if stream.ours { Flags::SYN } else { Flags::ACK };
            let more = stream.give_back(now);
            return Some(header(Kind::WindowUpdate, flag, more));
        }
        if stream.wants_to_give_back() {
            let more = stream.give_back(now);
            return Some(header(Kind::WindowUpdate, Flags::NONE, more));
        }
        stream
            .say_finish()
            .then(|| header(Kind::Data, Flags::FIN, 0))
    }

    fn queue(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut stream.queued, true)
        {
            self.saying.push_back(id);
        }
    }

    /// Where the line is long, a stream begins with the window that others needed.
    fn start_wide(&mut self, id: u32) {
        let is_long = self
            .pings
            .round_trip()
            .is_some_and(|round_trip| round_trip >= LONG);
        // Half of the memory stays for those that prove their need.
        let by = self.learned - WINDOW_MIN;
        let is_room = self.windows + u64::from(by) <= self.limits.windows_max / 2;
        if is_long && is_room {
            self.widen(id, by);
        }
    }

    fn widen(&mut self, id: u32, by: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let room = self.limits.windows_max.saturating_sub(self.windows);
        let by = by
            .min(self.limits.window_max.saturating_sub(stream.window()))
            .min(u32::try_from(room).unwrap_or(u32::MAX));
        stream.widen(by);
        self.windows += u64::from(by);
        self.learned = self.learned.max(stream.window());
    }

    /// Makes the next stream have this id.
    #[cfg(test)]
    pub(super) fn skip_to_id(&mut self, id: u32) {
        self.next_id = id;
    }
}

/// hashicorp/yamux refuses more than this many streams that it has not taken yet (AcceptBacklog).
const UNTAKEN_MAX: usize = 256;
/// The last id that is given out; the few above are kept so that no sum passes a u32.
const ID_MAX: u32 = u32::MAX - 2;
/// Answers to the peer's frames that may wait to be sent.
const ANSWERS_MAX: usize = 1024;
/// A round trip that is worth a larger window from the start.
const LONG: Duration = Duration::from_millis(5);
