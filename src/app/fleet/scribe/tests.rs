//! A run file that is kept: what is changed on the page, begun and stopped, against the file, whoever else writes that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use super::making::{READING, SLOW_FILES, Unmade};
use crate::app::errand::tests::held;
use crate::app::fleet::Origin;
use crate::app::fleet::reload::{Read, Reading};
use crate::app::fleet::tests::{Rig, relay};
use crate::app::posts::Post;
use crate::app::posts::certificates::Watch;
use crate::app::posts::panel::Panel;
use crate::app::saving::keeper::LAST_SAVE;
use crate::app::tests::DEADLINE;
use crate::config::{ConfigError, RunFile};
use crate::reactor::Turn;
use crate::reactor::command::Reply;
use crate::reactor::tabs::{TabCommand, TabReply};

/// What was begun is written, whatever it is called by then.
#[test]
fn what_is_started_while_it_is_renamed_is_in_the_file() {
    let mut rig = Rig::new(&relay("a", "drain = \"1ms\"\nenabled = false"));
    assert_eq!(rig.set(1, "name", "b"), None);
    assert_eq!(rig.ask(TabCommand::Start { tab: 1 }), Some(TabReply::Done));
    rig.until("renamed", |rig| {
        rig.is_idle() && rig.saved().contains("\"b\"")
    });
    rig.until("saved", |rig| rig.saved().contains("enabled = true"));
    // And so is what is changed.
    rig.ask(TabCommand::Stop { tab: 1 });
    rig.until("stopped", |rig| {
        rig.is_idle() && rig.fleet.posts[0].role().is_none()
    });
    assert_eq!(rig.set(1, "name", "c"), None);
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    rig.until("changed", |rig| {
        rig.is_idle() && rig.saved().contains("\"c\"")
    });
    rig.until("saved", |rig| rig.saved().contains("max-lag"));
}

/// The last role leaves a fresh relay, which listens where nobody else does.
#[test]
fn the_last_role_can_be_removed_wherever_others_listen() {
    let watch = "[metrics]\nlisten = \"127.0.0.1:10000\"\n";
    let mut rig = Rig::new(&(watch.to_owned() + &relay("a", "enabled = false")));
    assert_eq!(rig.ask(TabCommand::Remove { tab: 1 }), None);
    rig.until("removed", Rig::is_idle);
    let names: Vec<&str> = rig
        .fleet
        .posts
        .iter()
        .map(|post| post.member.name.as_str())
        .collect();
    assert_eq!(names, ["relay 1"]);
}

/// What can't be read again is never written.
#[test]
fn a_file_that_would_be_too_long_to_read_is_refused() {
    let rig = Rig::new(&relay("a", ""));
    let Origin::File(file) = &rig.fleet.origin else {
        panic!("it is a file");
    };
    let more = format!("# {}\n", "x".repeat(1 << 20));
    let long = file.text.clone() + &more;
    fs::write(rig.path(), &long).expect("the folder can be written");
    let origin = file.origin();
    let said = |file: Result<RunFile, ConfigError>| {
        file.map_or_else(|error| error.to_string(), |_| String::new())
    };
    let made = said(origin.with(long));
    assert!(made.contains("too long"), "{made}");
    assert_eq!(made, said(origin.load()));
}

/// There is an end to what a page can add.
#[test]
fn no_more_are_added_than_anybody_can_look_at() {
    let one = |number: u32| {
        let name = format!("r{number}");
        relay(&name, "enabled = false")
    };
    let mut rig = Rig::new(&(2..=200).map(one).collect::<String>());
    for _ in 0..2 {
        rig.ask(TabCommand::Add { after: None });
    }
    rig.until("added", Rig::is_idle);
    assert_eq!(rig.fleet.posts.len(), 200);
}

/// A reading of the file, for whatever reason, leaves what could not be written yet as it runs.
#[test]
fn what_is_not_saved_yet_outlives_a_reading() {
    let mut rig = Rig::new(&relay("a", ""));
    let mode = |rig: &Rig, mode| {
        fs::set_permissions(rig.path(), PermissionsExt::from_mode(mode)).expect("it is ours");
    };
    mode(&rig, 0o400);
    rig.set(1, "max-lag", "3s");
    rig.until("changed", Rig::is_idle);
    rig.ask(TabCommand::Add { after: Some(1) });
    rig.until("added", Rig::is_idle);
    assert_eq!(rig.ask(TabCommand::Start { tab: 2 }), Some(TabReply::Done));
    rig.until("not saved", |rig| {
        rig.is_idle() && rig.fleet.kept().fault.is_some()
    });
    let roles = |rig: &Rig| rig.fleet.posts.iter().map(Post::role).collect::<Vec<_>>();
    let before = roles(&rig);
    for _ in 0..2 {
        rig.ask(TabCommand::Reload);
        rig.until("read", |rig| rig.fleet.reading.is_none());
        assert_eq!(roles(&rig), before);
        let fields = rig.tab(1).settings.expect("it has some").fields;
        assert!(fields.contains(&("max-lag".to_owned(), "3s".to_owned())));
        assert!(rig.fleet.kept().fault.is_some(), "it is not saved");
    }
    assert_eq!(rig.fleet.reloads, (2, 0));
    assert_eq!(rig.fleet.readings().begun, 2);
    mode(&rig, 0o600);
    rig.set(1, "max-clients", "5");
    rig.until("saved", |rig| {
        let text = rig.saved();
        rig.is_idle() && text.contains("max-lag") && text.contains("max-clients")
    });
    assert!(rig.saved().contains("relay 1"));
    // The file is there before its folder is on the disk, and only then all is well.
    rig.until("well", |rig| rig.fleet.kept().fault.is_none());
}

/// On a disk that hangs a role is begun and stopped as often as anybody likes, and one thread waits for that.
#[test]
fn what_is_said_again_and_again_is_made_once() {
    let mut rig = Rig::new(&relay("a", "drain = \"1ms\""));
    let before = rig.saved();
    rig.fleet.note_enabled(&mut rig.reactor, 0, false);
    let (checked, go, through) = held(|| Err(Unmade::Same));
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    let under_way = scribe.under_way.as_mut().expect("it was just begun");
    under_way.reading = Reading::of(checked);
    for on in [true, false, true, false] {
        rig.fleet.note_enabled(&mut rig.reactor, 0, on);
        rig.between(&Turn::Going);
        let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
        let is_given_up = scribe.under_way.as_ref().map(|it| it.is_given_up);
        assert_eq!((is_given_up, scribe.waiting.len()), (Some(true), 1));
    }
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    let off = format!("{}\nenabled = false\n", before.trim_end());
    rig.until("saved", |rig| rig.is_idle() && rig.saved() == off);
}

/// What the file says already is not written again.
#[test]
fn what_changes_nothing_is_not_saved() {
    let mut rig = Rig::new(&relay("a", "max-lag = \"3s\""));
    let copy = rig.path().with_extension("toml.bak");
    rig.fleet.note_enabled(&mut rig.reactor, 0, true);
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    rig.until("done", Rig::is_idle);
    assert!(
        rig.fleet
            .scribe
            .as_ref()
            .is_some_and(|scribe| scribe.text == rig.saved())
    );
    rig.fleet.finish(LAST_SAVE);
    assert!(!copy.exists(), "it would have been kept by the first save");
}

/// A file may take as long as its disk likes: whoever waits for a change hears in time that it is not made, and then it
/// is not, whenever that disk answers.
#[test]
fn a_change_that_takes_too_long_is_refused() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
    let before = rig.saved();
    let Origin::File(file) = &rig.fleet.origin else {
        panic!("it is a file");
    };
    let (origin, text) = (file.origin(), before.clone());
    let (reading, go, through) = held(move || origin.with(text).map(Read::of));
    let late = |rig: &mut Rig, time| {
        let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
        scribe.waiters.patience = time;
        rig.between(&Turn::Going);
    };
    // One is being checked when the file begins to be read, one waits, and nobody waits for the third.
    let (checked, go_too, _) = held(|| Err(Unmade::Same));
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    let under_way = scribe.under_way.as_mut().expect("it was just begun");
    under_way.reading = Reading::of(checked);
    rig.fleet.reading = Some((Reading::of(reading), Vec::new()));
    assert_eq!(rig.set(1, "max-lag", "4s"), None);
    assert_eq!(rig.ask(TabCommand::Stop { tab: 2 }), Some(TabReply::Done));
    late(&mut rig, Duration::from_secs(3600));
    let waiting = |rig: &Rig| {
        let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
        let given_up = scribe.under_way.iter().filter(|it| it.is_given_up);
        (given_up.count(), scribe.waiting.len())
    };
    assert_eq!((waiting(&rig), rig.fleet.is_awaited()), ((0, 2), true));
    late(&mut rig, Duration::ZERO);
    assert_eq!((waiting(&rig), rig.fleet.is_awaited()), ((1, 1), false));
    assert_eq!(refusals(&rig), [READING; 2]);
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    go_too.send(()).expect("it waits");
    let off = format!("{}\nenabled = false\n\n", before.trim_end());
    rig.until("saved", |rig| rig.is_idle() && rig.saved() == off);
}

/// What was refused since the last turn, and why.
fn refusals(rig: &Rig) -> Vec<String> {
    let answers = rig.reactor.answers();
    let refused = answers.filter_map(|reply| match reply {
        Reply::Tab(TabReply::Refused(why)) => Some(why.clone()),
        _ => None,
    });
    refused.collect()
}

/// What was refused is not made, though it could be by the time that the disk answers.
#[test]
fn a_change_that_was_refused_is_not_made_later() {
    let mut rig = Rig::new(&relay("a", ""));
    let before = rig.saved();
    let Origin::File(file) = &rig.fleet.origin else {
        panic!("it is a file");
    };
    let (origin, text) = (file.origin(), before.clone() + "max-lag = \"3s\"\n");
    let (checked, go, through) = held(move || Ok(origin.with(text).map(Read::of)?));
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    let under_way = scribe.under_way.as_mut().expect("it was just begun");
    under_way.reading = Reading::of(checked);
    scribe.waiters.patience = Duration::ZERO;
    rig.between(&Turn::Going);
    assert_eq!(refusals(&rig), [SLOW_FILES]);
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    rig.until("given up", Rig::is_idle);
    let fields = rig.tab(1).settings.expect("it has some").fields;
    assert!(!fields.contains(&("max-lag".to_owned(), "3s".to_owned())));
    rig.fleet.finish(LAST_SAVE);
    assert_eq!(rig.saved(), before);
}

/// Whoever waits for a change is looked after so often as is needed for that, and nothing else turns the loop.
#[test]
fn the_loop_turns_sooner_while_somebody_waits() {
    let mut rig = Rig::new(&relay("a", ""));
    let (checked, go, through) = held(|| Err(Unmade::Same));
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    let under_way = scribe.under_way.as_mut().expect("it was just begun");
    under_way.reading = Reading::of(checked);
    rig.between(&Turn::Going);
    let told = |rig: &Rig| (rig.fleet.pulse.waiting.is_some(), rig.fleet.is_awaited());
    assert_eq!(told(&rig), (true, true));
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    rig.until("made", |rig| rig.is_idle() && !rig.fleet.is_awaited());
    rig.between(&Turn::Going);
    assert_eq!(told(&rig), (false, false));
}

/// Whoever takes `save = true` out of the file means it.
#[test]
fn a_file_that_is_not_to_be_kept_any_more_is_left_alone() {
    let mut rig = Rig::new(&relay("a", ""));
    let saved = rig.saved();
    let text = saved.replace("save = true", "save = false");
    fs::write(rig.path(), &text).expect("the folder can be written");
    rig.ask(TabCommand::Reload);
    rig.until("read", |rig| rig.fleet.reading.is_none());
    let reply = rig.set(1, "max-lag", "3s");
    assert!(matches!(reply, Some(TabReply::Refused(_))), "{reply:?}");
    rig.ask(TabCommand::Stop { tab: 1 });
    rig.until("stopped", |rig| {
        rig.fleet.posts[0].role().is_none() && rig.is_idle()
    });
    rig.fleet.finish(LAST_SAVE);
    assert_eq!(rig.saved(), text);
    // And back again.
    fs::write(rig.path(), &saved).expect("the folder can be written");
    rig.ask(TabCommand::Reload);
    rig.until("read", |rig| rig.fleet.reading.is_none());
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    rig.until("saved", |rig| rig.saved().contains("max-lag"));
}

/// Whoever watches them is asked to look by a reading of the file, and by nothing else; and goes with the role.
#[test]
fn certificates_are_read_again_with_the_file() {
    let mut rig = Rig::new(&relay("a", "drain = \"1ms\""));
    let (watch, asked) = Watch::held();
    rig.fleet.posts[0].watch = Some(watch);
    rig.set(1, "max-lag", "3s");
    rig.until("saved", |rig| {
        rig.is_idle() && rig.saved().contains("max-lag")
    });
    assert_eq!(asked.try_recv(), Err(mpsc::TryRecvError::Empty));
    rig.ask(TabCommand::Reload);
    rig.until("read", |rig| rig.fleet.reading.is_none());
    assert_eq!(asked.try_recv(), Ok(()));
    rig.ask(TabCommand::Stop { tab: 1 });
    rig.until("stopped", |rig| rig.fleet.posts[0].role().is_none());
    assert_eq!(asked.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

/// Whoever moves somebody else's away has what the page shows, be something to be saved or not.
#[test]
fn a_file_that_was_moved_away_is_written_again() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
    let path = rig.path();
    let has = |text: &str| fs::read_to_string(&path).is_ok_and(|now| now.contains(text));
    let put_theirs = || {
        let theirs = path.with_extension("other");
        fs::write(&theirs, "# theirs\n").expect("the folder can be written");
        fs::rename(theirs, &path).expect("it is there");
    };
    let refused = |rig: &mut Rig, lag: &str| {
        rig.set(1, "max-lag", lag);
        rig.until("refused", Rig::is_idle);
        let fault = rig.fault().expect("the page says so");
        assert!(fault.contains("changed by somebody else"), "{fault}");
        assert!(fault.contains("move it away"), "{fault}");
    };
    fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).expect("it is ours");
    rig.set(1, "max-lag", "3s");
    rig.until("said", |rig| {
        let fault = rig.fault();
        fault.is_some_and(|fault| fault.contains("permission"))
    });
    put_theirs();
    refused(&mut rig, "4s");
    assert_eq!(rig.ask(TabCommand::Stop { tab: 2 }), Some(TabReply::Done));
    rig.until("refused", Rig::is_idle);
    fs::remove_file(&path).expect("it is there");
    rig.until("saved", |rig| {
        rig.fault().is_none() && has("enabled = false")
    });
    assert!(has("max-lag = \"3s\""), "{}", rig.saved());
    put_theirs();
    refused(&mut rig, "5s");
    fs::remove_file(&path).expect("it is there");
    rig.set(1, "max-lag", "6s");
    rig.until("saved", |rig| rig.is_idle() && has("max-lag = \"6s\""));
    assert_eq!(rig.fault(), None);
}

/// Nothing has to be changed for that: whoever looks at the page knows before.
#[test]
fn a_file_that_is_gone_is_said_before_the_next_change() {
    let mut rig = Rig::new(&relay("a", ""));
    let (path, aside) = (rig.path(), rig.path().with_extension("aside"));
    let until_said = |rig: &mut Rig, why: &str| {
        rig.until("said", |rig| {
            rig.fault().is_some_and(|fault| fault.contains(why))
        });
    };
    fs::rename(&path, &aside).expect("it is there");
    until_said(
        &mut rig,
        "is not there any more: the next change writes it again",
    );
    assert!(!path.exists(), "nothing was changed");
    fs::create_dir(&path).expect("the folder can be written");
    until_said(&mut rig, "can't read");
    fs::remove_dir(&path).expect("it is empty");
    fs::rename(&aside, &path).expect("it is there");
    rig.until("well", |rig| rig.fault().is_none());
    fs::remove_file(&path).expect("it is there");
    until_said(&mut rig, "is not there any more");
    rig.set(1, "max-lag", "3s");
    rig.until("changed", Rig::is_idle);
    rig.until("saved", |rig| rig.fault().is_none());
    assert!(rig.saved().contains("max-lag = \"3s\""));
}

/// Each goes on where the one before ends, has a name of its own, and listens where nobody else does.
#[test]
fn relays_that_are_added_at_once_are_two() {
    let watch = "[metrics]\nlisten = \"127.0.0.1:17001\"\n";
    let roles = relay("a", "enabled = false").replace("127.0.0.1:0", "127.0.0.1:17000");
    let mut rig = Rig::new(&(watch.to_owned() + &roles));
    for _ in 0..2 {
        assert_eq!(rig.ask(TabCommand::Add { after: Some(1) }), None);
    }
    rig.until("added", |rig| rig.is_idle());
    let names: Vec<&str> = rig
        .fleet
        .posts
        .iter()
        .map(|post| post.member.name.as_str())
        .collect();
    assert_eq!(names, ["a", "relay 1", "relay 2"]);
    let text = rig.saved();
    assert!(!text.contains("dst = \"127.0.0.1:17001\""), "{text}");
}

/// Of orders one can't hold: the others do, that is said, and it is tried again with the next reload.
#[test]
fn what_can_t_hold_is_said_and_keeps_nothing_else_back() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
    let shows = |on| TabCommand::Dump {
        tab: 1,
        on,
        to_stdout: true,
    };
    // There is one stdout.
    assert_eq!(rig.ask(shows(true)), Some(TabReply::Done));
    let text = rig.saved() + "dump = true\nmax-lag = \"3s\"\n";
    fs::write(rig.path(), text).expect("the folder can be written");
    rig.ask(TabCommand::Reload);
    rig.until("read", |rig| rig.fleet.reading.is_none());
    let fields = rig.tab(2).settings.expect("it has some").fields;
    assert!(fields.contains(&("max-lag".to_owned(), "3s".to_owned())));
    assert!(!rig.errors(2).is_empty());
    assert!(rig.fleet.posts[1].lacks, "the next reload tries it again");
    rig.ask(TabCommand::Stop { tab: 2 });
    rig.until("stopped", |rig| rig.fleet.posts[1].role().is_none());
}

/// What the file says newly holds, whatever was done by hand before.
#[test]
fn a_file_that_says_something_new_of_it_holds() {
    let mut rig = Rig::new(&relay("a", "enabled = false"));
    assert_eq!(rig.ask(TabCommand::Start { tab: 1 }), Some(TabReply::Done));
    rig.until("saved", |rig| {
        rig.is_idle() && rig.saved().contains("enabled = true")
    });
    // It can't be written for a while, and is another one then.
    let saved = rig.saved();
    let mode = |mode| {
        let mode = PermissionsExt::from_mode(mode);
        fs::set_permissions(rig.path(), mode).expect("it is ours");
    };
    mode(0o400);
    let path = rig.path();
    assert_eq!(rig.ask(TabCommand::Stop { tab: 1 }), Some(TabReply::Done));
    rig.until("said", |rig| {
        rig.fault()
            .is_some_and(|fault| fault.contains("permission"))
    });
    fs::remove_file(&path).expect("it is there");
    let theirs = format!("# theirs\n{saved}");
    fs::write(&path, &theirs).expect("the folder can be written");
    rig.ask(TabCommand::Reload);
    let stopped = theirs.replace("enabled = true", "enabled = false");
    rig.until("saved", |rig| rig.is_idle() && rig.saved() == stopped);
    fs::write(&path, &theirs).expect("the folder can be written");
    rig.ask(TabCommand::Reload);
    rig.until("begun", |rig| {
        rig.is_idle() && rig.fleet.posts[0].role().is_some()
    });
    assert_eq!(rig.saved(), theirs);
}
