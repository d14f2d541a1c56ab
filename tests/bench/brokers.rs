//! `hydrant bench` of brokers, to whom the source publishes and whose clients subscribe: redis, NATS, and one that does
//! what is to be found wrong.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::tools::{Tool, have};
use crate::{at_once, bench_of, bench_of_wrong, number};

const REDIS: &str = "redis-server --bind 127.0.0.1 --port {dst_port} --save ''";
const NATS: &str = "nats-server -a 127.0.0.1 -p {dst_port}";

/// The JSON objects of a run that ends well.
#[track_caller]
fn objects(line: &str, relay: &str) -> Vec<Value> {
    let done = bench_of(&format!("{line} --json"), &format!("--relay={relay}"));
    assert_eq!(done.code, 0, "{done:?}");
    let lines = done.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON")))
        .collect()
}

#[track_caller]
fn adds_up(object: &Value, speaks: &str) {
    assert_eq!(object["speaks"], speaks, "{object}");
    assert_eq!(object["faults"], Value::Array(Vec::new()), "{object}");
    if object["scenario"] == "latency" {
        if object["lost_messages"].is_null() {
            // Where others have all cores, the messages may not have got through in time.
            return assert!(object["void"].is_string(), "{object}");
        }
        assert_eq!(number(object, "lost_messages"), 0.0, "{object}");
        let quantiles = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| number(object, name));
        assert!(quantiles[0] > 1000.0 && quantiles.is_sorted(), "{object}");
    } else {
        // Where others have all cores, nothing may have come in so short a time.
        let moved = number(object, "all_bytes_s") > 0.0 && number(object, "cpu_s_gb") > 0.0;
        assert!(moved || object["void"].is_string(), "{object}");
    }
}

#[test]
fn redis_is_measured_with_the_same_work() {
    if !have("redis-server") {
        return;
    }
    let all = objects("throughput latency --clients 3 --size 64,16K,64K", REDIS);
    assert_eq!(all.len(), 6);
    all.iter().for_each(|object| adds_up(object, "redis"));
    let checked = objects("throughput --clients 2 --check", REDIS);
    checked.iter().for_each(|object| adds_up(object, "redis"));
}

#[test]
fn nats_is_measured_with_the_same_work() {
    if !have("nats-server") {
        return;
    }
    let line = "throughput latency --clients 3 --size 64,16K,64K --check";
    let all = objects(line, NATS);
    assert_eq!(all.len(), 6);
    all.iter().for_each(|object| adds_up(object, "nats"));
}

/// Who asks whether the bench is there gets an answer, from the source and from the clients: this one serves nobody
/// before.
#[test]
fn a_broker_that_asks_is_answered() {
    let done = bench_of(
        "throughput latency churn --clients 2 --size 1000 --check --speak nats",
        &broker("true"),
    );
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("(speaks nats)"), "{}", done.stdout);
}

#[test]
fn what_a_broker_does_wrong_is_told() {
    let cases = [
        ("lose", "", "messages did not arrive"),
        (
            "cut",
            "",
            "the relay cut off 1 of 2 clients, as NATS does where more waits for one than its max_pending",
        ),
        ("alter", "--check", "wrong bytes: "),
        ("refuse", "", "-ERR 'Authorization Violation'"),
        ("end-source", "", "closed the connection of the source"),
    ];
    at_once(cases, |(manner, check, why)| {
        let line = format!("throughput --clients 2 --size 1000 --speak nats {check}");
        let done = bench_of_wrong(&line, &broker(manner));
        assert_eq!(done.code, 1, "{manner}: {done:?}");
        let last = done.stderr.last().expect("something is said");
        assert!(last.contains(why), "{manner}: {last}");
    });
}

#[test]
fn a_sink_says_why_a_broker_does_not_serve_it() {
    let door = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = door.local_addr().expect("it listens");
    let broker = thread::spawn(move || {
        let (mut client, _) = door.accept().expect("the sink connects");
        let said = b"INFO {}\r\n-ERR 'Authorization Violation'\r\n";
        client.write_all(said).expect("it reads");
        // Until it goes.
        let _ = client.read_to_end(&mut Vec::new());
    });
    let sink = hydrant(&format!("bench sink {at} --clients 1 --speak nats")).run();
    assert_eq!(sink.code, 1, "{sink:?}");
    let last = sink.stderr.last().expect("something is said");
    assert!(last.contains("-ERR 'Authorization Violation'"), "{last}");
    broker.join().expect("it was served to the end");
}

/// The source and the clients each by themselves, where a broker is on another machine.
#[test]
fn source_and_sink_speak_with_a_broker_too() {
    if !have("nats-server") {
        return;
    }
    // Nobody else is given it meanwhile.
    let place = Place::new();
    let at = place.at;
    let port = at.port().to_string();
    let _nats = Tool::start("nats-server", &["-a", "127.0.0.1", "-p", &port]);
    let source = hydrant(&format!(
        "bench source connect:{at} --rate 500 --size 200 --speak nats"
    ))
    .start();
    let sink = hydrant(&format!(
        "bench sink {at} --clients 3 --time 500ms --check --json --speak nats"
    ))
    .run();
    assert_eq!(sink.code, 0, "{sink:?}");
    let object: Value = serde_json::from_str(&sink.stdout).expect("JSON");
    assert!(number(&object, "messages_s") > 0.0, "{object}");
    assert_eq!(object["speaks"], "nats", "{object}");
    source.stop();
}

/// The command of a broker in NATS's words, played by this very program.
fn broker(manner: &str) -> String {
    let program = env::current_exe().expect("it runs");
    format!(
        "--relay=sh -c '{BROKER_ENV}=\"{{dst}} {manner}\" exec {} --exact brokers::plays_a_broker_if_told_to'",
        program.display()
    )
}

const BROKER_ENV: &str = "HYDRANT_TEST_PLAYS_BROKER";

/// No test: a broker that may be wrong, as a program of its own.
#[test]
fn plays_a_broker_if_told_to() {
    let Ok(orders) = env::var(BROKER_ENV) else {
        return;
    };
    let (at, manner) = orders.split_once(' ').expect("an address and a manner");
    let listener = TcpListener::bind(at).expect("the port is free");
    let subscribers = Subscribers::default();
    for peer in listener.incoming() {
        let peer = peer.expect("it came");
        let (manner, subscribers) = (manner.to_owned(), Arc::clone(&subscribers));
        // Its end is no news.
        thread::spawn(move || serve(&peer, &manner, &subscribers));
    }
}

type Subscribers = Arc<Mutex<Vec<TcpStream>>>;

/// Serves a client, or the source, once it has answered a question.
fn serve(mut peer: &TcpStream, manner: &str, subscribers: &Subscribers) -> io::Result<()> {
    let hello: &[u8] = match manner {
        "refuse" => b"INFO {}\r\n-ERR 'Authorization Violation'\r\n",
        _ => b"INFO {}\r\nPING\r\n",
    };
    peer.write_all(hello)?;
    let mut lines = BufReader::new(peer);
    let (mut is_there, mut asks, mut held, mut count) = (false, false, Vec::new(), 0);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end().split(' ').collect::<Vec<_>>()[..] {
            ["PONG"] => is_there = true,
            ["PING"] => asks = true,
            ["PUB", _, size] => {
                let size: usize = size.parse().expect("a size");
                let mut body = vec![0; size + 2];
                lines.read_exact(&mut body)?;
                held.push(body);
            }
            _ => {}
        }
        if is_there && std::mem::take(&mut asks) {
            peer.write_all(b"PONG\r\n")?;
            subscribers.lock().expect("sound").push(peer.try_clone()?);
        }
        if !is_there {
            continue;
        }
        for mut body in held.drain(..) {
            count += 1;
            let goes_wrong = count == 100;
            let mut all = subscribers.lock().expect("sound");
            match manner {
                "end-source" if goes_wrong => return Ok(()),
                "alter" if goes_wrong => body[500] ^= 1,
                "cut" if goes_wrong => drop(all.pop().map(|cut| cut.shutdown(Shutdown::Both))),
                _ => {}
            }
            let skipped = usize::from(manner == "lose" && goes_wrong);
            let message = [
                format!("MSG bench 1 {}\r\n", body.len() - 2).as_bytes(),
                &body,
            ]
            .concat();
            // Who has gone is no subscriber any more.
            let mut at = 0;
            all.retain_mut(|to| {
                at += 1;
                at <= skipped || to.write_all(&message).is_ok()
            });
        }
    }
}
