//! How WebSockets end: a host that gets no more clients, a close from either end, a connection that is gone.

use super::arrivals::ARRIVALS_MAX;
use super::peers::{Body, Peer};
use super::{Place, Relay, Tick};
use crate::base::units::{Bytes, Span};
use crate::proto::hello::Name;
use crate::proto::websocket::CloseCode;
use crate::reactor::Cx;
use crate::reactor::net::{self, Close, SockId};
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::pump::Carrier;
use crate::roles::ws::tokens::Part;
use crate::roles::ws::{CLOSE_TIMEOUT, STOPS};

impl Peer {
    /// Bytes on their way to it that it has not read, as far as that can be known.
    pub(super) fn unread_now(&self, cx: &Cx<'_>) -> usize {
        self.unsent() + self.wire().unacknowledged(cx)
    }
}

impl Relay {
    /// Whether there is room for one more, for whom another may have to go.
    pub(super) fn lets_in(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: net::Peer) -> bool {
        if self.arrivals.len() >= ARRIVALS_MAX || !cx.admit(sock) {
            self.make_way(cx);
        }
        let is_room = cx.admit(sock);
        if !is_room {
            cx.close(sock, Close::Orderly);
            let text = format!("{peer} refused: {NO_DESCRIPTORS}");
            self.journal.warn(cx.now(), "refused: full", text);
        }
        is_room
    }

    /// A name's host is taken to be gone.
    pub(super) fn retire(&mut self, cx: &mut Cx<'_>, name: &Option<Name>, why: &str) {
        let Some(host) = self.places.get(name).and_then(|place| place.host) else {
            return;
        };
        self.close_peer(cx, host, CloseCode::POLICY, why);
        let most = self.config.max_connections.unwrap_or(usize::MAX);
        if self.peers.len() >= most {
            // Its place is wanted at once.
            self.flush_peer(cx, host);
            self.peer_gone(cx, host, why);
        }
    }

    /// A host gets no more clients.
    pub(super) fn leave_place(&mut self, cx: &mut Cx<'_>, key: usize) {
        let name = self.peers[key].name.clone();
        if let Some(place) = self.places.get_mut(&name)
            && place.host == Some(key)
        {
            place.host = None;
            self.place_changed(cx, &name);
        }
    }

    /// A host that goes away is gone once its last connection is.
    pub(super) fn leave_if_done(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let has_left = |place: &Place| place.host != Some(key);
        let is_out = self.places.get(&peer.name).is_none_or(has_left);
        let is_mux = matches!(peer.body, Body::Mux(_));
        if peer.part == Part::Host && is_out && is_mux && peer.lanes.is_empty() {
            self.close_peer(cx, key, CloseCode::NORMAL, "it went away");
        }
    }

    /// Closes a WebSocket from here: its connections are reset, but for those on which it has said all.
    pub(super) fn close_peer(&mut self, cx: &mut Cx<'_>, key: usize, code: CloseCode, why: &str) {
        if self.peers[key].is_leaving() {
            return;
        }
        self.leave(cx, key);
        self.leave_lanes_of(cx, key, why);
        let peer = &mut self.peers[key];
        peer.wire_mut().close(cx, code, why);
        self.say_left(cx, key, why);
    }

    /// From now on it is only to be closed well.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.leave_place(cx, key);
        let timer = cx.timer(CLOSE_TIMEOUT, Tick::Peer.tag(key));
        let peer = &mut self.peers[key];
        peer.asked = None;
        if let Body::Plain(plain) = &mut peer.body {
            // What it still says has to be read, or its close is never seen.
            plain.paused = false;
            plain.wire.want_read(cx, true);
        }
        peer.unread = peer.unread_now(cx);
        if let Some(before) = peer.leaving.replace(timer) {
            cx.cancel(before);
        }
    }

    pub(super) fn peer_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let unread = peer.unread_now(cx);
        if peer.wire().finishes() && unread < peer.unread {
            // It reads slowly, and our close comes behind what it is to be told before.
            peer.unread = unread;
            peer.leaving = Some(cx.timer(CLOSE_TIMEOUT, Tick::Peer.tag(key)));
            return;
        }
        peer.leaving = None;
        self.peer_gone(cx, key, "it does not answer a close");
    }

    /// Its connection is over, and all that went over it is reset, but for that on which it has said all.
    pub(super) fn peer_gone(&mut self, cx: &mut Cx<'_>, key: usize, why: &str) {
        if !self.peers.contains(key) {
            return;
        }
        self.leave_place(cx, key);
        self.leave_lanes_of(cx, key, why);
        if !self.peers[key].is_leaving() {
            self.say_left(cx, key, why);
        }
        let mut peer = self.peers.remove(key);
        self.memory.changed(peer.noted, 0);
        if let Some(timer) = peer.leaving.take() {
            cx.cancel(timer);
        }
        peer.wire_mut().drop_link(cx, Close::Orderly);
        self.place_changed(cx, &peer.name);
    }

    /// A WebSocket that both ends have closed is over.
    pub(super) fn settle_peer(&mut self, cx: &mut Cx<'_>, key: usize) {
        if self
            .peers
            .get(key)
            .is_some_and(|peer| peer.wire().is_closed())
        {
            self.peer_gone(cx, key, "it has closed");
        }
    }

    /// Takes leave of everybody, behind what each is still to be told. Whether all their machines have that: a socket
    /// that is closed before would answer whatever they still say with a reset, and what is under way would be lost.
    pub(super) fn close_gracefully(&mut self, cx: &mut Cx<'_>) -> bool {
        let stay = self.peers.iter().filter(|(_, peer)| !peer.is_leaving());
        let stay: Vec<usize> = stay.map(|(key, _)| key).collect();
        for key in stay {
            let wire = self.peers[key].wire_mut();
            wire.finish(cx, CloseCode::GOING_AWAY, STOPS);
            self.leave(cx, key);
        }
        let mut peers = self.peers.iter();
        peers.all(|(_, peer)| peer.wire().has_told(cx))
    }

    /// The last word to a peer, as far as it is taken at once.
    pub(super) fn say_goodbye(&mut self, cx: &mut Cx<'_>, key: usize) {
        let wire = self.peers[key].wire_mut();
        wire.close(cx, CloseCode::GOING_AWAY, STOPS);
        self.flush_peer(cx, key);
    }

    /// Sends what is taken at once of what it is to be told.
    fn flush_peer(&mut self, cx: &mut Cx<'_>, key: usize) {
        // Where that fails it is gone, which is seen elsewhere.
        let _ = match &mut self.peers[key].body {
            Body::Mux(mux) => mux.flush(cx).map(drop),
            Body::Plain(plain) => plain.wire.send(cx, &mut plain.out),
        };
    }

    fn say_left(&mut self, cx: &Cx<'_>, key: usize, why: &str) {
        let peer = &self.peers[key];
        let text = format!(
            "{} left: {why}; {} to it, {} from it in {}",
            peer.label(),
            Bytes(peer.to),
            Bytes(peer.said),
            Span(cx.now().since(peer.since))
        );
        self.journal.went(cx.now(), text);
    }
}
