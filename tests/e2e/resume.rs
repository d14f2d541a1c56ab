//! A dialled destination that is lost with bytes under way, and comes back: by default every record arrives in one of
//! its lives, as far as its kernel has acknowledged them.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread;

use crate::common::feed::{Feed, Taker, pattern};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, leave, reset, vanish};
use crate::common::records::Kind;
use crate::rig::Rig;

/// What each life of a destination received, all of which its kernel had.
struct Lives {
    place: Place,
    lives: Vec<Vec<u8>>,
}

impl Lives {
    fn new() -> Self {
        Self {
            place: Place::narrow(),
            lives: Vec::new(),
        }
    }

    /// Takes so many bytes, at least; and then all that its kernel has acknowledged, while megabytes may wait at the
    /// other end; and then resets.
    #[track_caller]
    fn live(&mut self, len: usize) {
        let mut stream = self.place.accept();
        let mut got = vec![0; len];
        stream.read_exact(&mut got).expect("there is so much of it");
        // What comes from now on is not acknowledged, and reading makes no room for more of it.
        vanish(&stream);
        got.extend(rest_of_kernel(&mut stream));
        self.lives.push(got);
        reset(stream);
    }

    /// The last life gets everything there is, up to an end.
    #[track_caller]
    fn last(&mut self) {
        let mut got = Vec::new();
        self.place
            .accept()
            .read_to_end(&mut got)
            .expect("an orderly end");
        self.lives.push(got);
    }
}

#[track_caller]
fn rest_of_kernel(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    stream.set_nonblocking(true).unwrap();
    match stream.read_to_end(&mut got) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => got,
        other => panic!("the relay is still connected, not {other:?}"),
    }
}

/// A relay from us to such a destination, and its upstream.
fn relay(lives: &Lives, flags: &str) -> (Hydrant, TcpStream) {
    let mut place = Place::opened();
    let line = format!(
        "{} {} --mode connect-connect --retry 20ms --upstream-loss exit {flags}",
        place.at, lives.place.at
    );
    let hydrant = hydrant(&line).start();
    let upstream = place.accept();
    (hydrant, upstream)
}

/// Sends from a thread, since the relay holds the upstream back, and then ends.
fn send(mut upstream: TcpStream, bytes: Vec<u8>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        std::io::Write::write_all(&mut upstream, &bytes).expect("the relay takes it");
    })
}

#[test]
fn every_record_arrives_in_one_of_its_lives() {
    for (kind, flags) in [
        (Kind::Nmea, ""),
        (Kind::Nmea, "--ring 64K --record-max 1K"),
        (Kind::Market, "--ring 256K --record-max 4K"),
        (Kind::MpegTs, "--ring 1M --record-max 4K"),
        (Kind::MpegTs, ""),
    ] {
        let mut lives = Lives::new();
        let (mut hydrant, upstream) =
            relay(&lives, &format!("--framing {} {flags}", kind.framing()));
        let count = 12 * 1024 * 1024 / kind.records(0..1000).len() as u64 * 1000;
        let sender = send(upstream, kind.records(0..count));
        for len in [1, 10_000, 3_000_000, 77_777, 5_000_000, 1_000_001] {
            lives.live(len);
        }
        lives.last();
        sender.join().expect("everything is sent");
        assert_eq!(hydrant.wait_exit(), 0);
        let seen = whole_records(kind, &lives.lives);
        let missing = (0..count).find(|number| !seen[*number as usize]);
        assert_eq!(missing, None, "{kind:?} {flags}");
    }
}

/// The source has ended, and all that is left of it is in the kernel: a destination that is lost now gets it again all
/// the same, whatever `--drain` says.
#[test]
fn the_end_of_the_source_is_no_end_for_what_was_not_acknowledged() {
    let mut lives = Lives::new();
    let line = format!("- connect:{} --retry 20ms --drain 1ms", lives.place.at);
    let mut hydrant = hydrant(&line).stdin(std::process::Stdio::piped()).start();
    let whole: Vec<u8> = (0..1 << 17_u64)
        .flat_map(|word: u64| word.to_be_bytes())
        .collect();
    let mut stdin = hydrant.stdin();
    std::io::Write::write_all(&mut stdin, &whole).expect("the relay takes it");
    drop(stdin);
    for len in [1, 1000, 10_000] {
        lives.live(len);
    }
    lives.last();
    assert_eq!(hydrant.wait_exit(), 0);
    let mut end = 0;
    for life in &lives.lives {
        let begin = place_of(life);
        assert!(begin <= end, "what lies between {end} and {begin} is lost");
        assert!(whole[begin..].starts_with(life), "torn at {begin}");
        end = begin + life.len();
    }
    assert_eq!(end, whole.len());
    hydrant.wait_log("source ended: 1 client drained, 0 cut; up ");
}

/// Which of the records arrived whole. Each life begins with a record, and has them in order.
#[track_caller]
fn whole_records(kind: Kind, lives: &[Vec<u8>]) -> Vec<bool> {
    let mut seen = Vec::new();
    let mut end = 0;
    for (life, bytes) in lives.iter().enumerate() {
        let numbers = kind.numbers(bytes);
        let Some(first) = numbers.first() else {
            continue;
        };
        assert!(
            *first <= end,
            "life {life} begins with {first}, and {end} was next"
        );
        assert!(
            numbers.is_sorted_by(|a, b| a + 1 == *b),
            "life {life} is not in order"
        );
        end = first + numbers.len() as u64;
        seen.resize(seen.len().max(end as usize), false);
        seen[*first as usize..end as usize].fill(true);
    }
    seen
}

/// The same of a raw stream, byte by byte. By what was written, nothing comes twice, and what the relay's kernel held
/// is lost.
#[test]
fn every_byte_arrives_in_one_of_its_lives() {
    for (flags, all) in [
        ("", true),
        ("--ring 64K", true),
        ("--resume written", false),
    ] {
        let mut lives = Lives::new();
        let (mut hydrant, upstream) = relay(&lives, flags);
        let whole: Vec<u8> = (0..LEN as u64 / 8).flat_map(u64::to_be_bytes).collect();
        let sender = send(upstream, whole.clone());
        for len in [1, 10_000, 3_000_000, 77_777, 5_000_000, 1_000_001] {
            lives.live(len);
        }
        lives.last();
        sender.join().expect("everything is sent");
        assert_eq!(hydrant.wait_exit(), 0);
        let (mut end, mut lost) = (0, 0);
        for life in &lives.lives {
            let begin = place_of(life);
            assert!(whole[begin..].starts_with(life), "torn at {begin}");
            assert!(all || begin >= end, "{begin} comes again before {end}");
            lost += begin.saturating_sub(end);
            end = begin + life.len();
        }
        assert_eq!(end, LEN);
        assert_eq!(lost == 0, all, "{flags}: {lost} bytes lost");
    }
}

/// Where a life's bytes stand in a stream in which each eight of them say so.
fn place_of(life: &[u8]) -> usize {
    let fits = |shift: &usize| {
        let word = |at: usize| u64::from_be_bytes(life[at + shift..][..8].try_into().unwrap());
        word(0) < LEN as u64 / 8 && word(8) == word(0) + 1
    };
    let shift = (0..8).find(fits).expect("it is of this stream");
    let word = u64::from_be_bytes(life[shift..][..8].try_into().unwrap());
    word as usize * 8 - shift
}

/// More than seven times what a kernel holds.
const LEN: usize = 64 << 20;

/// Whoever comes back gets what is new, and nothing of what came while nobody was there.
#[test]
fn live_resumes_at_the_newest() {
    for (kind, flags) in [(Kind::Nmea, "--resume live"), (Kind::Market, "--slow drop")] {
        let mut server = Place::opened();
        let mut place = Place::opened();
        let line = format!(
            "{} {} --mode connect-connect --retry 20ms --framing {} {flags}",
            place.at,
            server.at,
            kind.framing()
        );
        let hydrant = hydrant(&line).start();
        let mut upstream = place.accept();
        let mut reader = crate::common::records::Reader::new(kind, server.accept());
        hydrant.wait_log(&format!("downstream {} connected", server.at));
        let mut write = |numbers: std::ops::Range<u64>| {
            std::io::Write::write_all(&mut upstream, &kind.records(numbers)).unwrap();
        };
        write(0..100);
        reader.take(0..100);
        server.close();
        reset(reader.stream);
        hydrant.wait_log(&format!("downstream {} left", server.at));
        write(100..200);
        let len = kind.records(0..200).len() as u64;
        let all = hydrant::base::units::Bytes(len);
        hydrant.report_until(&format!("in all {all} in"));
        let mut reader = crate::common::records::Reader::new(kind, server.accept());
        hydrant.wait_log(&format!("downstream {} connected", server.at));
        write(200..300);
        reader.take(200..300);
    }
}

/// What came while nobody was there waits, in the ring and with the upstream.
#[test]
fn what_comes_while_nobody_is_there_waits() {
    let mut server = Place::opened();
    let mut place = Place::opened();
    let line = format!(
        "{} {} --mode connect-connect --retry 20ms",
        place.at, server.at
    );
    let hydrant = hydrant(&line).start();
    let mut upstream = place.accept();
    let mut feed = Feed::default();
    for round in 0..5 {
        let mut taker = Taker::new(server.accept(), feed.at);
        feed.send(&mut upstream, 10_000);
        taker.take(10_000);
        hydrant.wait_log(&format!("downstream {} connected", server.at));
        // All of it is acknowledged, so none of it comes again.
        server.close();
        reset(taker.stream);
        hydrant.wait_log(&format!("downstream {} left", server.at));
        if round % 2 == 0 {
            let from = feed.at;
            feed.send(&mut upstream, 500_000);
            let mut taker = Taker::new(server.accept(), from);
            taker.take(500_000);
            hydrant.wait_log(&format!("downstream {} connected", server.at));
            server.close();
            reset(taker.stream);
            hydrant.wait_log(&format!("downstream {} left", server.at));
        }
    }
}

/// What was still in the ring when a dialled destination was lost is there for it when it is back.
#[test]
fn a_dialled_destination_goes_on_where_it_was_cut_off() {
    let mut rig = Rig::with("connect-connect", "--drain 1h");
    let mut upstream = rig.upstream();
    let lost = rig.downstream();
    // Less than the ring holds, and more than kernels do.
    rig.feed.send(&mut upstream, 14 << 20);
    rig.hydrant.report_until("in all 14.0 MiB in");
    rig.downstream_goes(lost);
    let mut back = rig.downstream();
    rig.hydrant.signal("TERM");
    // What the kernels had taken may be lost with the connection. The rest is not, and nothing of it is missing.
    let mut rest = Vec::new();
    back.stream.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty() && rest.len() as u64 <= rig.feed.at);
    let from = rig.feed.at - rest.len() as u64;
    assert!(rest == pattern(from, rest.len()));
    assert_eq!(rig.hydrant.wait_exit(), 0);
}

/// A server that is started anew between two messages: the one that finds out that it had gone is not lost with it.
#[test]
fn a_dialled_destination_that_had_closed_misses_nothing() {
    let mut rig = Rig::new("connect-connect");
    let mut upstream = rig.upstream();
    let mut downstream = rig.downstream();
    for _ in 0..5 {
        rig.feed.send(&mut upstream, 1000);
        downstream.take(1000);
        // As a program closes that has read everything.
        leave(&downstream.stream);
        let at = downstream.at;
        rig.feed.send(&mut upstream, 1000);
        downstream = rig.downstream();
        downstream.at = at;
        downstream.take(1000);
    }
}
