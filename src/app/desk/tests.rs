//! What a console's own page has in front of it, on the real loop.

use std::ffi::OsString;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::*;
use crate::app::errand::tests::held;
use crate::app::errand::{Errand, Hosts, LATE, Limit};
use crate::app::saving::keeper::LAST_SAVE;
use crate::app::saving::keeper::tests::held_keeper;
use crate::app::tests::{DEADLINE, place_of, request, until_over};
use crate::config::{Config, Env, Run};
use crate::reactor::command::{Command, Reply, RoleState, Ticket};
use crate::reactor::mio_net::{self, MioNet};
use crate::reactor::tabs::{TabCommand, TabReply};

pub(super) fn desk() -> (Reactor<RoleSet>, Desk) {
    let net = MioNet::new(mio_net::Options::default()).expect("there is a network");
    let mut reactor = Reactor::new(Box::new(net), crate::reactor::Options::default());
    let words = ["console", "--no-browser", "--bind", "127.0.0.1:0"].map(OsString::from);
    let config = Config::from_command_line(words, Env::default()).expect("it is right");
    let Run::Console(mut orders) = config.run else {
        panic!("it is one");
    };
    orders.settings = None;
    let desk =
        Desk::start(&mut reactor, &orders, config.origin, &config.globals).expect("it can begin");
    (reactor, desk)
}

/// What is looked up when all is to end, or asked for then, does not begin afterwards, or there would be no end.
#[test]
fn nothing_begins_once_all_is_to_end() {
    let (mut reactor, mut desk) = desk();
    let id = desk.tabs[0].id;
    desk.tabs[0].member.settings.set("dst", "localhost:0");
    let by = (desk.console, Ticket(u64::MAX));
    let begun = desk.obey(&mut reactor, by, TabCommand::Start { tab: id });
    assert_eq!(begun, None);
    // All of it is known by now.
    let (over, done) = mpsc::channel();
    let mut settings = desk.tabs[0].member.settings.clone();
    settings.set("dst", "127.0.0.1:0");
    let wake = Arc::new(move || over.send(()).unwrap_or_default());
    let files =
        Errand::begin(&Limit::few(), "known", wake, move || settings.member()).expect("a thread");
    let one = &mut desk.tabs.beginning[0];
    (one.files, one.hosts) = (Some(files), Hosts::default());
    done.recv_timeout(DEADLINE).expect("it is through");
    let id = desk.tabs.place(Post::resting(desk.tabs[0].member.clone()));
    desk.tabs[1].member.settings.set("dst", "127.0.0.1:0");
    reactor.stop();
    let start = Command::Tab(TabCommand::Start { tab: id });
    reactor.with(desk.console, |_, cx| cx.ask(start));
    let between = desk.between_turns(&mut reactor, &Turn::Going, &mut Vec::new());
    between.expect("the console goes on");
    let runs = |tab: &Post<Draft>| tab.role().is_some();
    assert!(desk.tabs.beginning.is_empty() && !desk.tabs.iter().any(runs));
    let refused = Reply::Tab(TabReply::Refused("hydrant stops".to_owned()));
    let refusals = reactor.answers().filter(|reply| **reply == refused);
    assert_eq!(refusals.count(), 2);
}

/// Whoever waits for a save as it stops hears that it is saved; or that it may not be, where the disk does not answer.
#[test]
fn who_waits_for_a_save_as_it_stops_hears_of_it() {
    let name = format!("hydrant-ending-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    for (last, why) in [
        (Duration::from_secs(3600), None),
        (Duration::ZERO, Some("hydrant stops")),
    ] {
        let _ = std::fs::remove_file(&path);
        let (mut reactor, mut desk) = desk();
        let wake = reactor.waker();
        let (keeper, go) = held_keeper(path.clone(), None, Kept::Settings, wake);
        desk.keeper = Some(keeper);
        desk.waiters.last = last;
        let answer = request(place_of(&reactor, desk.console), "relays", "{}");
        let end = reactor.clock() + DEADLINE;
        while desk.waiters.is_empty() {
            assert!(reactor.clock() < end, "it is never asked");
            let turn = reactor.turn(&mut Vec::new()).expect("it can wait");
            let between = desk.between_turns(&mut reactor, &turn, &mut Vec::new());
            between.expect("the console goes on");
        }
        reactor.stop();
        if why.is_none() {
            go.send(()).expect("it waits");
        }
        until_over(&mut reactor, |reactor, turn, ended| {
            desk.between_turns(reactor, turn, ended)
        });
        let answer = answer.join().expect("an end");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        match why {
            Some(why) => assert!(answer.contains(why), "{answer}"),
            None => assert!(!answer.contains("unsaved") && path.exists(), "{answer}"),
        }
        // It has gone on where it was not held.
        let _ = go.send(());
        desk.finish(LAST_SAVE);
    }
    let _ = std::fs::remove_file(path);
}

/// One is looked at each turn: those who still wait for that as it stops hear why nothing comes of what they ask.
#[test]
fn requests_that_wait_for_their_turn_as_it_stops_are_refused() {
    const REQUESTS: u64 = 5;
    let (mut reactor, mut desk) = desk();
    let at = place_of(&reactor, desk.console);
    let asked: Vec<_> = (0..REQUESTS).map(|_| request(at, "relays", "{}")).collect();
    let served = |reactor: &Reactor<RoleSet>| match reactor.role(desk.console) {
        Some(RoleSet::Console(console)) => console.served(),
        _ => panic!("it is no console"),
    };
    let end = reactor.clock() + DEADLINE;
    while served(&reactor) == 0 {
        assert!(reactor.clock() < end, "it is never asked");
        reactor.turn(&mut Vec::new()).expect("it can wait");
    }
    assert_eq!(served(&reactor), 1);
    reactor.stop();
    until_over(&mut reactor, |reactor, turn, ended| {
        desk.between_turns(reactor, turn, ended)
    });
    let answers = asked
        .into_iter()
        .map(|answer| answer.join().expect("an end"));
    let (first, others): (Vec<_>, Vec<_>) =
        answers.partition(|answer| answer.starts_with("HTTP/1.1 409 Conflict\r\n"));
    assert_eq!((first.len(), others.len() as u64), (1, REQUESTS - 1));
    for answer in first.iter().chain(&others) {
        assert!(
            answer.ends_with("{\"error\":\"hydrant stops\"}"),
            "{answer:?}"
        );
    }
    for answer in others {
        let begin = "HTTP/1.1 503 Service Unavailable\r\n";
        assert!(answer.starts_with(begin), "{answer:?}");
    }
    assert_eq!(desk.tabs.len(), 1, "none was added");
}

/// Nobody wants it any more: neither now nor at the next start.
#[test]
fn one_that_could_not_begin_with_the_console_is_stopped() {
    let (mut reactor, mut desk) = desk();
    let id = desk.tabs[0].id;
    let settings = &mut desk.tabs[0].member.settings;
    settings.set("dst", "unix:/no-such-folder/hydrant/socket");
    settings.enabled = true;
    desk.begin(&mut reactor, 0, None);
    let row = |desk: &Desk, reactor: &_| desk.tabs[0].row(reactor).state;
    assert!(matches!(row(&desk, &reactor), RoleState::Failed(_)));
    let by = (desk.console, Ticket(u64::MAX));
    let kick = TabCommand::Kick { tab: id, client: 1 };
    assert_eq!(
        desk.obey(&mut reactor, by, kick),
        Some(TabReply::Refused("it does not run".to_owned()))
    );
    let stop = TabCommand::Stop { tab: id };
    let stopped = desk.obey(&mut reactor, by, stop);
    assert_eq!(stopped, Some(TabReply::Done));
    assert_eq!(row(&desk, &reactor), RoleState::Stopped);
    assert!(desk.tabs[0].faults.is_empty());
    let (_, kept) = Document::parse(&desk.document.text()).expect("it was written");
    assert!(!kept[0].enabled, "{}", desk.document.text());
}

/// What no relay has is a slip, and what stands beside it holds all the same.
#[test]
fn a_field_that_no_relay_has_is_said_to_be_none() {
    let (mut reactor, mut desk) = desk();
    let by = (desk.console, Ticket(u64::MAX));
    let fields = [("max-lga", "3s"), ("upstream-send", "x"), ("retry", "7")];
    let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let change = TabCommand::Change {
        tab: desk.tabs[0].id,
        fields: fields.to_vec(),
    };
    let Some(TabReply::Faults(faults)) = desk.obey(&mut reactor, by, change) else {
        panic!("two of them are wrong");
    };
    let slip = "there is no field max-lga: did you mean max-lag?";
    assert_eq!(faults[0], ("max-lga".to_owned(), slip.to_owned()));
    assert_eq!(faults[1].1, "this is set in the settings file");
    assert_eq!(desk.tabs[0].member.settings.get("retry"), "7");
}

/// A role that could not begin, or whose tab is closed, has an end that concerns nobody else.
#[test]
fn the_end_of_what_began_here_is_nobody_else_s() {
    let (mut reactor, mut desk) = desk();
    let ends = |role| (role, End::Failed("no place".to_owned()));
    let [ours, other] = [1000, 1001].map(|key| RoleId { key, generation: 1 });
    let mut ended = vec![ends(ours), ends(other)];
    desk.mind(&mut reactor, &mut ended, &[other]);
    assert_eq!(ended, [ends(other)]);
}

pub(super) fn between(reactor: &mut Reactor<RoleSet>, desk: &mut Desk, turn: &Turn) {
    let between = desk.between_turns(reactor, turn, &mut Vec::new());
    between.expect("the console goes on");
}

/// Whoever has begun a relay is told that it does not, and may try again.
#[test]
fn a_relay_whose_files_are_never_read_does_not_begin() {
    let (mut reactor, mut desk) = desk();
    let id = desk.tabs[0].id;
    desk.tabs[0].member.settings.set("dst", "localhost:0");
    let by = (desk.console, Ticket(7));
    let begun = desk.obey(&mut reactor, by, TabCommand::Start { tab: id });
    assert_eq!(begun, None);
    let settings = desk.tabs[0].member.settings.clone();
    let (mut files, go, through) = held(move || settings.member());
    let one = &mut desk.tabs.beginning[0];
    files.patience = Duration::ZERO;
    (one.files, one.hosts) = (Some(files), Hosts::default());
    between(&mut reactor, &mut desk, &Turn::Going);
    assert!(desk.tabs.beginning.is_empty() && desk.tabs[0].role().is_none());
    let late = vec![(String::new(), LATE.to_owned())];
    assert_eq!(desk.tabs[0].faults, late);
    let told =
        |reply: &Reply| matches!(reply, Reply::Tab(TabReply::Faults(faults)) if *faults == late);
    assert!(reactor.answers().any(told));
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it ends");
}
