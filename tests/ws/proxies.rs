//! An HTTP proxy on the way to the relay.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::common::hydrant::hydrant;
use crate::common::peers::{connect, echo};
use crate::common::service::{ask, service};
use crate::rig::Relay;

/// A proxy that sees each request's head; whom it does not let through gets 407.
pub(crate) fn proxy(user: Option<&'static str>) -> (SocketAddr, mpsc::Receiver<String>) {
    let (send, seen) = mpsc::channel();
    let at = service(move |mut stream| {
        let mut head = String::new();
        let mut byte = [0];
        while !head.ends_with("\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a head comes");
            head.push(byte[0].into());
        }
        let target: SocketAddr = head
            .split(' ')
            .nth(1)
            .and_then(|target| target.parse().ok())
            .expect("CONNECT HOST:PORT");
        let good = user.is_none_or(|user| head.contains(user));
        let _ = send.send(head);
        if !good {
            let text = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(text.as_bytes()).expect("it is read");
            return;
        }
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .expect("it is read");
        let to = connect(target);
        copy(stream, to);
    });
    (at, seen)
}

pub(crate) fn copy(one: TcpStream, other: TcpStream) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
    let (mut from, mut into) = (clone(&one), clone(&other));
    let there = thread::spawn(move || std::io::copy(&mut from, &mut into));
    let _ = std::io::copy(&mut &other, &mut &one);
    let _ = there.join();
}

#[test]
fn a_way_is_made_through_a_proxy() {
    let relay = Relay::start("");
    let (proxy, seen) = proxy(None);
    let _host = relay.host("", echo(), &format!("--proxy http://{proxy}"));
    let (_client, at) = relay.client("", &format!("--proxy {proxy}"));
    assert_eq!(ask(at, b"around the corner"), b"around the corner");
    let head = seen.recv().expect("it was asked");
    assert!(
        head.starts_with(&format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", relay.at)),
        "{head}"
    );
}

#[test]
fn a_proxy_may_want_a_password_which_no_command_line_shows() {
    let relay = Relay::start("");
    let (proxy, seen) = proxy(Some("Basic bWU6cEBzcw=="));
    let line = format!("ws host ws://{} {}", relay.at, echo());
    let run = hydrant(&line)
        .env("HYDRANT_PROXY", format!("http://me:p%40ss@{proxy}"))
        .start();
    run.wait_log(" connected");
    let head = seen.recv().expect("it was asked");
    assert!(head.contains("Proxy-Authorization: Basic"), "{head}");

    let run = hydrant(&format!("{line} --proxy {proxy}")).start();
    run.wait_log("the proxy wants a user and a password");
    assert!(!run.log().join("\n").contains("p@ss"));

    let run = hydrant(&line)
        .env("HYDRANT_PROXY", format!("http://me:wr%40ng@{proxy}"))
        .start();
    run.wait_log("the proxy does not take this user and password (407 Proxy");
    assert!(!run.log().join("\n").contains("wr@ng"));
}

/// Whoever is on the way must not be taken for the relay.
#[test]
fn what_a_proxy_says_before_tls_is_not_the_relays_word() {
    let forged = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nforged\n";
    let proxy = service(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a head comes");
            head.extend(byte);
        }
        let text = format!("HTTP/1.1 200 OK\r\n\r\n{forged}");
        stream.write_all(text.as_bytes()).expect("it is read");
        let _ = stream.read(&mut byte);
    });
    let line = format!("ws host wss://relay.example {} --proxy {proxy}", echo());
    let run = hydrant(&line).start();
    run.wait_log("the proxy says more than its answer, before TLS");
    assert!(!run.has_logged("forged"));
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let relay = Relay::start("");
    let nobody = crate::common::peers::Place::new();
    let run = crate::rig::host(relay.at, "", echo(), &format!("--proxy {}", nobody.at));
    run.wait_log(&format!("proxy {} refused the connection", nobody.at));
}

/// Who looks for the fault is not to look at the relay, which was never reached.
#[test]
fn what_is_wrong_with_a_proxy_is_told_of_the_proxy() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(2000));
    for (answer, expected) in [
        (
            "",
            "the proxy: closed the connection before it has answered",
        ),
        (
            "SSH-2.0-x\r\n\r\n",
            "the proxy: the answer is not an HTTP/1.1 response",
        ),
        (
            &endless,
            "the proxy: answers with a head of more than 8192 bytes",
        ),
    ] {
        let answer = answer.to_owned();
        let proxy = service(move |mut stream| {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("a head comes");
                head.extend(byte);
            }
            // It may be left before it has said all.
            let _ = stream.write_all(answer.as_bytes());
        });
        let line = format!("ws host ws://127.0.0.1:9 {} --proxy {proxy}", echo());
        hydrant(&line).start().wait_log(expected);
    }
}
