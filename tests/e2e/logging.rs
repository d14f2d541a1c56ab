//! The log: nobody who reads it, or does not, has a hold over the relay.

use std::fs;
use std::io;

use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, leave};
use crate::common::scratch::Scratch;
use crate::rig::Rig;

/// With every event in the log, a pipe is full in no time.
#[test]
fn a_full_stderr_that_nobody_reads_stalls_nothing() {
    let (_nobody_reads, stderr) = io::pipe().unwrap();
    silently(stderr, r#"exec "$0" "$@""#, "-vv");
}

#[test]
fn a_closed_stderr_ends_nothing() {
    let (reader, stderr) = io::pipe().unwrap();
    drop(reader);
    silently(stderr, r#"exec "$0" "$@""#, "-vv");
}

#[test]
fn no_stderr_at_all_ends_nothing() {
    silently(io::pipe().unwrap().1, r#"exec "$0" "$@" 2>&-"#, "-vv");
}

/// Takes a feed through a relay whose log nobody can read, and ends it.
fn silently(stderr: io::PipeWriter, script: &'static str, flags: &str) {
    let (mut source, mut sink) = (Place::opened(), Place::opened());
    let line = format!(
        "{} {} --mode connect-connect --retry 20ms {flags}",
        source.at, sink.at
    );
    let mut hydrant = hydrant(&line).stderr(stderr).shell(script).start();
    let mut upstream = source.accept();
    let mut taker = Taker::new(sink.accept(), 0);
    let mut feed = Feed::default();
    for round in 1..=3000 {
        feed.send(&mut upstream, 100);
        taker.take(100);
        if round % 1000 == 0 {
            leave(&upstream);
            upstream = source.accept();
        }
    }
    feed.send(&mut upstream, 3_000_000);
    taker.take(3_000_000);
    hydrant.signal("TERM");
    assert_eq!(taker.take_rest(), Ending::Orderly);
    assert_eq!(hydrant.wait_exit(), 0);
}

#[test]
fn a_log_file_is_reopened_on_sighup() {
    let scratch = Scratch::new();
    let (log, old) = (scratch.at("log"), scratch.at("log.1"));
    let (mut source, mut sink) = (Place::opened(), Place::opened());
    let line = format!(
        "{} {} --mode connect-connect --log-file {log}",
        source.at, sink.at
    );
    let mut hydrant = hydrant(&line).start();
    let mut upstream = source.accept();
    let mut taker = Taker::new(sink.accept(), 0);
    let mut feed = Feed::default();
    feed.send(&mut upstream, 1000);
    taker.take(1000);
    fs::rename(&log, &old).unwrap();
    hydrant.signal("HUP");
    // By the time when these have arrived, it has dealt with the signal.
    for _ in 0..10 {
        feed.send(&mut upstream, 1000);
        taker.take(1000);
    }
    hydrant.signal("TERM");
    assert_eq!(taker.take_rest(), Ending::Orderly);
    assert_eq!(hydrant.wait_exit(), 0);
    let [log, old] = [&log, &old].map(|path| fs::read_to_string(path).unwrap());
    assert!(
        old.contains("upstream ") && old.contains(" connected"),
        "{old}"
    );
    assert!(!old.contains("stopped by"), "{old}");
    assert!(
        log.contains("relay: stopped by SIGTERM: 1 client drained"),
        "{log}"
    );
    assert!(!log.contains(" connected"), "{log}");
    assert_eq!(hydrant.log(), [""; 0], "stderr is not the log's place");
}

/// The system kills who writes beyond the limit for files (`ulimit -f`), unless told that it can bear the error.
#[test]
fn a_log_file_at_the_limit_for_files_ends_nothing() {
    let scratch = Scratch::new();
    let (log, full) = (scratch.at("log"), vec![b'x'; 2048]);
    fs::write(&log, &full).unwrap();
    silently(
        io::pipe().unwrap().1,
        r#"ulimit -f 1; exec "$0" "$@""#,
        &format!("-vv --log-file {log}"),
    );
    assert!(fs::read(&log).unwrap() == full);
}

#[test]
fn a_log_file_keeps_what_was_in_it() {
    let scratch = Scratch::new();
    let log = scratch.at("log");
    fs::write(&log, "an earlier run\n").unwrap();
    let file = format!("- - --log-file {log} --name sports");
    let mut hydrant = hydrant(&file).start();
    assert_eq!(hydrant.wait_exit(), 0);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "an earlier run");
    assert!(lines[1].contains(" [INFO] relay[sports]: "), "{text}");
    let last = lines.last().unwrap();
    assert!(last.contains("relay[sports]: source ended: "), "{text}");
}

#[test]
fn lines_have_the_time_and_the_name() {
    let hydrant = hydrant("0 0 --mode listen-listen --name sports").start();
    let line = hydrant.wait_log("for clients");
    let (time, rest) = line.split_once(' ').unwrap();
    // "2026-01-01T12:00:00.123Z"
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    assert!(rest.starts_with("[INFO] relay[sports]: listening on 127.0.0.1:"));
}

#[test]
fn quiet_says_only_what_is_wrong() {
    let mut hydrant = hydrant("- - -q").start();
    assert_eq!(hydrant.wait_exit(), 0);
    assert_eq!(hydrant.log(), [""; 0]);
}

#[test]
fn stats_off_a_terminal_are_log_lines() {
    let mut place = Place::opened();
    let line = format!(
        "{} 127.0.0.1:0 --stats --stats-interval 100ms --name sports",
        place.at
    );
    let hydrant = hydrant(&line).start();
    let mut upstream = place.accept();
    let mut taker = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.wait_log(" | 1 client | ");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
    let line = hydrant.wait_logs(&["last byte ", " | 1 client | "]);
    assert!(line.contains("[INFO] sports UP "), "{line}");
    assert!(
        line.contains(" | in ") && line.contains(" | out "),
        "{line}"
    );
    assert!(line.contains(" | no lag | drops 0"), "{line}");
    leave(&upstream);
    place.close();
    hydrant.wait_log("[INFO] sports DOWN ");
}

#[test]
fn a_flood_of_clients_is_no_flood_of_lines() {
    let rig = Rig::new("connect-listen");
    let at = rig.clients_at();
    // All at once, from where the relay stands.
    rig.hydrant.signal("STOP");
    let crowd: Vec<_> = (0..300).map(|_| connect(at)).collect();
    rig.hydrant.signal("CONT");
    rig.hydrant.report_until("| 300 clients | ");
    rig.hydrant.wait_log(" more clients connected");
    let said = rig.hydrant.log();
    let said = said.iter().filter(|line| line.contains("] relay: client "));
    assert!(said.count() < 150);
    drop(crowd);
}
