//! Who has changed something hears of it once that is on the disk, or is known not to come there now: what it was
//! answered then holds, whatever becomes of the process. A disk that hangs is not waited for for ever.
//!
//! ```text
//!   change ──it holds──> text number N ──> Keeper ──N or a later one is saved──> answered
//!                                            └──can't be, or not in time──> answered, and why it is not saved
//! ```

use std::time::Duration;

use super::RoleSet;
use super::keeper::Keeper;
use super::panel::By;
use crate::base::time::Time;
use crate::reactor::Reactor;
use crate::reactor::command::Reply;
use crate::reactor::tabs::TabReply;

/// Those who wait.
pub(super) struct Saved {
    waiting: Vec<Waiter>,
    /// How long each of them waits at most, for a change and for the disk together.
    pub(super) patience: Duration,
}

/// Somebody whose change holds.
pub(super) struct Waiter {
    pub(super) by: By,
    /// What is answered.
    pub(super) reply: TabReply,
    /// When it was asked for.
    pub(super) since: Time,
    /// The role that was begun or stopped by hand, where it was that.
    pub(super) role: Option<u64>,
    /// The text that it is in.
    pub(super) number: u64,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            patience: PATIENCE,
        }
    }
}

impl Saved {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more waits.
    pub(super) fn wait(&mut self, waiter: Waiter) {
        self.waiting.push(waiter);
    }

    pub(super) fn is_late(&self, since: Time, now: Time) -> bool {
        now.since(since) >= self.patience
    }

    /// Answers those of whom it is known what has come of their change, or who have waited for long enough.
    pub(super) fn answer_known(&mut self, reactor: &mut Reactor<RoleSet>, keeper: &Keeper) {
        let now = reactor.now();
        for waiter in std::mem::take(&mut self.waiting) {
            let is_late = self.is_late(waiter.since, now);
            match keeper.outcome(waiter.number, is_late) {
                Some(outcome) => waiter.answer(reactor, outcome.err()),
                None => self.waiting.push(waiter),
            }
        }
    }

    /// What was to be saved before counts no more: takes those out whose change may not have been.
    pub(super) fn take_unsaved(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        keeper: &Keeper,
    ) -> Vec<Waiter> {
        self.answer_known(reactor, keeper);
        std::mem::take(&mut self.waiting)
    }
}

impl Waiter {
    pub(super) fn new(by: By, reply: TabReply, since: Time, number: u64) -> Self {
        Self {
            by,
            reply,
            since,
            role: None,
            number,
        }
    }

    /// Answers. `unsaved`: why its change is not on the disk.
    pub(super) fn answer(self, reactor: &mut Reactor<RoleSet>, unsaved: Option<String>) {
        let reply = match unsaved {
            Some(why) => TabReply::Unsaved(Box::new(self.reply), why),
            None => self.reply,
        };
        let (by, ticket) = self.by;
        reactor.answer(by, ticket, Reply::Tab(reply));
    }

    /// Its change holds no more.
    pub(super) fn refuse(self, reactor: &mut Reactor<RoleSet>, why: &str) {
        let reply = TabReply::Refused(why.to_owned());
        Self { reply, ..self }.answer(reactor, None);
    }
}

/// How soon the loop turns at the latest, whatever happens.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// While nobody waits for anything.
    every: Option<Duration>,
    /// And sooner where somebody has begun to wait, until nobody does.
    pub(super) waiting: Option<Duration>,
}

impl Turns {
    pub(super) fn set_every(&mut self, reactor: &mut Reactor<RoleSet>, every: Option<Duration>) {
        self.every = every;
        reactor.turn_within(every.into_iter().chain(self.waiting).min());
    }

    pub(super) fn note_waiting(&mut self, reactor: &mut Reactor<RoleSet>, waits: bool) {
        let waiting = waits.then_some(PULSE);
        if self.waiting != waiting {
            self.waiting = waiting;
            self.set_every(reactor, self.every);
        }
    }
}

/// With the pulse, 10 s: less than a page waits for an answer.
const PATIENCE: Duration = Duration::from_secs(9);
/// How soon it is seen that this is over.
const PULSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{self, Sender};

    use super::super::fleet_tests::{Rig, held, relay};
    use super::super::making::Unmade;
    use super::super::reload::{Read, Reading};
    use super::*;
    use crate::app::fleet::Origin;
    use crate::app::keeper::Writer;
    use crate::app::scribe::OVERRULED;
    use crate::app::settings_file::Kept;
    use crate::reactor::Turn;
    use crate::reactor::tabs::TabCommand;

    /// Nothing is written before the test says so.
    fn hold(rig: &mut Rig) -> Sender<()> {
        let (go, gate) = mpsc::channel();
        let (path, wake) = (rig.path(), rig.reactor.waker());
        let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
        let known = Some(scribe.text.clone());
        let run = move |writer: Writer| {
            gate.recv().expect("the test lives");
            writer.run();
        };
        let keeper = Keeper::start_with(path, known, Kept::RunFile, wake, run);
        scribe.keeper = keeper.expect("a thread");
        go
    }

    fn lag(value: &str) -> TabCommand {
        let fields = vec![("max-lag".to_owned(), value.to_owned())];
        TabCommand::Change { tab: 1, fields }
    }

    /// What has been answered since the last turn.
    fn answers(rig: &Rig) -> Vec<TabReply> {
        let answers = rig.reactor.answers();
        let answers = answers.filter_map(|reply| match reply {
            Reply::Tab(TabReply::List(_)) => None,
            Reply::Tab(reply) => Some(reply.clone()),
            _ => None,
        });
        answers.collect()
    }

    /// Turns until so much has been answered.
    #[track_caller]
    fn until_answered(rig: &mut Rig, count: usize) -> Vec<TabReply> {
        let mut all = Vec::new();
        rig.until("answered", |rig| {
            all.extend(answers(rig));
            all.len() >= count
        });
        // They are told, and counted once.
        let mut turns = 0..2;
        rig.until("told", |_| turns.next() > Some(0));
        all
    }

    /// Turns until the changes hold, of which none is answered meanwhile.
    #[track_caller]
    fn until_made(rig: &mut Rig) {
        let mut all = Vec::new();
        rig.until("made", |rig| {
            all.extend(answers(rig));
            rig.is_idle()
        });
        rig.between(&Turn::Going);
        all.extend(answers(rig));
        assert_eq!(all, []);
    }

    fn set_patience(rig: &mut Rig, time: Duration) {
        let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
        scribe.saved.patience = time;
    }

    fn changed() -> TabReply {
        TabReply::Faults(Vec::new())
    }

    fn unsaved(reply: TabReply, why: &str) -> TabReply {
        TabReply::Unsaved(Box::new(reply), why.to_owned())
    }

    /// Several changes may be in one text.
    #[test]
    fn what_is_answered_is_in_the_file() {
        let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
        let go = hold(&mut rig);
        rig.post(lag("3s"));
        rig.post(TabCommand::Stop { tab: 2 });
        rig.post(lag("4s"));
        until_made(&mut rig);
        assert!(!rig.saved().contains("max-lag"));
        go.send(()).expect("it waits");
        let mut all = until_answered(&mut rig, 3);
        all.sort_by_key(|reply| *reply == TabReply::Done);
        assert_eq!(all, [changed(), changed(), TabReply::Done]);
        assert!(
            rig.saved().contains("max-lag = \"4s\"") && rig.saved().contains("enabled = false")
        );
        assert!(!rig.fleet.is_awaited());
        // What is so already is as good as saved.
        rig.post(lag("4s"));
        assert_eq!(until_answered(&mut rig, 1), [changed()]);
    }

    /// It is said and shown that the disk does not answer, and nobody waits for it until it does.
    #[test]
    fn a_disk_that_hangs_is_not_waited_for_for_ever() {
        let mut rig = Rig::new(&relay("a", ""));
        let go = hold(&mut rig);
        rig.post(lag("3s"));
        until_made(&mut rig);
        set_patience(&mut rig, Duration::ZERO);
        rig.between(&Turn::Going);
        let slow = "the disk does not answer: it is saved once that does";
        assert_eq!(answers(&rig), [unsaved(changed(), slow)]);
        assert_eq!(rig.fault().as_deref(), Some(slow));
        set_patience(&mut rig, Duration::from_secs(3600));
        rig.post(lag("4s"));
        assert_eq!(until_answered(&mut rig, 1), [unsaved(changed(), slow)]);
        go.send(()).expect("it waits");
        rig.until("saved", |rig| {
            rig.fault().is_none() && rig.saved().contains("4s")
        });
        rig.post(lag("5s"));
        assert_eq!(until_answered(&mut rig, 1), [changed()]);
    }

    /// A role stops when it is told to, though what says so is still being made when patience is over.
    #[test]
    fn what_is_done_by_hand_is_answered_in_time() {
        let mut rig = Rig::new(&relay("a", "drain = \"1ms\""));
        rig.post(TabCommand::Stop { tab: 1 });
        let (checked, go, through) = held(|| Err(Unmade::Same));
        let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
        let under_way = scribe.under_way.as_mut().expect("it was just begun");
        under_way.reading = Reading::of(checked);
        rig.between(&Turn::Going);
        assert_eq!((answers(&rig), rig.fault()), (Vec::new(), None));
        assert!(rig.fleet.turns.waiting.is_some());
        set_patience(&mut rig, Duration::ZERO);
        rig.between(&Turn::Going);
        let slow = rig.fault().expect("the page says so");
        assert!(slow.contains("take long to read"), "{slow}");
        assert_eq!(answers(&rig), [unsaved(TabReply::Done, &slow)]);
        go.send(()).expect("it waits");
        through.recv().expect("it is through");
        rig.until("made", |rig| {
            rig.is_idle() && rig.fleet.turns.waiting.is_none()
        });
    }

    /// What was changed of another text than the file's is gone; what was done by hand is said in that one.
    #[test]
    fn what_somebody_else_has_overruled_is_not_said_to_hold() {
        let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
        let go = hold(&mut rig);
        rig.post(lag("3s"));
        rig.post(TabCommand::Stop { tab: 2 });
        until_made(&mut rig);
        let theirs = format!("# theirs\n{}", rig.saved());
        fs::write(rig.path(), &theirs).expect("the folder can be written");
        let Origin::File(file) = &rig.fleet.origin else {
            panic!("it is a file");
        };
        let origin = file.origin();
        let (reading, read, through) = held(move || {
            let file = origin.with(theirs)?;
            let said = ["a", "b"].map(|name| (name.to_owned(), true)).to_vec();
            Ok(Read {
                said,
                ..Read::of(file)
            })
        });
        rig.fleet.reading = Some((Reading::of(reading), Vec::new()));
        read.send(()).expect("it waits");
        through.recv().expect("it is through");
        let gone = TabReply::Refused(OVERRULED.to_owned());
        assert_eq!(until_answered(&mut rig, 1), [gone]);
        go.send(()).expect("it waits");
        assert_eq!(until_answered(&mut rig, 1), [TabReply::Done]);
        let text = rig.saved();
        assert!(
            text.starts_with("# theirs\n") && text.contains("enabled = false"),
            "{text}"
        );
        assert!(!text.contains("max-lag"), "{text}");
    }
}
