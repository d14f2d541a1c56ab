//! `--backlog`: a newcomer gets the latest records first, from the beginning of one, and then the live stream, with no
//! gap and no repeat where they meet.

use std::io::Write;

use crate::common::peers::{connect, leave};
use crate::common::records::{Kind, Reader};
use crate::records::{Flow, join_at_random, rig};
use crate::rig::Rig;

#[test]
fn a_newcomer_gets_as_many_of_the_latest_records_as_fit() {
    for kind in Kind::ALL {
        let mut rig = rig(kind, "connect-listen", "--backlog 2000");
        let mut upstream = rig.upstream();
        let mut first = rig.reader(kind);
        let mut sent = 0;
        for more in [1, 4, 45, 1, 1, 950] {
            let end = sent + more;
            upstream.write_all(&kind.records(sent..end)).unwrap();
            // What comes after is not whole, and so nobody's yet.
            let unfinished = kind.record(end);
            upstream.write_all(&unfinished[..5]).unwrap();
            first.take(sent..end);
            let mut newcomer = rig.reader(kind);
            newcomer.take(latest(kind, end, 2000)..end);
            upstream.write_all(&unfinished[5..]).unwrap();
            first.take([end]);
            newcomer.take([end]);
            sent = end + 1;
        }
    }
}

#[test]
fn a_raw_stream_has_a_backlog_to_the_byte() {
    let mut rig = Rig::with("connect-listen", "--backlog 10000");
    let mut upstream = rig.upstream();
    let mut first = rig.downstream();
    for len in [1, 9_998, 1, 1, 100_000, 3_000_000] {
        rig.feed.send(&mut upstream, len);
        first.take(len);
        let mut newcomer = rig.downstream();
        newcomer.at = rig.feed.at.saturating_sub(10_000);
        newcomer.take((rig.feed.at - newcomer.at) as usize);
        rig.feed.send(&mut upstream, 100);
        newcomer.take(100);
        first.take(100);
    }
}

#[test]
fn while_the_feed_flows_there_is_no_seam() {
    for kind in Kind::ALL {
        let mut rig = rig(kind, "connect-listen", "--slow block --backlog 64K");
        let flow = Flow::start(kind, 0, rig.upstream());
        join_at_random(kind, rig.clients_at());
        flow.stop(rig.clients_at());
    }
}

/// With a ring that is full of records, and goes round, while newcomers join far behind.
#[test]
fn a_backlog_of_half_the_ring_has_no_seam() {
    let kind = Kind::Market;
    let mut rig = rig(
        kind,
        "connect-listen",
        "--slow block --record-max 1K --ring 64K --backlog 32K",
    );
    let flow = Flow::start(kind, 0, rig.upstream());
    for _ in 0..3 {
        join_at_random(kind, rig.clients_at());
    }
    flow.stop(rig.clients_at());
}

#[test]
fn the_backlog_outlives_the_upstream_and_every_client() {
    let kind = Kind::Nmea;
    let mut rig = rig(kind, "connect-listen", "--backlog 10K");
    let mut upstream = rig.upstream();
    upstream.write_all(&kind.records(0..10)).unwrap();
    upstream.write_all(&kind.record(10)[..7]).unwrap();
    rig.hydrant.report_until("| in all ");
    let len = kind.records(0..10).len() + 7;
    rig.hydrant.report_until(&format!("| in all {len} B in"));
    rig.upstream_goes(upstream);
    rig.hydrant.wait_log(" closed the connection after ");
    let mut alone = rig.reader(kind);
    alone.take(0..10);
    leave(&alone.stream);
    let mut upstream = rig.upstream();
    let mut next = rig.reader(kind);
    next.take(0..10);
    upstream.write_all(&kind.records(500..510)).unwrap();
    next.take(500..510);
    let mut last = Reader::new(kind, connect(rig.clients_at()));
    last.take((0..10).chain(500..510));
}

/// A destination that is dialled gets no backlog: it goes on where it was.
#[test]
fn a_dialled_destination_begins_with_the_first_record() {
    let mut rig = Rig::with("connect-connect", "--slow drop");
    let mut upstream = rig.upstream();
    rig.feed.send(&mut upstream, 1000);
    rig.hydrant.report_until("| in all 1000 B in");
    let mut taker = rig.downstream();
    rig.feed.send(&mut upstream, 1000);
    taker.take(1000);
}

/// The first of the latest records below `end` that fit into so many bytes.
fn latest(kind: Kind, end: u64, bytes: usize) -> u64 {
    let mut left = bytes;
    let mut first = end;
    while first > 0 {
        let len = kind.record(first - 1).len();
        if len > left {
            break;
        }
        left -= len;
        first -= 1;
    }
    first
}
