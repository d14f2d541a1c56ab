//! `hydrant bench hub`: pairs that pass messages through a hub, or through another broker.

use std::env;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::common::hydrant::hydrant;
use crate::common::tools::have;
use crate::{at_once, bench_of, bench_of_wrong, number, objects, proxy};

/// What must hold of a run's figures, however fast it was.
#[track_caller]
fn adds_up(object: &Value, scenario: &str, pairs: u64, size: u64) {
    assert_eq!(object["scenario"], scenario, "{object}");
    assert_eq!(object["clients"], pairs, "{object}");
    assert_eq!(object["message_bytes"], size, "{object}");
    assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
    // Where others have all cores, nothing may have come in so short a time.
    let is_void = object["void"].is_string();
    let rate = number(object, "passed_messages_s");
    assert!(rate > 0.0 || is_void, "{object}");
    let quantiles = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| number(object, name));
    assert!(quantiles.is_sorted(), "{object}");
    assert!(quantiles[0] > 1000.0 || is_void, "{object}");
    if scenario == "hub-one" && !is_void {
        // One of each pair is under way: no more come in a second than fit into it, one after the other. The fastest
        // half takes half the time at least that it would take if each waited as long as the median one.
        let most = 2.0 * pairs as f64 * 1e9 / quantiles[0];
        assert!(rate <= 1.1 * most, "{object}");
    }
    assert!(number(object, "resident_bytes") > 100_000.0, "{object}");
}

#[test]
fn what_pairs_pass_through_a_hub_adds_up() {
    let all = objects("hub --clients 1,3 --size 128,16K --check");
    let mut jobs = Vec::new();
    for scenario in ["hub-many", "hub-one"] {
        for size in [128, 16 << 10] {
            jobs.extend([1, 3].map(|pairs| (scenario, pairs, size)));
        }
    }
    assert_eq!(all.len(), jobs.len());
    for (object, (scenario, pairs, size)) in all.iter().zip(jobs) {
        adds_up(object, scenario, pairs, size);
    }
}

#[test]
fn the_same_is_passed_through_nats() {
    if !have("nats-server") {
        return;
    }
    let done = bench_of(
        "hub --clients 1,3 --size 128 --check --json",
        "--relay=nats-server -a 127.0.0.1 -p {dst_port}",
    );
    assert_eq!(done.code, 0, "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    let jobs = ["hub-many", "hub-one"]
        .map(|scenario| [1, 3].map(|pairs| (scenario, pairs)))
        .concat();
    assert_eq!(lines.len(), jobs.len(), "{done:?}");
    for (line, (scenario, pairs)) in lines.iter().zip(jobs) {
        let object = serde_json::from_str(line).expect("JSON");
        adds_up(&object, scenario, pairs, 128);
    }
}

#[test]
fn messages_that_a_hub_alters_are_told() {
    let relay = format!(
        "--relay={{hydrant}} hub serve {{link}} -q ; {}",
        proxy("alter").replace("{src}", "{link}")
    );
    at_once(["hub-many", "hub-one"], |scenario| {
        let line = format!("{scenario} --clients 1 --size 64K --check");
        let done = bench_of_wrong(&line, &relay);
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("something is said");
        assert!(last.contains("wrong bytes: "), "{last}");
        assert!(
            last.contains("messages are not the next ones that were sent"),
            "{last}"
        );
    });
}

#[test]
fn a_hub_that_refuses_or_says_nothing_is_told() {
    let cases = [
        ("refuse", "the broker says |19|refused name-in-use"),
        ("garble", "the broker says s0|x|"),
        ("be-silent", "only 0 of 1 pairs passed a message at "),
    ];
    at_once(cases, |(manner, why)| {
        let done = bench_of("hub-one --clients 1 --patience 2s", &hub(manner));
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("something is said");
        assert!(last.contains(why), "{last}");
    });
}

/// What nobody sent is wrong, and so is what comes to a sender.
#[test]
fn messages_that_nobody_sent_are_told() {
    let done = bench_of_wrong("hub-one --clients 1", &hub("invent"));
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(last.contains("wrong bytes: "), "{last}");
}

#[test]
fn a_pair_needs_two_descriptors() {
    let done = hydrant("bench hub-one --clients 90")
        .shell("ulimit -n 150 && exec \"$0\" \"$@\"")
        .run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(
        last.contains("180 clients need more file descriptors: they are enough for "),
        "{last}"
    );
}

/// The command of a hub that is wrong, played by this very program.
fn hub(manner: &str) -> String {
    let program = env::current_exe().expect("it runs");
    format!(
        "--relay=sh -c '{HUB_ENV}=\"{{dst}} {manner}\" exec {} --exact pairs::plays_a_hub_if_told_to'",
        program.display()
    )
}

const HUB_ENV: &str = "HYDRANT_TEST_PLAYS_HUB";

/// No test: a hub that is wrong, as a program of its own.
#[test]
fn plays_a_hub_if_told_to() {
    let Ok(orders) = env::var(HUB_ENV) else {
        return;
    };
    let (at, manner) = orders.split_once(' ').expect("an address and a manner");
    let listener = TcpListener::bind(at).expect("the port is free");
    for client in listener.incoming() {
        let mut client = client.expect("it came");
        let words: &[u8] = match manner {
            "refuse" => b"|19|refused name-in-use",
            "garble" => b"|2|oks0|x|",
            "invent" => b"|2|oks0|16|0123456789abcdef",
            _ => b"",
        };
        thread::spawn(move || {
            // It may have gone already.
            let _ = client.write_all(words);
            while client.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
        });
    }
}
