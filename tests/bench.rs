//! `hydrant bench` as a program: what it measures adds up, and what makes a measurement worthless is said and makes the
//! exit code. How fast anything is, is nobody's business here.

mod common;

#[path = "bench/blame.rs"]
mod blame;
#[path = "bench/brokers.rs"]
mod brokers;
#[path = "bench/pairs.rs"]
mod pairs;
#[path = "bench/together.rs"]
mod together;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use common::hydrant::{Finished, Launch, hydrant};
use common::peers::Place;
use common::scratch::Scratch;
use common::tools::have;

/// A run that is over soon, and a longer one where nothing came in so short a time: others may have all cores.
fn bench(line: &str) -> Finished {
    bench_until(came_to_something, |times| {
        hydrant(&format!("bench {line} {times} --tolerate"))
    })
}

/// A short run, and a longer one where that was not enough.
fn bench_until(is_enough: impl Fn(&Finished) -> bool, run: impl Fn(&str) -> Launch) -> Finished {
    let mut runs = TIMES[..2].iter().map(|times| run(times).run());
    runs.find(|done| is_enough(done))
        .unwrap_or_else(|| run(TIMES[2]).run())
}

/// How fast anything is, is nobody's business here, so little has to be warm.
const TIMES: [&str; 3] = [SHORT, "--time 1s --warm-up 200ms", "--time 2s"];
const SHORT: &str = "--time 200ms --warm-up 50ms";

/// Does for several cases at the same time what mostly waits.
fn at_once<C: Send, T: Send>(cases: impl IntoIterator<Item = C>, run: impl Fn(C) -> T + Sync) {
    thread::scope(|scope| {
        let run = &run;
        for case in cases {
            scope.spawn(move || run(case));
        }
    });
}

fn came_to_something(done: &Finished) -> bool {
    let last = done.stderr.last().map_or("", String::as_str);
    !["no client was served", "nothing arrived any more"]
        .iter()
        .any(|none| last.ends_with(none))
}

fn found_fault(done: &Finished) -> bool {
    done.code == 1 && came_to_something(done)
}

/// The JSON objects of a run that ends well.
#[track_caller]
fn objects(line: &str) -> Vec<Value> {
    let done = bench(&format!("{line} --json"));
    assert_eq!(done.code, 0, "{done:?}");
    let lines = done.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON")))
        .collect()
}

#[track_caller]
fn number(object: &Value, name: &str) -> f64 {
    object[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name} is no number in {object}"))
}

#[test]
fn throughput_adds_up() {
    let all = objects("throughput --clients 1,3 --size 64K,1000 --check");
    assert_eq!(all.len(), 4);
    for (object, (clients, size)) in
        all.iter()
            .zip([(1, 65_536), (3, 65_536), (1, 1000), (3, 1000)])
    {
        assert_eq!(object["scenario"], "throughput");
        assert_eq!(
            (&object["clients"], &object["message_bytes"]),
            (&clients.into(), &size.into())
        );
        let least = number(object, "client_min_bytes_s");
        let most = number(object, "client_max_bytes_s");
        assert!(0.0 <= least && least <= most, "{object}");
        // Where others have all cores, nothing may have come in so short a time.
        let moved = number(object, "all_bytes_s") > 0.0 && number(object, "cpu_s_gb") > 0.0;
        assert!(moved || object["void"].is_string(), "{object}");
        assert!(number(object, "resident_bytes") > 100_000.0, "{object}");
        assert_eq!(object["faults"], Value::Array(Vec::new()));
    }
}

#[test]
fn tls_is_measured_beside_loops_that_only_encrypt() {
    let all = objects("tls --clients 2 --size 1000");
    let relays: Vec<_> = all.iter().map(|object| object["relay"].as_str()).collect();
    let [once, on, relay] = relays[..] else {
        panic!("{relays:?}");
    };
    let is_loop = |relay: Option<&str>| relay.is_some_and(|relay| relay.contains(" tls-loop "));
    assert!(
        is_loop(once) && is_loop(on) && !is_loop(relay),
        "{relays:?}"
    );
    let checked = objects("tls --clients 2 --size 1000 --check");
    assert_eq!(checked.len(), 2, "{checked:?}");
    for object in all.iter().chain(&checked) {
        let moved = number(object, "all_bytes_s") > 0.0 && number(object, "cpu_s_gb") > 0.0;
        assert!(moved || object["void"].is_string(), "{object}");
        assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
    }
}

#[test]
fn a_loop_without_its_certificate_says_so() {
    let done = hydrant("bench tls-loop 1 2 --tls-cert /nonexistent.pem").run();
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr[0].contains("can't read /nonexistent.pem: no such file"),
        "{done:?}"
    );
}

#[test]
fn latency_counts_every_message_once() {
    let all = objects("latency --clients 4 --size 64 --rate 200 --check");
    let object = &all[0];
    if object["lost_messages"].is_null() {
        // Where others have all cores, the messages may not have got through in time.
        return assert!(object["void"].is_string(), "{object}");
    }
    assert_eq!(number(object, "lost_messages"), 0.0, "{object}");
    let quantiles = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| number(object, name));
    assert!(quantiles[0] > 1000.0 && quantiles.is_sorted(), "{object}");
    assert_eq!(object["messages_s_asked"], 200);
}

#[test]
fn what_becomes_of_a_slow_client_is_told() {
    let relay = "{hydrant} {src} {dst} -q --ring 16M --stall-timeout 100ms";
    let done = hydrant("bench slow --clients 3 --rate 500 --size 64K --time 1s --tolerate --json")
        .arg("--relay")
        .arg(relay)
        .run();
    assert_eq!(done.code, 0, "{done:?}");
    let object: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(object["relay"], relay);
    assert!(number(&object, "before_bytes_s") > 0.0 && number(&object, "after_bytes_s") > 0.0);
    let fate = object["stalled_client"].as_str().expect("it is told");
    assert!(fate.starts_with("cut off after "), "{fate}");
}

#[test]
fn idle_and_churning_clients_are_counted() {
    let all = objects("idle churn --clients 20");
    assert!(number(&all[0], "heap_bytes_client") >= 0.0);
    assert!(number(&all[1], "connects_s") > 0.0, "{}", all[1]);
    assert_eq!(number(&all[1], "descriptors_left"), 0.0, "{}", all[1]);
}

#[test]
fn a_table_a_picture_and_a_file_are_drawn() {
    let folder = Scratch::new();
    let svg = folder.at("report.svg");
    let done = bench(&format!("throughput latency --clients 1 --svg {svg}"));
    assert_eq!(done.code, 0, "{done:?}");
    for part in [
        "CPU s/GB",
        "█",
        "p99.9",
        "percentile",
        "hydrant = {hydrant} {src} {dst} -q --slow block",
    ] {
        assert!(done.stdout.contains(part), "no {part} in {}", done.stdout);
    }
    let said = done.stderr.join("\n");
    assert!(said.contains("bench 2/2 (about "), "{said}");
    let drawn = fs::read_to_string(svg).expect("it was written");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
}

#[test]
fn relays_are_measured_in_turns_and_compared() {
    let line = format!("bench throughput --clients 1 {SHORT} --repeat 2 --tolerate");
    let done = hydrant(&line)
        .arg("--relay={hydrant} {src} {dst} -q --slow block")
        .arg("--relay={hydrant} {src} {dst} -q")
        .run();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stdout.contains("A:hydrant") && done.stdout.contains("(x"),
        "{}",
        done.stdout
    );
}

/// Runs a bench of a relay that is played by this very program.
fn bench_bad(manner: &str, more: &str) -> Finished {
    bench_bad_until(came_to_something, manner, more)
}

/// The same, of one in which a fault is to be found.
fn bench_wrong(manner: &str) -> Finished {
    bench_bad_until(found_fault, manner, "--check")
}

fn bench_bad_until(is_enough: fn(&Finished) -> bool, manner: &str, more: &str) -> Finished {
    let relay = bad_relay(manner);
    bench_until(is_enough, |times| {
        let line = format!("bench throughput --clients 2 {times} --tolerate {more}");
        hydrant(&line).arg(&relay)
    })
}

/// A relay that is wrong, played by this very program.
fn bad_relay(manner: &str) -> String {
    let program = env::current_exe().expect("it runs");
    format!(
        "--relay=sh -c '{RELAY_ENV}=\"{{src}} {{dst}} {manner}\" exec {} --exact plays_a_relay_if_told_to'",
        program.display()
    )
}

#[track_caller]
fn told(done: &Finished, parts: &[&str]) {
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(
        last.starts_with("hydrant: bench throughput, 2 clients, 64K of sh: "),
        "{last}"
    );
    for part in parts {
        assert!(last.contains(part), "no {part} in {last}");
    }
}

#[test]
fn wrong_bytes_are_told() {
    let cases = [
        ("alter", "messages are not what was sent"),
        ("lose", ""),
        ("repeat", ""),
    ];
    at_once(cases, |(manner, what)| {
        told(&bench_wrong(manner), &["wrong bytes: ", what]);
    });
}

/// What one client gets does not speak for the others.
#[test]
fn a_client_that_gets_nothing_that_was_sent_is_told() {
    let cases = [
        ("mute", "messages are not what was sent"),
        ("starve", "nothing arrived any more on 1 of 2 connections"),
    ];
    at_once(cases, |(manner, what)| told(&bench_wrong(manner), &[what]));
}

/// The source waits for a relay for ever, which is not the machine's doing.
#[test]
fn a_relay_that_leaves_the_source_is_told() {
    let left = "the relay has left the source";
    let cases = [
        ("throughput", format!("nothing arrived any more; {left}")),
        ("latency", left.to_owned()),
    ];
    at_once(cases, |(scenario, what)| {
        let line = format!("{scenario} --clients 2 --size 64K --patience 5s");
        let done = bench_of(&line, &bad_relay("leave"));
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("something is said");
        assert!(last.ends_with(&format!("of sh: {what}")), "{last}");
    });
}

/// Messages that come again do not make good for those that are lost.
#[test]
fn messages_that_do_not_arrive_are_told_without_a_check() {
    let done = bench_of_wrong("latency --clients 2 --size 64K", &bad_relay("replace"));
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    for part in [" messages did not arrive", " messages came again"] {
        assert!(last.contains(part), "no {part} in {last}");
    }
}

#[test]
fn a_true_relay_of_this_kind_is_fine() {
    let done = bench_bad("true", "--check");
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn a_relay_that_dies_is_told_with_its_last_words() {
    let died = "the relay has ended (exit status: 7); its last line: I die";
    let cases = [("die", died), ("cut", "the relay cut off 1 of 2 clients")];
    at_once(cases, |(manner, what)| {
        told(&bench_bad(manner, ""), &[what]);
    });
}

#[test]
fn a_relay_that_serves_nobody_is_told() {
    let relay = |command: &str| {
        let done = hydrant("bench throughput --clients 2 --tolerate")
            .arg("--relay")
            .arg(command)
            .run();
        assert_eq!(done.code, 1, "{done:?}");
        done.stderr.last().expect("something is said").clone()
    };
    let last = relay("/no/such/relay {src} {dst}");
    let missing = "can't start /no/such/relay: no such file or directory";
    assert!(last.ends_with(missing), "{last}");
    let last = relay("sh -c 'echo no good >&2; exit 3' {src} {dst}");
    assert!(
        last.ends_with("the relay has ended (exit status: 3); its last line: no good"),
        "{last}"
    );
}

/// The source's own limit is not laid at the relay's door; below it, such a relay is measured.
#[test]
fn a_relay_that_connects_anew_for_each_client_is_measured() {
    let done = bench_of(
        "throughput --clients 100 --size 1K",
        &format!("--relay={}", proxy("")),
    );
    assert_eq!(done.code, 0, "{done:?}");
}

/// What the source knows of the relay is said where clients get nothing.
#[test]
fn a_relay_that_leaves_the_source_before_clients_get_anything_is_told() {
    let relay = format!("--relay={}", proxy("hang-up"));
    let done = bench_of("throughput --clients 2 --patience 2s", &relay);
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(last.contains("only 0 of 2 clients got anything"), "{last}");
    assert!(last.ends_with(": the relay has left the source"), "{last}");
}

#[test]
fn more_clients_than_descriptors_are_refused_at_once() {
    let done = hydrant("bench idle --clients 500")
        .shell("ulimit -n 100 && exec \"$0\" \"$@\"")
        .run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(
        last.contains("500 clients need more file descriptors: they are enough for "),
        "{last}"
    );
}

#[test]
fn what_goes_both_ways_through_a_tunnel_adds_up() {
    adds_up_both_ways("tunnel");
}

#[test]
fn what_goes_both_ways_through_websockets_adds_up() {
    adds_up_both_ways("ws");
}

#[track_caller]
fn adds_up_both_ways(family: &str) {
    let all = objects(&format!("{family} --clients 1,3 --check"));
    let scenarios = ["up", "down", "echo"];
    assert_eq!(all.len(), 2 * scenarios.len());
    for (object, scenario) in all.iter().zip(scenarios.iter().flat_map(|name| [name; 2])) {
        assert_eq!(object["scenario"], format!("{family}-{scenario}"));
        assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
        // Where others have all cores, nothing may have come in so short a time.
        let moved = match *scenario {
            "echo" => number(object, "answers_s"),
            _ => number(object, "all_bytes_s"),
        };
        assert!(moved > 0.0 || object["void"].is_string(), "{object}");
        let [all, one] =
            ["resident_bytes", "resident_bytes_largest"].map(|name| number(object, name));
        assert!(one > 100_000.0 && all > one, "{object}");
    }
}

#[test]
fn a_service_can_be_measured_behind_any_process() {
    let relay = format!("--relay={}", proxy("true"));
    let done = bench_of("tunnel-echo --clients 2", &relay);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("answers/s"), "{}", done.stdout);
}

#[test]
fn wrong_bytes_are_told_in_both_directions() {
    let relay = format!("--relay={}", proxy("alter"));
    at_once(["up", "down", "echo"], |way| {
        let line = format!("tunnel-{way} --clients 1 --size 1M --check");
        let done = bench_of_wrong(&line, &relay);
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("something is said");
        assert!(last.contains("connections got what was not sent"), "{last}");
    });
}

/// The others go on, and would hide it in the sum.
#[test]
fn a_connection_that_stands_still_is_told() {
    let relay = format!("--relay={}", proxy("stop"));
    at_once(["tunnel-up", "tunnel-echo"], |scenario| {
        let done = bench_of_wrong(&format!("{scenario} --clients 2 --size 1K"), &relay);
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("something is said");
        let expected = "nothing arrived any more on 1 of 2 connections";
        assert!(last.ends_with(expected), "{last}");
    });
}

#[test]
fn the_second_process_that_dies_is_told_too() {
    let relay = "--relay={hydrant} tunnel serve {link} --ports {dst_port}-{dst_port} -q ; \
                 sh -c 'echo I give up >&2; exit 3'";
    let done = bench_of("tunnel-up --clients 1", relay);
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    let expected =
        "process 2 of the relay, sh, has ended (exit status: 3); its last line: I give up";
    assert!(last.ends_with(expected), "{last}");
}

/// Whatever a relay has started is measured and ended with it: in another group, or with its own parent gone.
#[test]
fn processes_that_leave_the_relays_group_are_found() {
    if !have("setsid") {
        return;
    }
    let folder = Scratch::new();
    let file = |number| folder.at(&format!("pid{number}"));
    let relay = "setsid sh -c 'echo $$ > FILE; exec {hydrant} {src} {dst} -q --slow block'";
    let commands = [
        (1, format!("{relay} & sleep 60")),
        (2, format!("({relay} &); sleep 60")),
    ];
    at_once(commands, |(at, command)| {
        let file = file(at);
        let command = command.replace("FILE", &file);
        let done = bench_until(came_to_something, |times| {
            let line = format!("bench throughput --clients 1 {times} --tolerate --json");
            hydrant(&line).arg(format!("--relay=sh -c \"{command}\""))
        });
        assert_eq!(done.code, 0, "{done:?}");
        let object: Value = serde_json::from_str(&done.stdout).expect("JSON");
        assert!(number(&object, "cpu_percent") > 0.0, "{object}");
        let pid = fs::read_to_string(&file).expect("it has begun");
        let process = format!("/proc/{}", pid.trim());
        assert!(!fs::exists(&process).expect("it can be asked"), "{process}");
    });
}

/// It is not waited for, since nothing would say that it has come to an end.
#[test]
fn a_relay_in_the_background_is_told() {
    let relay = "--relay=sh -c '{hydrant} {src} {dst} -q &'";
    let done = hydrant("bench throughput --clients 1 --time 300ms")
        .arg(relay)
        .run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(last.contains("has ended (exit status: 0)"), "{last}");
    assert!(last.contains("it has to stay in the foreground"), "{last}");
}

fn bench_of(line: &str, relay: &str) -> Finished {
    bench_of_until(came_to_something, line, relay)
}

/// The same, of one in which a fault is to be found.
fn bench_of_wrong(line: &str, relay: &str) -> Finished {
    bench_of_until(found_fault, line, relay)
}

fn bench_of_until(is_enough: fn(&Finished) -> bool, line: &str, relay: &str) -> Finished {
    bench_until(is_enough, |times| {
        hydrant(&format!("bench {line} {times} --tolerate")).arg(relay)
    })
}

/// The command of a process that passes on what goes both ways, played by this very program.
fn proxy(manner: &str) -> String {
    let program = env::current_exe().expect("it runs");
    format!(
        "sh -c '{PROXY_ENV}=\"{{src}} {{dst}} {manner}\" exec {} --exact plays_a_proxy_if_told_to'",
        program.display()
    )
}

const PROXY_ENV: &str = "HYDRANT_TEST_PLAYS_PROXY";

/// No test: what stands between clients and a service, as a program of its own.
#[test]
fn plays_a_proxy_if_told_to() {
    let Ok(orders) = env::var(PROXY_ENV) else {
        return;
    };
    let words: Vec<&str> = orders.split(' ').collect();
    let [src, dst, manner] = words.as_slice() else {
        panic!("{orders} are no orders");
    };
    // A bit of its own each way: an echo passes both, which may meet in one byte.
    let flips = if *manner == "alter" { [1, 2] } else { [0, 0] };
    let listener = TcpListener::bind(dst).expect("the port is free");
    for (number, client) in listener.incoming().enumerate() {
        let client = client.expect("it came");
        let service = TcpStream::connect(src).expect("the service listens");
        let stops = *manner == "stop" && number == 0;
        if *manner == "hang-up" {
            // The client is left waiting.
            std::mem::forget(client);
            continue;
        }
        let ways = [(&client, &service), (&service, &client)];
        for ((from, to), flips) in ways.into_iter().zip(flips) {
            let [from, to] = [from, to].map(|end| end.try_clone().expect("open"));
            thread::spawn(move || pass_on(from, to, flips, stops));
        }
    }
}

/// Passes on one direction; flips these bits of its byte 100,000, or swallows what comes from there on.
fn pass_on(mut from: TcpStream, mut to: TcpStream, flips: u8, stops: bool) {
    let mut bytes = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let n = from.read(&mut bytes).unwrap_or(0);
        if n == 0 {
            return;
        }
        if (total..total + n).contains(&100_000) {
            bytes[100_000 - total] ^= flips;
        }
        total += n;
        if stops && total > 100_000 {
            continue;
        }
        if to.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
}

/// The source, hydrant and the sink, each by itself.
#[test]
fn source_and_sink_stand_alone() {
    let source = hydrant("bench source 127.0.0.1:0 --rate 500 --size 200").start();
    let line = source.wait_log("the source listens on ");
    let at = line.rsplit(' ').next().expect("an address");
    let relay = hydrant(&format!("{at} 127.0.0.1:0")).start();
    let clients = relay.address_of("clients");
    let sink = hydrant(&format!(
        "bench sink {clients} --clients 3 --time 500ms --check --json"
    ))
    .run();
    assert_eq!(sink.code, 0, "{sink:?}");
    let object: Value = serde_json::from_str(&sink.stdout).expect("JSON");
    assert_eq!(object["message_bytes"], 200);
    assert!(number(&object, "messages_s") > 0.0, "{object}");
    assert_eq!(number(&object, "lost_messages"), 0.0, "{object}");
    let table = hydrant(&format!("bench sink {clients} --time 200ms")).run();
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("MB/s all"), "{}", table.stdout);
    assert!(table.stdout.starts_with("\nsink\n"), "{}", table.stdout);
    source.stop();
}

#[test]
fn a_sink_that_gets_nothing_says_so() {
    let place = Place::new();
    let line = format!("bench sink {} --time 200ms --patience 1s --json", place.at);
    let sink = hydrant(&line).run();
    assert_eq!(sink.code, 1, "{sink:?}");
    let last = sink.stderr.last().expect("something is said");
    assert!(last.contains("only 0 of 1 clients got anything"), "{last}");
    let object: Value = serde_json::from_str(&sink.stdout).expect("JSON");
    let fault = object["faults"][0].as_str().expect("there is one");
    assert!(last.ends_with(fault), "{object}");
    assert_eq!(object["scenario"], "sink");
    assert!(object["message_bytes"].is_null(), "{object}");
    let waits = "[INFO] bench sink: waiting until every client is served";
    assert!(sink.stderr[0].ends_with(waits), "{sink:?}");
}

/// Bytes that are no bench source's can't be compared with anything, and a check of them does not pass.
#[test]
fn a_sink_that_can_compare_nothing_says_so() {
    let door = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = door.local_addr().expect("it listens");
    let talker = thread::spawn(move || {
        let (mut sink, _) = door.accept().expect("the sink comes");
        while sink.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let sink = hydrant(&format!("bench sink {at} --time 200ms --check")).run();
    assert_eq!(sink.code, 1, "{sink:?}");
    let last = sink.stderr.last().expect("something is said");
    assert!(last.contains("nothing could be compared"), "{last}");
    talker.join().expect("the sink has left");
}

/// SIGINT and SIGTERM end a bench at once, and its relay with it; the exit code is what a shell makes of the signal.
#[test]
fn a_signal_ends_it_and_its_relay() {
    at_once([("INT", 130), ("TERM", 143)], |(name, code)| {
        ends_by(name, code);
    });
}

#[track_caller]
fn ends_by(name: &str, code: i32) {
    let folder = Scratch::new();
    let note = folder.at("pid");
    let mut bench = hydrant("bench idle --clients 5 --time 1h")
        .arg("--relay")
        .arg(format!(
            "sh -c 'echo $$ >{note}; exec {} {{src}} {{dst}} -q'",
            env!("CARGO_BIN_EXE_hydrant")
        ))
        .start();
    bench.wait_log("bench 1/1");
    // Off a terminal this has it reopen its log, and go on.
    bench.signal("HUP");
    bench.signal(name);
    assert_eq!(bench.wait_exit(), code);
    let pid = fs::read_to_string(note).unwrap_or_default();
    let gone = !fs::exists(format!("/proc/{}", pid.trim())).expect("it can be asked");
    assert!(pid.trim().is_empty() || gone, "the relay {pid} lives");
}

/// What can't be written is said before anything is measured, not when all is.
#[test]
fn a_picture_that_cannot_be_written_is_told_at_once() {
    let folder = Scratch::new();
    let svg = folder.at("nowhere/report.svg");
    let done = bench(&format!("throughput --clients 1 --svg {svg}"));
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
    let last = done.stderr.last().expect("something is said");
    let expected = format!("hydrant: can't write {svg}: no such file or directory");
    assert_eq!(*last, expected);
}

/// An earlier report is not lost to a bench that comes to nothing.
#[test]
fn a_picture_stays_until_there_is_another() {
    let folder = Scratch::new();
    let (old, new) = (folder.at("old.svg"), folder.at("new.svg"));
    fs::write(&old, "an earlier one").expect("it can be written");
    at_once([&old, &new], |svg| {
        let mut bench = hydrant(&format!("bench idle --clients 1 --time 1h --svg {svg}")).start();
        bench.wait_log("bench 1/1");
        bench.signal("INT");
        assert_eq!(bench.wait_exit(), 130);
    });
    assert_eq!(
        fs::read_to_string(&old).expect("it is there"),
        "an earlier one"
    );
    assert!(!fs::exists(&new).expect("it can be asked"));
}

#[test]
fn results_that_cannot_be_written_are_told() {
    let full = || {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    at_once(["--json", ""], |form| {
        let line = format!("bench idle --clients 1 {SHORT} --tolerate {form}");
        let mut bench = hydrant(&line).stdout(full()).start();
        assert_eq!(bench.wait_exit(), 1, "{:?}", bench.log());
        let said = bench.log();
        let last = said.last().expect("something is said");
        assert_eq!(
            last,
            "hydrant: can't write to stdout: no space left on device"
        );
    });
}

/// Nobody is there to see what a thousand repeats would come to.
#[test]
fn a_reader_that_goes_away_ends_it() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let line = format!("bench idle --clients 1 {SHORT} --repeat 1000 --tolerate --json");
    let mut bench = hydrant(&line).stdout(writer).start();
    assert_eq!(bench.wait_exit(), 1, "{:?}", bench.log());
    let said = bench.log();
    let last = said.last().expect("something is said");
    assert_eq!(
        last,
        "hydrant: can't write to stdout: whoever reads it has gone away"
    );
}

/// What a terminal shows in the end, were it wide enough: each line with what was erased on it gone.
#[test]
fn no_progress_stays_on_the_terminal() {
    if !have("socat") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_hydrant");
    let line = format!("bench idle --clients 1,2 {SHORT} --tolerate");
    let exec = format!("EXEC:\"{program} {line}\",pty,ctty,setsid,stderr,echo=0");
    let done = Command::new("socat")
        .args(["-t5", "-,ignoreeof", &exec])
        .stdin(Stdio::null())
        .output();
    let screen = done.expect("socat is there").stdout;
    let screen = String::from_utf8_lossy(&screen);
    assert!(screen.contains("bench 1/2 (about "), "{screen:?}");
    assert!(screen.contains("s left; idle, 1 client"), "{screen:?}");
    for line in screen.split('\n') {
        let left = line.trim_end_matches('\r').rsplit("\r\u{1b}[K").next();
        let left = left.expect("there is always a first part");
        assert!(
            !left.contains("bench 1/2 (") && !left.contains("bench 2/2 ("),
            "{screen:?}"
        );
    }
    assert!(screen.contains("\nidle"), "{screen:?}");
}

#[test]
fn a_source_that_reaches_no_relay_says_so() {
    let place = Place::new();
    let at = place.at;
    let done = hydrant(&format!("bench source connect:{at} --time 300ms")).run();
    assert_eq!(done.code, 1, "{done:?}");
    let said = done.stderr.join("\n");
    let expected = format!("bench: the relay at {at} refused the connection; trying until");
    assert!(said.contains(&expected), "{said}");
    assert_eq!(said.matches("refused").count(), 1, "{said}");
    assert!(
        said.ends_with("hydrant: no relay was connected within 0.3 s"),
        "{said}"
    );
}

#[test]
fn a_sink_with_more_clients_than_descriptors_says_so() {
    let done = hydrant("bench sink 127.0.0.1:9 --clients 90000")
        .shell("ulimit -n 256; exec \"$0\" \"$@\"")
        .run();
    assert_eq!(done.code, 1, "{done:?}");
    let last = done.stderr.last().expect("something is said");
    assert!(
        last.contains("90,000 clients need more file descriptors: they are enough for "),
        "{last}"
    );
}

const RELAY_ENV: &str = "HYDRANT_TEST_PLAYS_RELAY";

/// No test: what the bench is to find wrong, as a program of its own.
#[test]
fn plays_a_relay_if_told_to() {
    let Ok(orders) = env::var(RELAY_ENV) else {
        return;
    };
    let words: Vec<&str> = orders.split(' ').collect();
    let [src, dst, manner] = words.as_slice() else {
        panic!("{orders} are no orders");
    };
    let listener = TcpListener::bind(dst).expect("the port is free");
    let mut upstream = TcpStream::connect(src).expect("the source listens");
    let mut clients: Vec<TcpStream> = (0..2)
        .map(|_| listener.accept().expect("they come").0)
        .collect();
    let mut bytes = vec![0; 64 << 10];
    let mut total = 0;
    if *manner == "replace" {
        return replace_messages(upstream, clients);
    }
    loop {
        let n = upstream.read(&mut bytes).unwrap_or(0);
        if n == 0 {
            return;
        }
        let goes_wrong = total < 4 << 20 && total + n >= 4 << 20;
        total += n;
        let mut piece = bytes[..n].to_vec();
        match *manner {
            "alter" if goes_wrong => piece[n / 2] ^= 1,
            "lose" if goes_wrong => drop(piece.drain(n / 3..n / 2)),
            "repeat" if goes_wrong => piece.extend_from_within(..n / 2),
            "cut" if goes_wrong => drop(clients.pop()),
            "die" if goes_wrong => {
                // Not eprintln: what a test says that way is caught.
                let _ = std::io::stderr().write_all(b"I die\n");
                std::process::exit(7);
            }
            _ => {}
        }
        for (number, client) in clients.iter_mut().enumerate() {
            match *manner {
                "mute" if number == 1 => piece.fill(0),
                "starve" if number == 1 && total > n => continue,
                _ => {}
            }
            if client.write_all(&piece).is_err() {
                return;
            }
        }
        if *manner == "leave" && total >= 64 << 10 {
            drop(upstream);
            loop {
                thread::park();
            }
        }
    }
}

/// Passes on the message before in the place of every tenth.
fn replace_messages(mut upstream: TcpStream, mut clients: Vec<TcpStream>) {
    let mut messages = [vec![0; 64 << 10], vec![0; 64 << 10]];
    for number in 1_u64.. {
        let [message, last] = &mut messages;
        if upstream.read_exact(message).is_err() {
            return;
        }
        let sent = if number.is_multiple_of(10) {
            last
        } else {
            message
        };
        for client in &mut clients {
            if client.write_all(sent).is_err() {
                return;
            }
        }
        messages.swap(0, 1);
    }
}
