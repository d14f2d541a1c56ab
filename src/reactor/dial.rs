//! One dial: a name's addresses tried in turn, the families alternating, the next address after 250 ms or as soon as
//! the one before has failed (after RFC 8305, "Happy Eyeballs"). The first connection wins, the others are closed.
//!
//! ```text
//!   Asked for ──the turn ends──> Resolving or Racing
//!   Resolving ──answer──> Racing ──one connected──> Connected
//!       │ no address         │ all failed
//!       └────────────────────┴──────── or out of time ──> ConnectFailed
//! ```
//!
//! **Invariant.** A dial that is taken back in the turn in which it was asked for has opened nothing, and one that is
//! begun finds the descriptors of all that its turn has closed. So a peer for whom dials are made can't make more of
//! them begin than it may have, however many it brings up and takes back in one breath.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::wheel::TimerKey;
use crate::reactor::core::Core;
use crate::reactor::event::{DialError, DialId, Event, RoleId};
use crate::reactor::net::{Addr, Close, Lookup, Peer, SockId};
use crate::reactor::table::{Kind, Owner, Way};

/// A dial that is under way.
#[derive(Debug)]
pub(super) struct Dial {
    id: DialId,
    role: RoleId,
    port: u16,
    /// The name to be looked up, before it is.
    name: Option<String>,
    lookup: Option<Lookup>,
    /// Addresses that nobody has tried yet.
    untried: VecDeque<Addr>,
    /// Connections under way.
    racing: Vec<(SockId, Addr)>,
    deadline: TimerKey,
    stagger: Option<TimerKey>,
    last_error: Option<(Addr, io::Error)>,
}

impl Dial {
    pub(super) fn role(&self) -> RoleId {
        self.role
    }

    pub(super) fn id(&self) -> DialId {
        self.id
    }
}

impl Core {
    pub(super) fn dial(&mut self, role: RoleId, to: &Endpoint, timeout: Duration) -> DialId {
        self.dial_generation = self.dial_generation.wrapping_add(1);
        let id = DialId {
            key: self.dials.vacant_key() as u32,
            generation: self.dial_generation,
        };
        let deadline = self.timer(timeout, Owner::Dial(id), DEADLINE);
        let mut dial = Dial {
            id,
            role,
            port: 0,
            name: None,
            lookup: None,
            untried: VecDeque::new(),
            racing: Vec::new(),
            deadline,
            stagger: None,
            last_error: None,
        };
        match to {
            Endpoint::Unix(path) => dial.untried.push_back(Addr::Unix(path.clone())),
            Endpoint::Tcp {
                host: Host::Ip(ip),
                port,
                ..
            } => dial
                .untried
                .push_back(Addr::Tcp(SocketAddr::new(*ip, *port))),
            Endpoint::Tcp {
                host: Host::Any,
                port,
                ..
            } => {
                let here = [
                    IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(Ipv6Addr::LOCALHOST),
                ];
                dial.untried
                    .extend(here.map(|ip| Addr::Tcp(SocketAddr::new(ip, *port))));
            }
            Endpoint::Tcp {
                host: Host::Name(name),
                port,
                ..
            } => {
                dial.port = *port;
                dial.name = Some(name.clone());
            }
        }
        self.dials.insert(dial);
        self.fresh_dials.push(id);
        id
    }

    /// Begins the dials that were asked for in this turn and not taken back.
    pub(super) fn begin_dials(&mut self) {
        if !self.fresh_dials.is_empty() {
            self.begin_fresh();
        }
    }

    #[cold]
    fn begin_fresh(&mut self) {
        for id in std::mem::take(&mut self.fresh_dials) {
            let Some(dial) = self.dial_mut(id) else {
                continue;
            };
            let Some(name) = dial.name.take() else {
                self.try_next(id);
                continue;
            };
            let lookup = self.fresh_lookup();
            self.dial_mut(id).expect("it was just found").lookup = Some(lookup);
            self.net.resolve(lookup, &name);
        }
    }

    /// Ends a dial without an answer. One that is gone already is left alone.
    pub(super) fn drop_dial(&mut self, id: DialId) {
        if self.dial_mut(id).is_none() {
            return;
        }
        let dial = self.dials.remove(id.key as usize);
        self.cancel(dial.deadline);
        if let Some(stagger) = dial.stagger {
            self.cancel(stagger);
        }
        // It may have come about already for the other end, which is not to take this for the end of what was said.
        for (sock, _) in dial.racing {
            self.close(sock, Close::Reset);
        }
    }

    /// Ends a dial whose answer nobody wants any more, be it that the answer already waits for its delivery.
    pub(super) fn cancel_dial(&mut self, id: DialId) {
        self.drop_dial(id);
        let mut won = None;
        self.outbox.retain(|(_, event)| match event {
            Event::Connected { dial, sock, .. } if *dial == id => {
                won = Some(*sock);
                false
            }
            Event::ConnectFailed { dial, .. } => *dial != id,
            _ => true,
        });
        if let Some(sock) = won {
            self.close(sock, Close::Reset);
        }
    }

    /// The resolver's answer. One that nobody waits for any more is dropped.
    pub(super) fn resolved(&mut self, lookup: Lookup, answer: io::Result<Vec<IpAddr>>) {
        let waiting = |(_, dial): &(usize, &Dial)| dial.lookup == Some(lookup);
        let Some(id) = self.dials.iter().find(waiting).map(|(_, dial)| dial.id) else {
            return;
        };
        let dial = self.dial_mut(id).expect("it was just found");
        dial.lookup = None;
        match answer {
            Ok(ips) => {
                let port = dial.port;
                dial.untried = interleave(&ips)
                    .map(|ip| Addr::Tcp(SocketAddr::new(ip, port)))
                    .collect();
                self.try_next(id);
            }
            Err(error) => self.fail(id, DialError::Resolve(error)),
        }
    }

    /// A racing connection may have come to its end.
    #[cold]
    pub(super) fn dial_visit(&mut self, id: DialId, sock: SockId) {
        match self.net.connected(sock) {
            Ok(Some(peer)) => self.win(id, sock, peer),
            Ok(None) => {
                self.table.spent(sock, Way::Write);
                self.table.spent(sock, Way::Read);
            }
            Err(error) => {
                self.close(sock, Close::Orderly);
                let Some(dial) = self.dial_mut(id) else {
                    return;
                };
                if let Some(at) = dial.racing.iter().position(|(racer, _)| *racer == sock) {
                    let (_, addr) = dial.racing.swap_remove(at);
                    dial.last_error = Some((addr, error));
                }
                self.try_next(id);
            }
        }
    }

    #[cold]
    pub(super) fn dial_timer(&mut self, id: DialId, tag: u32) {
        let Some(dial) = self.dial_mut(id) else {
            return;
        };
        if tag == DEADLINE {
            self.fail(id, DialError::Timeout);
        } else {
            dial.stagger = None;
            self.try_next(id);
        }
    }

    /// Starts the next address, or gives up when none is left and none is under way.
    fn try_next(&mut self, id: DialId) {
        let Some(dial) = self.dial_mut(id) else {
            return;
        };
        if let Some(stagger) = dial.stagger.take() {
            self.cancel(stagger);
        }
        while let Some(addr) = self.dial_mut(id).and_then(|dial| dial.untried.pop_front()) {
            match self.net.connect(&addr) {
                Ok(sock) => {
                    self.table.adopt(sock, Owner::Dial(id), Kind::Own);
                    self.table.spent(sock, Way::Write);
                    self.table.want(sock, Way::Write, true);
                    self.dial_mut(id)
                        .expect("a connect ends no dial")
                        .racing
                        .push((sock, addr));
                    break;
                }
                Err(error) => {
                    self.dial_mut(id)
                        .expect("a connect ends no dial")
                        .last_error = Some((addr, error))
                }
            }
        }
        let dial = self.dial_mut(id).expect("a connect ends no dial");
        if !dial.untried.is_empty() {
            let stagger = self.timer(STAGGER, Owner::Dial(id), 0);
            self.dial_mut(id).expect("a timer ends no dial").stagger = Some(stagger);
        } else if dial.racing.is_empty() {
            let (addr, error) = dial
                .last_error
                .take()
                .expect("each address that was tried has left its error");
            self.fail(id, DialError::Connect(addr, error));
        }
    }

    fn win(&mut self, id: DialId, sock: SockId, peer: Peer) {
        let Some(dial) = self.dial_mut(id) else {
            return;
        };
        let role = dial.role;
        dial.racing.retain(|(racer, _)| *racer != sock);
        self.drop_dial(id);
        self.table.adopt(sock, Owner::Role(role), Kind::Own);
        // What came in with the connection may have announced itself already.
        self.table.edge(sock, Way::Read);
        self.outbox.push_back((
            role,
            Event::Connected {
                dial: id,
                sock,
                peer,
            },
        ));
    }

    fn fail(&mut self, id: DialId, error: DialError) {
        let Some(dial) = self.dial_mut(id) else {
            return;
        };
        let role = dial.role;
        self.drop_dial(id);
        self.outbox
            .push_back((role, Event::ConnectFailed { dial: id, error }));
    }

    fn dial_mut(&mut self, id: DialId) -> Option<&mut Dial> {
        self.dials
            .get_mut(id.key as usize)
            .filter(|dial| dial.id == id)
    }
}

/// The timer tag of a dial's end; any other is the stagger.
const DEADLINE: u32 = 1;
/// RFC 8305, section 5: the recommended delay between attempts.
const STAGGER: Duration = Duration::from_millis(250);

/// The resolver's first address first, then the families in turn (RFC 8305, section 4).
fn interleave(ips: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = ips.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        ips.iter().partition(|ip| ip.is_ipv6() == first_is_v6);
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let (this, other) = if turn {
            (&mut first, &mut second)
        } else {
            (&mut second, &mut first)
        };
        this.pop_front().or_else(|| other.pop_front())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_nothing_is_lost() {
        let ips = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "::1"].map(|ip| ip.parse().unwrap());
        let order: Vec<_> = interleave(&ips).map(|ip: IpAddr| ip.to_string()).collect();
        assert_eq!(order, ["1.1.1.1", "::1", "1.1.1.2", "1.1.1.3"]);
        assert_eq!(interleave(&[]).count(), 0);
    }
}
