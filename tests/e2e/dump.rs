//! `--dump`: the payload for eyes, which never slows the feed.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::common::feed::{Feed, Taker, pattern};
use crate::common::hydrant::{Hydrant, hydrant, read_all};
use crate::common::peers::{Place, connect};
use crate::common::within;

/// What is dumped of these bytes, until the relay is stopped.
fn dumped(flags: &str, bytes: &[u8]) -> Vec<u8> {
    let mut place = Place::opened();
    let mut hydrant = hydrant(&format!("{} 127.0.0.1:0 {flags}", place.at)).start();
    let mut upstream = place.accept();
    let mut client = connect(hydrant.address_of("clients"));
    hydrant.report_until("| 1 client | ");
    upstream.write_all(bytes).unwrap();
    let mut got = vec![0; bytes.len()];
    client.read_exact(&mut got).unwrap();
    assert!(got == bytes, "what clients get is never changed");
    hydrant.signal("TERM");
    let stdout = hydrant.stdout();
    let shown = within("reading stdout", move || read_all(stdout));
    assert_eq!(hydrant.wait_exit(), 0);
    shown
}

#[test]
fn text_keeps_utf8_and_escapes_the_rest() {
    let bytes = b"Z\xc3\xbcrich\tlap 12\nbell \x07, not UTF-8 \xff\xfe, cut short \xe2\x82";
    let shown = "Z\u{fc}rich\tlap 12\nbell \\x07, not UTF-8 \\xff\\xfe, cut short \\xe2\\x82";
    for flags in ["--dump", "--dump --dump-format text"] {
        assert_eq!(String::from_utf8(dumped(flags, bytes)).unwrap(), shown);
    }
}

#[test]
fn hex_shows_offset_bytes_and_letters() {
    let shown = dumped("--dump --dump-format hex", b"0123456789abcdefhello\0\n");
    let expected = "\
00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
00000010  68 65 6c 6c 6f 00 0a                              |hello..|
";
    assert_eq!(String::from_utf8(shown).unwrap(), expected);
}

/// The last line of hex is shorter than the others, so it is written when the source has ended. Nobody reads stdout
/// until then, and more waits there than a pipe holds: the relay may not end before it is read.
#[test]
fn the_source_s_end_waits_for_the_last_line() {
    let bytes = pattern(0, 40_001);
    let line = "- 127.0.0.1:0 --wait-clients 0 --drain 30s --dump --dump-format hex";
    let mut hydrant = hydrant(line).stdin(Stdio::piped()).start();
    hydrant.address_of("clients");
    hydrant.stdin().write_all(&bytes).unwrap();
    hydrant.report_until("ENDING");
    let stdout = hydrant.stdout();
    let shown = within("reading stdout", move || read_all(stdout));
    assert_eq!(hydrant.wait_exit(), 0);
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!(shown.lines().count(), bytes.len().div_ceil(16));
    assert!(shown.lines().last().unwrap().starts_with("00009c40  "));
}

#[test]
fn raw_is_the_stream_itself() {
    let bytes = pattern(0, 60_000);
    assert!(dumped("--dump --dump-format raw", &bytes) == bytes);
}

/// A relay with a dump, its feed and one client that is there.
struct Dumping {
    hydrant: Hydrant,
    upstream: std::net::TcpStream,
    client: Taker<std::net::TcpStream>,
    feed: Feed,
}

impl Dumping {
    fn start(flags: &str) -> Self {
        let mut place = Place::opened();
        let hydrant = hydrant(&format!("{} 127.0.0.1:0 {flags}", place.at)).start();
        let upstream = place.accept();
        let client = Taker::new(connect(hydrant.address_of("clients")), 0);
        hydrant.report_until("| 1 client | ");
        Self {
            hydrant,
            upstream,
            client,
            feed: Feed::default(),
        }
    }

    fn flow(&mut self, bytes: usize) {
        self.feed.send(&mut self.upstream, bytes);
        self.client.take(bytes);
    }
}

/// One more slow reader: it skips, and slows nobody.
#[test]
fn a_full_pipe_that_nobody_reads_slows_nobody() {
    for format in ["text", "hex", "raw"] {
        let mut dumping = Dumping::start(&format!(
            "--ring 256K --dump --dump-format {format} --drain 1ms"
        ));
        // Far more than the pipe and the ring hold.
        for _ in 0..160 {
            dumping.flow(100_000);
        }
        let report = dumping.hydrant.report();
        assert!(report.contains("| 1 client | "), "{report}");
        dumping.hydrant.signal("TERM");
        assert_eq!(dumping.hydrant.wait_exit(), 0);
    }
}

/// What the reader of a dump that skipped gets is pieces of the stream, with the gaps told in between.
#[test]
fn what_was_skipped_is_told_where_it_is_missing() {
    let mut dumping = Dumping::start("--ring 256K --dump --dump-format hex --drain 1h");
    for _ in 0..160 {
        dumping.flow(100_000);
    }
    let stdout = dumping.hydrant.stdout();
    dumping.hydrant.signal("TERM");
    let shown = within("reading stdout", move || read_all(stdout));
    assert_eq!(dumping.hydrant.wait_exit(), 0);
    let line = dumping.hydrant.wait_log("[WARN] relay: the dump skipped ");
    assert!(line.ends_with(": stdout is slower than the feed"), "{line}");
    let shown = String::from_utf8(shown).expect("hex is text");
    let (mut at, mut gaps) = (0, 0);
    for line in shown.lines().filter(|line| !line.is_empty()) {
        if let Some(gap) = line.strip_prefix('[') {
            let gap = gap.strip_suffix(" bytes skipped]").expect(line);
            at += gap.parse::<u64>().expect(line);
            gaps += 1;
            continue;
        }
        let (offset, rest) = line.split_once("  ").expect(line);
        assert_eq!(u64::from_str_radix(offset, 16).expect(line), at);
        let (bytes, _) = rest.split_once("  |").expect(line);
        let bytes: Vec<u8> = bytes
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).expect(line))
            .collect();
        assert_eq!(bytes, pattern(at, bytes.len()));
        at += bytes.len() as u64;
    }
    assert!(gaps > 0, "nothing was skipped");
    assert_eq!(at, dumping.feed.at, "the end is missing");
}

#[test]
fn a_closed_pipe_ends_the_dump_and_nothing_else() {
    let mut dumping = Dumping::start("--dump");
    drop(dumping.hydrant.stdout());
    for _ in 0..50 {
        dumping.flow(100_000);
    }
    dumping
        .hydrant
        .wait_log("stdout is closed; the dump ends, the relay goes on");
    dumping.flow(100_000);
    dumping.hydrant.stop();
}

/// A file that may grow no further is told as a full disk is.
#[test]
fn a_dump_that_can_t_be_written_ends_and_nothing_else() {
    let scratch = crate::common::scratch::Scratch::new();
    let mut place = Place::opened();
    let hydrant = hydrant(&format!("{} 127.0.0.1:0 --dump", place.at))
        .shell(r#"ulimit -f 1; exec "$0" "$@""#)
        .stdout(std::fs::File::create(scratch.at("dump")).unwrap())
        .start();
    let mut upstream = place.accept();
    let mut client = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let mut feed = Feed::default();
    feed.send(&mut upstream, 100_000);
    client.take(100_000);
    let line = hydrant.wait_log("the dump ends, the relay goes on");
    assert!(line.contains("[WARN]"), "{line}");
    assert!(
        line.contains("can't write to stdout: file too large; "),
        "{line}"
    );
    feed.send(&mut upstream, 100_000);
    client.take(100_000);
    hydrant.stop();
}

#[test]
fn a_file_takes_the_whole_dump() {
    let scratch = crate::common::scratch::Scratch::new();
    let path = scratch.at("dump");
    let mut place = Place::opened();
    let mut hydrant = hydrant(&format!(
        "{} 127.0.0.1:0 --dump --dump-format raw",
        place.at
    ))
    .stdout(std::fs::File::create(&path).unwrap())
    .start();
    let mut upstream = place.accept();
    let mut client = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let mut feed = Feed::default();
    feed.send(&mut upstream, 1_000_000);
    client.take(1_000_000);
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
    assert!(std::fs::read(&path).unwrap() == pattern(0, 1_000_000));
}
