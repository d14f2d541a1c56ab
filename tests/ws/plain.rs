//! Programs that know nothing of sessions, on either side of a relay: one connection at a time, in binary messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use hydrant::proto::http1::{HeadBuf, Request, Upgrade};
use tungstenite::Message;
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use crate::common::DEADLINE;
use crate::common::peers::{Place, connect, echo, half_close, reset};
use crate::common::service::{ask, bytes, handed, is_reset, next, service};
use crate::peer::{Plain, answer, request};
use crate::proxies::copy;
use crate::rig::{Relay, client, exchange, host};

#[test]
fn a_pair_is_made_in_either_order() {
    for host_first in [true, false] {
        let relay = Relay::start("");
        let dial = |path| Plain::dial(relay.at, path);
        let (mut host, mut client) = match host_first {
            true => (dial("/host"), dial("/client")),
            false => {
                let client = dial("/client");
                (dial("/host"), client)
            }
        };
        let much = bytes(100_000);
        client.say(&much);
        assert!(host.hear(much.len()) == much);
        host.say(&much[1..]);
        assert!(client.hear(much.len() - 1) == much[1..]);
    }
}

#[test]
fn what_was_said_before_the_other_came_arrives() {
    let relay = Relay::start("");
    let mut host = Plain::dial(relay.at, "/host/a");
    host.say(b"220 welcome");
    let mut client = Plain::dial(relay.at, "/client/a");
    assert_eq!(client.hear(11), b"220 welcome");
    let mut client = Plain::dial(relay.at, "/client/b");
    client.say(b"knock");
    let mut host = Plain::dial(relay.at, "/host/b");
    assert_eq!(host.hear(5), b"knock");
}

#[test]
fn text_is_taken_as_bytes() {
    let relay = Relay::start("");
    let mut host = Plain::dial(relay.at, "/host");
    let mut client = Plain::dial(relay.at, "/client");
    client
        .0
        .send(Message::text("für alle"))
        .expect("it is read");
    assert_eq!(host.hear("für alle".len()), "für alle".as_bytes());
}

#[test]
fn a_close_at_one_end_is_one_at_the_other_behind_all_bytes() {
    for (closes, hears) in [("/client", "/host"), ("/host", "/client")] {
        let relay = Relay::start("");
        let mut other = Plain::dial(relay.at, hears);
        let mut first = Plain::dial(relay.at, closes);
        let much = bytes(300_000);
        first.say(&much);
        first.end();
        let (heard, code) = other.hear_to_the_end();
        assert!(heard == much, "{closes}: {} bytes", heard.len());
        assert_eq!(code, Some(1000), "{closes}");
        assert_eq!(first.hear_to_the_end().1, Some(1000), "{closes}");
        relay.run.report_until("0 WebSockets | 0 connections |");
    }
}

#[test]
fn a_lost_end_breaks_the_other_off() {
    for (lost, told) in [("/client", "/host"), ("/host", "/client")] {
        let relay = Relay::start("");
        let mut told = Plain::dial(relay.at, told);
        let mut lost = Plain::dial(relay.at, lost);
        lost.say(b"x");
        told.hear(1);
        reset(
            lost.0
                .get_ref()
                .try_clone()
                .expect("a socket can be cloned"),
        );
        drop(lost);
        assert_eq!(told.hear_to_the_end().1, Some(1011));
    }
}

#[test]
fn a_second_client_waits_for_the_hosts_return() {
    let relay = Relay::start("--pair-timeout 20");
    let mut host = Plain::dial(relay.at, "/host");
    let mut first = Plain::dial(relay.at, "/client");
    first.say(b"x");
    host.hear(1);
    let mut second = connect(relay.at);
    second
        .write_all(&request(relay.at, "/client", None, &[]))
        .expect("it is read");
    first.end();
    host.hear_to_the_end();
    let mut host = Plain::dial(relay.at, "/host");
    let mut answered = [0; 12];
    second.read_exact(&mut answered).expect("it is answered");
    assert_eq!(&answered, b"HTTP/1.1 101");
    // A byte at a time would do as well: what follows is the rest of the head.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        second.read_exact(&mut byte).expect("the head goes on");
        head.push(byte[0]);
    }
    let mut second = Plain::over(second);
    second.say(b"second");
    assert_eq!(host.hear(6), b"second");
}

#[test]
fn a_second_client_is_told_when_none_returns() {
    let relay = Relay::start("--pair-timeout 0.2");
    let mut host = Plain::dial(relay.at, "/host");
    let mut first = Plain::dial(relay.at, "/client");
    first.say(b"x");
    host.hear(1);
    let (_, answered) = answer(relay.at, &request(relay.at, "/client", None, &[]));
    assert_eq!(answered.status, 503);
    assert_eq!(
        answered.body,
        "the host has a client, and was not free within 0.2 s\n"
    );
}

#[test]
fn a_plain_client_reaches_our_host() {
    let relay = Relay::start("");
    let (target, accepted) = handed();
    let _host = relay.host("", target, "");
    let much = bytes(200_000);
    // One after the other: of two that are dialled at a time either may reach the service first.
    for _ in 0..2 {
        let mut client = Plain::dial(relay.at, "/client");
        client.say(&much);
        let mut served = next(&accepted);
        let mut got = vec![0; much.len()];
        served.read_exact(&mut got).expect("it comes");
        assert!(got == much);
        // Its close is the end of what it says, and the service may still answer.
        client.end();
        assert_eq!(served.read(&mut [0; 16]).expect("it ends well"), 0);
        served.write_all(b"goodbye").expect("it is read");
        drop(served);
        let (heard, code) = client.hear_to_the_end();
        assert_eq!((heard.as_slice(), code), (&b"goodbye"[..], Some(1000)));
    }
    let mut client = Plain::dial(relay.at, "/client");
    client.say(b"x");
    reset(next(&accepted));
    assert_eq!(client.hear_to_the_end().1, Some(1011));
}

#[test]
fn our_client_reaches_a_plain_host() {
    let relay = Relay::start("");
    let mut host = Plain::dial(relay.at, "/host");
    let (_client, at) = relay.client("", "");
    let mut program = connect(at);
    program.write_all(b"hello").expect("it is read");
    assert_eq!(host.hear(5), b"hello");
    host.say(b"and goodbye");
    host.end();
    let mut heard = Vec::new();
    program.read_to_end(&mut heard).expect("it ends well");
    assert_eq!(heard, b"and goodbye");

    // The next one waits for its return.
    let program = connect(at);
    let mut host = Plain::dial(relay.at, "/host");
    host.say(b"back");
    let mut heard = [0; 4];
    (&program).read_exact(&mut heard).expect("it comes");
    assert_eq!(&heard, b"back");
    reset(program);
    assert_eq!(host.hear_to_the_end().1, Some(1011));
}

/// A relay as the seed has it: it knows no subprotocol, and copies messages between one host and one client.
fn seed_relay() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    (listener, at)
}

/// The next WebSocket that it is asked for.
fn grant(listener: &TcpListener) -> WebSocket<TcpStream> {
    let (mut stream, _) = listener.accept().expect("somebody comes");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut head = HeadBuf::new();
    let mut byte = [0];
    while !head.is_complete() {
        stream.read_exact(&mut byte).expect("a head comes");
        head.feed(&byte).expect("it is a head");
    }
    let request = Request::parse(&head).expect("it is a request");
    let upgrade = Upgrade::of(&request, &[]).expect("it is asked well");
    stream.write_all(&upgrade.grant()).expect("it is read");
    WebSocket::from_raw_socket(stream, Role::Server, None)
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Vec<u8> {
    loop {
        match socket.read().expect("it goes on") {
            Message::Binary(bytes) => return bytes.to_vec(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn our_host_serves_a_relay_that_knows_no_sessions() {
    let (listener, at) = seed_relay();
    let (target, accepted) = handed();
    let host = host(at, "/host", target, "");
    for round in 0..3 {
        let mut socket = grant(&listener);
        host.wait_log("one connection at a time");
        let mut served = next(&accepted);
        socket
            .send(Message::Binary(b"hello".as_slice().into()))
            .expect("it is read");
        let mut got = [0; 5];
        served.read_exact(&mut got).expect("it comes");
        assert_eq!(&got, b"hello", "round {round}");
        served.write_all(b"answer").expect("it is read");
        assert_eq!(hear(&mut socket), b"answer");
        match round {
            0 => drop(served),
            _ => {
                socket.close(None).expect("it is connected");
                let _ = socket.flush();
                assert_eq!(served.read(&mut got).expect("it ends well"), 0);
            }
        }
        while socket.read().is_ok() {}
    }
}

#[test]
fn our_client_uses_a_relay_that_knows_no_sessions() {
    let (listener, relay) = seed_relay();
    let (run, at) = client(relay, "/client", "");
    let mut socket = grant(&listener);
    run.wait_log("one connection at a time");
    for round in 0..3 {
        let mut program = connect(at);
        program.write_all(b"hello").expect("it is read");
        if round > 0 {
            // It dials only when there is somebody to dial for.
            socket = grant(&listener);
        }
        assert_eq!(hear(&mut socket), b"hello", "round {round}");
        socket
            .send(Message::Binary(b"answer".as_slice().into()))
            .expect("it is read");
        let mut got = [0; 6];
        program.read_exact(&mut got).expect("it comes");
        assert_eq!(&got, b"answer");
        half_close(&program);
        while socket.read().is_ok() {}
        assert_eq!(program.read(&mut got).expect("it ends well"), 0);
    }
}

/// A proxy that takes the subprotocol out of each request, as those do that do not know the field.
fn stripping(relay: SocketAddr) -> SocketAddr {
    service(move |mut stream| {
        let mut head = String::new();
        let mut byte = [0];
        while !head.ends_with("\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a head comes");
            head.push(byte[0].into());
        }
        let lines = head.split_inclusive("\r\n");
        let kept: String = lines.filter(|line| !line.contains("hydrant.mux")).collect();
        assert!(kept.len() < head.len(), "it is offered: {head}");
        let mut to = connect(relay);
        to.write_all(kept.as_bytes()).expect("it is read");
        copy(stream, to);
    })
}

#[test]
fn a_plain_pair_of_ours_carries_megabytes_both_ways_and_its_ends() {
    let relay = Relay::start("");
    let front = stripping(relay.at);
    let (target, accepted) = handed();
    let host = host(front, "/host", target, "");
    host.wait_log("one connection at a time");
    let (client, at) = client(front, "/client", "");
    client.wait_log("one connection at a time");
    let much = bytes(2 << 20);
    for round in 0..3 {
        let program = connect(at);
        (&program).write_all(b"!").expect("it is read");
        let served = next(&accepted);
        (&served).read_exact(&mut [0]).expect("it comes");
        // Neither reads while it has much to say, so that both are held up on the way.
        let send = |to: &TcpStream| {
            let (mut to, much) = (to.try_clone().expect("a socket"), much.clone());
            std::thread::spawn(move || to.write_all(&much).expect("it is read"))
        };
        let sending = [send(&program), send(&served)];
        for from in [&served, &program] {
            let mut got = vec![0; much.len()];
            let mut from = from;
            from.read_exact(&mut got).expect("it comes");
            assert!(got == much, "round {round}");
        }
        for sending in sending {
            sending.join().expect("all was written");
        }
        match round {
            // A program that has said all, whose service hears of it, and still answers.
            0 => {
                half_close(&program);
                assert_eq!((&served).read(&mut [0]).expect("it ends well"), 0);
                (&served).write_all(b"goodbye").expect("it is read");
                drop(served);
                let mut heard = Vec::new();
                (&program).read_to_end(&mut heard).expect("it ends well");
                assert!(heard == b"goodbye" || heard.is_empty(), "{heard:?}");
            }
            1 => {
                reset(served);
                assert!(is_reset(program));
            }
            _ => {
                reset(program);
                assert!(is_reset(served));
            }
        }
    }
}

#[test]
fn a_program_that_waited_in_vain_is_told_of_by_what_it_waited_for() {
    let nobody = Place::new();
    let (run, at) = client(nobody.at, "/client", "--connect-timeout 0.2");
    let program = connect(at);
    let port = program.local_addr().expect("it is connected").port();
    assert!(is_reset(program));
    run.wait_log(&format!(
        "program 127.0.0.1:{port} was turned away after 0.2 s: there is no relay"
    ));
}

#[test]
fn a_stop_reaches_plain_peers() {
    let relay = Relay::start("--drain 0.1");
    let mut host = Plain::dial(relay.at, "/host");
    let mut client = Plain::dial(relay.at, "/client");
    client.say(b"x");
    host.hear(1);
    relay.run.signal("TERM");
    assert!(matches!(client.hear_to_the_end().1, Some(1001 | 1011)));
    assert!(matches!(host.hear_to_the_end().1, Some(1001 | 1011)));
}

#[test]
fn a_program_of_a_lost_plain_relay_is_reset() {
    let (listener, relay) = seed_relay();
    let (run, at) = client(relay, "/client", "");
    let mut socket = grant(&listener);
    let program = connect(at);
    (&program).write_all(b"hello").expect("it is read");
    hear(&mut socket);
    drop(socket);
    assert!(is_reset(program));
    run.wait_log("lost: it closed the connection");
    let relay = Relay::start("");
    let _host = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    exchange(&connect(at), b"others are not");
    assert_eq!(ask(at, b"touched"), b"touched");
}
