//! How long the relay waits before it dials again. That it never waits less can be told on any machine; that it does
//! not wait much longer shows in that a test ends at all.

use std::time::{Duration, Instant};

use crate::common::feed::{Feed, Taker};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, leave};

#[test]
fn a_fixed_wait_stays_the_same() {
    let started = Instant::now();
    let (hydrant, _place) = refused("--retry 200ms");
    let line = hydrant.wait_log("refused the connection; retrying until it answers (every ");
    assert!(line.ends_with("(every 200 ms)"), "{line}");
    failures(&hydrant, 6);
    assert!(started.elapsed() >= Duration::from_millis(5 * 200));
}

#[test]
fn a_range_doubles_until_its_end() {
    let started = Instant::now();
    let (hydrant, _place) = refused("--retry 20ms..80ms");
    let line = hydrant.wait_log("refused the connection; retrying until it answers (every 20");
    assert!(line.contains(" to 80"), "{line}");
    // If it went on doubling, so many would take longer than the universe is old.
    failures(&hydrant, 40);
    // 20 and 40, and then from 40 to 80 each time.
    assert!(started.elapsed() >= Duration::from_millis(20 + 37 * 40));
}

/// Where it has a name there may be others.
#[test]
fn advice_says_whom_it_is_for() {
    for (flags, whom) in [("", "hydrant"), ("--name x", "relay[x]")] {
        let (hydrant, _place) = refused(flags);
        let line = hydrant.wait_log("to have the upstream connect there");
        assert!(line.contains(&format!("{whom}: connection to ")), "{line}");
    }
}

/// What is logged of many attempts is one line, and how many there were when it is over.
#[test]
fn attempts_that_fail_are_told_once() {
    let mut place = Place::new();
    let hydrant = hydrant(&format!("{} 127.0.0.1:0 --retry 10ms -vv", place.at)).start();
    failures(&hydrant, 20);
    let _upstream = place.accept();
    let line = hydrant.wait_logs(&["relay: upstream ", " connected (was down "]);
    let (_, attempts) = line
        .split_once(" s, ")
        .or(line.split_once(" ms, "))
        .unwrap();
    let attempts = attempts.trim_end_matches(" attempts)");
    assert!(attempts.parse::<u32>().expect(&line) > 20, "{line}");
    let log = hydrant.log();
    let told = log.iter().filter(|line| line.contains("retrying until"));
    // The second is the summary, when the first is over.
    assert!(told.count() <= 2, "{log:#?}");
}

/// A range begins anew after a connection that had lasted longer than its first wait.
#[test]
fn a_range_begins_anew_after_a_connection_that_lasted() {
    let mut place = Place::new();
    let mut lost = Instant::now();
    let line = format!("{} 127.0.0.1:0 --retry 10ms..1h -vv", place.at);
    let hydrant = hydrant(&line).start();
    let mut taker = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let mut feed = Feed::default();
    for _ in 0..5 {
        // If it went on doubling from one time to the next, the last of these would be waited for for minutes.
        failures(&hydrant, 4);
        let mut upstream = place.accept();
        let connected = Instant::now();
        // No wait was longer than the whole outage.
        let outage = connected - lost;
        while connected.elapsed() <= outage {
            feed.send(&mut upstream, 1000);
            taker.take(1000);
        }
        place.close();
        lost = Instant::now();
        leave(&upstream);
    }
}

/// A relay whose upstream refuses each attempt, and the place where it is dialled.
fn refused(flags: &str) -> (Hydrant, Place) {
    let place = Place::new();
    let hydrant = hydrant(&format!("{} 127.0.0.1:0 -vv {flags}", place.at)).start();
    (hydrant, place)
}

/// Waits for so many attempts to fail.
fn failures(hydrant: &Hydrant, count: usize) {
    for _ in 0..count {
        hydrant.wait_log(" ConnectFailed ");
    }
}
