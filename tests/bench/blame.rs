//! What is not the relay's doing is not laid at its door: a bench that was stopped, a port that somebody else took, a
//! schedule that nobody could keep.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::time::Duration;

use serde_json::Value;

use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::service::until;
use crate::common::within;
use crate::together::relay_to;

/// It is stopped again and again, so that one of the stops at least is where it measures. Its source is silent then.
#[test]
fn a_bench_that_was_stopped_says_so() {
    let line =
        "bench throughput --rate 100 --size 64 --clients 1 --time 200ms --warm-up 50ms --json";
    let why = "hydrant: 1 of 1 runs are void: the bench was stopped for ";
    // We may be kept from stopping it for as long as it measures.
    let object: Value = until("a stop where it measures", || {
        let mut place = Place::opened();
        let mut bench = hydrant(line).arg(relay_to(&place)).start();
        let stdout = bench.stdout();
        let mut from = place.accept();
        let mut messages = [0; 20 * 64];
        while from.read_exact(&mut messages).is_ok() {
            bench.signal("STOP");
            await_silence(&mut from);
            bench.signal("CONT");
        }
        let code = bench.wait_exit();
        let said = bench.log();
        let last = said.last().expect("something is said");
        let is_told = code == 1 && last.starts_with(why);
        is_told.then(|| serde_json::from_reader(stdout).expect("JSON"))
    });
    let void = object["void"].as_str().expect("it is told");
    assert!(void.starts_with("the bench was stopped for "), "{object}");
    assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
}

/// Reads until nothing has come for a while.
fn await_silence(from: &mut TcpStream) {
    let silence = Duration::from_millis(200);
    from.set_read_timeout(Some(silence))
        .expect("it is a socket");
    while from.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
    from.set_read_timeout(None).expect("it is a socket");
}

/// 335 GB/s are more than any machine moves.
#[test]
fn a_schedule_that_nobody_could_keep_is_not_the_relays_fault() {
    let line = "bench latency --clients 1 --rate 20000 --size 16M --time 100ms --warm-up 50ms --tolerate --json";
    let done = hydrant(line).run();
    assert_eq!(done.code, 0, "{done:?}");
    let object: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let void = object["void"].as_str().expect("it is told");
    let expected = "--rate and --size ask for 335544.3 MB/s, and the source could send ";
    assert!(void.starts_with(expected), "{object}");
    assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
    assert_eq!(object["lost_messages"], 0.0, "{object}");
}

/// A relay that finds its port taken, so it says, until it has been started so often.
fn unlucky(starts: u32, note: &str) -> String {
    format!(
        "--relay=sh -c 'echo >>{note}; [ $(wc -l <{note}) = {starts} ] || \
         (echo bind: Address already in use >&2; exit 1) && exec {{hydrant}} {{src}} {{dst}} -q'"
    )
}

#[test]
fn a_relay_whose_port_was_taken_is_started_again_with_another() {
    let folder = Scratch::new();
    let note = folder.at("starts");
    let line = "bench idle --clients 1 --time 100ms --warm-up 50ms --tolerate";
    let done = hydrant(line).arg(unlucky(3, &note)).run();
    assert_eq!(done.code, 0, "{done:?}");
    let said = done.stderr.join("\n");
    assert_eq!(said.matches("another port is tried").count(), 2, "{said}");
}

#[test]
fn a_relay_whose_port_is_always_taken_is_told() {
    let folder = Scratch::new();
    let note = folder.at("starts");
    let line = "bench idle --clients 1 --time 100ms --warm-up 50ms --tolerate";
    let done = hydrant(line).arg(unlucky(9, &note)).run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    let why = "the relay has ended (exit status: 1); its last line: bind: Address already in use";
    assert!(last.ends_with(why), "{last}");
    let starts = fs::read_to_string(note).expect("it was started");
    assert_eq!(starts.lines().count(), 3);
}

/// It says nothing of why it ends, but somebody has its port.
#[test]
fn a_port_that_somebody_has_is_seen_where_the_relay_does_not_say_so() {
    let door = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = door.local_addr().expect("it listens");
    let program = env::current_exe().expect("it runs");
    let relay = format!(
        "--relay=sh -c '{ASKER_ENV}=\"{at} {{src}} {{dst}}\" exec {} --exact blame::plays_a_relay_that_asks'",
        program.display()
    );
    let line = "bench idle --clients 1 --time 100ms --warm-up 50ms --tolerate";
    let mut bench = hydrant(line).arg(relay).start();
    let asked = || {
        let door = door.try_clone().expect("it listens");
        within("a relay that asks", move || {
            let (relay, _) = door.accept().expect("it comes");
            let mut relay = BufReader::new(relay);
            let mut dst = String::new();
            relay.read_line(&mut dst).expect("it says its port");
            (dst.trim_end().to_owned(), relay.into_inner())
        })
    };
    let (lost, mut relay) = asked();
    // Where somebody else was given it meanwhile, that is one who has it, too.
    let _holder = TcpListener::bind(&lost);
    relay.write_all(b"end\n").expect("it waits");
    let (dst, mut relay) = asked();
    assert_ne!(dst, lost);
    relay.write_all(b"run\n").expect("it waits");
    assert_eq!(bench.wait_exit(), 0, "{:?}", bench.log());
}

const ASKER_ENV: &str = "HYDRANT_TEST_PLAYS_ASKER";

/// No test: a relay that asks whether it is to end without a word, or to run.
#[test]
fn plays_a_relay_that_asks() {
    let Ok(orders) = env::var(ASKER_ENV) else {
        return;
    };
    let words: Vec<&str> = orders.split(' ').collect();
    let [at, src, dst] = words[..] else {
        panic!("{orders} are no orders");
    };
    let mut door = TcpStream::connect(at).expect("somebody listens");
    writeln!(door, "{dst}").expect("it is read");
    let mut answer = String::new();
    let mut door = BufReader::new(door);
    door.read_line(&mut answer).expect("an answer comes");
    if answer == "run\n" {
        let relay = env!("CARGO_BIN_EXE_hydrant");
        let failed = Command::new(relay).args([src, dst, "-q"]).exec();
        panic!("{failed}");
    }
    process::exit(1);
}
