//! `hub tunnel`: two ends, a hub between them, and programs that know nothing of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::common::hydrant::{Hydrant, hydrant, signal};
use crate::common::peers::{Place, connect, connect_narrow, half_close, reset};
use crate::common::scratch::Scratch;
use crate::common::service::{ask, bytes, handed, is_reset, next, service, until};
use crate::common::tools::{Tool, have};
use crate::common::{DEADLINE, first_line};
use crate::rig::Hub;

/// One end, with short waits.
pub(crate) fn end(hub: SocketAddr, name: &str, flags: &str) -> Hydrant {
    hydrant(&format!(
        "hub tunnel {hub} {name} --retry 0.05..0.2 {flags}"
    ))
    .start()
}

/// Two ends, the first of which listens, and the second of which forwards to a service.
struct Pair {
    hub: Hub,
    a: Hydrant,
    b: Hydrant,
    at: SocketAddr,
    /// Theirs, whoever of them is away.
    _places: [Place; 2],
}

impl Pair {
    fn start(service: SocketAddr) -> Self {
        Self::with(service, "", "")
    }

    fn with(service: SocketAddr, hub: &str, a: &str) -> Self {
        Self::of(service, hub, a, "")
    }

    fn of(service: SocketAddr, hub: &str, a: &str, b: &str) -> Self {
        let places = [Place::everywhere(), Place::new()];
        let hub = Hub::start_at(places[0].at.port(), hub);
        let b = end(hub.at, "b", &format!("--to a --forward {service} {b}"));
        let listen = places[1].at;
        let a = end(hub.at, "a", &format!("--to b --listen {listen} {a}"));
        let at = a.address_of("clients of b");
        a.wait_log("b is there");
        b.wait_log("a is there");
        Self {
            hub,
            a,
            b,
            at,
            _places: places,
        }
    }
}

/// A connection of a process that was killed ends in the way that its kernel likes.
fn is_over(stream: TcpStream) {
    is_reset(stream);
}

/// What a report says is so, in KiB.
fn figure(line: &str, so: &str) -> f64 {
    let words = line.split(so).next().unwrap_or_default();
    let mut words = words.rsplit(' ');
    let (unit, figure) = (words.next(), words.next());
    let figure: f64 = figure.and_then(|word| word.parse().ok()).expect("a figure");
    match unit {
        Some("B") => figure / 1024.0,
        Some("KiB") => figure,
        Some("MiB") => figure * 1024.0,
        _ => panic!("{line}"),
    }
}

/// A web server that is not ours, with some pages.
fn web_server(pages: &Scratch) -> (Tool, SocketAddr) {
    for page in 1..=100 {
        fs::write(pages.at(&format!("{page}.html")), bytes(page * 311)).expect("a page");
    }
    fs::write(pages.at("large"), bytes(30 << 20)).expect("a large page");
    let mut server = Tool::start("python3", &["-u", "-c", WEB_SERVER, &pages.at("")]);
    let port = first_line(&mut server);
    let port = port.parse().expect("it prints its port");
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

const WEB_SERVER: &str = "
import http.server, sys, functools
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 200
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
server = Server(('127.0.0.1', 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1])
server.serve_forever()
";

#[test]
fn a_browser_fetches_pages_a_hundred_at_a_time_and_large_ones() {
    if !have("python3") || !have("curl") {
        return;
    }
    let (pages, got) = (Scratch::new(), Scratch::new());
    let (_server, web) = web_server(&pages);
    let pair = Pair::start(web);
    let fetch = |url: &str, to: &str| {
        let run = Command::new("curl")
            .args([
                "-sSf",
                "--max-time",
                "30",
                "--parallel",
                "--parallel-immediate",
            ])
            .args(["--parallel-max", "100", "-o", to, url])
            .output()
            .expect("curl runs");
        assert!(run.status.success(), "{run:?}");
    };
    let to = got.at("#1.html");
    fetch(&format!("http://{}/[1-100].html", pair.at), &to);
    fetch(&format!("http://{}/large", pair.at), &got.at("large"));
    for page in 1..=100 {
        let is_same = fs::read(got.at(&format!("{page}.html"))).expect("it was fetched")
            == fs::read(pages.at(&format!("{page}.html"))).expect("it is there");
        assert!(is_same, "page {page}");
    }
    assert!(fs::read(got.at("large")).expect("it was fetched") == bytes(30 << 20));
    let report = pair.a.report_until("0 connections open");
    assert!(report.contains(" 101 accepted, 0 refused"), "{report}");
    assert!(pair.b.report().contains(" 101 forwarded"));
}

#[test]
fn large_streams_pass_both_ways_and_each_direction_ends_by_itself() {
    let answer = bytes(20 << 20);
    let said = answer.clone();
    let at = service(move |mut stream| {
        // It answers only once it has heard the end.
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        assert!(all == bytes(9 << 20), "{} bytes", all.len());
        stream.write_all(&said).expect("it is read");
    });
    let pair = Pair::start(at);
    assert!(ask(pair.at, &bytes(9 << 20)) == answer);
    let at = service(|mut stream| {
        // It has said all before it hears anything.
        stream.write_all(b"welcome").expect("it is read");
        half_close(&stream);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        assert_eq!(all, b"thanks");
    });
    let pair = Pair::start(at);
    let mut client = connect(pair.at);
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an end comes");
    assert_eq!(all, b"welcome");
    client
        .write_all(b"thanks")
        .expect("the other direction is open");
    drop(client);
    pair.a.report_until(" 0 connections open");
}

/// Who has said all, and takes a rest before it reads on, is there all the same.
#[test]
fn a_pause_behind_an_end_breaks_nothing() {
    let at = service(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        stream.write_all(&bytes(40 << 20)).expect("it is read");
    });
    let pair = Pair::with(at, "--name-timeout 2.5s", "");
    let mut client = connect(pair.at);
    half_close(&client);
    until("the window", || {
        (figure(&pair.a.report(), " held") > 100.0).then_some(())
    });
    // Longer than anything that is looked at each second.
    pair.hub.connect().ends();
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an orderly end");
    assert!(all == bytes(40 << 20), "{} bytes", all.len());
}

#[test]
fn a_reset_is_a_reset_in_both_directions() {
    let (at, served) = handed();
    let pair = Pair::start(at);
    // A connection that is reset while it is still being made has nobody yet to be told how it ended.
    let made = || {
        let mut client = connect(pair.at);
        let mut service = next(&served);
        service.write_all(b"!").unwrap();
        client.read_exact(&mut [0]).expect("it is connected");
        (client, service)
    };
    let (client, service) = made();
    reset(client);
    assert!(is_reset(service));
    let (client, service) = made();
    reset(service);
    assert!(is_reset(client));
}

#[test]
fn both_options_together_serve_both_directions() {
    let [at_a, at_b] = [b"of a", b"of b"]
        .map(|words| service(move |mut stream| stream.write_all(words).expect("it is read")));
    let hub = Hub::start("");
    let a = end(hub.at, "a", &format!("--to b --listen 0 --forward {at_a}"));
    let b = end(hub.at, "b", &format!("--to a --listen 0 --forward {at_b}"));
    let (to_b, to_a) = (a.address_of("clients of b"), b.address_of("clients of a"));
    a.wait_log("b is there");
    b.wait_log("a is there");
    for _ in 0..20 {
        assert_eq!(ask(to_b, b""), b"of b");
        assert_eq!(ask(to_a, b""), b"of a");
    }
}

/// A browser that does not read holds up nobody, and fills nothing but its own window.
#[test]
fn a_slow_browser_fills_no_hub() {
    let at = service(|mut stream| {
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).expect("it asks");
        let len = u32::from_be_bytes(asked) as usize;
        // The slow one is gone before it has everything.
        let _ = stream.write_all(&bytes(len));
    });
    let pair = Pair::start(at);
    let mut slow = connect_narrow(pair.at);
    slow.write_all(&(64u32 << 20).to_be_bytes()).unwrap();
    // The window of one stream is used up; from then on nothing moves.
    let mut before = None;
    until("the window", || {
        let held = figure(&pair.a.report(), " held");
        let is_full = held > 100.0 && before == Some(held);
        before = Some(held);
        is_full.then_some(())
    });
    assert_eq!(ask(pair.at, &(5u32 << 20).to_be_bytes()), bytes(5 << 20));
    pair.hub.run.report_until("| waiting 0 B,");
    drop(slow);
    pair.b.report_until(" 0 connections open");
}

/// An end that stands still: no more than 1 MiB is on its way to it, however many streams there are, and the hub keeps
/// it.
#[test]
fn what_is_under_way_is_bounded_for_all_streams_together() {
    let at = service(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        stream.write_all(&(all.len() as u64).to_be_bytes()).unwrap();
    });
    let pair = Pair::start(at);
    signal(pair.b.pid(), "STOP");
    const STREAMS: usize = 40;
    const EACH: usize = 1 << 20;
    let clients: Vec<_> = (0..STREAMS)
        .map(|_| {
            let at = pair.at;
            thread::spawn(move || ask(at, &bytes(EACH)))
        })
        .collect();
    pair.a.report_until("40 connections open");
    let full = until("the bound", || {
        let kib = figure(&pair.a.report(), " under way");
        (kib > 1000.0).then_some(kib)
    });
    assert!(full <= 1024.0, "{full} KiB");
    // Each piece in the hub has a head of the hub's and one of the tunnel's.
    let waits = figure(&pair.hub.run.report(), ", held");
    assert!(waits <= 1.1 * 1024.0, "{waits} KiB");
    signal(pair.b.pid(), "CONT");
    for client in clients {
        let got = client.join().expect("it is served");
        assert_eq!(got, (EACH as u64).to_be_bytes());
    }
    let report = pair.hub.run.report();
    assert!(report.contains("| drops 0 |"), "{report}");
}

#[test]
fn a_hub_that_is_killed_and_comes_back_is_found_again() {
    let (at, served) = handed();
    let mut pair = Pair::start(at);
    let client = connect(pair.at);
    let service = next(&served);
    pair.hub.run.kill();
    assert!(is_reset(client) && is_reset(service));
    pair.a
        .wait_logs(&["hub ", "; 1 connection reset; retrying"]);
    assert!(is_reset(connect(pair.at)), "at once");
    pair.a.wait_log("refused: the hub is away");
    pair.hub.run = hydrant(&format!("hub serve {}", pair.hub.at)).start();
    pair.hub.run.address_of("clients");
    pair.a.wait_log("b is there again (was away ");
    pair.b.wait_log("a is there again (was away ");
    let mut client = connect(pair.at);
    client.write_all(b"hello").unwrap();
    let mut got = [0; 5];
    next(&served).read_exact(&mut got).expect("it passes");
    assert_eq!(&got, b"hello");
}

#[test]
fn either_end_may_be_killed_and_come_back() {
    let (at, served) = handed();
    let mut pair = Pair::start(at);
    for round in 0..3 {
        let client = connect(pair.at);
        let service = next(&served);
        pair.b.kill();
        is_over(service);
        pair.b = end(pair.hub.at, "b", &format!("--to a --forward {at}"));
        pair.b.wait_log("a is there");
        assert!(is_reset(client), "what went through it is over");
        pair.a.wait_log("b is there again");
        let client = connect(pair.at);
        let service = next(&served);
        pair.a.kill();
        is_over(client);
        let listen = pair.at;
        pair.a = end(pair.hub.at, "a", &format!("--to b --listen {listen}"));
        pair.a.wait_log("b is there");
        assert!(is_reset(service), "round {round}");
        pair.b.wait_log("a is there again");
    }
}

#[test]
fn a_stopped_end_lets_its_connections_finish_and_says_so() {
    let (at, served) = handed();
    let pair = Pair::of(at, "", "", "--drain 60s");
    let mut client = connect(pair.at);
    let mut service = next(&served);
    service.write_all(b"half").unwrap();
    let mut got = [0; 4];
    client.read_exact(&mut got).unwrap();
    pair.b.signal("TERM");
    until("going away", || {
        // Who comes before that is known is passed on, and leaves at once.
        drop(TcpStream::connect(pair.at));
        served.try_iter().for_each(drop);
        let told = pair.a.has_logged("refused: b is being stopped");
        told.then_some(())
    });
    assert!(is_reset(connect(pair.at)));
    service.write_all(b" and half").unwrap();
    drop(service);
    let mut rest = Vec::new();
    half_close(&client);
    client.read_to_end(&mut rest).expect("an orderly end");
    assert_eq!(rest, b" and half");
    let mut b = pair.b;
    assert_eq!(b.wait_exit(), 0);
    b.wait_log("stopped by SIGTERM: 0 connections cut");
    pair.a
        .wait_log("b lost: it is stopped; 0 connections reset");
    pair.a.stop();
}

#[test]
fn tokens_prove_both_names() {
    let scratch = Scratch::new();
    let tokens = scratch.at("tokens");
    fs::write(&tokens, "a 0123456789abcdef-a\nb 0123456789abcdef-b\n").unwrap();
    let private = |file: &str| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file, mode).unwrap();
    };
    private(&tokens);
    let [own_a, own_b] = ["a", "b"].map(|name| {
        let file = scratch.at(name);
        fs::write(&file, format!("0123456789abcdef-{name}\n")).unwrap();
        private(&file);
        format!("--token-file {file}")
    });
    let hub = Hub::start(&format!("--tokens {tokens}"));
    let at = service(|mut stream| stream.write_all(b"hello").expect("it is read"));
    let a = end(hub.at, "a", &format!("--to b --listen 0 {own_a}"));
    let b = end(hub.at, "b", &format!("--to a --forward {at} {own_b}"));
    a.wait_log("b is there");
    b.wait_log("a is there");
    assert_eq!(ask(a.address_of("clients of b"), b""), b"hello");
    // Who proves a name takes it over.
    let again = end(hub.at, "b", &format!("--to a --forward {at} {own_b}"));
    again.wait_log("a is there");
    drop(b);
    let wrong = end(hub.at, "b", &format!("--to a --forward {at} {own_a}"));
    wrong.wait_logs(&["the hub ", " refused b: proof; retrying"]);
    let none = end(hub.at, "b", &format!("--to a --forward {at}"));
    none.wait_log("asks for a token: --token-file FILE, or HYDRANT_TOKEN; retrying");
}

/// Several connections that each have bytes of their own do not get each other's.
#[test]
fn many_streams_at_once_are_not_mixed() {
    let at = service(|mut stream| {
        let mut into = vec![0; 10_000];
        while let Ok(count @ 1..) = stream.read(&mut into) {
            stream.write_all(&into[..count]).expect("it is read");
        }
    });
    let pair = Pair::start(at);
    let (done, results) = mpsc::channel();
    for client in 0..100usize {
        let (at, done) = (pair.at, done.clone());
        thread::spawn(move || {
            let said: Vec<u8> = bytes(100_000 + client)
                .iter()
                .map(|b| b ^ client as u8)
                .collect();
            done.send(ask(at, &said) == said).expect("the test waits");
        });
    }
    for _ in 0..100 {
        assert!(results.recv_timeout(DEADLINE).expect("all are served"));
    }
}
