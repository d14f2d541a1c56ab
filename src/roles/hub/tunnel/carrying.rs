//! The hub's side: let in, paired with the other end, and the session that goes to and fro in messages.

use super::inbox::Item;
use super::{FLIGHT_MAX, HELD_MAX, Tick, Tunnel};
use crate::base::units::{Count, Span};
use crate::proto::mailbox::{EndId, HEAD_MAX, Heard, PAIRING_HEAD, PIECE_MAX, Pairing};
use crate::proto::yamux::{Event, GoAway, Limits, Session as Yamux, Side};
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::hub::serve::Shown;
use crate::roles::hub::user::session::Session;
use crate::roles::pump::{Mux, Owner, Parted};

impl Tunnel {
    pub(super) fn hub_connected(&mut self, cx: &mut Cx<'_>, sock: SockId) -> Result<(), String> {
        // Nothing is heard before something is read.
        self.hub.connected(cx, sock, &mut |_| {}).map(drop)
    }

    pub(super) fn hub_readable(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let Self {
            hub,
            inbox,
            config,
            scratch,
            ..
        } = self;
        hub.readable(cx, scratch, &mut |said| inbox.hear(said, &config.peer))?;
        for item in self.inbox.take() {
            match item {
                Item::Ready => self.let_in(cx),
                Item::Message(body) => self.on_message(cx, &body),
                Item::Stranger(name) => {
                    self.counts.strangers += 1;
                    let (name, peer) = (Shown(&name), Shown(&self.config.peer));
                    let text =
                        format!("messages of {name} are dropped: this tunnel is with {peer}");
                    self.journal.warn(cx.now(), "stranger", text);
                }
            }
        }
        Ok(())
    }

    fn let_in(&mut self, cx: &mut Cx<'_>) {
        self.let_in_at = Some(cx.now());
        self.trouble = None;
        self.counts.let_in += 1;
        self.journal.forget(cx.now(), HUB_DOWN);
        let hub = &self.config.account.hub;
        self.journal.info(format!("hub {hub} connected"));
        self.pair_anew(cx);
        self.ask(cx);
    }

    /// Whoever may have missed something takes another id, so that nothing old is taken for new.
    fn pair_anew(&mut self, cx: &mut Cx<'_>) {
        let mut own: EndId = [0; 8];
        while own == [0; 8] {
            own = cx.nonce();
        }
        self.pairing = Some(Pairing::new(own));
        self.asking = Some(cx.now());
    }

    /// Says HELLO, while nobody has answered it.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) {
        // What still waits to leave may be a HELLO.
        if let Some(pairing) = &self.pairing
            && !pairing.stands()
            && self.hub.waiting() == 0
        {
            self.say_hello(cx);
        }
    }

    fn say_hello(&mut self, cx: &mut Cx<'_>) {
        if let Some(pairing) = &mut self.pairing {
            let hello = pairing.hello(cx.now());
            self.hub.send(&self.config.peer, &hello);
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, body: &[u8]) {
        let Some(pairing) = &mut self.pairing else {
            return;
        };
        // The other end has all that it is to have from us, and begins anew; what it has said may still be on its way
        // to the service. One that has crashed and is back says the same, and is not heard either: it asks again until
        // we have ended, which is once what was under way with the one before is over, or --drain is.
        if self.draining.is_some() && Pairing::is_hello(body) {
            return;
        }
        match pairing.hear(cx.now(), body) {
            Heard::Piece(bytes) => self.feed_session(cx, bytes),
            Heard::Hello {
                anew,
                stands,
                answer,
            } => {
                if anew && self.mux.is_some() {
                    let ended = self.drop_session(cx).told("connection");
                    let peer = Shown(&self.config.peer);
                    let text = format!("{peer} began anew: {ended}");
                    self.journal.warn(cx.now(), "anew", text);
                }
                // A hub that takes nothing is told nothing more: the peer asks again by itself.
                if answer && self.hub.waiting() < CARRIED_MAX {
                    self.say_hello(cx);
                }
                if stands {
                    self.begin_session(cx);
                }
            }
            Heard::TooLong => self.lose_peer(cx, "sent a piece that is too long"),
            Heard::Stray => self.counts.strays += 1,
            Heard::Garbage => {
                self.counts.garbage += 1;
                let peer = Shown(&self.config.peer);
                let len = Count(body.len(), "byte");
                let text = format!("{peer} says what no tunnel does ({len}): it is dropped");
                self.journal.warn(cx.now(), "garbage", text);
            }
        }
    }

    /// Both ends know each other.
    fn begin_session(&mut self, cx: &mut Cx<'_>) {
        let side = match self.config.account.name < self.config.peer {
            true => Side::Client,
            false => Side::Server,
        };
        let limits = Limits {
            streams_max: self.config.max_streams,
            window_max: FLIGHT_MAX as u32,
            flight_max: Some(FLIGHT_MAX),
            ..Limits::default()
        };
        self.mux = Some(Mux::new(
            Yamux::new(side, limits, cx.now()),
            Owner::default(),
        ));
        self.leaving = false;
        self.asking = None;
        self.counts.sessions += 1;
        self.journal.forget(cx.now(), "absent");
        self.journal.forget(cx.now(), "anew");
        self.journal.forget(cx.now(), PEER_LOST);
        let down = self.down.take().filter(|_| self.counts.sessions > 1);
        let again = down.map_or(String::new(), |down| {
            format!(" again (was away {})", Span(cx.now().since(down)))
        });
        let peer = Shown(&self.config.peer);
        self.journal.info(format!("{peer} is there{again}"));
    }

    fn feed_session(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(mux) = &mut self.mux {
            match mux.session.feed(cx.now(), &mut rest) {
                Ok(Some(event)) => self.on_session(cx, event),
                Ok(None) => break,
                Err(violation) => {
                    mux.session.go_away(GoAway::Protocol);
                    mux.say(cx);
                    // It gets to know why.
                    self.pack(cx);
                    return self.lose_peer(cx, &violation.to_string());
                }
            }
            if let Some(mux) = &mut self.mux {
                mux.say(cx);
            }
        }
        let Some(mux) = &mut self.mux else {
            return;
        };
        mux.say(cx);
        if mux.is_choked() {
            return self.lose_peer(cx, "does not take what it asks for");
        }
        while self.mux.as_ref().is_some_and(|mux| mux.held() > HELD_MAX) {
            self.end_hindmost(cx, false);
        }
    }

    fn on_session(&mut self, cx: &mut Cx<'_>, event: Event<'_>) {
        match event {
            Event::Opened(id) => self.stream_opened(cx, id),
            Event::Taken(..) => self.open_waiting(cx),
            Event::Data(_, tag, payload) => self.stream_data(cx, tag as usize, payload),
            Event::Finished(_, tag) => self.stream_finished(cx, tag as usize),
            Event::Credit(_, tag) => self.stream_credit(cx, tag as usize),
            Event::Reset(_, tag) => {
                self.end_stream(cx, tag as usize, Close::Reset, "reset by the other end");
            }
            Event::Pong => {}
            Event::GoAway(GoAway::Normal) => {
                self.leaving = true;
            }
            Event::GoAway(why) => self.lose_peer(cx, &why.to_string()),
        }
    }

    /// An end that goes away is gone once its last stream is, and has been told the last of it.
    fn leave_if_done(&mut self, cx: &mut Cx<'_>) {
        let has_all = self.mux.as_ref().is_none_or(Mux::is_flushed);
        let has_streams = || self.streams.iter().any(|(_, it)| !it.is_alone());
        if self.leaving && has_all && !has_streams() {
            self.lose_peer(cx, "is stopped");
        }
    }

    /// Asks whether the other end is there, when it is time to. A question that has not reached the hub yet is waited
    /// for, as long as the line moves.
    pub(super) fn tick_session(&mut self, cx: &mut Cx<'_>) {
        if let Some(mux) = &mut self.mux {
            mux.carries(self.hub.under_way(cx), self.hub.has_heard());
            if let Err(silent) = mux.tick(cx) {
                let why = format!("has been silent for {}", Span(silent.after));
                self.lose_peer(cx, &why);
            }
        }
    }

    /// The session is over, and the hub is still there: the other end is asked for, under another id.
    pub(super) fn lose_peer(&mut self, cx: &mut Cx<'_>, why: &str) {
        if self.mux.is_none() {
            return;
        }
        let ended = self.drop_session(cx).told("connection");
        let peer = Shown(&self.config.peer);
        let text = format!("{peer} lost: it {why}; {ended}");
        self.journal.warn(cx.now(), PEER_LOST, text);
        match self.draining {
            Some(_) => self.pairing = None,
            None if self.hub.is_ready() => self.pair_anew(cx),
            None => {}
        }
    }

    /// Ends the session, and resets what can't do without it.
    pub(super) fn drop_session(&mut self, cx: &mut Cx<'_>) -> Parted {
        if self.mux.take().is_some() {
            self.down = Some(cx.now());
            self.asking = Some(cx.now());
        }
        self.leaving = false;
        self.part_streams(cx)
    }

    /// Puts what the session says into messages, as far as the hub takes them.
    fn pack(&mut self, cx: &mut Cx<'_>) {
        while let (Some(mux), Some(pairing)) = (&mut self.mux, &self.pairing)
            && !mux.is_flushed()
            && self.hub.waiting() < CARRIED_MAX
        {
            let pending = mux.pending();
            let piece = &pending[..pending.len().min(PIECE_MAX)];
            self.hub
                .send_parts(&self.config.peer, [&pairing.piece_head(), piece]);
            let len = piece.len();
            let echoes = mux.took(cx, len);
            debug_assert!(echoes.is_empty(), "no channel here hears itself");
        }
    }

    /// After each event: what there is to say is said.
    pub(super) fn carry(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.pack(cx);
        self.leave_if_done(cx);
        self.hub.flush(cx).map(drop)
    }

    /// Says so, resets what can't do without it, and tries again later.
    pub(super) fn lose_hub(&mut self, cx: &mut Cx<'_>, why: &str) {
        self.leave_hub(cx);
        let ended = self.drop_session(cx);
        self.asking = None;
        if self.draining.is_some() {
            return;
        }
        let lost = match ended.cut.is_empty() && ended.owed == 0 {
            true => String::new(),
            false => format!("; {}", ended.told("connection")),
        };
        self.journal
            .warn(cx.now(), HUB_DOWN, format!("{why}{lost}; retrying"));
        if let Some(since) = self.let_in_at.take() {
            self.hub_lost_at = cx.now();
            self.backoff.had_lasted(cx.now().since(since));
        }
        self.trouble = Some(why.to_owned());
        let wait = self.backoff.next_spread(cx.random());
        self.retry_at = Some(cx.now() + wait);
        cx.timer(wait, Tick::Retry as u32);
    }

    /// Ends the connection to the hub, wherever it stands.
    pub(super) fn leave_hub(&mut self, cx: &mut Cx<'_>) {
        self.hub.give_up(cx);
        self.hub = Session::enveloped(self.config.account.clone(), super::TAGS);
        self.inbox = super::Inbox::default();
        self.pairing = None;
    }
}

/// Bytes of messages that wait for the hub; the rest stays where its place is decided.
const CARRIED_MAX: usize = 128 << 10;
/// What may wait for it in all: one message is begun below that, and what says that we are alive.
pub(super) const WAITING_MAX: usize = CARRIED_MAX + PAIRING_HEAD + PIECE_MAX + 3 * HEAD_MAX;
/// The kinds of lines that say why.
const HUB_DOWN: &str = "hub-down";
const PEER_LOST: &str = "peer-lost";
