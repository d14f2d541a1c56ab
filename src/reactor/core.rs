//! What the loop and a role's context share: the net, the table of sockets, timers, dials, and what waits for the end
//! of the turn.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use slab::Slab;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::time::Time;
use crate::base::wheel::{TimerKey, Wheel};
use crate::reactor::budget::Claims;
use crate::reactor::command::{Command, Ticket};
use crate::reactor::dial::Dial;
use crate::reactor::event::{DialId, End, Event, RoleId};
use crate::reactor::net::{Addr, Close, Lookup, Net, Peer, SockId, is_exhaustion};
use crate::reactor::reserve::{Handed, HostLookup, Listening, Reserved};
use crate::reactor::table::{Kind, Owner, Table, Way};
use crate::reactor::timing::Timings;

/// The loop without its roles.
///
/// What each turn looks at comes first, in memory as here, before the wheel and what else is seldom touched.
#[repr(C)]
pub(super) struct Core {
    pub(super) net: Box<dyn Net>,
    /// When the net's latest wait ended: roles ask again and again.
    pub(super) now: Time,
    pub(super) table: Table,
    /// Events that came up inside of a call and wait for their delivery.
    pub(super) outbox: VecDeque<(RoleId, Event)>,
    /// Roles that are over, and how they ended.
    pub(super) finished: Vec<(RoleId, End)>,
    /// Dials that begin at the end of the turn, unless they are gone by then.
    pub(super) fresh_dials: Vec<DialId>,
    /// Connections that waited at listeners that have given way.
    pub(super) handed: Vec<Handed>,
    closing: Vec<(SockId, Close)>,
    pub(super) timings: Timings,
    /// Timers that ran out and have not been delivered yet: one of them may still take another back.
    due: VecDeque<(TimerKey, Alarm)>,
    /// When the wheel is to be looked at again, as was found out last.
    soonest: Option<Time>,
    /// Timers have been set, taken back or run out since then.
    wheel_changed: bool,
    /// The visit under way is one that was put off.
    pub(super) in_deferred: bool,
    /// The loop turns: whoever waits for a name now has all others wait.
    pub(super) is_turning: bool,
    /// What roles have asked of the owner of the loop.
    pub(super) asked: Vec<(RoleId, Ticket, Command)>,
    wheel: Wheel<Alarm>,
    ripe: Vec<(TimerKey, Alarm)>,
    pub(super) dials: Slab<Dial>,
    pub(super) dial_generation: u32,
    pub(super) next_lookup: u64,
    exhausted_said: Option<Time>,
    /// What roles would have of the descriptors.
    pub(super) claims: Claims,
    pub(super) tickets: u64,
    /// Who listens where.
    pub(super) listening: Vec<Listening>,
    /// Listeners that give way, each with one that stands beside it and comes after it.
    pub(super) heirs: Vec<(SockId, SockId)>,
    /// Listeners that wait for the role that is being started.
    pub(super) reserved: Vec<Reserved>,
    /// Names that are being looked up for roles that are about to begin, and who waits for what comes of it.
    pub(super) host_lookups: Vec<(Lookup, HostLookup)>,
    /// Names whose addresses were looked up before, or were not to be found.
    pub(super) known_hosts: BTreeMap<String, io::Result<Vec<IpAddr>>>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    Owner(Owner, u32),
    /// Accepting goes on at this listener.
    Accept(SockId),
}

impl Core {
    pub(super) fn new(net: Box<dyn Net>) -> Self {
        Self {
            now: net.now(),
            net,
            table: Table::default(),
            dials: Slab::new(),
            dial_generation: 0,
            fresh_dials: Vec::new(),
            next_lookup: 0,
            outbox: VecDeque::new(),
            finished: Vec::new(),
            wheel: Wheel::new(),
            soonest: None,
            wheel_changed: false,
            due: VecDeque::new(),
            ripe: Vec::new(),
            closing: Vec::new(),
            timings: Timings::default(),
            exhausted_said: None,
            claims: Claims::default(),
            in_deferred: false,
            asked: Vec::new(),
            tickets: 0,
            listening: Vec::new(),
            heirs: Vec::new(),
            handed: Vec::new(),
            reserved: Vec::new(),
            host_lookups: Vec::new(),
            is_turning: false,
            known_hosts: BTreeMap::new(),
        }
    }

    /// When a call of the role began, by the processor's time, where another one times itself meanwhile.
    pub(super) fn begin_call(&mut self, role: RoleId) -> Option<Duration> {
        if self.timings.is_empty() {
            return None;
        }
        self.begin_timed_call(role)
    }

    #[cold]
    fn begin_timed_call(&mut self, role: RoleId) -> Option<Duration> {
        self.timings.end_idleness();
        let concerns_another = self.timings.concerns_another(role);
        concerns_another.then(|| self.net.cpu_time())
    }

    #[cold]
    pub(super) fn end_call(&mut self, role: RoleId, began: Duration) {
        let took = self.net.cpu_time().saturating_sub(began);
        self.timings.note(role, self.now, took);
    }

    /// A loop that never sleeps is about to look for what is ready, while a role times itself.
    #[cold]
    pub(super) fn note_idleness(&mut self) {
        let is_idle = self.patience() != Some(Time::ZERO);
        let used = is_idle.then(|| self.net.cpu_time());
        self.timings.note_idleness(self.now, used);
    }

    /// Until when the loop may sleep: not at all while visits are due, at most until the next timer.
    pub(super) fn patience(&mut self) -> Option<Time> {
        let is_busy =
            !self.outbox.is_empty() || !self.finished.is_empty() || !self.fresh_dials.is_empty();
        if is_busy || !self.table.is_idle() || self.has_wanted() {
            return Some(Time::ZERO);
        }
        self.soonest()
    }

    /// When the first timer may run out.
    fn soonest(&mut self) -> Option<Time> {
        if self.wheel_changed {
            self.look_for_soonest();
        }
        self.soonest
    }

    #[cold]
    fn look_for_soonest(&mut self) {
        self.soonest = self.wheel.next();
        self.wheel_changed = false;
    }

    pub(super) fn timer(&mut self, after: Duration, owner: Owner, tag: u32) -> TimerKey {
        self.set(after, Alarm::Owner(owner, tag))
    }

    fn set(&mut self, after: Duration, alarm: Alarm) -> TimerKey {
        self.wheel_changed = true;
        self.wheel.insert(self.now + after, alarm)
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        self.wheel_changed = true;
        if !self.wheel.cancel(key) {
            self.due.retain(|(due, _)| *due != key);
        }
    }

    /// Brings up the timers that have run out.
    pub(super) fn ripen(&mut self) {
        let now = self.now;
        if self.soonest().is_some_and(|soonest| soonest <= now) {
            self.ripen_now(now);
        }
    }

    #[cold]
    fn ripen_now(&mut self, now: Time) {
        self.wheel_changed = true;
        self.wheel.advance(now, &mut self.ripe);
        self.due.extend(self.ripe.drain(..));
    }

    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn next_due(&mut self) -> Option<(TimerKey, Alarm)> {
        self.due.pop_front()
    }

    /// Forgets a socket now, and closes it at the end of the turn.
    pub(super) fn close(&mut self, id: SockId, how: Close) {
        if self.table.get(id).is_some() {
            self.uncount(id);
            self.table.release(id);
            self.closing.push((id, how));
        }
    }

    /// Resets those for whom there are still bytes: an end at this point must not look like the end of their stream.
    pub(super) fn reset_unfinished(&mut self) {
        let unfinished = |id: &SockId| {
            let slot = self.table.get(*id);
            slot.is_some_and(|slot| slot.wants(Way::Write))
        };
        for id in self.table.all().filter(unfinished).collect::<Vec<_>>() {
            self.close(id, Close::Reset);
        }
    }

    /// How many sockets are closed with the end of this turn.
    pub(super) fn closing_count(&self) -> usize {
        self.closing.len()
    }

    pub(super) fn close_deferred(&mut self) {
        if !self.closing.is_empty() {
            self.close_those();
        }
    }

    #[cold]
    fn close_those(&mut self) {
        for (id, how) in std::mem::take(&mut self.closing) {
            self.hand_over(id);
            self.net.close(id, how);
        }
    }

    /// The addresses at which an endpoint listens.
    pub(super) fn places(&mut self, at: &Endpoint) -> io::Result<Vec<Addr>> {
        Ok(match at {
            Endpoint::Unix(path) => vec![Addr::Unix(path.clone())],
            Endpoint::Tcp {
                host: Host::Any,
                port,
                ..
            } => vec![Addr::Tcp((Ipv6Addr::UNSPECIFIED, *port).into())],
            Endpoint::Tcp {
                host: Host::Ip(ip),
                port,
                ..
            } => vec![Addr::Tcp((*ip, *port).into())],
            Endpoint::Tcp {
                host: Host::Name(name),
                port,
                ..
            } => self
                .addresses(name)?
                .into_iter()
                .map(|ip| Addr::Tcp((ip, *port).into()))
                .collect(),
        })
    }

    fn addresses(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        match self.known_hosts.get(name) {
            Some(Ok(known)) => Ok(known.clone()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            None if self.is_turning => Err(io::Error::other("the name has not been looked up")),
            None => self.net.resolve_now(name),
        }
    }

    pub(super) fn fresh_lookup(&mut self) -> Lookup {
        self.next_lookup += 1;
        Lookup(self.next_lookup)
    }

    /// Takes one connection off a listener. `None`: no more for now, and the listener's readiness says so.
    pub(super) fn accept(&mut self, listener: SockId, owner: Owner) -> Option<(SockId, Peer)> {
        match self.net.accept(listener) {
            Ok((id, peer)) => {
                self.table.adopt(id, owner, Kind::Stranger);
                Some((id, peer))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.table.spent(listener, Way::Read);
                None
            }
            Err(error) => {
                // Nothing announces that descriptors are free again, nor what became of any other failure: a timer
                // has to ask. Those who wait stay in the kernel's queue, and those who join them change nothing.
                self.table.pause(listener);
                self.set(ACCEPT_PAUSE, Alarm::Accept(listener));
                self.say_accept_failed(&error);
                None
            }
        }
    }

    /// Takes away all that a role which is over still has.
    pub(super) fn clear_role(&mut self, role: RoleId) {
        for id in self.table.owned_by(Owner::Role(role)) {
            self.close(id, Close::Orderly);
        }
        let dials: Vec<_> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.role() == role)
            .map(|(_, dial)| dial.id())
            .collect();
        for dial in dials {
            self.drop_dial(dial);
        }
        self.claims.remove(role);
        self.timings.forget(role);
        self.outbox.retain(|(to, _)| *to != role);
        self.asked.retain(|(by, ..)| *by != role);
        self.listening.retain(|listening| listening.role != role);
        let stays =
            |alarm: &Alarm| !matches!(alarm, Alarm::Owner(Owner::Role(of), _) if *of == role);
        self.wheel_changed = true;
        self.wheel.retain(stays);
        self.due.retain(|(_, alarm)| stays(alarm));
    }

    fn say_accept_failed(&mut self, error: &io::Error) {
        let now = self.now;
        if self
            .exhausted_said
            .is_some_and(|said| now.since(said) < SAY_AGAIN)
        {
            return;
        }
        self.exhausted_said = Some(now);
        if is_exhaustion(error) {
            log::warn!(
                "hydrant: out of file descriptors or memory; new connections wait until some are free ({error})"
            );
        } else {
            log::warn!("hydrant: accepting failed, trying again: {error}");
        }
    }
}

/// How long accepting rests when descriptors have run out: short enough for a client, and no spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// That accepting rests is said again only after so long.
const SAY_AGAIN: Duration = Duration::from_secs(60);
