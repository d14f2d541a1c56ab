//! The event loop: wait, dispatch, timers, deferred closes.
//!
//! One [`Reactor`] owns all sockets, timers and roles of the process. A turn waits for the net, then visits each
//! socket that is ready and wanted **once**, then one of those that were put off, then delivers the timers that ran
//! out, then closes what was given up, then begins the dials that were asked for. A visit does one bounded read or
//! write; a socket with more to do is visited again in the next turn, after all the others. So nobody can keep the loop
//! for himself, and nobody has to remember to re-arm anything.
//!
//! **Invariant.** No role is called while another call into a role is under way, nor while a turn closes and dials:
//! what comes up then (a dial that fails at once) waits in the outbox.
//!
//! **Invariant.** A socket that was closed gets no event any more, though its descriptor lives until the turn ends.

mod berths;
pub mod budget;
pub mod command;
mod context;
mod core;
mod dial;
mod event;
pub mod host;
pub mod mio_net;
pub mod net;
mod reserve;
mod sys;
mod table;
pub mod tabs;
mod timing;
pub mod view;
mod visits;

use std::io;
use std::time::Duration;

use crate::base::time::Time;

use self::berths::Berths;
use self::command::{Command, Reply, Ticket};
pub use self::context::Cx;
use self::core::{Alarm, Core};
pub use self::event::{DialError, DialId, End, Event, Role, RoleId, plain};
use self::net::{Net, Ready, Signal, SockId};
pub use self::reserve::Reserved;
use self::table::{Owner, Way};
use self::view::Spread;

/// The loop and its roles.
///
/// What each turn looks at lies close together, in memory as here.
#[repr(C, align(64))]
pub struct Reactor<R> {
    ready: Vec<Ready>,
    roles: Berths<R>,
    options: Options,
    stopping: bool,
    /// The next turn does not wait.
    hurries: bool,
    /// It goes on though no role is left.
    stays: bool,
    /// The longest time between two turns.
    pulse: Option<Duration>,
    core: Core,
    turns: Spread,
}

/// How a loop runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Never sleep: look for readiness again and again, for the lowest latency, at the price of a whole core.
    pub busy_poll: bool,
    /// SIGHUP stops, as it does for a program on a terminal, rather than to reload.
    pub hangup_stops: bool,
    /// Measure how long each turn takes, for those who watch: a look at the clock a turn.
    pub measured: bool,
}

/// What a turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to come.
    Going,
    /// There is more to come, and SIGHUP has told the roles to read their files again.
    Reloading,
    /// No role is left.
    Over,
    /// A second signal asked to end at once, whatever is still under way.
    Cut(Signal),
}

/// What signals have told a turn.
#[derive(Default)]
struct Told {
    cut: Option<Signal>,
    reload: bool,
}

impl<R: Role> Reactor<R> {
    /// A loop on this net, without roles yet.
    pub fn new(net: Box<dyn Net>, options: Options) -> Self {
        Self {
            core: Core::new(net),
            roles: Berths::new(),
            ready: Vec::new(),
            options,
            stopping: false,
            pulse: None,
            hurries: false,
            stays: false,
            turns: Spread::default(),
        }
    }

    /// How a loop runs that is running already.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Turns come no further apart than this, though nothing happens. `None`: as far as nothing does.
    pub fn turn_within(&mut self, pulse: Option<Duration>) {
        self.pulse = pulse;
    }

    /// The next turn comes at once, since its owner has more to do than is good for one.
    pub fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Whether roles are about to begin and to be told to go: nothing is said of what all of them have in common until
    /// it is known which they are.
    pub fn note_changing(&mut self, is_changing: bool) {
        self.core.note_changing(is_changing);
    }

    /// Whether it goes on though no role is left, since one may come.
    pub fn stay(&mut self, stays: bool) {
        self.stays = stays;
    }

    /// Puts a role on the loop and starts it.
    pub fn add(&mut self, role: R) -> RoleId {
        self.add_with(role, Vec::new())
    }

    fn place(&mut self, role: R) -> RoleId {
        self.roles.place(role)
    }

    /// A role that has not ended.
    pub fn role(&self, id: RoleId) -> Option<&R> {
        self.roles.get(id)
    }

    /// Lends out a role that has not ended, with its context: how the owner of the loop tells a role, between turns,
    /// what it can't know by itself. What it gives up is closed by the time this returns.
    pub fn with<T>(
        &mut self,
        id: RoleId,
        call: impl FnOnce(&mut R, &mut Cx<'_>) -> T,
    ) -> Option<T> {
        let role = self.roles.get_mut(id)?;
        let core = &mut self.core;
        let said = call(role, &mut Cx { core, role: id });
        // No event of a turn is under way that could mean it.
        core.close_deferred();
        Some(said)
    }

    /// Tells one role something.
    pub fn tell(&mut self, id: RoleId, event: Event) {
        if matches!(event, Event::Drain(_)) {
            self.core.claims.leave(id);
        }
        self.deliver(id, event);
    }

    /// Why a role that has just been added could not begin, if so. It is over then, with the next turn.
    pub fn failure(&self, id: RoleId) -> Option<&str> {
        let ends = self.core.finished.iter().filter(|(over, _)| *over == id);
        ends.map(|(_, end)| end).find_map(|end| match end {
            End::Failed(text) => Some(text.as_str()),
            End::Done => None,
        })
    }

    /// Whether roles have asked anything since [`Reactor::asked`] was called.
    pub fn has_asked(&self) -> bool {
        !self.core.asked.is_empty()
    }

    /// Takes what roles have asked since the last call, in order. Each of them waits for [`Reactor::answer`].
    pub fn asked(&mut self) -> Vec<(RoleId, Ticket, Command)> {
        std::mem::take(&mut self.core.asked)
    }

    /// Answers a question. A role that is gone by then hears nothing.
    pub fn answer(&mut self, to: RoleId, ticket: Ticket, reply: Reply) {
        let reply = Box::new(reply);
        self.core
            .outbox
            .push_back((to, Event::Reply { ticket, reply }));
    }

    /// Whether a signal has told all roles to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether the next turn waits for nothing.
    #[cfg(test)]
    pub(crate) fn hurries(&self) -> bool {
        self.hurries
    }

    /// What has been answered by its owner since the last turn.
    #[cfg(test)]
    pub(crate) fn answers(&self) -> impl Iterator<Item = &Reply> {
        self.core
            .outbox
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Reply { reply, .. } => Some(&**reply),
                _ => None,
            })
    }

    /// As by a first signal to stop.
    #[cfg(test)]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::Terminate);
    }

    /// How long turns took so far, the waits between them left out; nothing where that is not measured.
    pub fn turns(&self) -> &Spread {
        &self.turns
    }

    /// The time at which the latest turn began.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// The time as it is.
    pub fn clock(&self) -> Time {
        self.core.net.clock()
    }

    /// How many more sockets can be opened before the descriptors run out.
    pub fn sockets_left(&self) -> usize {
        self.core.net.sockets_left()
    }

    /// One turn. Roles that ended in it, and how, are added to `ended`.
    ///
    /// # Errors
    /// Only if the operating system can't wait for events at all.
    pub fn turn(&mut self, ended: &mut Vec<(RoleId, End)>) -> io::Result<Turn> {
        self.core.say_room();
        let patience = self.patience();
        self.core.is_turning = true;
        if self.options.busy_poll && !self.core.timings.is_empty() {
            self.core.note_idleness();
        }
        self.core.net.wait(patience, &mut self.ready)?;
        self.core.now = self.core.net.now();
        let mut told = Told::default();
        // What is taken from the end needs no second list.
        if self.ready.len() > 1 {
            self.ready.reverse();
        }
        while let Some(event) = self.ready.pop() {
            match event {
                Ready::Sock {
                    id,
                    readable,
                    writable,
                } => self.core.table.edges(id, readable, writable),
                rare => self.hear(rare, &mut told),
            }
        }
        self.empty_outbox();
        self.visit_all();
        self.visit_writers();
        self.visit_deferred();
        self.fire_timers();
        self.empty_outbox();
        self.end_roles(ended);
        if told.cut.is_some() {
            self.core.reset_unfinished();
        }
        self.core.close_deferred();
        if told.cut.is_none() {
            self.core.begin_dials();
        }
        if self.options.measured {
            let took = self.core.net.clock().since(self.core.now);
            self.turns.note(took);
        }
        Ok(match told.cut {
            Some(signal) => Turn::Cut(signal),
            None if self.is_over() => Turn::Over,
            None if told.reload => Turn::Reloading,
            None => Turn::Going,
        })
    }

    /// A second signal to stop that has come while the last turn was under way.
    pub fn late_signal(&mut self) -> Option<Signal> {
        if !self.stopping {
            return None;
        }
        self.core.net.wait(Some(Time::ZERO), &mut self.ready).ok()?;
        let mut signals = self.ready.drain(..).filter_map(|event| match event {
            Ready::Signal(signal) if !matches!(signal, Signal::HangUp | Signal::Report) => {
                Some(signal)
            }
            _ => None,
        });
        signals.next_back()
    }

    fn is_over(&self) -> bool {
        !self.stays && self.roles.is_empty()
    }

    /// Until when the wait of this turn may last.
    fn patience(&mut self) -> Option<Time> {
        if std::mem::take(&mut self.hurries) || self.options.busy_poll || self.is_over() {
            return Some(Time::ZERO);
        }
        let patience = self.core.patience();
        let Some(pulse) = self.pulse else {
            return patience;
        };
        let pulse = self.core.now + pulse;
        Some(patience.map_or(pulse, |patience| patience.min(pulse)))
    }

    /// What few turns hear of.
    #[cold]
    fn hear(&mut self, event: Ready, told: &mut Told) {
        match event {
            Ready::Sock {
                id,
                readable,
                writable,
            } => self.core.table.edges(id, readable, writable),
            Ready::Resolved(lookup, answer) => {
                if let Some(answer) = self.core.host_found(lookup, answer) {
                    self.core.resolved(lookup, answer);
                }
            }
            Ready::Signal(Signal::HangUp) if !self.options.hangup_stops => {
                told.reload = true;
                self.deliver_to_all(|| Event::Reload);
            }
            Ready::Signal(signal) => told.cut = told.cut.or(self.signal(signal)),
        }
    }

    /// Sockets that belong to a role or to a dial.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.core.table.all()
    }

    /// Whether reads and writes are wanted of a socket, in this order.
    pub fn wants(&self, id: SockId) -> (bool, bool) {
        self.core.table.get(id).map_or((false, false), |slot| {
            (slot.wants(Way::Read), slot.wants(Way::Write))
        })
    }

    /// Whether a read and a write are wanted for which only an event of the net will bring the visit, in this order.
    pub fn awaits(&self, id: SockId) -> (bool, bool) {
        let awaited = |slot: &table::Slot, way| slot.wants(way) && !slot.is_ready(way);
        self.core.table.get(id).map_or((false, false), |slot| {
            (awaited(slot, Way::Read), awaited(slot, Way::Write))
        })
    }

    /// Sockets that belong to a role.
    pub fn sockets_of(&self, role: RoleId) -> Vec<SockId> {
        self.core.table.owned_by(Owner::Role(role))
    }

    /// Panics where an invariant of the loop does not hold. For tests and the simulator, between turns.
    pub fn check_invariants(&self) {
        self.core.table.check_invariants();
        self.core.claims.check_invariants();
    }

    /// Called, and never merged into its many callers: what a turn runs would lie far apart.
    #[inline(never)]
    fn deliver(&mut self, id: RoleId, event: Event) {
        let Some(role) = self.roles.get_mut(id) else {
            return;
        };
        if self.core.finished.iter().any(|(over, _)| *over == id) {
            return;
        }
        if log::log_enabled!(log::Level::Trace) {
            trace(id, &event);
        }
        let began = self.core.begin_call(id);
        role.on(
            &mut Cx {
                core: &mut self.core,
                role: id,
            },
            event,
        );
        if let Some(began) = began {
            self.core.end_call(id, began);
        }
    }

    fn deliver_to_all(&mut self, event: impl Fn() -> Event) {
        for id in self.roles.all() {
            self.deliver(id, event());
        }
    }

    /// A second signal to stop is returned: it cuts everything short.
    fn signal(&mut self, signal: Signal) -> Option<Signal> {
        match signal {
            Signal::Report => self.deliver_to_all(|| Event::Report),
            _ if self.stopping => return Some(signal),
            _ => {
                self.stopping = true;
                for id in self.roles.all() {
                    self.core.claims.leave(id);
                }
                self.deliver_to_all(|| Event::Drain(signal));
            }
        }
        None
    }

    fn fire_timers(&mut self) {
        self.core.ripen();
        if self.core.has_due() {
            self.fire_due();
        }
    }

    #[inline(never)]
    fn fire_due(&mut self) {
        while let Some((key, alarm)) = self.core.next_due() {
            match alarm {
                Alarm::Owner(Owner::Role(role), tag) => {
                    self.deliver(role, Event::Timer { key, tag })
                }
                Alarm::Owner(Owner::Dial(dial), tag) => self.core.dial_timer(dial, tag),
                Alarm::Accept(listener) => self.core.table.resume(listener),
            }
        }
    }

    /// Delivers what came up inside of calls.
    fn empty_outbox(&mut self) {
        if !self.core.outbox.is_empty() {
            self.deliver_outbox();
        }
    }

    /// Bounded: what these deliveries bring up in turn waits for the next time.
    #[inline(never)]
    fn deliver_outbox(&mut self) {
        for _ in 0..self.core.outbox.len() {
            let Some((role, event)) = self.core.outbox.pop_front() else {
                return;
            };
            self.deliver(role, event);
        }
    }

    fn end_roles(&mut self, ended: &mut Vec<(RoleId, End)>) {
        if !self.core.finished.is_empty() {
            self.end_finished(ended);
        }
    }

    #[cold]
    fn end_finished(&mut self, ended: &mut Vec<(RoleId, End)>) {
        for (id, end) in std::mem::take(&mut self.core.finished) {
            if self.roles.remove(id) {
                self.core.clear_role(id);
                ended.push((id, end));
            }
        }
    }
}

/// Apart from what each message runs, which needs no room for a line of the log.
#[cold]
#[inline(never)]
fn trace(id: RoleId, event: &Event) {
    log::trace!("{id:?} {event:?}");
}
