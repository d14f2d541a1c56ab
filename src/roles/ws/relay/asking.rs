//! A host is asked whether it is alive, since another one wants its name. As long as the line moves what stands before
//! the question, an answer is waited for.

use std::time::Duration;

use super::peers::{Body, Peer};
use super::{Relay, Tick};
use crate::proto::hello::Name;
use crate::reactor::Cx;
use crate::roles::pump::Question;
use crate::roles::ws::tokens::Part;

impl Peer {
    /// Looks how far a question has come, where it was asked one.
    pub(super) fn look_at_question(&mut self, cx: &Cx<'_>) {
        if let Some(mut question) = self.asked {
            question.look(self.wire().taken(cx), cx.now());
            self.asked = Some(question);
        }
    }
}

impl Relay {
    /// Asks a host whether it is alive. One that is not read can't show it, and was alive when it filled what we hold.
    pub(super) fn ask_peer(&mut self, cx: &mut Cx<'_>, key: usize) {
        let peer = &mut self.peers[key];
        if matches!(&peer.body, Body::Plain(plain) if plain.paused) {
            let name = peer.name.clone();
            return self.place_changed(cx, &name);
        }
        if peer.asked.is_none() {
            peer.asked = Some(peer.wire().question(cx));
        }
        peer.wire_mut().ask(cx);
    }

    /// Whether somebody who wants the name of a host goes on waiting, since that one has some time left to answer.
    pub(super) fn waits_on(&mut self, cx: &mut Cx<'_>, key: usize) -> bool {
        let arrival = self.arrivals.get(key).and_then(|it| it.asked());
        let Some(asked) = arrival.filter(|asked| asked.part == Part::Host) else {
            return false;
        };
        let name = asked.name.clone();
        let left = self.left_to_answer(cx, &name);
        if !left.is_zero() {
            self.arrivals[key].timer = cx.timer(left, Tick::Arrival.tag(key));
        }
        !left.is_zero()
    }

    /// How long the host of a name still has for its answer.
    fn left_to_answer(&mut self, cx: &Cx<'_>, name: &Option<Name>) -> Duration {
        let host = self.places.get(name).and_then(|place| place.host);
        let Some(peer) = host.and_then(|host| self.peers.get_mut(host)) else {
            return Duration::ZERO;
        };
        peer.look_at_question(cx);
        let has_had = |question: Question| cx.now().since(question.since());
        let left = |question| ALIVE_TIMEOUT.saturating_sub(has_had(question));
        peer.asked.map_or(Duration::ZERO, left)
    }
}

/// A host that is asked whether it is alive, since another wants its name, has so long to show it.
pub(super) const ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
