//! Connections: two pipes, two ends, and what happens on the line between.
//!
//! ```text
//! dial -> Call -> (waits in a listener's backlog) -> answered -> Up      the caller's end comes up last
//!              -> refused, ignored or out of reach -> Fail
//! ```
//!
//! An end that its owner has closed is `Gone`: what it had pushed still crosses, and bytes that come for it are
//! answered by a reset. Resets are told as Linux tells them: bytes that had arrived are read first, then one call gets
//! the error, and from then on reads find the end and writes a broken pipe.

use std::time::Duration;

use super::faults::CONNECT_TIMEOUT;
use super::pipe::Pipe;
use super::remote::RemoteId;
use super::world::{Due, World};
use crate::base::time::Time;
use crate::reactor::net::{Addr, Close, Keepalive, Peer, SockId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnId(u64);

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Tcp,
    Unix,
    Stdin,
    Stdout,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) wire: Wire,
    /// The caller's end and the one who was called's.
    pub(super) ends: [End; 2],
    /// `pipes[side]` carries what `ends[side]` writes.
    pub(super) pipes: [Pipe; 2],
    pub(super) from: Peer,
    pub(super) to: Addr,
    delay: Duration,
    /// Since when nothing crosses any more, and nobody is told.
    vanished: Option<Time>,
    dying: bool,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) owner: Owner,
    /// The peer that has it, or had it.
    pub(super) remote: Option<RemoteId>,
    /// The handshake is over, as this end sees it.
    pub(super) up: bool,
    /// Ended in both directions by a reset or a failure.
    pub(super) dead: bool,
    /// The error that the next call will be told.
    pub(super) error: Option<i32>,
    pub(super) keepalive: Option<Keepalive>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody yet: not answered, or in a listener's backlog.
    Nobody,
    Socket(SockId),
    Remote(RemoteId),
    /// Closed.
    Gone,
}

impl End {
    const fn new(owner: Owner) -> Self {
        let remote = match owner {
            Owner::Remote(remote) => Some(remote),
            Owner::Nobody | Owner::Socket(_) | Owner::Gone => None,
        };
        Self {
            owner,
            remote,
            up: false,
            dead: false,
            error: None,
            keepalive: None,
        }
    }
}

impl Conn {
    /// The pipe that `side` reads from.
    pub(super) const fn inbound(&self, side: usize) -> &Pipe {
        &self.pipes[1 - side]
    }

    pub(super) const fn outbound(&self, side: usize) -> &Pipe {
        &self.pipes[side]
    }

    /// For how long `side` has been without an answer that is due: to what was sent again because nothing of it had
    /// landed, or to a probe of a closed window. Both go out at distances that double, as in Linux.
    pub(super) fn unanswered(&self, side: usize, now: Time) -> Option<Duration> {
        let pipe = self.outbound(side);
        let at_risk = self.vanished.is_some() || pipe.window_closed();
        if self.wire != Wire::Tcp || self.ends[side].dead || pipe.unacknowledged() == 0 || !at_risk
        {
            return None;
        }
        let waits = now.since(pipe.waiting_since);
        let heard_until = self.vanished.map(|at| at.since(pipe.waiting_since));
        let (mut sent, mut wait, mut heard) =
            (RETRANSMISSION_MIN, RETRANSMISSION_MIN, Duration::ZERO);
        while sent <= waits {
            let answer = sent + 2 * self.delay;
            let lost = heard_until.is_some_and(|until| sent + self.delay > until);
            if lost || answer > waits {
                return Some(waits - heard);
            }
            heard = answer;
            wait = (2 * wait).min(RETRANSMISSION_WAIT_MAX);
            sent += wait;
        }
        None
    }
}

impl World {
    pub(super) fn new_conn(&mut self, wire: Wire, from: Peer, to: Addr, caller: Owner) -> ConnId {
        let pipe = || Pipe::new(self.faults.send_buffer, self.faults.receive_buffer);
        let pipes = [pipe(), pipe()];
        let delay = match wire {
            Wire::Tcp => self.faults.delay + self.below(self.faults.jitter),
            Wire::Unix | Wire::Stdin | Wire::Stdout => Duration::ZERO,
        };
        let id = ConnId(self.conns_made);
        self.conns_made += 1;
        let ends = [End::new(caller), End::new(Owner::Nobody)];
        self.conns.insert(
            id,
            Conn {
                wire,
                ends,
                pipes,
                from,
                to,
                delay,
                vanished: None,
                dying: false,
            },
        );
        id
    }

    /// Sets out to reach whoever listens at the other end.
    pub(super) fn call(&mut self, id: ConnId) {
        let delay = self.conns[&id].delay;
        self.schedule(self.now + delay, Due::Call(id));
    }

    /// The one who was called answers: its end is up, and the caller's is as soon as the answer arrives.
    pub(super) fn answer(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.ends[1].up = true;
        let at = self.now + conn.delay;
        conn.pipes[1].last = at;
        self.schedule(at, Due::Up(id));
    }

    pub(super) fn refuse(&mut self, id: ConnId, error: i32) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        self.schedule(self.now + conn.delay, Due::Fail(id, error));
    }

    pub(super) fn ignore(&mut self, id: ConnId) {
        self.schedule(self.now + CONNECT_TIMEOUT, Due::Fail(id, libc::ETIMEDOUT));
    }

    /// When the next thing that `side` sends arrives, if it sets out now. Nothing overtakes.
    fn arrival(&mut self, id: ConnId, side: usize) -> Time {
        let jitter = match self.conns[&id].wire {
            Wire::Tcp => self.below(self.faults.jitter),
            Wire::Unix | Wire::Stdin | Wire::Stdout => Duration::ZERO,
        };
        let now = self.now;
        let conn = self.conns.get_mut(&id).expect("looked up above");
        let at = (now + conn.delay + jitter).max(conn.pipes[side].last);
        conn.pipes[side].last = at;
        at
    }

    /// Takes what there is room for and sends it on its way.
    pub(super) fn send(&mut self, id: ConnId, side: usize, bytes: &[u8]) -> usize {
        let now = self.now;
        let taken = self.conns.get_mut(&id).map_or(0, |conn| {
            let pipe = &mut conn.pipes[side];
            if pipe.unacknowledged() == 0 {
                pipe.waiting_since = now;
            }
            pipe.push(bytes)
        });
        if taken > 0 {
            let at = self.arrival(id, side);
            self.schedule(
                at,
                Due::Arrive {
                    conn: id,
                    side,
                    bytes: taken,
                    end: false,
                },
            );
            self.plan_death(id, side);
        }
        taken
    }

    pub(super) fn send_end(&mut self, id: ConnId, side: usize) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.ends[side].dead || conn.pipes[side].is_shut() {
            return;
        }
        let pipe = &mut conn.pipes[side];
        if pipe.unacknowledged() == 0 {
            pipe.waiting_since = self.now;
        }
        pipe.push_end();
        let at = self.arrival(id, side);
        self.schedule(
            at,
            Due::Arrive {
                conn: id,
                side,
                bytes: 0,
                end: true,
            },
        );
    }

    /// Reads what has arrived at `side`.
    pub(super) fn pull(&mut self, id: ConnId, side: usize, into: &mut [u8]) -> usize {
        let Some(conn) = self.conns.get_mut(&id) else {
            return 0;
        };
        let pipe = &mut conn.pipes[1 - side];
        let count = pipe.pull(into);
        if count > 0 && pipe.window_closed() && !pipe.update_due {
            pipe.update_due = true;
            let at = self.now + conn.delay;
            self.schedule(
                at,
                Due::Arrive {
                    conn: id,
                    side: 1 - side,
                    bytes: 0,
                    end: false,
                },
            );
        }
        count
    }

    /// The owner of `side` closes.
    pub(super) fn leave(&mut self, id: ConnId, side: usize, how: Close) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.ends[side].owner = Owner::Gone;
        let other = &conn.ends[1 - side];
        let nobody_knows = !conn.ends[side].up && !other.up;
        if nobody_knows || other.owner == Owner::Gone {
            self.conns.remove(&id);
            return;
        }
        if conn.ends[side].dead {
            return;
        }
        // As in Linux, closing with bytes unread is a reset: they are known to be lost.
        let unread = conn.inbound(side).arrived() > 0;
        match conn.wire {
            Wire::Stdin | Wire::Stdout if side == 0 => self.leave_standard_stream(id),
            Wire::Tcp if how == Close::Reset || unread || !conn.ends[side].up => {
                self.send_reset(id, side);
            }
            Wire::Unix if unread => self.send_reset(id, side),
            _ => self.send_end(id, side),
        }
    }

    /// The far end of a standard stream goes: stdin ends, and stdout can't be written any more.
    fn leave_standard_stream(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(&id).expect("looked up by the caller");
        if conn.wire == Wire::Stdin {
            self.send_end(id, 0);
            return;
        }
        // Once everything has been handed over, its reader may go, and nobody minds.
        if !conn.pipes[0].is_shut() {
            self.kill(id, 1, Some(libc::EPIPE));
        }
    }

    fn send_reset(&mut self, id: ConnId, side: usize) {
        let at = self.arrival(id, side);
        self.schedule(at, Due::Reset { conn: id, side });
    }

    /// Resets a connection from outside, at both ends.
    pub(super) fn cut(&mut self, id: ConnId) {
        self.note(|| format!("cut {id:?}"));
        for side in 0..2 {
            if let Some(remote) = self.conns.get(&id).and_then(|conn| conn.ends[side].remote) {
                self.remotes[remote.index()].cut = true;
            }
            self.kill(id, side, Some(libc::ECONNRESET));
        }
    }

    /// Resets each connection that the program has with itself, at both ends, as [`Faults::cut`](super::Faults::cut)
    /// does.
    pub fn cut_own(&mut self) {
        let is_own = |conn: &Conn| {
            let ends = &conn.ends;
            conn.wire == Wire::Tcp && ends.iter().all(|end| end.up && end.remote.is_none())
        };
        let own = self.conns.iter().filter(|(_, conn)| is_own(conn));
        let own: Vec<ConnId> = own.map(|(id, _)| *id).collect();
        for id in own {
            self.cut(id);
        }
    }

    /// From now on nothing crosses, and nobody is told.
    pub(super) fn vanish(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.vanished.get_or_insert(self.now);
            self.plan_death(id, 0);
            self.plan_death(id, 1);
        }
    }

    /// When the silence of a vanished peer will end the connection at `side`.
    pub(super) fn plan_death(&mut self, id: ConnId, side: usize) {
        let Some(conn) = self
            .conns
            .get_mut(&id)
            .filter(|conn| conn.vanished.is_some() && !conn.dying)
        else {
            return;
        };
        let End {
            owner: Owner::Socket(_),
            keepalive,
            ..
        } = conn.ends[side]
        else {
            return;
        };
        let waiting = conn.outbound(side).unacknowledged() > 0;
        let patience = match keepalive {
            Some(Keepalive {
                user_timeout: Some(timeout),
                ..
            }) if waiting => timeout,
            Some(Keepalive { idle, .. }) if !waiting => {
                idle + 3 * (idle / 3).max(Duration::from_secs(1))
            }
            _ if waiting => RETRANSMISSION_MAX,
            _ => return,
        };
        conn.dying = true;
        let at = self.now + patience;
        self.schedule(at, Due::Die { conn: id, side });
    }

    pub(super) fn on_die(&mut self, id: ConnId, side: usize) {
        self.kill(id, side, Some(libc::ETIMEDOUT));
    }

    pub(super) fn on_up(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ends[0].dead) else {
            return;
        };
        conn.ends[0].up = true;
        match conn.ends[0].owner {
            Owner::Socket(socket) => self.raise(socket, false, true),
            Owner::Remote(remote) => self.on_remote_up(remote),
            Owner::Nobody | Owner::Gone => {}
        }
    }

    pub(super) fn on_fail(&mut self, id: ConnId, error: i32) {
        if self.conns.get(&id).is_some_and(|conn| !conn.ends[0].up) {
            self.kill(id, 0, Some(error));
        }
    }

    pub(super) fn on_arrive(&mut self, id: ConnId, side: usize, bytes: usize, end: bool) {
        let now = self.now;
        let live = |conn: &&mut Conn| conn.vanished.is_none();
        let Some(conn) = self.conns.get_mut(&id).filter(live) else {
            return;
        };
        let other = &conn.ends[1 - side];
        if other.dead {
            return;
        }
        if other.owner == Owner::Gone {
            if bytes > 0 || conn.pipes[side].window_closed() {
                self.send_reset(id, 1 - side);
            }
            return;
        }
        if bytes > 0 && conn.wire == Wire::Tcp && self.rng.chance(self.faults.cut) {
            self.cut(id);
            return;
        }
        let pipe = &mut conn.pipes[side];
        pipe.release(bytes);
        if end {
            pipe.release_end();
        } else if bytes == 0 {
            pipe.update_due = false;
        }
        let before = pipe.arrived();
        if !pipe.flow() {
            return;
        }
        pipe.waiting_since = now;
        let landed = pipe.arrived() - before;
        match conn.ends[1 - side].owner {
            Owner::Socket(socket) => self.raise(socket, true, false),
            Owner::Remote(remote) => {
                self.remotes[remote.index()].arrived_total += landed as u64;
                self.wake(remote);
            }
            Owner::Nobody | Owner::Gone => {}
        }
        self.on_room(id, side);
    }

    /// Bytes that `side` had pushed have landed.
    fn on_room(&mut self, id: ConnId, side: usize) {
        match self.conns.get(&id).map(|conn| conn.ends[side].owner) {
            Some(Owner::Socket(socket)) => self.announce_room(socket),
            Some(Owner::Remote(remote)) => self.wake(remote),
            _ => {}
        }
    }

    pub(super) fn on_reset(&mut self, id: ConnId, side: usize) {
        let Some(conn) = self.conns.get(&id).filter(|conn| conn.vanished.is_none()) else {
            return;
        };
        // After the peer's FIN, Linux tells a reset as a broken pipe.
        let ended = conn.inbound(1 - side).end_arrived();
        self.kill(
            id,
            1 - side,
            Some(if ended { libc::EPIPE } else { libc::ECONNRESET }),
        );
    }

    /// Ends `side` in both directions.
    fn kill(&mut self, id: ConnId, side: usize, error: Option<i32>) {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.ends[side].dead) else {
            return;
        };
        conn.ends[side].dead = true;
        conn.ends[side].error = error;
        conn.pipes.iter_mut().for_each(Pipe::kill);
        match conn.ends[side].owner {
            Owner::Socket(socket) => self.raise(socket, true, true),
            Owner::Remote(remote) => self.on_remote_dead(remote),
            Owner::Nobody => {}
            Owner::Gone if conn.ends[1 - side].owner == Owner::Gone => {
                self.conns.remove(&id);
            }
            Owner::Gone => {}
        }
    }
}

/// How long Linux goes on sending what nobody acknowledges, about.
const RETRANSMISSION_MAX: Duration = Duration::from_secs(924);
/// Its first wait for an acknowledgement, and the longest (TCP_RTO_MIN, TCP_RTO_MAX).
const RETRANSMISSION_MIN: Duration = Duration::from_millis(200);
const RETRANSMISSION_WAIT_MAX: Duration = Duration::from_secs(120);
