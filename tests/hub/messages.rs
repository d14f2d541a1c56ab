//! What goes to whom: the protocol, with and without the envelope.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::hydrant::{hydrant, read_all};
use crate::common::peers::{half_close, reset};
use crate::common::tools::{Tool, have};
use crate::common::within;
use crate::rig::Hub;

#[test]
fn a_receiver_gets_the_bytes_and_nothing_else() {
    let hub = Hub::start("");
    let mut a = hub.plain("device_a");
    let mut b = hub.plain("device_b");
    a.send("device_b|5|hello");
    b.gets("hello");
    b.send("device_a|3|a|bdevice_a|0|device_a|00000000000000000002|||device_b|4|self");
    a.gets("a|b||");
    b.gets("self");
    let binary: Vec<u8> = (0..=255).collect();
    a.send([&b"device_b|256|"[..], &binary].concat());
    b.gets(&binary);
}

#[test]
fn frames_may_be_cut_anywhere() {
    let hub = Hub::start("");
    let mut b = hub.plain("b");
    let mut a = hub.connect();
    let said = b"a|b|5|helloa|0|b|3|x|yb|10|0123456789";
    for byte in said {
        a.send([*byte]);
    }
    b.gets("hellox|y0123456789");
    let many = b"b|2|hi".repeat(50_000);
    a.send(&many);
    b.gets("hi".repeat(50_000));
}

/// A sender that stops in the middle holds up nobody; one that dies there delivers nothing of it.
#[test]
fn a_message_is_whole_or_is_none() {
    let hub = Hub::start("");
    let mut to = hub.plain("to");
    let mut slow = hub.plain("slow");
    let mut dying = hub.plain("dying");
    let mut quick = hub.plain("quick");
    slow.send("to|6|abc");
    dying.send("to|100000|");
    dying.send(vec![b'd'; 90_000]);
    quick.send("to|5|quickquick|4|done");
    quick.gets("done");
    to.gets("quick");
    let us = dying.us();
    reset(dying.0);
    hub.logs(&[&format!("client dying ({us}) left")]);
    slow.send("def");
    to.gets("abcdef");
    quick.send("to|3|endquick|1|.");
    quick.gets(".");
    to.gets("end");
}

#[test]
fn large_messages_arrive_in_one_piece_beside_others() {
    let hub = Hub::start("--max-message 8M --queue 32M");
    let mut to = hub.enveloped("to");
    let senders: Vec<_> = (0..4u8)
        .map(|number| {
            let mut client = hub.plain(&format!("s{number}"));
            std::thread::spawn(move || {
                for round in 0..3 {
                    let body = vec![b'0' + number; 2_000_000 + round];
                    let head = format!("to|{}|", body.len());
                    client.send([head.as_bytes(), &body].concat());
                }
                client
            })
        })
        .collect();
    let mut rounds = [0; 4];
    for _ in 0..12 {
        let (from, body) = to.message();
        let number: usize = from[1..].parse().expect("a number");
        assert_eq!(body.len(), 2_000_000 + rounds[number], "in order");
        assert!(body.iter().all(|byte| *byte == b'0' + number as u8));
        rounds[number] += 1;
    }
    for sender in senders {
        within("sending", move || sender.join().map(drop)).expect("it sends");
    }
}

#[test]
fn what_is_for_nobody_is_counted_and_its_sender_stays() {
    let hub = Hub::start("");
    let mut a = hub.plain("a");
    let nobody = "x".repeat(255);
    a.send(format!("b|5|hello{nobody}|0|a a|3|xyz|5|hello|3|whoa|2|ok"));
    a.gets("ok");
    // What a client without the envelope says to the hub is for nobody, too.
    let report = hub.run.report();
    assert!(report.contains("| to nobody 5 |"), "{report}");
}

#[test]
fn the_envelope_says_from_whom() {
    let hub = Hub::start("");
    let mut a = hub.enveloped("a");
    let mut b = hub.plain("b b");
    b.send("a|5|helloa|0|");
    a.gets("b b|5|hellob b|0|");
    a.send("b b|3|a|ba|0|");
    b.gets("a|b");
    a.gets("a|0|");
    let mut refused = hub.connect();
    refused.send("|8|envelopea|");
    refused.gets("|19|refused name-in-use");
    refused.ends();
    let mut refused = hub.connect();
    refused.send("|8|envelope |");
    refused.gets("|16|refused bad-name");
    refused.ends();
    hub.logs(&["refused: bad-name; the name begins or ends with a space"]);
}

#[test]
fn who_names_all_in_byte_order() {
    let hub = Hub::start("--max-message 1K --queue 4K");
    let mut a = hub.enveloped("b");
    a.send("|3|who");
    a.gets("|5|who\nb");
    let (_z, _upper, _long) = (hub.plain("z"), hub.plain("B"), hub.plain("ba"));
    a.send("|3|who");
    a.gets("|12|who\nB\nb\nba\nz");
    // More than one message holds: the last one ends in an empty line.
    let many: Vec<_> = (0..30)
        .map(|n| hub.plain(&format!("n{n:02}{}", "-".repeat(100))))
        .collect();
    a.send("|3|who");
    let mut names = Vec::new();
    loop {
        let (from, body) = a.message();
        assert!(from.is_empty() && body.len() <= 1024);
        let text = String::from_utf8(body).unwrap();
        names.extend(
            text.strip_prefix("who\n")
                .unwrap()
                .lines()
                .map(str::to_owned),
        );
        if text.ends_with('\n') {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    assert_eq!(names.len(), 34);
    assert!(names.is_sorted());
    drop(many);
}

#[test]
fn a_name_is_free_as_soon_as_its_holder_has_gone() {
    let hub = Hub::start("");
    // Not more rounds than lines that are logged one by one.
    for round in 0..8 {
        let a = hub.plain("a");
        let us = a.us();
        match round % 2 {
            0 => half_close(&a.0),
            _ => reset(a.0.try_clone().unwrap()),
        }
        if round % 2 == 0 {
            a.ends();
        } else {
            drop(a);
        }
        hub.logs(&[&format!("client a ({us}) left")]);
    }
}

/// Who ends its own direction gets what was sent to it before.
#[test]
fn a_client_that_ends_gets_what_is_its_own() {
    let hub = Hub::start("--queue 16M --drain 30s");
    let mut a = hub.plain("a");
    let mut b = hub.plain("b");
    let body = vec![b'x'; 1_000_000];
    for _ in 0..10 {
        b.send([&b"a|1000000|"[..], &body].concat());
    }
    b.send("b|1|.");
    b.gets(".");
    half_close(&a.0);
    for _ in 0..10 {
        a.gets(&body);
    }
    a.ends();
}

#[test]
fn the_hub_ends_when_clients_have_what_is_theirs() {
    let mut hub = Hub::start("--queue 16M --drain 30s");
    let mut a = hub.plain("a");
    let mut b = hub.plain("b");
    let body = vec![b'x'; 1_000_000];
    for _ in 0..10 {
        b.send([&b"a|1000000|"[..], &body].concat());
    }
    b.send("b|1|.");
    b.gets(".");
    hub.run.signal("TERM");
    b.ends();
    for _ in 0..10 {
        a.gets(&body);
    }
    a.ends();
    assert_eq!(hub.run.wait_exit(), 0);
    hub.logs(&["hub: stopped by SIGTERM: 2 clients drained, 0 cut; up "]);
}

#[test]
fn a_unix_socket_is_as_good() {
    let scratch = crate::common::scratch::Scratch::new();
    let at = scratch.at("hub");
    let run = hydrant(&format!("hub serve unix:{at} --name inner")).start();
    run.wait_log("hub[inner]: listening on unix:");
    let mut stream = crate::common::peers::connect_unix(at.as_ref());
    stream.write_all(b"|8|envelopea|").unwrap();
    let mut got = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut got).unwrap();
    assert_eq!(&got, b"|2|ok");
}

/// Clients that are not ours.
#[test]
fn the_seeds_client_in_python_is_at_home() {
    if !have("python3") {
        return;
    }
    let hub = Hub::start("");
    let mut python = Command::new("python3")
        .args(["-c", PYTHON, &hub.at.port().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let stdout = python.stdout.take().expect("a pipe");
    let said = within("Python", move || read_all(stdout));
    assert!(python.wait().unwrap().success());
    assert_eq!(String::from_utf8_lossy(&said), "b'hello'\nb''\n");
}

const PYTHON: &str = "
import socket, sys
def client(name):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30)
    s.sendall(name.encode() + b'|')
    return s
a = client('device_a')
a.sendall(b'device_a|1|.')
assert a.recv(1) == b'.'
b = client('device_b')
b.sendall(b'device_a|5|hellodevice_b|0|')
print(a.recv(100))
print(client('device_a').recv(100))
";

/// The README's client works as it stands there.
#[test]
fn the_readmes_client_works() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("there is a README");
    let (_, code) = readme.split_once("```python\n").expect("it has an example");
    let (code, _) = code.split_once("```").expect("that ends");
    if !have("python3") {
        return;
    }
    let hub = Hub::start("");
    let mut a = hub.plain("a");
    let port = hub.at.port().to_string();
    let mut python = Tool::start(
        "python3",
        &["-c", code, "127.0.0.1", &port, "b", "a", "hello"],
    );
    a.gets("hello");
    a.send("b|3|x|y");
    let mut stdout = python.0.stdout.take().expect("a pipe");
    let said = within("the example", move || {
        let mut said = [0; "'' b'ok'\n'a' b'x|y'\n".len()];
        std::io::Read::read_exact(&mut stdout, &mut said).map(|()| said)
    });
    assert_eq!(&said.expect("it prints"), b"'' b'ok'\n'a' b'x|y'\n");
}
