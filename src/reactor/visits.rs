//! The visits of a turn: to the sockets that are ready and wanted, to those that others have left something for, and to
//! one of those that were put off.

use crate::reactor::Reactor;
use crate::reactor::event::{Event, Role, RoleId};
use crate::reactor::net::SockId;
use crate::reactor::table::{Owner, Visit, Way};

impl<R: Role> Reactor<R> {
    pub(super) fn visit_all(&mut self) {
        let mut accepts = ACCEPTS_A_TURN;
        if !self.core.handed.is_empty() {
            self.deliver_handed(&mut accepts);
        }
        self.core.table.begin_round();
        for _ in 0..self.core.table.due() {
            match self.core.table.next() {
                Some(Visit::Again(role)) => self.deliver(role, Event::Again),
                Some(Visit::Sock(id)) => self.visit(id, &mut accepts),
                None => return,
            }
        }
    }

    #[cold]
    fn deliver_handed(&mut self, accepts: &mut usize) {
        while *accepts > 0
            && let Some((role, accepted)) = self.core.take_handed()
        {
            *accepts -= 1;
            self.deliver(role, accepted);
        }
    }

    /// What those visits have left for others to write goes out at once: another turn would first ask the net whether
    /// anything else has come. Whoever had a visit waits for the next turn, so nobody has two.
    pub(super) fn visit_writers(&mut self) {
        if self.core.table.due() > 0 {
            self.visit_those_writers();
        }
    }

    #[inline(never)]
    fn visit_those_writers(&mut self) {
        for _ in 0..self.core.table.due() {
            if let Some(id) = self.core.table.next_writer() {
                self.visit(id, &mut 0);
            }
        }
    }

    /// One of those that were put off: one a turn, so that many of them hold up nobody.
    pub(super) fn visit_deferred(&mut self) {
        if self.core.table.has_deferred() {
            self.visit_late();
        }
    }

    #[cold]
    fn visit_late(&mut self) {
        let Some(id) = self.core.table.next_deferred() else {
            return;
        };
        if let Some(Owner::Role(role)) = self.core.table.get(id).map(|slot| slot.owner) {
            self.core.in_deferred = true;
            self.deliver(role, Event::Readable(id));
            self.core.in_deferred = false;
        }
        self.core.table.enqueue(id);
    }

    fn visit(&mut self, id: SockId, accepts: &mut usize) {
        let Some(slot) = self.core.table.get_mut(id) else {
            return;
        };
        match slot.owner {
            Owner::Dial(dial) => self.core.dial_visit(dial, id),
            Owner::Role(role) if slot.is_listener() => self.accept_some(id, role, accepts),
            Owner::Role(role) => {
                let pressed = slot.take_press();
                if slot.due(Way::Read) || pressed {
                    self.deliver(role, Event::Readable(id));
                }
                // The visit for reading may have changed what is wanted, or closed the socket.
                if self
                    .core
                    .table
                    .get(id)
                    .is_some_and(|slot| slot.due(Way::Write))
                {
                    self.deliver(role, Event::Writable(id));
                }
            }
        }
        self.core.table.enqueue(id);
    }

    #[cold]
    fn accept_some(&mut self, listener: SockId, role: RoleId, accepts: &mut usize) {
        while *accepts > 0
            && self.core.may_accept()
            && self
                .core
                .table
                .get(listener)
                .is_some_and(|slot| slot.due(Way::Read))
        {
            let Some((sock, peer)) = self.core.accept(listener, Owner::Role(role)) else {
                return;
            };
            *accepts -= 1;
            self.deliver(
                role,
                Event::Accepted {
                    listener,
                    sock,
                    peer,
                },
            );
        }
    }
}

/// Connections taken in one turn: a storm of them must not keep the feed waiting.
const ACCEPTS_A_TURN: usize = 64;
