//! Clients that don't keep up: dropped by a reset where they hurt others, waited for where nothing may be lost.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::common::DEADLINE;
use crate::common::feed::{Ending, Feed, Taker, pattern};
use crate::common::hydrant::Hydrant;
use crate::common::peers::connect_narrow;
use crate::rig::Rig;

#[test]
fn a_client_that_stops_reading_hurts_nobody() {
    let mut rig = Rig::with("connect-listen", "--ring 512K");
    let mut upstream = rig.upstream();
    let mut others: Vec<_> = (0..4).map(|_| rig.downstream()).collect();
    let mut stalled = rig.narrow_client();
    let who = stalled.stream.local_addr().unwrap();
    let first = format!("[WARN] relay: client {who} dropped: overtaken; ");
    while !rig.hydrant.has_logged(&first) {
        assert!(rig.feed.at < ENOUGH, "it was never overtaken");
        rig.feed.send(&mut upstream, 128 << 10);
        for other in &mut others {
            other.take(128 << 10);
        }
    }
    let line = rig.hydrant.wait_log(&first);
    // "dropped: overtaken; 8.2 s, 16.0 MiB behind; took 1.2 GiB in 2h03m"
    let said = line.split("overtaken; ").nth(1).unwrap_or_default();
    let (behind, took) = said.split_once(" behind; took ").expect("two figures");
    let (age, bytes) = behind.split_once(", ").expect("how long, and how much");
    assert!(age.ends_with('s') && bytes.contains("iB"), "{line}");
    assert!(took.contains(" in ") && !took.contains("now)"), "{line}");

    // It still gets what its kernel had taken, and then no end that looks like the end of the feed.
    assert_eq!(stalled.take_rest(), Ending::Reset);
    assert!(stalled.at < rig.feed.at);
    let report = rig.hydrant.report();
    assert!(report.contains("| 4 clients | "), "{report}");
    assert!(report.contains("drops 1 (overtaken 1)"), "{report}");

    rig.feed.send(&mut upstream, 1_000_000);
    for other in &mut others {
        other.take(1_000_000);
    }
}

/// Slow means slower than the others: one that is alone is waited for, but not for ever if it takes nothing.
#[test]
fn a_lone_client_that_takes_nothing_is_dropped_as_stalled() {
    let mut rig = Rig::with("connect-listen", "--ring 64K --hold 200ms");
    let mut upstream = rig.upstream();
    let mut stalled = rig.narrow_client();
    let mut feed = std::mem::take(&mut rig.feed);
    let sender = thread::spawn(move || {
        feed.send(&mut upstream, ENOUGH as usize);
        (feed, upstream)
    });
    let who = stalled.stream.local_addr().unwrap();
    rig.hydrant
        .wait_log(&format!("[WARN] relay: client {who} dropped: stalled; "));
    assert_eq!(stalled.take_rest(), Ending::Reset);

    // The feed flows on, past nobody and to the next one.
    let (feed, mut upstream) = sender.join().expect("the relay takes it all");
    rig.feed = feed;
    rig.hydrant.report_until("in all 64.0 MiB in");
    let mut next = rig.downstream();
    rig.feed.send(&mut upstream, 1000);
    next.take(1000);
}

/// A lone client on a thin line, far behind a fast upstream, loses nothing by default.
#[test]
fn a_lone_client_that_reads_slowly_gets_every_byte() {
    // That it pauses is not what this is about, so a busy machine may.
    let mut rig = Rig::with("connect-listen", "--ring 64K --hold 5m");
    let mut upstream = rig.upstream();
    let mut slow = rig.narrow_client();
    let mut feed = std::mem::take(&mut rig.feed);
    let sender = thread::spawn(move || {
        feed.send(&mut upstream, 8 << 20);
        upstream
    });
    for _ in 0..(8 << 20) / 1024 {
        slow.take(1024);
    }
    drop(sender.join().expect("the relay takes it all"));
}

/// All receivers pause at once, as behind one switch, and then go on one after the other: none of them is slower than
/// the others, and each gets every byte.
#[test]
fn those_who_pause_together_are_not_overtaken_by_their_leader() {
    let mut rig = Rig::with("connect-listen", "--ring 8M --hold 5m");
    let mut upstream = rig.upstream();
    let mut takers: Vec<_> = (0..4).map(|_| rig.narrow_client()).collect();
    let (sent, fits) = send_until_held(&mut upstream, &rig.hydrant);
    assert!(!fits, "{sent} bytes were taken, and nobody read them");
    let sender = thread::spawn(move || {
        let mut feed = Feed { at: sent };
        feed.send(&mut upstream, (ENOUGH - sent) as usize);
        upstream
    });
    // Little beside the ring, and more than any kernel lets one of them run ahead unseen.
    const GULP: usize = 1 << 20;
    for _ in 0..ENOUGH as usize / GULP {
        for taker in &mut takers {
            taker.take(GULP);
        }
    }
    drop(sender.join().expect("the relay takes it all"));
    let report = rig.hydrant.report();
    assert!(report.contains("| 4 clients | "), "{report}");
}

#[test]
fn block_loses_nothing() {
    let mut rig = Rig::with("connect-listen", "--slow block --ring 64K");
    let mut upstream = rig.upstream();
    let mut slow = rig.narrow_client();
    let mut fast = rig.downstream();
    let fast = thread::spawn(move || {
        fast.take(ENOUGH as usize);
        fast
    });
    // Nothing is read at the slow one's end, so after a while nothing can be sent.
    let (sent, fits) = send_until_held(&mut upstream, &rig.hydrant);
    assert!(
        !fits,
        "{sent} bytes were taken, and nobody had read them all"
    );
    let slow = thread::spawn(move || {
        slow.take(ENOUGH as usize);
        slow
    });
    let mut feed = Feed { at: sent };
    feed.send(&mut upstream, (ENOUGH - sent) as usize);
    let (fast, slow) = (fast.join(), slow.join());
    assert!(fast.is_ok() && slow.is_ok());
    let report = rig.hydrant.report();
    assert!(report.contains("| 2 clients | "), "{report}");
}

/// A dialled destination blocks by default.
#[test]
fn a_dialled_destination_holds_the_upstream_back() {
    let mut rig = Rig::with("connect-connect", "--ring 64K");
    let mut upstream = rig.upstream();
    let (sent, fits) = send_until_held(&mut upstream, &rig.hydrant);
    assert!(!fits, "{sent} bytes were taken, and nobody was there");
    let mut downstream = rig.downstream();
    downstream.at = 0;
    let taker = thread::spawn(move || downstream.take(16 << 20));
    let mut feed = Feed { at: sent };
    feed.send(&mut upstream, (16 << 20) - sent as usize);
    taker.join().expect("it gets all of it");
}

/// Sends the stream until nothing more is taken for a while. How much was sent, and whether it was all there is.
pub(crate) fn send_until_held(upstream: &mut TcpStream, relay: &Hydrant) -> (u64, bool) {
    upstream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let (mut sent, mut is_held) = (0, false);
    while sent < ENOUGH {
        match upstream.write(&pattern(sent, 64 << 10)) {
            Ok(n) => (sent, is_held) = (sent + n as u64, false),
            Err(error) if error.kind() == ErrorKind::WouldBlock && is_held => break,
            // It may have had no core for as long. When it has answered, it has read what it would.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                relay.report();
                is_held = true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("byte {sent} can't be sent: {error}"),
        }
    }
    upstream.set_write_timeout(Some(DEADLINE)).unwrap();
    (sent, sent >= ENOUGH)
}

impl Rig {
    /// A client with little room for what it does not read.
    pub(crate) fn narrow_client(&mut self) -> Taker<TcpStream> {
        let stream = connect_narrow(self.clients_at());
        let us = stream.local_addr().expect("it is connected");
        self.hydrant.wait_log(&format!("client {us} connected"));
        Taker::new(stream, self.feed.at)
    }
}

/// More than all buffers on the way hold, and little enough to be sent in a moment.
const ENOUGH: u64 = 64 << 20;
