//! The files that a console's orders came from, read again at SIGHUP, in a thread: its tokens may be others. Where that
//! fails, or takes too long, those stay that it has.

use std::mem;

use crate::app::RoleSet;
use crate::app::control;
use crate::app::errand::{Errand, LATE, Limit};
use crate::app::notify::Readings;
use crate::app::posts::TOKENS_KEPT;
use crate::config::{Config, ConfigError, Origin, Run};
use crate::reactor::{Reactor, RoleId};

/// Where the orders came from, and what is being read there.
pub(super) struct Renewal {
    /// `None`: from nowhere where anything may be other later.
    origin: Option<Box<Origin>>,
    reading: Option<Errand<Result<Config, ConfigError>>>,
    /// They are to be read once more after that.
    reads_again: bool,
    /// How many may read them at a time.
    readers: Limit,
    /// How often that has begun.
    begun: u64,
}

impl Default for Renewal {
    /// There is nothing to read.
    fn default() -> Self {
        Self {
            origin: None,
            reading: None,
            reads_again: false,
            readers: Limit::few(),
            begun: 0,
        }
    }
}

impl Renewal {
    /// Of orders that came from there.
    pub(super) fn of(origin: Origin) -> Self {
        Self {
            origin: Some(Box::new(origin)),
            ..Self::default()
        }
    }

    /// How the reading goes.
    pub(super) fn readings(&self) -> Readings {
        Readings {
            begun: self.begun,
            under_way: self.is_under_way(),
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.reading.is_some()
    }

    /// SIGHUP: the tokens may be others.
    pub(super) fn begin(&mut self, reactor: &Reactor<RoleSet>) {
        if self.reading.is_some() {
            // What has been read by now may be older than what is asked for.
            self.reads_again = true;
            return;
        }
        let Some(origin) = self.origin.clone() else {
            return;
        };
        let work = move || origin.load();
        match Errand::begin(&self.readers, "files", reactor.waker(), work) {
            Ok(reading) => {
                self.begun += 1;
                self.reading = Some(reading);
            }
            Err(text) => log::warn!("console: {text}; {TOKENS_KEPT}"),
        }
    }

    /// To be called after every turn: gives the console what has been read, if it has been.
    pub(super) fn end(&mut self, reactor: &mut Reactor<RoleSet>, console: RoleId) {
        let Some(reading) = &mut self.reading else {
            return;
        };
        match reading.outcome() {
            Some(Ok(Ok(config))) => {
                if let Run::Console(orders) = config.run {
                    control::set_tokens(reactor, console, orders.console);
                }
            }
            Some(Ok(Err(error))) => log::warn!("console: {error}; {TOKENS_KEPT}"),
            Some(Err(broken)) => {
                log::warn!("console: reading its files again {broken}; {TOKENS_KEPT}");
            }
            None if reading.is_late(reactor.now()) => {
                log::warn!("console: {LATE}; {TOKENS_KEPT}");
            }
            None => return,
        }
        self.reading = None;
        if mem::take(&mut self.reads_again) {
            self.begin(reactor);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::desk::Desk;
    use crate::app::desk::tests::{between, desk};
    use crate::app::errand::FEW;
    use crate::app::errand::tests::{held, held_within};
    use crate::app::tests::DEADLINE;
    use crate::reactor::Turn;

    /// Turns until files are not being read any more.
    #[track_caller]
    fn until_read(reactor: &mut Reactor<RoleSet>, desk: &mut Desk) {
        let end = reactor.clock() + DEADLINE;
        while desk.readings().under_way {
            assert!(reactor.clock() < end, "it is never through");
            let mut ended = Vec::new();
            let turn = reactor.turn(&mut ended).expect("it can wait");
            let between = desk.between_turns(reactor, &turn, &mut ended);
            between.expect("the console goes on");
        }
    }

    /// Who waits for a reload is told of it though nothing of it is under way any more when it could be looked for.
    #[test]
    fn each_reload_is_counted_however_brief_it_is() {
        let (mut reactor, mut desk) = desk();
        for begun in 1..3 {
            between(&mut reactor, &mut desk, &Turn::Reloading);
            assert_eq!(desk.readings().begun, begun);
            until_read(&mut reactor, &mut desk);
        }
        assert_eq!(desk.readings().begun, 2);
    }

    /// What has been read by then may be older than what is asked for.
    #[test]
    fn files_are_read_once_more_where_that_is_asked_for_meanwhile() {
        let (mut reactor, mut desk) = desk();
        let origin = desk.renewal.origin.clone().expect("it has one");
        let (reading, go, through) = held(move || origin.load());
        desk.renewal.reading = Some(reading);
        for _ in 0..3 {
            between(&mut reactor, &mut desk, &Turn::Reloading);
            assert_eq!(desk.readings().begun, 0);
        }
        go.send(()).expect("it waits");
        through.recv_timeout(DEADLINE).expect("it is through");
        between(&mut reactor, &mut desk, &Turn::Going);
        assert_eq!(desk.readings().begun, 1);
        until_read(&mut reactor, &mut desk);
        assert_eq!(desk.readings().begun, 1);
    }

    /// Where a disk hangs the tokens that there are stay, and what is asked for later is read, until too many hang.
    #[test]
    fn token_files_that_are_never_read_hold_up_nobody_for_ever() {
        let (mut reactor, mut desk) = desk();
        let mut gates = Vec::new();
        for _ in 0..FEW {
            let origin = desk.renewal.origin.clone().expect("it has one");
            let (mut reading, go, through) =
                held_within(&desk.renewal.readers, move || origin.load());
            reading.patience = Duration::ZERO;
            desk.renewal.reading = Some(reading);
            gates.push((go, through));
            between(&mut reactor, &mut desk, &Turn::Going);
            assert!(desk.renewal.reading.is_none());
        }
        between(&mut reactor, &mut desk, &Turn::Reloading);
        assert!(desk.renewal.reading.is_none());
        for (go, through) in gates {
            go.send(()).expect("it waits");
            through.recv_timeout(DEADLINE).expect("it ends");
        }
        between(&mut reactor, &mut desk, &Turn::Reloading);
        assert_eq!(desk.readings().begun, 1);
        until_read(&mut reactor, &mut desk);
    }

    /// While files are read the loop turns though nothing happens: nobody else would see that they take too long.
    #[test]
    fn the_loop_turns_while_files_are_being_read() {
        let (mut reactor, mut desk) = desk();
        let origin = desk.renewal.origin.clone().expect("it has one");
        let (reading, go, through) = held(move || origin.load());
        desk.renewal.reading = Some(reading);
        between(&mut reactor, &mut desk, &Turn::Going);
        assert!(desk.pulse.waiting.is_some());
        go.send(()).expect("it waits");
        through.recv_timeout(DEADLINE).expect("it is through");
        between(&mut reactor, &mut desk, &Turn::Going);
        assert!(desk.pulse.waiting.is_none());
    }
}
