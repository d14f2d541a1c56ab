//! Several upstreams, and what clients see of it when one ends.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::common::DEADLINE;
use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, leave, reset};
use crate::common::records::{Kind, Reader};
use crate::rig::Rig;

#[test]
fn when_one_is_lost_the_other_is_dialled_at_once() {
    let kind = Kind::Nmea;
    let (mut first, mut second) = (Place::opened(), Place::opened());
    let line = format!(
        "{},{} 0 --retry 20ms --idle-timeout 1h --framing line",
        first.at, second.at
    );
    let hydrant = hydrant(&line).start();
    let mut reader = Reader::new(kind, connect(hydrant.address_of("clients")));
    hydrant.report_until("| 1 client | ");
    let mut upstream = first.accept();
    for round in 0..6 {
        let numbers = 100 * round..100 * round + 10;
        upstream.write_all(&kind.records(numbers.clone())).unwrap();
        upstream.write_all(&kind.record(numbers.end)[..9]).unwrap();
        reader.take(numbers);
        let (next, name) = if round % 2 == 0 {
            (&mut second, "second")
        } else {
            (&mut first, "first")
        };
        if round % 3 == 0 {
            reset(upstream);
        } else {
            leave(&upstream);
        }
        upstream = next.accept();
        hydrant.wait_log(&format!("relay: upstream {} connected", next.at));
        assert!(!hydrant.has_logged("client left"), "{name}");
    }
}

/// One that refuses is passed over; when both do, there is a wait, and then the first is tried again.
#[test]
fn when_all_fail_there_is_a_wait() {
    let (mut first, mut second) = (Place::new(), Place::new());
    let line = format!(
        "{},{} 0 --retry 100ms --idle-timeout 1h",
        first.at, second.at
    );
    let hydrant = hydrant(&line).start();
    hydrant.wait_log(&format!(
        "upstream {} refused the connection; trying {}",
        first.at, second.at
    ));
    hydrant.wait_log(&format!(
        "upstream {} refused the connection; trying {}",
        second.at, first.at
    ));
    second.open();
    let upstream = second.accept();
    hydrant.wait_log(&format!("upstream {} connected", second.at));
    second.close();
    first.open();
    leave(&upstream);
    let _upstream = first.accept();
    hydrant.wait_log(&format!("upstream {} connected", first.at));
}

/// The first one, on the side, is tried again as soon as anything else is by --retry.
#[test]
fn on_the_side_too_the_waits_grow_from_the_first_one() {
    let (mut first, mut second) = (Place::new(), Place::opened());
    let line = format!(
        "{},{} 0 --retry 20ms..1h --idle-timeout 1h --failback 100ms",
        first.at, second.at
    );
    let hydrant = hydrant(&line).start();
    let mut client = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let _in_use = second.accept();
    hydrant.wait_log(&format!("upstream {} connected", second.at));
    let mut upstream = first.accept();
    // Bytes that go to nobody, until it is in use.
    let start = Instant::now();
    while !hydrant.has_logged("has sent records for 100 ms: in use again") {
        assert!(start.elapsed() < DEADLINE, "it is not in use again");
        upstream.write_all(b"?").unwrap();
        hydrant.report();
    }
    upstream.write_all(b"!").unwrap();
    let mut byte = [b'?'];
    while byte != *b"!" {
        client.stream.read_exact(&mut byte).unwrap();
    }
}

/// Its records are further apart than `--failback`, and nothing says that such pauses are no silence: that it is not
/// taken back is said.
#[test]
fn an_upstream_that_is_back_with_long_pauses_says_why_it_is_not_in_use() {
    let (mut first, mut second) = (Place::new(), Place::opened());
    let line = format!("{},{} 0 --retry 20ms --failback 100ms", first.at, second.at);
    let hydrant = hydrant(&line).start();
    let _in_use = second.accept();
    hydrant.wait_log(&format!("upstream {} connected", second.at));
    let mut upstream = first.accept();
    let said = format!(
        "upstream {} is back, but with breaks of more than 100 ms: not in use again (--failback",
        first.at
    );
    // Nothing comes from there: a read of it lasts for ten times as long as it may be silent.
    upstream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let start = Instant::now();
    while !hydrant.has_logged(&said) {
        assert!(start.elapsed() < DEADLINE, "nothing is said");
        upstream.write_all(b"?").unwrap();
        assert!(upstream.read(&mut [0]).is_err());
        hydrant.report();
    }
}

/// Everybody gets what is theirs first, however slowly they take it.
#[test]
fn upstream_loss_exit_ends_in_order() {
    // They are read one after the other: none is to be taken for stalled meanwhile.
    let mut rig = Rig::with("connect-listen", "--upstream-loss exit --hold off");
    let mut upstream = rig.upstream();
    let mut clients: Vec<_> = (0..3).map(|_| rig.downstream()).collect();
    clients.push(rig.narrow_client());
    rig.feed.send(&mut upstream, 8 << 20);
    rig.upstream_goes(upstream);
    rig.hydrant
        .wait_log(", 4 clients to be closed (--upstream-loss)");
    for client in &mut clients {
        assert_eq!(client.take_rest(), Ending::Orderly);
        assert_eq!(client.at, 8 << 20);
    }
    assert_eq!(rig.hydrant.wait_exit(), 0);
    rig.hydrant
        .wait_log("relay: source ended: 4 clients drained, 0 cut");
}

/// Even what the reset of an upstream leaves: whole records only.
#[test]
fn upstream_loss_exit_keeps_the_unfinished_record() {
    let kind = Kind::Market;
    let mut rig = crate::records::rig(kind, "connect-listen", "--upstream-loss exit");
    let mut upstream = rig.upstream();
    let mut reader = rig.reader(kind);
    upstream.write_all(&kind.records(0..1000)).unwrap();
    upstream.write_all(&kind.record(1000)[..3]).unwrap();
    leave(&upstream);
    assert_eq!(reader.take_rest(), (0..1000).collect::<Vec<_>>());
    assert_eq!(rig.hydrant.wait_exit(), 0);
}

#[test]
fn upstream_loss_close_ends_every_client_and_goes_on() {
    let mut rig = Rig::with("connect-listen", "--upstream-loss close");
    for _ in 0..3 {
        let mut upstream = rig.upstream();
        let mut clients: Vec<_> = (0..2).map(|_| rig.downstream()).collect();
        clients.push(rig.narrow_client());
        rig.feed.send(&mut upstream, 1 << 20);
        leave(&upstream);
        for client in &mut clients {
            assert_eq!(client.take_rest(), Ending::Orderly);
            assert_eq!(client.at, rig.feed.at);
        }
    }
}

/// With a login that is longer than what one write takes, at each of several upstreams.
#[test]
fn each_upstream_gets_the_whole_greeting() {
    let scratch = crate::common::scratch::Scratch::new();
    let path = scratch.at("login");
    std::fs::write(&path, crate::common::feed::pattern(0, 60_000)).unwrap();
    let mut places = [Place::narrow(), Place::narrow()];
    places.iter_mut().for_each(Place::open);
    let line = format!(
        "{},{} 0 --retry 10ms --idle-timeout 1h --upstream-send {path}",
        places[0].at, places[1].at
    );
    let hydrant = hydrant(&line).start();
    let mut client = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let mut feed = Feed::default();
    for round in 0..4 {
        let mut upstream = Taker::new(places[round % 2].accept(), 0);
        upstream.take(60_000);
        feed.send(&mut upstream.stream, 1000);
        client.take(1000);
        leave(&upstream.stream);
    }
}
