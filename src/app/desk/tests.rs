//! What a console's own page has in front of it, in a simulated network.

use std::ffi::OsString;
use std::net::Ipv4Addr;

use super::*;
use crate::config::Env;
use crate::reactor::command::Ticket;
use crate::reactor::net::{Net, Signal};
use crate::reactor::tabs::TabCommand;
use crate::sim::{Answer, Faults, SimNet};

fn desk(net: Box<dyn Net>) -> (Reactor<RoleSet>, Desk) {
    let mut reactor = Reactor::new(net, crate::reactor::Options::default());
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
    let (net, world) = SimNet::new(1, Faults::none());
    world
        .world()
        .set_name("late.test", [Answer::with(&[Ipv4Addr::LOCALHOST.into()])]);
    let (mut reactor, mut desk) = desk(Box::new(net));
    let id = desk.tabs[0].id;
    let settings = &mut desk.tabs[0].member.settings;
    settings.set("src", "127.0.0.1:9");
    settings.set("dst", "late.test:0");
    let by = (desk.console, Ticket(u64::MAX));
    let begun = desk.obey(&mut reactor, by, TabCommand::Start { tab: id });
    assert_eq!(begun, None);
    world.world().signal(Signal::Terminate);
    for _ in 0..100 {
        let mut ended = Vec::new();
        let turn = reactor.turn(&mut ended).expect("it can wait");
        let between = desk.between_turns(&mut reactor, &turn, &mut ended);
        between.expect("the console goes on");
        assert!(desk.tabs[0].role().is_none());
        if turn == Turn::Over {
            return;
        }
    }
    panic!("there is no end");
}

/// A role that could not begin, or whose tab is closed, has an end that concerns nobody else.
#[test]
fn the_end_of_what_began_here_is_nobody_else_s() {
    let (net, _) = SimNet::new(1, Faults::none());
    let (mut reactor, mut desk) = desk(Box::new(net));
    let ends = |role| (role, End::Failed("no place".to_owned()));
    let (ours, other) = (RoleId(1000), RoleId(1001));
    let mut ended = vec![ends(ours), ends(other)];
    desk.mind(&mut reactor, &mut ended, &[other]);
    assert_eq!(ended, [ends(other)]);
}
