//! Whoever changes a run file that is kept hears when that is on the disk, and what is said where it is not.

use std::fs;
use std::time::Duration;

use super::CHANGE_IS_GONE;
use super::making::Unmade;
use crate::app::errand::tests::held;
use crate::app::fleet::Origin;
use crate::app::fleet::reload::{Read, Reading};
use crate::app::fleet::tests::{Rig, relay};
use crate::app::tests::DEADLINE;
use crate::reactor::Turn;
use crate::reactor::command::Reply;
use crate::reactor::tabs::{TabCommand, TabReply};

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
    scribe.waiters.patience = time;
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
    let go = rig.hold();
    rig.post(lag("3s"));
    rig.post(TabCommand::Stop { tab: 2 });
    rig.post(lag("4s"));
    until_made(&mut rig);
    assert!(!rig.saved().contains("max-lag"));
    go.send(()).expect("it waits");
    let mut all = until_answered(&mut rig, 3);
    all.sort_by_key(|reply| *reply == TabReply::Done);
    assert_eq!(all, [changed(), changed(), TabReply::Done]);
    assert!(rig.saved().contains("max-lag = \"4s\"") && rig.saved().contains("enabled = false"));
    assert!(!rig.fleet.is_awaited());
    // What is so already is as good as saved.
    rig.post(lag("4s"));
    assert_eq!(until_answered(&mut rig, 1), [changed()]);
}

/// It is said and shown that the disk does not answer, and nobody waits for it until it does.
#[test]
fn a_disk_that_hangs_is_not_waited_for_for_ever() {
    let mut rig = Rig::new(&relay("a", ""));
    let go = rig.hold();
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
    assert!(rig.fleet.pulse.waiting.is_some());
    set_patience(&mut rig, Duration::ZERO);
    rig.between(&Turn::Going);
    let slow = rig.fault().expect("the page says so");
    assert!(slow.contains("take long to read"), "{slow}");
    assert_eq!(answers(&rig), [unsaved(TabReply::Done, &slow)]);
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    rig.until("made", |rig| {
        rig.is_idle() && rig.fleet.pulse.waiting.is_none()
    });
}

/// What was changed of another text than the file's is gone; what was done by hand is said in that one.
#[test]
fn what_somebody_else_has_overruled_is_not_said_to_hold() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
    let go = rig.hold();
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
    through.recv_timeout(DEADLINE).expect("it is through");
    let gone = TabReply::Refused(CHANGE_IS_GONE.to_owned());
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
