//! `hydrant bench latency --together`: relays that are measured at the same time.

use std::env;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::thread;

use serde_json::Value;

use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::{RELAY_ENV, number};

/// A relay that passes everything on to one more place, besides the bench's clients.
pub(crate) fn relay_to(place: &Place) -> String {
    let at = place.at;
    format!("--relay={{hydrant}} {{src}} {{dst}} connect:{at} -q --slow block")
}

/// When the messages of a schedule with this period were due, among all that have come.
fn dues(mut from: TcpStream, period: u64) -> Vec<u64> {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("it ends");
    let due = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    let all: Vec<u64> = text.lines().filter_map(due).collect();
    // Before the schedule a few came without one, until every client had got something.
    let irregular = |pair: &[u64]| pair[1] - pair[0] != period;
    let last = all.windows(2).rposition(irregular);
    all[last.map_or(0, |at| at + 1)..].to_vec()
}

/// The times at which messages are due are in them, so nothing of this depends on how fast anything is.
#[test]
fn messages_go_to_the_relays_in_turns() {
    let (period, gap) = (10_000_000, 5_000_000);
    let places = [(); 2].map(|()| Place::opened());
    let [a, b] = places.each_ref().map(relay_to);
    let readers =
        places.map(|mut place| thread::spawn(move || (dues(place.accept(), period), place).0));
    let done = hydrant("bench latency --together --clients 2 --time 1s --tolerate")
        .arg(a)
        .arg(b)
        .run();
    assert_eq!(done.code, 0, "{done:?}");
    for part in [
        "latency, 100 messages/s to each relay, 5.0 ms apart\n",
        "; 1 s each, all relays at the same time\n",
        "percentile",
    ] {
        assert!(done.stdout.contains(part), "no {part} in {}", done.stdout);
    }
    let said = done.stderr.join("\n");
    assert!(said.contains("bench 1/1 (about "), "{said}");
    assert!(said.contains("A:hydrant and B:hydrant"), "{said}");
    let [a, b] = readers.map(|reader| reader.join().expect("it reads"));
    // Each is regular, and half a period apart from the other: they take turns where both are under way.
    assert!(a[0].abs_diff(b[0]) % period == gap, "{a:?}\n{b:?}");
    let (begin, end) = (a[0].max(b[0]), a.last().min(b.last()));
    assert!(end > Some(&begin), "not at the same time: {a:?}\n{b:?}");
}

#[test]
fn a_relay_that_dies_leaves_the_others_to_be_measured() {
    let folder = Scratch::new();
    let note = folder.at("pid");
    let good = format!("sh -c 'echo $$ >{note}; exec {{hydrant}} {{src}} {{dst}} -q --slow block'");
    let none = "sh -c 'echo no good >&2; exit 3' {src} {dst}";
    // In the midst of the measurement: when it has got 4 MiB.
    let program = env::current_exe().expect("it runs");
    let dying = format!(
        "sh -c '{RELAY_ENV}=\"{{src}} {{dst}} die\" exec {} --exact plays_a_relay_if_told_to'",
        program.display()
    );
    let mut bench =
        hydrant("bench latency --together --clients 2 --size 64K --time 1s --tolerate --json");
    for relay in [good.as_str(), none, dying.as_str()] {
        bench = bench.arg("--relay").arg(relay);
    }
    let done = bench.run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    let expected = "hydrant: bench latency, 2 clients, 64K of B:sh: the relay has ended (exit status: 3); \
                    its last line: no good";
    assert_eq!(last, expected);
    let all: Vec<Value> = (done.stdout.lines())
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let indexes: Vec<_> = all.iter().map(|object| &object["relay_index"]).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert_eq!(all[0]["faults"], Value::Array(Vec::new()), "{}", all[0]);
    assert!(number(&all[0], "p50_ns") > 1000.0, "{}", all[0]);
    assert!(all[1]["p50_ns"].is_null() && all[2]["p50_ns"].is_null());
    let fault = all[2]["faults"][0].as_str().expect("it is told");
    assert!(
        fault.contains("(exit status: 7); its last line: I die"),
        "{fault}"
    );
    let pid = fs::read_to_string(note).expect("it was started");
    let gone = !fs::exists(format!("/proc/{}", pid.trim())).expect("it can be asked");
    assert!(gone, "the relay {pid} lives");
}

/// Its relays tell that they are there, and that they have gone, by a connection.
#[test]
fn a_signal_ends_all_relays() {
    let mut places = [(); 2].map(|()| Place::opened());
    let [a, b] = places.each_ref().map(relay_to);
    let mut bench = hydrant("bench latency --together --clients 2 --time 1h")
        .arg(a)
        .arg(b)
        .start();
    let relays = places.each_mut().map(Place::accept);
    bench.signal("INT");
    assert_eq!(bench.wait_exit(), 130);
    for mut relay in relays {
        relay.read_to_end(&mut Vec::new()).expect("it has ended");
    }
}

#[test]
fn clients_of_all_relays_need_descriptors() {
    let done = hydrant("bench latency --together --clients 100")
        .arg("--relay={hydrant} {src} {dst} -q")
        .arg("--relay={hydrant} {src} {dst} -q")
        .shell("ulimit -n 256 && exec \"$0\" \"$@\"")
        .run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(
        last.contains("200 clients need more file descriptors: they are enough for "),
        "{last}"
    );
    // The same command twice is how far relays are apart that do not differ.
    let both = "A:hydrant = {hydrant} {src} {dst} -q\nB:hydrant = {hydrant} {src} {dst} -q\n";
    assert!(done.stdout.starts_with(both), "{}", done.stdout);
}
