//! The four modes, and either side there first, last, gone and back: what arrives is exact and in order.

use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect};
use crate::rig::Rig;

/// Makes a test in each mode of each of these.
macro_rules! in_each_mode {
    ($($test:ident),+ $(,)?) => {
        in_each_mode!(@ connect_listen "connect-listen" $($test),+);
        in_each_mode!(@ listen_connect "listen-connect" $($test),+);
        in_each_mode!(@ connect_connect "connect-connect" $($test),+);
        in_each_mode!(@ listen_listen "listen-listen" $($test),+);
    };
    (@ $module:ident $mode:literal $($test:ident),+) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test($mode);
                }
            )+
        }
    };
}

in_each_mode! {
    upstream_first,
    downstream_first,
    upstream_gone_and_back,
    downstream_gone_and_back,
    both_gone_and_back,
    a_signal_ends_it,
}

fn upstream_first(mode: &str) {
    let mut rig = Rig::new(mode);
    let mut upstream = rig.upstream();
    if rig.waits_for_downstream() {
        // What came before anybody was there waits for the one who is dialled.
        rig.feed.send(&mut upstream, 10_000);
        let mut downstream = rig.downstream();
        downstream.at = 0;
        rig.feed.send(&mut upstream, LENGTH);
        downstream.take(10_000 + LENGTH);
    } else {
        let mut downstream = rig.downstream();
        rig.feed.send(&mut upstream, LENGTH);
        downstream.take(LENGTH);
    }
}

fn downstream_first(mode: &str) {
    let mut rig = Rig::new(mode);
    let mut downstream = rig.downstream();
    let mut upstream = rig.upstream();
    rig.feed.send(&mut upstream, LENGTH);
    downstream.take(LENGTH);
}

fn upstream_gone_and_back(mode: &str) {
    let mut rig = Rig::new(mode);
    let mut upstream = rig.upstream();
    let mut downstream = rig.downstream();
    for _ in 0..3 {
        rig.feed.send(&mut upstream, LENGTH);
        rig.upstream_goes(upstream);
        // The receiver stays, and gets what was sent last too.
        downstream.take(LENGTH);
        upstream = rig.upstream();
    }
    rig.feed.send(&mut upstream, LENGTH);
    downstream.take(LENGTH);
}

fn downstream_gone_and_back(mode: &str) {
    let mut rig = Rig::new(mode);
    let mut downstream = rig.downstream();
    let mut upstream = rig.upstream();
    for _ in 0..3 {
        rig.feed.send(&mut upstream, LENGTH);
        downstream.take(LENGTH);
        rig.downstream_goes(downstream);
        let away = rig.feed.at;
        if rig.waits_for_downstream() {
            rig.feed.send(&mut upstream, 10_000);
        }
        downstream = rig.downstream();
        downstream.at = away;
        downstream.take((rig.feed.at - away) as usize);
    }
    rig.feed.send(&mut upstream, LENGTH);
    downstream.take(LENGTH);
}

fn both_gone_and_back(mode: &str) {
    let mut rig = Rig::new(mode);
    for downstream_returns_first in [true, false, true, false] {
        let (mut upstream, mut downstream);
        if downstream_returns_first {
            downstream = rig.downstream();
            upstream = rig.upstream();
        } else {
            upstream = rig.upstream();
            downstream = rig.downstream();
        }
        rig.feed.send(&mut upstream, LENGTH);
        downstream.take(LENGTH);
        rig.upstream_goes(upstream);
        rig.downstream_goes(downstream);
    }
}

fn a_signal_ends_it(mode: &str) {
    let mut rig = Rig::with(mode, "--drain 1h");
    let mut downstream = rig.downstream();
    let mut upstream = rig.upstream();
    rig.feed.send(&mut upstream, LENGTH);
    downstream.take(1000);
    rig.hydrant.signal("INT");
    // A signal stops the reading: what is still on its way from the upstream is not the relay's yet.
    assert_eq!(downstream.take_rest(), Ending::Orderly);
    assert_eq!(rig.hydrant.wait_exit(), 0);
    let last = rig.hydrant.wait_log("stopped by SIGINT");
    assert!(last.contains(": 1 client drained, 0 cut; up "), "{last}");
}

/// Nobody waits for anybody: with the one side never there, the other is connected and lost as it likes.
#[test]
fn either_side_reconnects_while_the_other_is_away() {
    let mut rig = Rig::new("connect-connect");
    for _ in 0..5 {
        let upstream = rig.upstream();
        rig.upstream_goes(upstream);
    }
    let mut rig = Rig::new("connect-connect");
    for _ in 0..5 {
        let downstream = rig.downstream();
        rig.downstream_goes(downstream);
    }
}

/// An upstream that is lost by a reset: all that has come of it counts, and its receivers stay.
#[test]
fn an_upstream_that_resets_is_lost_as_others_are() {
    let mut rig = Rig::new("connect-listen");
    let mut downstream = rig.downstream();
    for round in 0..3 {
        let mut upstream = rig.upstream();
        rig.feed.send(&mut upstream, LENGTH);
        downstream.take(LENGTH);
        rig.upstream_resets(upstream);
        if round == 0 {
            let line = rig
                .hydrant
                .wait_log(" lost (connection reset by peer) after ");
            assert!(line.ends_with(", 1 client stays"), "{line}");
        }
    }
}

/// A receiver that closes as programs do, rather than by a reset, looks like one that has half-closed; the first byte
/// shows that it is gone.
#[test]
fn a_receiver_that_closes_is_noticed_at_the_next_byte() {
    for mode in ["connect-listen", "connect-connect"] {
        let mut rig = Rig::new(mode);
        let downstream = rig.downstream();
        let mut upstream = rig.upstream();
        let us = downstream.stream.local_addr().expect("it is connected");
        drop(downstream);
        rig.feed.send(&mut upstream, 1);
        rig.hydrant.wait_log(&format!("{us} left"));
    }
}

/// The command lines of the relay that this one replaces, with ports that are free.
#[test]
fn the_seeds_examples_work_word_for_word() {
    let (mut source, mut sink) = (Place::opened(), Place::opened());
    let examples = [
        format!("{} 0.0.0.0:0 --mode connect-listen", source.at),
        format!("0.0.0.0:0 {} --mode listen-connect", sink.at),
        format!("{} {} --mode connect-connect", source.at, sink.at),
        "0.0.0.0:0 0.0.0.0:0 --mode listen-listen".to_owned(),
    ];
    for line in examples {
        let hydrant = hydrant(&line).start();
        let (listens_up, listens_down) = (line.starts_with('0'), line.contains(" 0.0.0.0:0"));
        let mut upstream = match listens_up {
            true => connect(hydrant.address_of("the upstream")),
            false => source.accept(),
        };
        let downstream = match listens_down {
            true => connect(hydrant.address_of("clients")),
            false => sink.accept(),
        };
        let us = downstream.local_addr().expect("it is connected");
        hydrant.wait_log(&format!("{us} connected"));
        let mut feed = Feed::default();
        feed.send(&mut upstream, LENGTH);
        let mut taker = Taker::new(downstream, 0);
        taker.take(LENGTH);
        hydrant.stop();
        assert_eq!(taker.take_rest(), Ending::Orderly, "{line}");
    }
}

/// More than one read of the relay takes, and no round number.
const LENGTH: usize = 700_001;
