//! Listeners that are opened before the role that needs them begins: so it is known that a place can be had before
//! anything else changes, and a role that takes another one's place takes its listener over, without a moment in which
//! nobody listens. Where it listens at more or at less than the other one did it has a listener of its own, and takes
//! over those who wait at the other when that closes.
//!
//! ```text
//!   reserve ──add_with──> the role's: its `listen_at` finds it
//!      └──cancel──> closed, and nothing has changed
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{self, Receiver, Sender};

use crate::base::endpoint::Endpoint;
use crate::reactor::Reactor;
use crate::reactor::core::Core;
use crate::reactor::event::{Event, Role, RoleId};
use crate::reactor::net::{Addr, Close, Lookup, Peer, SockId, Wake};
use crate::reactor::table::{Kind, Owner, Way};

/// Listeners at one endpoint that no role has yet. They are to be given to a role, or to be cancelled.
#[derive(Debug)]
#[must_use = "it listens until a role has it, or it is cancelled"]
pub struct Reserved {
    places: Vec<Addr>,
    open: Vec<(SockId, Addr)>,
}

/// Where the addresses of a name go.
pub(super) type HostLookup = Sender<io::Result<Vec<IpAddr>>>;

/// Where a role listens.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) role: RoleId,
    /// As it was asked for.
    pub(super) places: Vec<Addr>,
    /// The listeners and their real addresses.
    pub(super) open: Vec<(SockId, Addr)>,
}

/// Connections that waited at a listener which is closed, and wait for the one that came after it to take them.
#[derive(Debug)]
pub(super) struct Handed {
    to: SockId,
    waiting: VecDeque<(SockId, Peer)>,
}

impl<R: Role> Reactor<R> {
    /// Listens at an endpoint for a role that is still to come. Where one of `leaving` listens there, the listener is
    /// shared with it, so that it can go at any time; where it listens at a part of that, or at more, the new one
    /// stands beside its own.
    ///
    /// # Errors
    /// Why it can't be had; then nothing has changed.
    pub fn reserve(&mut self, at: &Endpoint, leaving: &[RoleId]) -> io::Result<Reserved> {
        let places = self.core.places(at)?;
        let open = match self.core.share(&places, leaving) {
            Some(shared) => shared?,
            None => self.core.open_listeners(&places, leaving)?,
        };
        Ok(Reserved { places, open })
    }

    /// Nobody needs these listeners any more.
    pub fn cancel(&mut self, reserved: Vec<Reserved>) {
        self.core.cancel_reserved(reserved);
    }

    /// As [`Reactor::add`], for a role that finds these listeners where it listens. Those that it does not ask for are
    /// closed.
    pub fn add_with(&mut self, role: R, reserved: Vec<Reserved>) -> RoleId {
        self.core.reserved = reserved;
        let id = self.place(role);
        self.deliver(id, Event::Start);
        let left = std::mem::take(&mut self.core.reserved);
        self.core.cancel_reserved(left);
        id
    }

    /// Has the addresses of a name looked up, at which a role is about to listen. What comes of it is there behind a
    /// later turn.
    pub fn look_up(&mut self, name: &str) -> Receiver<io::Result<Vec<IpAddr>>> {
        let (sender, answer) = mpsc::channel();
        let lookup = self.core.fresh_lookup();
        self.core.host_lookups.push((lookup, sender));
        self.core.net.resolve(lookup, name);
        answer
    }

    /// Addresses of names at which roles are about to listen: once the loop turns, none is looked up at that moment.
    /// They replace those of the call before, and hold until the next: what is not asked for at once may be others
    /// later.
    pub fn know_hosts(
        &mut self,
        hosts: impl IntoIterator<Item = (String, io::Result<Vec<IpAddr>>)>,
    ) {
        self.core.known_hosts = hosts.into_iter().collect();
    }

    /// Something that other threads may call to bring about a turn.
    pub fn waker(&self) -> Wake {
        self.core.net.waker()
    }
}

impl Core {
    /// An answer of the resolver goes to who asked for a place to listen at; any other one comes back.
    pub(super) fn host_found(
        &mut self,
        lookup: Lookup,
        answer: io::Result<Vec<IpAddr>>,
    ) -> Option<io::Result<Vec<IpAddr>>> {
        let mut all = self.host_lookups.iter();
        let Some(at) = all.position(|(of, _)| *of == lookup) else {
            return Some(answer);
        };
        let (_, asked) = self.host_lookups.swap_remove(at);
        // Whoever asked may not need it any more.
        let _ = asked.send(answer);
        None
    }

    /// Opens all of these places, or none. Those of one name share a port. What roles that are `leaving` have of them
    /// is not in the way.
    pub(super) fn open_listeners(
        &mut self,
        places: &[Addr],
        leaving: &[RoleId],
    ) -> io::Result<Vec<(SockId, Addr)>> {
        let mut open: Vec<(SockId, Addr)> = Vec::new();
        for place in places {
            let mut place = place.clone();
            if let (Addr::Tcp(addr), Some((_, Addr::Tcp(first)))) = (&mut place, open.first()) {
                addr.set_port(first.port());
            }
            match self.open_listener(&place, leaving) {
                Ok(listener) => open.push(listener),
                Err(error) => {
                    self.close_listeners(&open);
                    return Err(error);
                }
            }
        }
        Ok(open)
    }

    fn open_listener(&mut self, at: &Addr, leaving: &[RoleId]) -> io::Result<(SockId, Addr)> {
        match self.net.listen(at) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let ours = self.at_port_of(at, leaving);
                match ours.is_empty() {
                    true => Err(error),
                    false => {
                        let listening = self.net.listen_beside(at, &ours);
                        if let Ok((heir, _)) = &listening {
                            self.heirs.extend(ours.iter().map(|one| (*one, *heir)));
                        }
                        listening
                    }
                }
            }
            // A machine without IPv6 has no `[::]` to take both families on.
            Err(error) if is_any_v6(at) && is_no_v6(&error) => self.net.listen(&any_v4(at)),
            listening => listening,
        }
    }

    /// The listeners that these roles have at the port of a place.
    fn at_port_of(&self, at: &Addr, roles: &[RoleId]) -> Vec<SockId> {
        let Addr::Tcp(at) = at else {
            return Vec::new();
        };
        let theirs = self
            .listening
            .iter()
            .filter(|it| roles.contains(&it.role))
            .flat_map(|it| &it.open);
        theirs
            .filter(|(_, open)| matches!(open, Addr::Tcp(open) if open.port() == at.port()))
            .map(|(id, _)| *id)
            .collect()
    }

    /// What was reserved at these places, if anything was.
    pub(super) fn take_reserved(&mut self, places: &[Addr]) -> Option<Vec<(SockId, Addr)>> {
        let at = self.reserved.iter().position(|it| it.places == places)?;
        Some(self.reserved.swap_remove(at).open)
    }

    /// Shares the listeners that one of these roles has at these places; `None` where none of them has.
    fn share(
        &mut self,
        places: &[Addr],
        with: &[RoleId],
    ) -> Option<io::Result<Vec<(SockId, Addr)>>> {
        let is_it = |it: &&Listening| with.contains(&it.role) && it.places == places;
        let mut theirs = self.listening.iter().filter(is_it);
        // A role may have closed them on its own.
        let live = |it: &&Listening| it.open.iter().all(|(id, _)| self.table.get(*id).is_some());
        let theirs = theirs.find(live)?.open.clone();
        let mut open = Vec::new();
        for (id, addr) in theirs {
            match self.net.share(id) {
                Ok(ours) => open.push((ours, addr)),
                Err(error) => {
                    self.close_listeners(&open);
                    return Some(Err(error));
                }
            }
        }
        Some(Ok(open))
    }

    fn cancel_reserved(&mut self, reserved: Vec<Reserved>) {
        for reserved in reserved {
            self.close_listeners(&reserved.open);
        }
    }

    /// Closes listeners that were no role's.
    fn close_listeners(&mut self, open: &[(SockId, Addr)]) {
        for (id, _) in open {
            self.heirs.retain(|(_, heir)| heir != id);
            self.net.close(*id, Close::Orderly);
        }
    }

    /// A listener is about to close. Those who wait there, as long as its queue can be, are let in by the one that
    /// comes after it, if it listens where they have called, and as it takes them.
    pub(super) fn hand_over(&mut self, listener: SockId) {
        if self.heirs.is_empty() && self.handed.is_empty() {
            return; // as with nearly every socket
        }
        let heirs: Vec<SockId> = self
            .heirs
            .extract_if(.., |(old, _)| *old == listener)
            .map(|(_, heir)| heir)
            .collect();
        // It may not have taken all yet that were handed to itself.
        let mut left: VecDeque<_> = self
            .handed
            .extract_if(.., |handed| handed.to == listener)
            .flat_map(|handed| handed.waiting)
            .collect();
        if !heirs.is_empty() {
            left.extend(self.who_waits(listener));
        }
        for (sock, peer) in left {
            let local = self.net.local(sock);
            match local.and_then(|local| self.heir_at(&heirs, local)) {
                Some(heir) => self.hand(heir, sock, peer),
                None => self.net.close(sock, Close::Reset),
            }
        }
    }

    /// Takes all off a listener who wait there.
    fn who_waits(&mut self, listener: SockId) -> Vec<(SockId, Peer)> {
        let mut all = Vec::new();
        for _ in 0..WAITING_MAX {
            match self.net.accept(listener) {
                Ok(one) => all.push(one),
                // That one has left; the next may be there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => break,
            }
        }
        all
    }

    /// Which listener takes those who have called here: one of these, or whichever does where there are none.
    fn heir_at(&self, heirs: &[SockId], local: SocketAddr) -> Option<SockId> {
        let takes = |heir: &SockId| self.takes(*heir, local.ip());
        if !heirs.is_empty() {
            return heirs.iter().copied().find(takes);
        }
        let all = self.listening.iter().flat_map(|it| &it.open);
        let mut there = all
            .filter(|(_, at)| matches!(at, Addr::Tcp(at) if at.port() == local.port()))
            .map(|(id, _)| *id);
        there.find(takes)
    }

    fn hand(&mut self, to: SockId, sock: SockId, peer: Peer) {
        match self.handed.iter_mut().find(|handed| handed.to == to) {
            Some(handed) => handed.waiting.push_back((sock, peer)),
            None => self.handed.push(Handed {
                to,
                waiting: [(sock, peer)].into(),
            }),
        }
    }

    fn next_wanted(&self) -> Option<usize> {
        self.handed.iter().position(|handed| {
            let slot = self.table.get(handed.to);
            slot.is_some_and(|slot| slot.wants(Way::Read))
        })
    }

    /// Whether a listener takes one that was handed to it now.
    pub(super) fn has_wanted(&self) -> bool {
        !self.handed.is_empty() && self.is_any_wanted()
    }

    #[cold]
    fn is_any_wanted(&self) -> bool {
        self.next_wanted().is_some()
    }

    /// Takes the next one that was handed to a listener which wants more.
    pub(super) fn take_handed(&mut self) -> Option<(RoleId, Event)> {
        let at = self.next_wanted()?;
        let listener = self.handed[at].to;
        let taken = self.handed[at].waiting.pop_front();
        if self.handed[at].waiting.is_empty() {
            self.handed.swap_remove(at);
        }
        let (sock, peer) = taken?;
        let owner = self.table.get(listener)?.owner;
        let Owner::Role(role) = owner else {
            return None;
        };
        self.table.adopt(sock, owner, Kind::Stranger);
        // What came of it before it was anybody's was not noted.
        self.table.edge(sock, Way::Read);
        let accepted = Event::Accepted {
            listener,
            sock,
            peer,
        };
        Some((role, accepted))
    }

    /// Whether a listener is a role's, and takes connections to this address.
    fn takes(&self, listener: SockId, local: IpAddr) -> bool {
        let mut open = self.listening.iter().flat_map(|it| &it.open);
        let Some((_, Addr::Tcp(at))) = open.find(|(id, _)| *id == listener) else {
            return false;
        };
        let (ip, local) = (at.ip(), local.to_canonical());
        let is_for = match ip {
            IpAddr::V6(ip) if ip.is_unspecified() => true,
            IpAddr::V4(ip) if ip.is_unspecified() => local.is_ipv4(),
            ip => ip.to_canonical() == local,
        };
        is_for && self.table.get(listener).is_some()
    }
}

/// The most that may wait at a listener: what the kernel is asked to keep for one.
const WAITING_MAX: usize = 4096;

fn is_any_v6(at: &Addr) -> bool {
    matches!(at, Addr::Tcp(at) if at.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

fn is_no_v6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

fn any_v4(at: &Addr) -> Addr {
    match at {
        Addr::Tcp(at) => Addr::Tcp(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            at.port(),
        )),
        Addr::Unix(path) => Addr::Unix(path.clone()),
    }
}
