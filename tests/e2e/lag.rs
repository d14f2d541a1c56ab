//! How far clients are behind, what waits in the kernel included, and what is done about it: dropped, or let to skip.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use hydrant::base::units::Bytes;

use crate::common::feed::Ending;
use crate::common::hydrant::Hydrant;
use crate::common::records::{Kind, Reader};
use crate::dead::lets_pass;
use crate::records::rig;
use crate::rig::Rig;

/// Some of it in the kernels, the rest of it nowhere: the ring is far from being full.
const LITTLE: usize = 400 << 10;

#[test]
fn the_lag_counts_what_waits_in_the_kernel() {
    let mut rig = Rig::with("connect-listen", "--stats --stats-interval 200ms");
    let mut upstream = rig.upstream();
    let mut other = rig.downstream();
    let mut frozen = rig.narrow_client();
    let who = frozen.stream.local_addr().unwrap();
    rig.feed.send(&mut upstream, LITTLE);
    other.take(LITTLE);
    rig.hydrant.report_until(&format!("iB {who} | drops 0"));
    rig.hydrant.wait_log(&format!("iB {who} | drops 0"));
    // It grows while nothing happens.
    let mut last = 0.0;
    for _ in 0..3 {
        last = older_than(&rig.hydrant, last);
    }
    // Once it goes on, it lags no more.
    frozen.take(LITTLE);
    rig.hydrant.report_until("| no lag | drops 0");
}

#[test]
fn a_frozen_client_of_a_slow_feed_is_dropped_by_its_lag() {
    for (flags, reason, behind) in [
        ("--max-lag 1s", "lagging", 1.0),
        ("--max-lag 300ms --ring 64K", "lagging", 0.3),
        ("--max-lag 64K", "lagging", 0.0),
        ("--stall-timeout 700ms", "stalled", 0.7),
        (
            "--stall-timeout 700ms --slow skip --max-lag 100ms",
            "stalled",
            0.7,
        ),
    ] {
        let mut rig = Rig::with("connect-listen", flags);
        let mut upstream = rig.upstream();
        let mut other = rig.downstream();
        let mut frozen = rig.narrow_client();
        let who = frozen.stream.local_addr().unwrap();
        for _ in 0..LITTLE / 20_000 {
            rig.feed.send(&mut upstream, 20_000);
            other.take(20_000);
        }
        let start = format!("[WARN] relay: client {who} dropped: {reason}; ");
        let line = rig.hydrant.wait_log(&start);
        let age = seconds(line.split(&start).nth(1).unwrap());
        assert!(age >= behind, "{flags}: {line}");
        assert_eq!(frozen.take_rest(), Ending::Reset, "{flags}");
        rig.feed.send(&mut upstream, 1000);
        other.take(1000);
        let report = rig.hydrant.report();
        assert!(
            report.contains(&format!("| drops 1 ({reason} 1) | ")),
            "{report}"
        );
    }
}

/// Which of the two it is that holds the upstream back is said.
#[test]
fn an_upstream_that_waits_for_a_lag_to_shrink_says_so() {
    for (flags, why) in [
        ("--max-lag 64K", "behind by --max-lag 64K"),
        ("--max-lag 1h --ring 64K", "ring full"),
    ] {
        let mut rig = Rig::with("connect-listen", &format!("--slow block {flags}"));
        let mut upstream = rig.upstream();
        let frozen = rig.narrow_client();
        let (_, fits) = crate::slow::send_until_held(&mut upstream, &rig.hydrant);
        assert!(!fits, "{flags}");
        let who = frozen.stream.local_addr().unwrap();
        rig.hydrant
            .wait_log(&format!(" s by {who} (--slow block, {why})"));
    }
}

/// What waits in the kernels is a lag too, though the ring is empty: the upstream is held back, and let go when that
/// has been taken.
#[test]
fn an_upstream_waits_for_a_frozen_destination_of_a_slow_feed() {
    for flags in ["--max-lag 1s", "--max-lag 64K"] {
        let mut rig = Rig::with("connect-listen", &format!("--slow block {flags}"));
        let mut upstream = rig.upstream();
        let mut frozen = rig.narrow_client();
        for _ in 0..LITTLE / 20_000 {
            rig.feed.send(&mut upstream, 20_000);
        }
        let who = frozen.stream.local_addr().unwrap();
        let why = flags.trim_start_matches("--");
        rig.hydrant
            .wait_log(&format!(" s by {who} (--slow block, behind by --{why})"));
        frozen.take(LITTLE / 20_000 * 20_000);
        rig.feed.send(&mut upstream, 1_000_000);
        frozen.take(1_000_000);
    }
}

/// Nobody is dropped who keeps taking bytes, however old they are, by `--stall-timeout`.
#[test]
fn a_client_that_keeps_taking_is_not_stalled() {
    let mut rig = Rig::with("connect-listen", "--stall-timeout 4s");
    let mut upstream = rig.upstream();
    let mut slow = rig.narrow_client();
    let started = std::time::Instant::now();
    rig.feed.send(&mut upstream, 8 << 20);
    // Less than the relay's own kernel holds is taken until the time is over twice: each time as much as has ours say
    // that there is room again, so that it does not matter how often that is.
    while started.elapsed().as_secs() < 8 && slow.at < 4 << 20 {
        slow.take(32 << 10);
        lets_pass(Duration::from_millis(100), &mut upstream, &rig);
    }
    slow.take((8 << 20) - slow.at as usize);
    assert!(!rig.hydrant.has_logged("dropped"));
}

/// The rest of the record that it has begun, and then the newest one: by what the ring would overtake, and by lag.
#[test]
fn a_client_that_goes_on_skips_to_the_newest_record() {
    for kind in Kind::ALL {
        let mut rig = rig(
            kind,
            "connect-listen",
            "--slow skip --ring 64K --record-max 1K",
        );
        let mut upstream = rig.upstream();
        let mut other = rig.reader(kind);
        let mut frozen = Reader::new(kind, rig.narrow_client().stream);
        let who = frozen.stream.local_addr().unwrap();
        let mut sent = 0_u64;
        let said = format!("[WARN] relay: client {who} skipped ");
        while !rig.hydrant.has_logged(&said) || !sent.is_multiple_of(50_000) {
            assert!(sent < 2_000_000, "it never skipped");
            upstream.write_all(&kind.records(sent..sent + 100)).unwrap();
            other.take(sent..sent + 100);
            sent += 100;
        }
        let line = rig.hydrant.wait_log(&said);
        assert!(line.contains(" behind (--slow skip)"), "{line}");
        let skipped = gaps(kind, &mut frozen, sent);
        assert!(skipped > 0, "{kind:?}");
        let report = rig.hydrant.report();
        let expected = format!("| skipped {} | ", Bytes(skipped));
        assert!(report.contains(&expected), "{expected}: {report}");
        assert!(report.contains("| drops 0 | "), "{report}");
        // From now on nobody is behind.
        upstream.write_all(&kind.records(sent..sent + 10)).unwrap();
        for reader in [&mut frozen, &mut other] {
            reader.take(sent..sent + 10);
        }
    }
}

#[test]
fn by_lag_a_client_skips_what_waits_in_the_ring() {
    let kind = Kind::Market;
    let mut rig = rig(kind, "connect-listen", "--slow skip --max-lag 256K");
    let mut upstream = rig.upstream();
    let mut other = rig.reader(kind);
    let mut frozen = Reader::new(kind, rig.narrow_client().stream);
    let mut sent = 0_u64;
    while !rig.hydrant.has_logged(" skipped ") {
        assert!(sent < 10_000_000, "it never skipped");
        upstream
            .write_all(&kind.records(sent..sent + 1000))
            .unwrap();
        other.take(sent..sent + 1000);
        sent += 1000;
    }
    let skipped = gaps(kind, &mut frozen, sent);
    let report = rig.hydrant.report();
    assert!(
        report.contains(&format!("| skipped {} | ", Bytes(skipped))),
        "{report}"
    );
    assert!(!rig.hydrant.has_logged(" skipped 0 B"));
}

/// Reads up to the record before `end`. How many bytes of records were left out on the way.
#[track_caller]
fn gaps(kind: Kind, reader: &mut Reader<TcpStream>, end: u64) -> u64 {
    let (mut expected, mut skipped) = (0, 0);
    while expected < end {
        let number = reader.next().expect("the feed goes on");
        assert!(number >= expected, "{number} after {expected}");
        skipped += kind.records(expected..number).len() as u64;
        expected = number + 1;
    }
    skipped
}

/// Asks until the worst lag is longer than `age`, in seconds.
#[track_caller]
fn older_than(hydrant: &Hydrant, age: f64) -> f64 {
    loop {
        let report = hydrant.report();
        let (_, worst) = report
            .split_once("| worst lag ")
            .unwrap_or_else(|| panic!("{report}"));
        let now = seconds(worst);
        if now > age + 0.5 {
            return now;
        }
    }
}

/// "0.06 ms ...", "8.2 s ..." or "8.2 s, ...".
fn seconds(text: &str) -> f64 {
    let mut words = text.split([' ', ',']);
    let number: f64 = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("{text:?}"));
    match words.next() {
        Some("ms") => number / 1000.0,
        Some("s") => number,
        _ => panic!("{text:?}"),
    }
}
