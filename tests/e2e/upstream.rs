//! Who may be the upstream, what it is greeted with, and what the log says about both.

use std::io::Read;

use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, leave};
use crate::common::scratch::Scratch;

const OPEN: &str = "can become the upstream; --allow-upstream CIDR limits it";
const SILENT: &str = "would not fail by being silent; --idle-timeout TIME sets a limit";

#[test]
fn an_upstream_that_anyone_can_be_is_warned_of() {
    let run = hydrant("0.0.0.0:0 0 --mode listen-listen").start();
    let at = run.address_of("the upstream");
    let text = format!(
        "[WARN] relay: anyone who reaches 0.0.0.0:{} {OPEN}",
        at.port()
    );
    run.wait_log(&text);
    for quiet in [
        "127.0.0.1:0 0 --mode listen-listen",
        "0.0.0.0:0 0 --mode listen-listen --allow-upstream 127.0.0.1",
    ] {
        let run = hydrant(quiet).start();
        run.address_of("the upstream");
        run.report();
        assert!(!run.has_logged(OPEN), "{quiet}");
    }
}

#[test]
fn several_sources_without_a_limit_to_silence_are_warned_of() {
    let (mut first, second) = (Place::opened(), Place::opened());
    let line = format!("{},{} 0", first.at, second.at);
    let run = hydrant(&line).start();
    run.wait_log(&format!("[WARN] relay: {} {SILENT}", first.at));
    let limited = hydrant(&format!("{line} --idle-timeout 1h")).start();
    let _upstreams = (first.accept(), first.accept());
    limited.address_of("clients");
    limited.report();
    assert!(!limited.has_logged(SILENT));
}

#[test]
fn an_upstream_is_greeted_after_each_connect() {
    let scratch = Scratch::new();
    let (login, mut place) = (scratch.at("login"), Place::opened());
    std::fs::write(&login, "LOGIN me\n").unwrap();
    let run = hydrant(&format!(
        "{} 0 --retry 10ms --upstream-send {login} -vv",
        place.at
    ))
    .start();
    for _ in 0..3 {
        let mut upstream = place.accept();
        let mut greeting = [0; 9];
        upstream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"LOGIN me\n");
        leave(&upstream);
    }
    assert!(!run.has_logged("LOGIN"));
}

#[test]
fn only_those_who_may_become_the_upstream() {
    let run = hydrant("127.0.0.1:0 0 --mode listen-listen --allow-upstream 192.0.2.0/24").start();
    let mut turned_away = connect(run.address_of("the upstream"));
    assert_eq!(turned_away.read(&mut [0]).unwrap(), 0);
    run.wait_log("[WARN] relay: upstream 127.0.0.1 refused: not in --allow-upstream");
}
