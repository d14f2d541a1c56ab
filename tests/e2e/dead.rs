//! Dead, silent and paused are three things: who has vanished is noticed, whoever only pauses is left alone.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::DEADLINE;
use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{connect, connect_narrow, half_close, reset, vanish};
use crate::rig::Rig;

/// What time is let pass in at a time.
const LITTLE: Duration = Duration::from_millis(100);

/// Lets time pass in which nothing comes on this connection, nor its end; and the relay has something to do after it.
#[track_caller]
pub(crate) fn lets_pass(time: Duration, on: &mut TcpStream, rig: &Rig) {
    let before = on.read_timeout().expect("it is open");
    let end = Instant::now() + time;
    // A signal, as of a child's end elsewhere in this process, ends a read that waits.
    while let Some(left) = end.checked_duration_since(Instant::now())
        && !left.is_zero()
    {
        on.set_read_timeout(Some(left)).expect("it is open");
        let error = on.read(&mut [0]).expect_err("nothing comes");
        let goes_on = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
        assert!(goes_on, "{error}");
    }
    on.set_read_timeout(before).expect("it is open");
    rig.hydrant.report();
}

/// A silent upstream is dialled again, and not before its time.
#[test]
fn a_silent_upstream_is_dialled_again() {
    // Long enough for us to have sent something before, however busy the machine is.
    let mut rig = Rig::with("connect-listen", "--idle-timeout 3s");
    let mut client = rig.downstream();
    for _ in 0..2 {
        let started = Instant::now();
        let mut upstream = rig.upstream();
        rig.feed.send(&mut upstream, 100);
        client.take(100);
        let _next = rig.second_upstream();
        assert!(started.elapsed() >= Duration::from_secs(3));
        rig.hydrant.wait_log(" connected");
    }
    rig.hydrant
        .wait_logs(&["silent for ", "taken for dead (--idle-timeout)"]);
}

/// One that came in by itself as well, however long it was silent before its first byte.
#[test]
fn an_upstream_that_came_in_and_is_silent_is_closed() {
    let mut rig = Rig::with("listen-listen", "--idle-timeout 200ms");
    let mut client = rig.downstream();
    let mut upstream = rig.upstream();
    // Longer than the limit.
    for _ in 0..6 {
        lets_pass(LITTLE, &mut upstream, &rig);
    }
    rig.feed.send(&mut upstream, 100);
    client.take(100);
    let mut upstream = Taker::new(upstream, 0);
    assert_eq!(upstream.take_rest(), Ending::Orderly);
    rig.hydrant.wait_log("taken for dead (--idle-timeout)");
}

/// An upstream that a client holds back says nothing because nobody reads it.
#[test]
fn an_upstream_that_is_held_back_is_not_silent() {
    let mut rig = Rig::with(
        "connect-listen",
        "--slow block --ring 64K --idle-timeout 3s",
    );
    let mut upstream = rig.upstream();
    let mut client = rig.narrow_client();
    let (sent, fits) = crate::slow::send_until_held(&mut upstream, &rig.hydrant);
    assert!(!fits);
    for _ in 0..5 {
        lets_pass(Duration::from_secs(1), &mut upstream, &rig);
    }
    assert!(!rig.hydrant.has_logged("taken for dead"));
    client.take(sent as usize);
    // Now it is silent indeed.
    rig.hydrant.wait_log("taken for dead (--idle-timeout)");
}

#[test]
fn a_half_open_upstream_is_noticed() {
    let mut rig = Rig::with("connect-listen", "--keepalive 1s");
    let mut client = rig.downstream();
    let mut upstream = rig.upstream();
    rig.feed.send(&mut upstream, 1000);
    client.take(1000);
    vanish(&upstream);
    let started = Instant::now();
    rig.hydrant
        .wait_logs(&["relay: upstream ", " lost (", "1 client stays"]);
    assert!(started.elapsed() < SOON);
    let mut next = rig.upstream();
    rig.feed.send(&mut next, 1000);
    client.take(1000);
}

#[test]
fn a_vanished_client_is_noticed() {
    for mode in ["connect-listen", "connect-connect"] {
        let mut rig = Rig::with(mode, "--keepalive 1s");
        let mut upstream = rig.upstream();
        let mut client = rig.downstream();
        rig.feed.send(&mut upstream, 1000);
        client.take(1000);
        // So that the acknowledgement does not get lost with everything else.
        rig.hydrant.report_until("| no lag |");
        vanish(&client.stream);
        let started = Instant::now();
        rig.hydrant.wait_log(" dropped: dead; ");
        assert!(started.elapsed() < SOON);
    }
}

/// Its window is closed, which its kernel goes on to say.
#[test]
fn a_client_that_pauses_is_left_alone() {
    let mut rig = Rig::with("connect-listen", "--keepalive 1s --slow block");
    let mut upstream = rig.upstream();
    let mut silent = rig.downstream();
    let mut paused = rig.narrow_client();
    rig.feed.send(&mut upstream, 4 << 20);
    silent.take(4 << 20);
    for _ in 0..9 {
        lets_pass(Duration::from_secs(1), &mut silent.stream, &rig);
    }
    for client in [&mut silent, &mut paused] {
        rig.feed.send(&mut upstream, 1000);
        client.take((rig.feed.at - client.at) as usize);
    }
    assert!(!rig.hydrant.has_logged("dropped"));
    assert!(!rig.hydrant.has_logged(" left"));
}

/// While bytes flow there are no keepalive probes: what tells is that nobody acknowledges the bytes.
#[test]
fn a_client_that_vanishes_from_a_flowing_feed_is_noticed() {
    for mode in ["connect-listen", "connect-connect"] {
        let mut rig = Rig::with(mode, "--keepalive 1s");
        let mut upstream = rig.upstream();
        let mut client = rig.downstream();
        rig.feed.send(&mut upstream, 1000);
        client.take(1000);
        vanish(&client.stream);
        let started = Instant::now();
        while !rig.hydrant.has_logged(" dropped: dead; ") {
            assert!(started.elapsed() < SOON);
            rig.feed.send(&mut upstream, 1000);
            rig.hydrant.report();
        }
        assert!(started.elapsed() >= Duration::from_secs(1));
        let report = rig.hydrant.report();
        assert!(report.contains("| drops 1 (dead 1) | "), "{report}");
        if rig.waits_for_downstream() {
            // What it had not acknowledged is there for the next one.
            let at = client.at;
            let mut next = rig.downstream();
            next.at = at;
            next.take((rig.feed.at - at) as usize);
        }
    }
}

/// It has all that it will ever get, and only owes the acknowledgement: that does not come, and is not waited for for
/// ever. What it owed is its next connection's.
#[test]
fn a_destination_that_vanishes_at_its_end_is_noticed() {
    let mut rig = Rig::with("connect-connect", "--keepalive 1s --upstream-loss close");
    let mut upstream = rig.upstream();
    let mut client = rig.downstream();
    rig.feed.send(&mut upstream, 1000);
    client.take(1000);
    vanish(&client.stream);
    rig.feed.send(&mut upstream, 1000);
    drop(upstream);
    rig.hydrant.wait_log(" dropped: dead; ");
    let mut next = rig.downstream();
    // Our own end is not acknowledged either, and is no byte that could come again.
    next.at = client.at;
    next.take(1000);
}

/// One that pauses and one that paused before it vanished look alike, until its kernel is asked whether there is room.
#[test]
fn of_two_that_pause_the_vanished_one_is_noticed() {
    let mut rig = Rig::with("connect-listen", "--keepalive 1s");
    let mut upstream = rig.upstream();
    let mut pauses = rig.narrow_client();
    let vanishes = rig.narrow_client();
    rig.feed.send(&mut upstream, 8 << 20);
    rig.hydrant.report_until("in all 8.0 MiB in");
    vanish(&vanishes.stream);
    let who = vanishes.stream.local_addr().unwrap();
    rig.hydrant
        .wait_log(&format!("client {who} dropped: dead; "));
    // As long again, and again.
    for _ in 0..50 {
        rig.feed.send(&mut upstream, 1000);
        lets_pass(LITTLE, &mut upstream, &rig);
    }
    pauses.take(rig.feed.at as usize);
    assert!(!rig.hydrant.has_logged(" left"));
}

/// Its process is gone, which its kernel says at the next byte.
#[test]
fn a_half_closed_client_whose_process_is_gone_is_noticed() {
    let mut rig = Rig::new("connect-listen");
    let mut upstream = rig.upstream();
    let mut stays = rig.downstream();
    for is_reset in [false, true] {
        let client = connect(rig.clients_at());
        let left = format!("client {} left", client.local_addr().unwrap());
        half_close(&client);
        rig.hydrant.report_until("| 2 clients | ");
        match is_reset {
            true => reset(client),
            false => drop(client),
        }
        let started = Instant::now();
        while !rig.hydrant.has_logged(&left) {
            assert!(started.elapsed() < DEADLINE, "it is never noticed");
            rig.feed.send(&mut upstream, 1);
            stays.take(1);
            rig.hydrant.report();
        }
    }
}

/// A link that is cut in the middle, between two machines of which one is a network namespace.
#[test]
fn a_cut_link_is_noticed_at_both_ends() {
    let Some(far) = crate::netns::Far::new() else {
        return;
    };
    let line = format!(
        "{}:0 {}:0 --mode listen-listen --keepalive 1s",
        far.here, far.here
    );
    let hydrant = hydrant(&line).start();
    let (up, down) = (
        hydrant.address_of("the upstream"),
        hydrant.address_of("clients"),
    );
    // There it is the same program that sends what it reads, and shows what it gets.
    let mut source = far.hydrant(&format!("- {up} --mode connect-connect --retry 100ms"));
    let mut bytes = source.stdin();
    let sink = far.hydrant(&format!("{down} -"));
    hydrant.report_until("| 1 client | ");
    bytes.write_all(b"something\n").unwrap();
    hydrant.report_until("| in all 10 B in, 10 B out");
    hydrant.report_until("| no lag |");
    sink.report_until("| in all 10 B in, 10 B out");
    far.cut();
    let started = Instant::now();
    hydrant.wait_logs(&["relay: upstream ", " lost ("]);
    hydrant.wait_log(" dropped: dead; ");
    assert!(started.elapsed() < SOON);
    far.mend();
    bytes.write_all(b"more\n").unwrap();
}

/// The same while bytes flow. Those who are on this side of the cut, and one of them pauses, feel nothing.
#[test]
fn a_cut_link_of_a_flowing_feed_is_noticed() {
    let Some(far) = crate::netns::Far::new() else {
        return;
    };
    let line = format!(
        "127.0.0.1:0 {}:0 --mode listen-listen --keepalive 1s",
        far.here
    );
    let hydrant = hydrant(&line).start();
    let (up, down) = (
        hydrant.address_of("the upstream"),
        hydrant.address_of("clients"),
    );
    let mut upstream = connect(up);
    let mut feed = Feed::default();
    let mut stays = Taker::new(connect(down), 0);
    let mut pauses = Taker::new(connect_narrow(down), 0);
    let sink = far.hydrant(&format!("{down} -"));
    hydrant.report_until("| 3 clients | ");
    feed.send(&mut upstream, 8 << 20);
    stays.take(8 << 20);
    sink.report_until("| in all 8.0 MiB in");
    far.cut();
    let started = Instant::now();
    while !hydrant.has_logged(" dropped: dead; ") {
        assert!(started.elapsed() < SOON);
        feed.send(&mut upstream, 1000);
        stays.take(1000);
        hydrant.report();
    }
    far.mend();
    let report = hydrant.report();
    assert!(report.contains("| 2 clients | "), "{report}");
    assert!(report.contains("| drops 1 (dead 1) | "), "{report}");
    pauses.take(feed.at as usize);
}

/// A few times `--keepalive 1s`, on however slow a machine.
const SOON: Duration = Duration::from_secs(20);
