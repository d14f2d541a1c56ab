//! The peers out there, as a driver makes and moves them.
//!
//! ```text
//! Connecting -> Open -> Closed          by itself: close, reset
//!            -> Refused   -> Lost       by the other side or the network: reset, silence
//! ```

use std::net::SocketAddr;

use super::actor::{Acting, Actor};
use super::conn::{ConnId, Owner, Wire};
use super::world::World;
use crate::reactor::net::{Addr, Close, Peer};

/// A peer. Ids are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteId(u32);

impl RemoteId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a peer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteState {
    /// Its call has not been answered yet; perhaps nobody listens yet.
    Connecting,
    /// Connected. It may have been told the end of the other direction already.
    Open,
    /// It has closed or reset the connection itself.
    Closed,
    /// Its call was refused, or never answered.
    Refused,
    /// Its connection was reset, or timed out.
    Lost,
}

/// What stands at an address that the program may dial.
pub enum Behaviour {
    /// Each caller gets an actor: the function is given the number of those who came before.
    Serve(Box<dyn FnMut(u64) -> Actor>),
    /// Refuses each call, as where nothing listens.
    Refuse,
    /// Never answers.
    Ignore,
    /// Takes each call and resets it at once.
    Reset,
}

impl Behaviour {
    /// The same actor for each caller.
    pub fn serve(actor: Actor) -> Self {
        Self::Serve(Box::new(move |_| actor.clone()))
    }
}

pub(super) struct Remote {
    pub(super) conn: Option<(ConnId, usize)>,
    pub(super) state: RemoteState,
    pub(super) acting: Acting,
    pub(super) cut: bool,
    patient: bool,
    received: Vec<u8>,
    received_total: u64,
    /// Bytes that have landed at its end, read or not.
    pub(super) arrived_total: u64,
    sent_total: u64,
    saw_end: bool,
}

/// Peers that a driver makes and moves.
impl World {
    /// Puts a server at `at`, in place of what stood there.
    pub fn listen_remote(&mut self, at: Addr, behaviour: Behaviour) {
        self.servers.insert(at, behaviour);
    }

    /// Takes the server at `at` away; its connections stay. Calls are refused from now on.
    pub fn unlisten_remote(&mut self, at: &Addr) {
        self.servers.remove(at);
    }

    /// The peers that came of calls to `at`, in order.
    pub fn accepted_at(&self, at: &Addr) -> &[RemoteId] {
        self.accepted.get(at).map_or(&[], Vec::as_slice)
    }

    /// Makes a peer that calls `to`. If nobody listens there yet, it waits until somebody does.
    pub fn connect_remote(&mut self, to: Addr, from: SocketAddr, actor: Actor) -> RemoteId {
        self.dial_remote(to, from, actor, true)
    }

    /// Makes a peer that calls `to`, and is refused if nobody listens there.
    pub fn try_connect_remote(&mut self, to: Addr, from: SocketAddr, actor: Actor) -> RemoteId {
        self.dial_remote(to, from, actor, false)
    }

    /// Who feeds the program's standard input.
    pub const fn stdin(&self) -> RemoteId {
        RemoteId(0)
    }

    /// Who reads the program's standard output. The program is told that its last byte has been handed over as soon as
    /// this peer has read it, and the end.
    pub const fn stdout(&self) -> RemoteId {
        RemoteId(1)
    }

    /// Gives a peer another actor, which begins now, or as soon as the peer is connected.
    pub fn set_actor(&mut self, id: RemoteId, actor: Actor) {
        let acting = &mut self.remotes[id.index()].acting;
        *acting = acting.followed_by(actor);
        if self.is_open(id) {
            self.begin(id);
        }
    }

    /// Sends what there is room for, and says how much that was: 0 where it can't send at all.
    pub fn remote_send(&mut self, id: RemoteId, bytes: &[u8]) -> usize {
        let Some((conn, side)) = self.live_conn(id) else {
            return 0;
        };
        if self.conns[&conn].outbound(side).is_shut() {
            return 0;
        }
        let sent = self.send(conn, side, bytes);
        self.remotes[id.index()].sent_total += sent as u64;
        sent
    }

    /// Reads what has arrived, up to `max` bytes. What is read is kept for [`World::received`], too.
    pub fn remote_read(&mut self, id: RemoteId, max: usize) -> Vec<u8> {
        let Some((conn, side)) = self.remotes[id.index()].conn else {
            return Vec::new();
        };
        let Some(inbound) = self.conns.get(&conn).map(|conn| conn.inbound(side)) else {
            return Vec::new();
        };
        let mut bytes = vec![0; inbound.arrived().min(max)];
        let count = self.pull(conn, side, &mut bytes);
        bytes.truncate(count);
        let inbound = self.conns[&conn].inbound(side);
        let ended = inbound.end_arrived() && inbound.arrived() == 0;
        let remote = &mut self.remotes[id.index()];
        remote.received.extend_from_slice(&bytes);
        remote.received_total += count as u64;
        if ended && !remote.saw_end {
            remote.saw_end = true;
            if self.conns[&conn].wire == Wire::Stdout {
                self.send_end(conn, side);
            }
        }
        bytes
    }

    /// Ends the peer's direction (FIN).
    pub fn remote_shutdown(&mut self, id: RemoteId) {
        if let Some((conn, side)) = self.live_conn(id) {
            self.send_end(conn, side);
        }
    }

    /// Closes as a program does that simply exits: with bytes unread that is a reset, as in Linux.
    pub fn remote_close(&mut self, id: RemoteId) {
        self.remote_leave(id, Close::Orderly);
    }

    /// Closes by a reset.
    pub fn remote_reset(&mut self, id: RemoteId) {
        self.remote_leave(id, Close::Reset);
    }

    /// Lets the peer's machine vanish: from now on its connection carries nothing, and nobody is told.
    pub fn remote_vanish(&mut self, id: RemoteId) {
        if let Some((conn, _)) = self.live_conn(id) {
            self.vanish(conn);
        }
    }

    /// Where the peer is in its life.
    pub fn remote_state(&self, id: RemoteId) -> RemoteState {
        self.remotes[id.index()].state
    }

    /// Whether the peer is connected.
    pub fn is_open(&self, id: RemoteId) -> bool {
        self.remote_state(id) == RemoteState::Open
    }

    /// Whether the end of what the program sends has come, all bytes before it read.
    pub fn saw_fin(&self, id: RemoteId) -> bool {
        let remote = &self.remotes[id.index()];
        let conn = remote
            .conn
            .and_then(|(conn, side)| Some(self.conns.get(&conn)?.inbound(side)));
        remote.saw_end
            || conn.is_some_and(|inbound| inbound.end_arrived() && inbound.arrived() == 0)
    }

    /// Whether the connection was reset or has timed out under the peer.
    pub fn saw_reset(&self, id: RemoteId) -> bool {
        self.remote_state(id) == RemoteState::Lost
    }

    /// Whether the network has reset the connection, be it after the peer had closed its end, by
    /// [`Faults::cut`](super::Faults::cut).
    pub fn was_cut(&self, id: RemoteId) -> bool {
        self.remotes[id.index()].cut
    }

    /// What the peer has read, since the beginning or the latest [`World::take_received`].
    pub fn received(&self, id: RemoteId) -> &[u8] {
        &self.remotes[id.index()].received
    }

    /// As [`World::received`], and forgets it, so that long runs don't grow.
    pub fn take_received(&mut self, id: RemoteId) -> Vec<u8> {
        std::mem::take(&mut self.remotes[id.index()].received)
    }

    /// Bytes that the peer has read in all.
    pub fn received_total(&self, id: RemoteId) -> u64 {
        self.remotes[id.index()].received_total
    }

    /// Bytes that have arrived at the peer's end in all, whether it has read them or not: those that were acknowledged.
    pub fn arrived_total(&self, id: RemoteId) -> u64 {
        self.remotes[id.index()].arrived_total
    }

    /// Bytes that the peer has sent in all.
    pub fn sent_total(&self, id: RemoteId) -> u64 {
        self.remotes[id.index()].sent_total
    }

    /// Bytes that have arrived and wait for the peer to read them.
    pub fn remote_unread(&self, id: RemoteId) -> usize {
        let conn = self.remotes[id.index()].conn;
        conn.and_then(|(conn, side)| Some(self.conns.get(&conn)?.inbound(side).arrived()))
            .unwrap_or(0)
    }
}

impl World {
    pub(super) fn open_standard_streams(&mut self) {
        for (wire, name) in [(Wire::Stdin, "stdin"), (Wire::Stdout, "stdout")] {
            let id = self.add_remote(Actor::Manual, false);
            let conn = self.new_conn(
                wire,
                Peer::Stdio,
                Addr::Unix(name.into()),
                Owner::Remote(id),
            );
            let remote = &mut self.remotes[id.index()];
            remote.conn = Some((conn, 0));
            remote.state = RemoteState::Open;
            let ends = &mut self.conns.get_mut(&conn).expect("made above").ends;
            ends.iter_mut().for_each(|end| end.up = true);
        }
    }

    fn add_remote(&mut self, actor: Actor, patient: bool) -> RemoteId {
        let id = RemoteId(u32::try_from(self.remotes.len()).expect("fewer peers than 2^32"));
        self.remotes.push(Remote {
            conn: None,
            state: RemoteState::Connecting,
            acting: Acting::new(actor),
            cut: false,
            patient,
            received: Vec::new(),
            received_total: 0,
            arrived_total: 0,
            sent_total: 0,
            saw_end: false,
        });
        id
    }

    fn dial_remote(&mut self, to: Addr, from: SocketAddr, actor: Actor, patient: bool) -> RemoteId {
        let id = self.add_remote(actor, patient);
        let (wire, peer) = match to {
            Addr::Tcp(_) => (Wire::Tcp, Peer::Tcp(from)),
            Addr::Unix(_) => (Wire::Unix, Peer::Unix),
        };
        let conn = self.new_conn(wire, peer, to, Owner::Remote(id));
        self.remotes[id.index()].conn = Some((conn, 0));
        self.call(conn);
        id
    }

    /// The program's call has reached an address where it does not listen itself.
    pub(super) fn call_remote(&mut self, conn: ConnId, to: &Addr) {
        let earlier = self.accepted.get(to).map_or(0, Vec::len) as u64;
        let actor = match self.servers.get_mut(to) {
            Some(Behaviour::Serve(actor)) => actor(earlier),
            Some(Behaviour::Reset) => Actor::Manual,
            Some(Behaviour::Ignore) => return self.ignore(conn),
            Some(Behaviour::Refuse) | None => return self.refuse(conn, libc::ECONNREFUSED),
        };
        let id = self.add_remote(actor, false);
        self.remotes[id.index()].conn = Some((conn, 1));
        self.accepted.entry(to.clone()).or_default().push(id);
        let conn_mut = self.conns.get_mut(&conn).expect("looked up by the caller");
        conn_mut.ends[1].owner = Owner::Remote(id);
        conn_mut.ends[1].remote = Some(id);
        self.answer(conn);
        self.on_remote_up(id);
        if let Some(Behaviour::Reset) = self.servers.get(to) {
            self.remote_reset(id);
        }
    }

    /// A peer's call has reached an address where nobody listens.
    pub(super) fn call_early(&mut self, conn: ConnId) {
        match self.conns[&conn].ends[0].owner {
            Owner::Remote(id) if self.remotes[id.index()].patient => self.early.push(conn),
            _ => self.refuse(conn, libc::ECONNREFUSED),
        }
    }

    pub(super) fn on_remote_up(&mut self, id: RemoteId) {
        self.remotes[id.index()].state = RemoteState::Open;
        self.begin(id);
    }

    pub(super) fn on_remote_dead(&mut self, id: RemoteId) {
        let remote = &mut self.remotes[id.index()];
        remote.state = match remote.state {
            RemoteState::Connecting => RemoteState::Refused,
            _ => RemoteState::Lost,
        };
    }

    fn remote_leave(&mut self, id: RemoteId, how: Close) {
        let Some((conn, side)) = self.remotes[id.index()].conn.take() else {
            return;
        };
        self.remotes[id.index()].state = RemoteState::Closed;
        self.leave(conn, side, how);
    }

    /// How much a send would take now.
    pub(super) fn remote_room(&self, id: RemoteId) -> usize {
        self.live_conn(id)
            .map_or(0, |(conn, side)| self.conns[&conn].outbound(side).room())
    }

    fn live_conn(&self, id: RemoteId) -> Option<(ConnId, usize)> {
        self.remotes[id.index()].conn.filter(|_| self.is_open(id))
    }
}
