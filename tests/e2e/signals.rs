//! Signals: a first one lets clients have what is theirs, a second one does not wait.

use std::net::TcpStream;

use crate::common::feed::{Ending, Taker};
use crate::common::peers::connect_narrow;
use crate::rig::Rig;

/// A relay with a client that has fallen behind, and how much there is for it.
fn with_a_client_behind(flags: &str) -> (Rig, TcpStream, Taker<TcpStream>) {
    let mut rig = Rig::with("connect-listen", flags);
    let mut upstream = rig.upstream();
    let mut fast = rig.downstream();
    let stream = connect_narrow(rig.clients_at());
    let us = stream.local_addr().unwrap();
    rig.hydrant.wait_log(&format!("client {us} connected"));
    for _ in 0..100 {
        rig.feed.send(&mut upstream, 100_000);
        fast.take(100_000);
    }
    let us = fast.stream.local_addr().unwrap();
    crate::common::peers::reset(fast.stream);
    rig.hydrant.wait_log(&format!("client {us} left"));
    let slow = Taker::new(stream, 0);
    (rig, upstream, slow)
}

#[test]
fn a_first_signal_lets_clients_have_what_is_theirs() {
    for name in ["INT", "TERM"] {
        let (mut rig, upstream, mut slow) = with_a_client_behind("--drain 1h");
        rig.hydrant.signal(name);
        // By then it has read the upstream for the last time.
        assert_eq!(Taker::new(upstream, 0).take_rest(), Ending::Orderly);
        assert_eq!(slow.take_rest(), Ending::Orderly);
        assert_eq!(slow.at, 10_000_000);
        assert_eq!(rig.hydrant.wait_exit(), 0);
        rig.hydrant.wait_log(&format!(
            "[INFO] relay: stopped by SIG{name}: 1 client drained, 0 cut; up "
        ));
    }
}

/// A client that takes nothing is waited for no longer than `--drain`, and can't take what it has for everything.
#[test]
fn draining_has_an_end() {
    let (mut rig, _upstream, mut slow) = with_a_client_behind("--drain 300ms");
    rig.hydrant.signal("TERM");
    assert_eq!(rig.hydrant.wait_exit(), 0);
    rig.hydrant
        .wait_log("stopped by SIGTERM: 0 clients drained, 1 cut; up ");
    assert_eq!(slow.take_rest(), Ending::Reset);
    assert!(slow.at < 10_000_000);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("INT", "TERM", 143),
    ] {
        let (mut rig, upstream, mut slow) = with_a_client_behind("--drain 1h");
        rig.hydrant.signal(first);
        // By then the first has been dealt with.
        assert_eq!(Taker::new(upstream, 0).take_rest(), Ending::Orderly);
        rig.hydrant.signal(second);
        assert_eq!(rig.hydrant.wait_exit(), code);
        // What it lacks, it can't take for the end.
        assert_eq!(slow.take_rest(), Ending::Reset);
    }
}

#[test]
fn nobody_is_let_in_while_it_drains() {
    let (mut rig, upstream, mut slow) = with_a_client_behind("--drain 1h");
    let at = rig.clients_at();
    rig.hydrant.signal("TERM");
    assert_eq!(Taker::new(upstream, 0).take_rest(), Ending::Orderly);
    // Whoever came in just before the listener was closed gets no byte either.
    while let Ok(stream) = TcpStream::connect(at) {
        let mut late = Taker::new(stream, 0);
        late.take_rest();
        assert_eq!(late.at, 0);
    }
    slow.take_rest();
    assert_eq!(rig.hydrant.wait_exit(), 0);
}

#[test]
fn sigusr1_asks_for_a_report() {
    let (mut rig, mut upstream, mut slow) = with_a_client_behind("--ring 16M --name sports");
    // "sports UP 2h03m | in 48 KiB/s, last byte 0.1 s ago | out 1.9 MiB/s | 41 clients | worst lag 0.2 s 10.0.0.9 |
    // drops 1"
    // Who lags is looked at about once a second.
    let line = rig.hydrant.report_until("| worst lag ");
    assert!(line.contains(" [INFO] sports UP "), "{line}");
    let who = slow.stream.local_addr().unwrap();
    for part in [
        " | in ",
        "/s, last byte ",
        " ago | out ",
        " | 1 client | worst lag ",
        &format!(" {who} | drops 0"),
        " | in all 9.5 MiB in, ",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    slow.take(10_000_000);
    // Twice the ring: it is overtaken, or waited for and then dropped.
    let mut fast = rig.downstream();
    for _ in 0..500 {
        rig.feed.send(&mut upstream, 100_000);
        fast.take(100_000);
    }
    rig.hydrant.wait_log(" dropped: overtaken; ");
    let line = rig.hydrant.report();
    assert!(line.contains(" | drops 1 (overtaken 1) | "), "{line}");
    rig.hydrant.stop();
}

/// Off a terminal it is no reason to stop.
#[test]
fn sighup_changes_nothing_for_clients() {
    let mut rig = Rig::new("connect-listen");
    let mut upstream = rig.upstream();
    let mut downstream = rig.downstream();
    for _ in 0..5 {
        rig.hydrant.signal("HUP");
        rig.feed.send(&mut upstream, 1000);
        downstream.take(1000);
    }
    rig.hydrant.stop();
}
