//! What lanes do: they wait for a host, move what they can, pass ends on, and end.

use std::collections::VecDeque;

use slab::Slab;

use super::lane::{End, Flow, Lane, Way};
use super::peers::{Body, Peer};
use super::{Relay, Tick};
use crate::base::units::{Bytes, Span};
use crate::proto::hello::Name;
use crate::proto::websocket::CloseCode;
use crate::proto::yamux::{OpenError, StreamId};
use crate::reactor::Cx;
use crate::roles::pump::{Carrier, longest_waiting};
use crate::roles::ws::QUEUE_MAX;
use crate::roles::ws::tokens::Part;

impl Relay {
    pub(super) fn check_lanes(&self) {
        for (key, lane) in &self.lanes {
            let place = self.places.get(&lane.name);
            let waits = place.is_some_and(|place| place.waiting.contains(&key));
            assert_eq!(
                waits,
                lane.host.is_none(),
                "a lane waits where it has no host"
            );
            assert!(!(lane.up.done && lane.down.done), "a lane that is over");
            for end in lane.peers() {
                assert!(end.peer().is_none_or(|peer| self.peers.contains(peer)));
            }
        }
    }

    /// A client's connection, which waits for its host from now on.
    pub(super) fn open_lane(&mut self, cx: &mut Cx<'_>, client: usize, stream: Option<StreamId>) {
        let end = End::of(client, stream);
        let entry = self.lanes.vacant_entry();
        let key = entry.key();
        let peer = &mut self.peers[client];
        let timer = match (&mut peer.body, stream) {
            (Body::Mux(mux), Some(stream)) => {
                mux.session.accept(stream, key as u32);
                Some(cx.timer(self.config.pair_timeout, Tick::Lane.tag(key)))
            }
            // One that came before its host waits for as long as it likes.
            _ => None,
        };
        peer.lanes.insert(key);
        let name = peer.name.clone();
        self.lanes_seen += 1;
        entry.insert(Lane {
            number: self.lanes_seen,
            client: end,
            host: None,
            name: name.clone(),
            up: Flow::default(),
            down: Flow::default(),
            timer,
            since: cx.now(),
            label: peer.label(),
            noted: 0,
        });
        self.counts.connections_most = self.lanes.len().max(self.counts.connections_most);
        let place = self.places.entry(name.clone()).or_default();
        place.waiting.push_back(key);
        self.place_changed(cx, &name);
    }

    pub(super) fn lane_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.timer = None;
            let why = format!("no host within {}", Span(self.config.pair_timeout));
            self.reset_lane(cx, key, &why);
        }
    }

    /// Lanes that wait get the host of their name, as far as it takes them.
    pub(super) fn serve_waiting(&mut self, cx: &mut Cx<'_>, name: &Option<Name>) {
        while let Some(place) = self.places.get(name)
            && let Some(&key) = place.waiting.front()
            && let Some(host) = place.host
        {
            let call = self.lanes[key]
                .client
                .peer()
                .map(|peer| self.peers[peer].call(cx));
            let peer = &mut self.peers[host];
            let is_busy = peer.is_busy();
            let end = match &mut peer.body {
                Body::Plain(_) if is_busy => return,
                Body::Plain(plain) => {
                    let early = std::mem::take(&mut plain.early);
                    if std::mem::take(&mut plain.paused) {
                        plain.wire.want_read(cx, true);
                    }
                    peer.held += early.len();
                    self.lanes[key].down.queue.extend(early);
                    self.note_peer(host);
                    self.note_lane(key);
                    End::Plain(host)
                }
                Body::Mux(mux) => match mux.session.open(cx.now(), key as u32) {
                    Ok(stream) => {
                        mux.say_on(cx, stream, &call.unwrap_or_default().write_v2());
                        End::Stream(host, stream)
                    }
                    // The next one that is taken makes room.
                    Err(OpenError::Backlog) => return,
                    Err(OpenError::GoingAway) => return self.leave_place(cx, host),
                    Err(OpenError::IdsUsedUp) => {
                        let why = "its session's stream ids are used up";
                        return self.close_peer(cx, host, CloseCode::GOING_AWAY, why);
                    }
                },
            };
            self.join(cx, key, host, end);
        }
    }

    fn join(&mut self, cx: &mut Cx<'_>, key: usize, host: usize, end: End) {
        self.peers[host].lanes.insert(key);
        self.counts.connections += 1;
        let lane = &mut self.lanes[key];
        lane.host = Some(end);
        self.note_peer(host);
        let lane = &mut self.lanes[key];
        if let Some(timer) = lane.timer.take() {
            cx.cancel(timer);
        }
        let name = lane.name.clone();
        let text = format!("{} reaches {}", lane.label, self.peers[host].label());
        self.journal.debug(&text);
        if let Some(place) = self.places.get_mut(&name) {
            place.waiting.retain(|other| *other != key);
        }
        self.pump(cx, key, Way::Up);
        self.pump(cx, key, Way::Down);
    }

    /// Bytes of a lane's source.
    pub(super) fn lane_data(&mut self, cx: &mut Cx<'_>, key: usize, way: Way, bytes: &[u8]) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let (source, sink) = lane.ends(way);
        if sink == Some(End::Gone) {
            return self.lane_unheard(cx, key, way, bytes.len());
        }
        let flow = lane.flow(way);
        let mut taken = 0;
        if let Some(sink) = sink
            && flow.queue.is_empty()
        {
            taken = put(&mut self.peers, cx, key, sink, bytes, &mut flow.waits);
            flow.moved += taken as u64;
        }
        flow.queue.extend(&bytes[taken..]);
        flow.note_oldest(cx.now());
        let queued = flow.queue.len();
        if let Some(source) = source.and_then(End::peer) {
            let peer = &mut self.peers[source];
            peer.held += bytes.len() - taken;
            if let Body::Plain(plain) = &mut peer.body
                && queued >= QUEUE_MAX
            {
                plain.paused = true;
                plain.wire.want_read(cx, false);
            }
        }
        self.note_lane(key);
        self.account(cx, key, way, taken);
    }

    /// Bytes for somebody who has ended: the lane is reset, as a TCP connection is whose other end is closed. What that
    /// one has said before comes first.
    fn lane_unheard(&mut self, cx: &mut Cx<'_>, key: usize, way: Way, len: usize) {
        let lane = &mut self.lanes[key];
        let (source, _) = lane.ends(way);
        let (back, why) = match way {
            Way::Up => (&lane.down, "the host has ended"),
            Way::Down => (&lane.up, "the client has ended"),
        };
        if back.queue.is_empty() {
            return self.reset_lane(cx, key, why);
        }
        if let Some(End::Stream(peer, stream)) = source
            && let Some(mux) = self.mux(peer)
        {
            mux.consume(cx, stream, len);
        }
    }

    /// A lane's source has said all.
    pub(super) fn lane_finished(&mut self, cx: &mut Cx<'_>, key: usize, way: Way) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.flow(way).ended = true;
            self.pump(cx, key, way);
        }
    }

    /// A plain host has closed: there is no more of it, and it takes nothing more.
    pub(super) fn host_ends(&mut self, cx: &mut Cx<'_>, host: usize, key: usize) {
        if let Body::Plain(plain) = &mut self.peers[host].body {
            plain.wire.finish(cx, CloseCode::NORMAL, "");
        }
        self.leave(cx, host);
        self.lanes[key].down.ended = true;
        self.host_goes(cx, host, key);
    }

    /// A host has said all and is gone: that still reaches its client, and nothing reaches itself.
    fn host_goes(&mut self, cx: &mut Cx<'_>, host: usize, key: usize) {
        let Self { lanes, peers, .. } = self;
        let lane = &mut lanes[key];
        let unheard = std::mem::take(&mut lane.up.queue).len();
        lane.host = Some(End::Gone);
        let gone = &mut peers[host];
        gone.held -= lane.down.queue.len();
        gone.lanes.remove(&key);
        let client = lane.client;
        self.unheard(cx, key, client, unheard);
        self.pump(cx, key, Way::Down);
        self.pump(cx, key, Way::Up);
    }

    /// A client has said all and is gone: that still reaches its host, and nothing reaches itself.
    fn client_goes(&mut self, cx: &mut Cx<'_>, client: usize, key: usize) {
        let Self { lanes, peers, .. } = self;
        let lane = &mut lanes[key];
        let unheard = std::mem::take(&mut lane.down.queue).len();
        lane.client = End::Gone;
        let gone = &mut peers[client];
        gone.held -= lane.up.queue.len();
        gone.lanes.remove(&key);
        if let Some(host) = lane.host {
            self.unheard(cx, key, host, unheard);
        }
        self.pump(cx, key, Way::Up);
        self.pump(cx, key, Way::Down);
    }

    /// So many bytes of a source's will not be heard. It may say more, and is told then that nobody is there.
    fn unheard(&mut self, cx: &mut Cx<'_>, key: usize, source: End, len: usize) {
        self.note_lane(key);
        let Some(peer) = source.peer() else { return };
        let at = &mut self.peers[peer];
        at.held -= len;
        if let Body::Plain(plain) = &mut at.body
            && std::mem::take(&mut plain.paused)
        {
            plain.wire.want_read(cx, true);
        }
        if let End::Stream(peer, stream) = source
            && let Some(mux) = self.mux(peer)
        {
            mux.consume(cx, stream, len);
        }
    }

    /// A lane's sink takes bytes again.
    pub(super) fn lane_has_room(&mut self, cx: &mut Cx<'_>, key: usize, way: Way) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.flow(way).waits = false;
            self.pump(cx, key, way);
        }
    }

    /// Moves what waits as far as it is taken, and then the end.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>, key: usize, way: Way) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let (source, Some(sink)) = lane.ends(way) else {
            return;
        };
        let flow = lane.flow(way);
        let mut moved = 0;
        while !flow.queue.is_empty() {
            let (first, _) = flow.queue.as_slices();
            let len = first.len();
            let taken = put(&mut self.peers, cx, key, sink, first, &mut flow.waits);
            flow.queue.drain(..taken);
            moved += taken;
            if taken < len {
                break;
            }
        }
        flow.moved += moved as u64;
        flow.note_oldest(cx.now());
        let is_empty = flow.queue.is_empty();
        let ends = flow.ended && !flow.done && is_empty;
        if is_empty {
            flow.queue = VecDeque::new();
        }
        flow.done |= ends;
        let is_over = lane.up.done && lane.down.done;
        if let Some(source) = source.and_then(End::peer) {
            self.peers[source].held -= moved;
        }
        self.note_lane(key);
        if ends {
            self.finish_end(cx, sink);
        }
        self.account(cx, key, way, moved);
        if is_over {
            self.end_lane(cx, key, "finished");
        }
    }

    /// `moved` bytes have left for their sink: the source may send as many more.
    fn account(&mut self, cx: &mut Cx<'_>, key: usize, way: Way, moved: usize) {
        if moved == 0 {
            return;
        }
        match way {
            Way::Up => self.counts.from_clients += moved as u64,
            Way::Down => self.counts.to_clients += moved as u64,
        }
        let lane = &mut self.lanes[key];
        let (source, sink) = lane.ends(way);
        let queued = lane.flow(way).queue.len();
        if let Some(peer) = sink.and_then(End::peer) {
            self.peers[peer].to += moved as u64;
            self.note_peer(peer);
        }
        match source {
            Some(End::Stream(peer, stream)) => {
                if let Some(mux) = self.mux(peer) {
                    mux.consume(cx, stream, moved);
                }
            }
            Some(End::Plain(peer)) => {
                if let Body::Plain(plain) = &mut self.peers[peer].body
                    && plain.paused
                    && queued <= QUEUE_MAX / 2
                {
                    plain.paused = false;
                    plain.wire.want_read(cx, true);
                }
            }
            Some(End::Gone) | None => {}
        }
    }

    /// Tells a sink that nothing more comes.
    fn finish_end(&mut self, cx: &mut Cx<'_>, end: End) {
        match end {
            End::Stream(peer, stream) => {
                if let Some(mux) = self.mux(peer) {
                    mux.session.finish(stream);
                    mux.say(cx);
                }
            }
            End::Plain(peer) => {
                if let Body::Plain(plain) = &mut self.peers[peer].body {
                    plain.wire.finish(cx, CloseCode::NORMAL, "");
                }
            }
            End::Gone => {}
        }
    }

    /// Something is broken: both ends are told so.
    pub(super) fn reset_lane(&mut self, cx: &mut Cx<'_>, key: usize, why: &str) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let ends = [Some(lane.client), lane.host];
        self.end_lane(cx, key, why);
        for end in ends.into_iter().flatten() {
            match end {
                End::Stream(peer, stream) => {
                    if let Some(mux) = self.mux(peer) {
                        mux.session.reset(stream);
                        mux.say(cx);
                    }
                }
                End::Plain(peer) => self.close_peer(cx, peer, CloseCode::UNEXPECTED, why),
                End::Gone => {}
            }
        }
    }

    /// A peer goes away. Its connections are reset, but not those on which it has said all: that may still be on its
    /// way to somebody who reads slowly.
    pub(super) fn leave_lanes_of(&mut self, cx: &mut Cx<'_>, peer: usize, why: &str) {
        let part = self.peers[peer].part;
        for key in self.peers[peer].lanes.clone() {
            match (self.lanes.get(key), part) {
                (Some(lane), Part::Host) if lane.down.ended => self.host_goes(cx, peer, key),
                (Some(lane), Part::Client) if lane.up.ended && lane.host.is_some() => {
                    self.client_goes(cx, peer, key);
                }
                _ => self.reset_lane(cx, key, why),
            }
        }
    }

    /// Where a session's connections hold too much, one of them is reset: see [`longest_waiting`].
    pub(super) fn reset_hindmost(&mut self, cx: &mut Cx<'_>, peer: usize) {
        let lanes = self.peers[peer].lanes.iter().map(|lane| {
            let (held, since) = self.lanes[*lane].waits_of(peer);
            (*lane, held, since)
        });
        if let Some(lane) = longest_waiting(lanes) {
            let why = "it is read too slowly, and the session's memory is full";
            self.reset_lane(cx, lane, why);
        }
    }

    /// A lane is over. Its plain ends are left to close.
    fn end_lane(&mut self, cx: &mut Cx<'_>, key: usize, why: &str) {
        let lane = self.lanes.remove(key);
        self.memory.changed(lane.noted, 0);
        if let Some(timer) = lane.timer {
            cx.cancel(timer);
        }
        for end in lane.peers() {
            let Some(at) = end.peer() else { continue };
            let held = lane.held_of(at);
            let peer = &mut self.peers[at];
            peer.lanes.remove(&key);
            peer.held -= held;
            match &mut peer.body {
                Body::Mux(mux) => mux.forget_room(key as u32),
                Body::Plain(plain) if !plain.wire.is_open() => self.leave(cx, at),
                Body::Plain(_) => {}
            }
        }
        if let Some(place) = self.places.get_mut(&lane.name) {
            place.waiting.retain(|other| *other != key);
        }
        let (to, from) = lane.bytes();
        let text = format!(
            "connection of {} ended: {why}; {} to it, {} from it in {}",
            lane.label,
            Bytes(to),
            Bytes(from),
            Span(cx.now().since(lane.since))
        );
        self.journal.went(cx.now(), text);
        for end in lane.peers() {
            if let Some(peer) = end.peer() {
                self.leave_if_done(cx, peer);
            }
        }
        self.place_changed(cx, &lane.name);
    }
}

/// Gives a sink bytes: how many it takes. `waits`: it will say when it takes more.
fn put(
    peers: &mut Slab<Peer>,
    cx: &mut Cx<'_>,
    lane: usize,
    sink: End,
    bytes: &[u8],
    waits: &mut bool,
) -> usize {
    match sink {
        End::Stream(peer, stream) => {
            let Body::Mux(mux) = &mut peers[peer].body else {
                return 0;
            };
            let taken = mux.send(cx, stream, bytes);
            if taken < bytes.len() && mux.session.sendable(stream) > 0 && !*waits {
                *waits = true;
                mux.await_room(lane as u32);
            }
            taken
        }
        End::Plain(peer) => {
            let Body::Plain(plain) = &mut peers[peer].body else {
                return 0;
            };
            let taken = bytes.len().min(plain.out.room());
            if taken > 0 && plain.out.push(&bytes[..taken]) {
                plain.wire.want_send(cx);
            }
            taken
        }
        End::Gone => 0,
    }
}
