//! What a console's own page has in front of it, on the real loop.

use std::ffi::OsString;
use std::sync::{Arc, mpsc};

use super::*;
use crate::app::errand::Hosts;
use crate::config::Env;
use crate::reactor::command::Ticket;
use crate::reactor::mio_net::{self, MioNet};
use crate::reactor::tabs::TabCommand;

fn desk() -> (Reactor<RoleSet>, Desk) {
    let net = MioNet::new(mio_net::Options::default()).expect("there is a network");
    let mut reactor = Reactor::new(Box::new(net), crate::reactor::Options::default());
    let words = ["console", "--no-browser", "--bind", "127.0.0.1:0"].map(OsString::from);
    let config = Config::from_command_line(words, Env::default()).expect("it is right");
    let Run::Console(mut orders) = config.run else {
        panic!("it is one");
    };
    orders.settings = None;
    let desk = Desk::start(&mut reactor, &orders, config.origin, None).expect("it can begin");
    (reactor, desk)
}

/// What is looked up when all is to end does not begin afterwards, or there would be no end.
#[test]
fn nothing_begins_once_all_is_to_end() {
    let (mut reactor, mut desk) = desk();
    let id = desk.tabs[0].id;
    desk.tabs[0].member.settings.set("dst", "localhost:0");
    let by = (desk.console, Ticket(u64::MAX));
    assert_eq!(
        desk.obey(&mut reactor, by, TabCommand::Start { tab: id }),
        None
    );
    // It is known by now.
    let (over, done) = mpsc::channel();
    let settings = desk.tabs[0].member.settings.clone();
    let wake = Arc::new(move || over.send(()).unwrap_or_default());
    let files = Errand::begin("known", wake, move || settings.member()).expect("a thread");
    let one = &mut desk.tabs.beginning[0];
    (one.files, one.hosts) = (Some(files), Hosts::default());
    done.recv().expect("it is through");
    desk.begin_prepared(&mut reactor, true);
    assert!(desk.tabs.beginning.is_empty() && desk.tabs[0].role().is_none());
}

/// A role that could not begin, or whose tab is closed, has an end that concerns nobody else.
#[test]
fn the_end_of_what_began_here_is_nobody_else_s() {
    let (mut reactor, mut desk) = desk();
    let ends = |role| (role, End::Failed("no place".to_owned()));
    let (ours, other) = (RoleId(1000), RoleId(1001));
    let mut ended = vec![ends(ours), ends(other)];
    desk.mind(&mut reactor, &mut ended, &[other]);
    assert_eq!(ended, [ends(other)]);
}
