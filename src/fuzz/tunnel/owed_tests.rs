//! What had come whole, with its end, when a session went: it is delivered all the same, at either end of a tunnel.

use super::roles::party;
use super::tests::{Hand, Stage, accept, challenge, secs};
use super::*;
use crate::proto::yamux::{Flags, HEADER_LEN, Header, Kind as Type};

/// More than the kernels on the way to a reader take, and no more than a stream's window.
const OWED: usize = 250_000;

fn header(kind: Type, flags: Flags, stream: u32, length: usize) -> [u8; HEADER_LEN] {
    let length = length as u32;
    Header {
        kind,
        flags,
        stream,
        length,
    }
    .encode()
}

/// A frame with so many bytes, which may be the last of its direction.
fn data(stream: u32, len: usize, flags: Flags) -> Vec<u8> {
    let mut frame = header(Type::Data, flags, stream, len).to_vec();
    frame.resize(HEADER_LEN + len, b'x');
    frame
}

/// Says all of it, as fast as it is taken.
fn say(stage: &mut Stage, id: RemoteId, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = stage.world().remote_send(id, rest);
        rest = &rest[taken..];
        stage.settle();
    }
    stage.settle();
}

/// Reads a little every second until nothing comes any more.
fn read_slowly(stage: &mut Stage, id: RemoteId) {
    read_while(stage, id, None);
}

/// As above, while another peer shows that it is alive.
fn read_while(stage: &mut Stage, id: RemoteId, alive: Option<RemoteId>) {
    for _ in 0..OWED / 10_000 + 2 {
        if let Some(alive) = alive {
            let ping = header(Type::Ping, Flags::SYN, 0, 7);
            stage.world().remote_send(alive, &ping);
        }
        stage.world().remote_read(id, 10_000);
        match stage.over < stage.parties.len() {
            true => stage.run_for(secs(1)),
            false => stage.world().run_for(secs(1)),
        }
    }
}

/// Somebody who has all that he is owed, and its end.
#[track_caller]
fn assert_has_all(stage: &Stage, id: RemoteId) {
    assert_eq!(stage.world().received(id).len(), OWED);
    assert!(stage.world().saw_fin(id));
}

/// A client of a backend's, and the id of its stream, which the backend has taken.
fn client(stage: &mut Stage, hand: &mut Hand, port: u16) -> (RemoteId, u32) {
    let client = stage.caller(port);
    let said = stage.answer_pings(hand);
    let opened = said.iter().find(|it| it.flags.has(Flags::SYN));
    let stream = opened.expect("a stream is opened").stream;
    stage.send(hand, Type::WindowUpdate, Flags::ACK, stream, 0);
    (client, stream)
}

/// Each way in which a backend goes: in order, in silence with the end of its connection, and by a reset.
fn go(stage: &mut Stage, hand: &Hand, how: usize) {
    if how == 0 {
        stage.send(hand, Type::GoAway, Flags::NONE, 0, 0);
        stage.settle();
        stage.world().remote_read(hand.id, 1 << 20);
    }
    match how {
        2 => stage.world().remote_reset(hand.id),
        _ => stage.world().remote_close(hand.id),
    }
    stage.settle();
}

#[test]
fn the_end_of_an_answer_is_read_though_its_backend_is_gone() {
    for how in 0..3 {
        for half_closes in [true, false] {
            let mut stage = Stage::new("", None, &[]);
            let mut web = stage.backend("web", 0);
            let (whole, stream) = client(&mut stage, &mut web, 7001);
            let (cut, other) = client(&mut stage, &mut web, 7001);
            if half_closes {
                stage.world().remote_shutdown(whole);
            }
            say(&mut stage, web.id, &data(stream, OWED, Flags::FIN));
            say(&mut stage, web.id, &data(other, OWED, Flags::NONE));
            go(&mut stage, &web, how);
            assert!(stage.world().saw_reset(cut), "its end had not come");
            assert_eq!(stage.clients(), 1);
            read_slowly(&mut stage, whole);
            assert_has_all(&stage, whole);
            assert!(!stage.world().saw_reset(whole), "{how} {half_closes}");
            assert_eq!(stage.clients(), 0);
        }
    }
}

/// What it says behind that goes nowhere, which it is told, once it has everything.
#[test]
fn a_client_that_talks_on_gets_the_end_of_its_answer_and_then_a_reset() {
    let mut stage = Stage::new("", None, &[]);
    let mut web = stage.backend("web", 0);
    let (talks, stream) = client(&mut stage, &mut web, 7001);
    say(&mut stage, web.id, &data(stream, OWED, Flags::FIN));
    go(&mut stage, &web, 1);
    say(&mut stage, talks, &[b'y'; 200_000]);
    while stage.world().received(talks).len() < OWED {
        assert!(stage.world().is_open(talks));
        stage.world().remote_read(talks, 1 << 20);
        stage.settle();
    }
    stage.world().remote_read(talks, 1);
    stage.run_for(secs(2));
    assert_has_all(&stage, talks);
    assert!(stage.world().saw_reset(talks));
    assert_eq!(stage.clients(), 0);
}

/// The kernel has all of it, and the client has not, whose own direction is open.
#[test]
fn what_only_the_kernel_holds_is_read_too() {
    let mut stage = Stage::new("", None, &[]);
    let mut web = stage.backend("web", 0);
    let (slow, stream) = client(&mut stage, &mut web, 7001);
    say(&mut stage, web.id, &data(stream, 100_000, Flags::FIN));
    go(&mut stage, &web, 2);
    stage.run_for(secs(5));
    assert_eq!(stage.clients(), 1);
    read_slowly(&mut stage, slow);
    assert_eq!(stage.world().received(slow).len(), 100_000);
    assert!(stage.is_closed(slow));
    assert_eq!(stage.clients(), 0);
}

/// The port of a backend without a name is another's at once.
#[test]
fn a_port_is_free_though_somebody_still_reads_what_came_through_it() {
    let mut stage = Stage::new("--ports 7001-7001", None, &[]);
    let mut first = stage.backend("", 0);
    let (slow, stream) = client(&mut stage, &mut first, 7001);
    say(&mut stage, first.id, &data(stream, OWED, Flags::FIN));
    go(&mut stage, &first, 1);
    let late = stage.caller(7001);
    assert!(!stage.world().is_open(late));
    let mut second = stage.backend("", 0);
    let (other, stream) = client(&mut stage, &mut second, 7001);
    assert_eq!(stage.clients(), 2);
    read_slowly(&mut stage, slow);
    assert_has_all(&stage, slow);
    say(&mut stage, second.id, &data(stream, 5, Flags::NONE));
    assert_eq!(stage.world().remote_read(other, 100), b"xxxxx");
    assert_eq!(stage.clients(), 1);
}

/// A name's next session has streams with the ids of the one before.
#[test]
fn a_client_of_a_session_that_is_gone_touches_no_stream_of_the_next() {
    for leaves in [true, false] {
        let mut stage = Stage::new("", None, &[]);
        let mut web = stage.backend("web", 0);
        let (old, stream) = client(&mut stage, &mut web, 7001);
        say(&mut stage, web.id, &data(stream, OWED, Flags::FIN));
        go(&mut stage, &web, 1);
        let mut web = stage.backend("web", 0);
        let (new, again) = client(&mut stage, &mut web, 7001);
        assert_eq!(stream, again);
        match leaves {
            true => stage.world().remote_reset(old),
            false => read_slowly(&mut stage, old),
        }
        stage.run_for(secs(1));
        assert_eq!(stage.clients(), 1);
        let said = stage.answer_pings(&mut web);
        assert!(!said.iter().any(|it| it.flags.has(Flags::RST)), "{said:?}");
        say(&mut stage, web.id, &data(again, 5, Flags::NONE));
        assert_eq!(stage.world().remote_read(new, 100), b"xxxxx");
    }
}

/// A stop waits for those who still read, and no longer than for others.
#[test]
fn a_server_that_stops_waits_for_what_its_clients_are_owed() {
    for reads in [true, false] {
        let mut stage = Stage::new("--drain 40s", None, &[]);
        let mut web = stage.backend("web", 0);
        let (slow, stream) = client(&mut stage, &mut web, 7001);
        say(&mut stage, web.id, &data(stream, OWED, Flags::FIN));
        if reads {
            stage.world().signal(Signal::Terminate);
            stage.settle();
        }
        go(&mut stage, &web, 1);
        if !reads {
            stage.world().signal(Signal::Terminate);
        }
        stage.run_for(secs(5));
        assert_eq!(stage.over, 0);
        if reads {
            read_slowly(&mut stage, slow);
            assert_has_all(&stage, slow);
            assert!(!stage.world().saw_reset(slow));
        } else {
            stage.run_for(secs(34));
            assert_eq!(stage.over, 0, "its time is not over");
            stage.run_for(secs(2));
            stage.world().run_for(secs(1));
            assert!(stage.world().saw_reset(slow));
        }
        assert_eq!(stage.over, 1);
    }
}

/// `expose` with a server and a service by hand, and the server's first connection.
pub(super) fn an_expose(flags: &str) -> (Stage, RemoteId) {
    let words = format!("tunnel expose 7000 {SERVICE_PORT} --retry 0.2 {flags}");
    let mut stage = Stage::with(vec![party(words.trim())], false);
    for port in [7000, SERVICE_PORT] {
        let manual = Behaviour::Serve(Box::new(|_| Actor::Manual));
        stage.world().listen_remote(Addr::Tcp(at(port)), manual);
    }
    stage.settle();
    let server = greet(&mut stage, 0);
    (stage, server)
}

/// Takes the backend's n-th connection in.
fn greet(stage: &mut Stage, n: usize) -> RemoteId {
    let id = callers(stage, 7000)[n];
    for part in [challenge(), accept()] {
        say(stage, id, &part);
    }
    stage.world().remote_read(id, 1 << 20);
    id
}

fn callers(stage: &Stage, port: u16) -> Vec<RemoteId> {
    stage.world().accepted_at(&Addr::Tcp(at(port))).to_vec()
}

/// A stream with a client's bytes, and the service's connection for it.
fn stream(stage: &mut Stage, server: RemoteId, flags: Flags) -> RemoteId {
    let mut says = header(Type::WindowUpdate, Flags::SYN, 2, 0).to_vec();
    says.extend(data(2, OWED, flags));
    say(stage, server, &says);
    let services = callers(stage, SERVICE_PORT);
    *services.last().expect("it is reached")
}

#[test]
fn the_service_reads_what_a_client_had_said_though_the_server_is_gone() {
    for resets in [true, false] {
        let (mut stage, server) = an_expose("");
        let whole = stream(&mut stage, server, Flags::FIN);
        match resets {
            true => stage.world().remote_reset(server),
            false => stage.world().remote_close(server),
        }
        stage.run_for(secs(1));
        // The next session's stream has the same id.
        let server = greet(&mut stage, 1);
        let cut = stream(&mut stage, server, Flags::NONE);
        read_while(&mut stage, whole, Some(server));
        assert_has_all(&stage, whole);
        assert!(!stage.world().saw_reset(whole));
        stage.world().remote_close(whole);
        stage.run_for(secs(2));
        let said = stage.world().remote_read(server, 1 << 20);
        let reset = header(Type::WindowUpdate, Flags::RST, 2, 0);
        assert!(!said.windows(HEADER_LEN).any(|bytes| bytes == reset));
        assert!(stage.world().is_open(cut));
        stage.world().remote_close(server);
        stage.settle();
        assert!(stage.world().saw_reset(cut), "its end had not come");
        let now = stage.world().time();
        assert_eq!(stage.expose(0).view(now).clients, 0);
    }
}

#[test]
fn a_service_that_leaves_what_it_is_owed_resets_no_other_stream() {
    let (mut stage, server) = an_expose("");
    let gone = stream(&mut stage, server, Flags::FIN);
    stage.world().remote_close(server);
    stage.run_for(secs(1));
    let server = greet(&mut stage, 1);
    let there = stream(&mut stage, server, Flags::FIN);
    stage.world().remote_reset(gone);
    stage.settle();
    read_while(&mut stage, there, Some(server));
    assert_has_all(&stage, there);
    say(&mut stage, there, b"answer");
    let said = stage.world().remote_read(server, 1 << 20);
    assert!(said.ends_with(b"answer"), "{said:?}");
}

/// What is dialled for a client that has said all is told it, though the session goes before it answers.
#[test]
fn a_service_that_is_being_reached_gets_what_it_is_owed() {
    let (mut stage, server) = an_expose("");
    let mut says = header(Type::WindowUpdate, Flags::SYN, 2, 0).to_vec();
    says.extend(data(2, 5, Flags::FIN));
    assert_eq!(stage.world().remote_send(server, &says), says.len());
    stage.world().remote_close(server);
    stage.run_for(secs(1));
    let service = callers(&stage, SERVICE_PORT)[0];
    assert_eq!(stage.world().remote_read(service, 100), b"xxxxx");
    assert!(stage.world().saw_fin(service));
}

#[test]
fn a_backend_that_stops_waits_for_what_its_service_is_owed() {
    for (reads, is_up) in [(true, true), (true, false), (false, false)] {
        let (mut stage, server) = an_expose("--drain 40s");
        let slow = stream(&mut stage, server, Flags::FIN);
        stage.world().remote_close(server);
        stage.run_for(secs(1));
        if is_up {
            greet(&mut stage, 1);
        }
        stage.world().signal(Signal::Terminate);
        stage.run_for(secs(5));
        assert_eq!(stage.over, 0);
        let server = callers(&stage, 7000)[1];
        stage.world().remote_read(server, 1 << 20);
        let is_left = !stage.world().is_open(server) || stage.world().saw_fin(server);
        assert!(is_left || is_up, "nobody is dialled any more");
        if reads {
            read_slowly(&mut stage, slow);
            assert_has_all(&stage, slow);
            assert!(!stage.world().saw_reset(slow));
        } else {
            stage.run_for(secs(36));
            stage.world().run_for(secs(1));
            assert!(stage.world().saw_reset(slow));
        }
        assert_eq!(stage.over, 1);
        assert_eq!(callers(&stage, 7000).len(), 2);
    }
}

/// Of all connections from now on.
fn set_buffers(stage: &Stage, len: usize) {
    let mut world = stage.world();
    let faults = world.faults();
    (faults.send_buffer, faults.receive_buffer) = (len, len);
}

/// What each of them is owed came with its own session within that one's limit. Those whose bytes have waited for the
/// longest go.
#[test]
fn what_sessions_have_left_has_one_limit() {
    const CLIENTS: usize = 140;
    const BUFFERS: usize = 1000;
    const LIMIT: usize = 64 << 20;
    let mut stage = Stage::new("", None, &[]);
    let mut backends = Vec::new();
    let mut crowds = Vec::new();
    for (name, port) in [("first", 7001), ("second", 7002)] {
        set_buffers(&stage, 1 << 20);
        let mut hand = stage.backend(name, 0);
        set_buffers(&stage, BUFFERS);
        let crowd: Vec<_> = (0..CLIENTS)
            .map(|_| client(&mut stage, &mut hand, port))
            .collect();
        for (_, stream) in &crowd {
            say(&mut stage, hand.id, &data(*stream, OWED, Flags::FIN));
        }
        backends.push(hand);
        crowds.push(crowd);
    }
    go(&mut stage, &backends[0], 1);
    assert_eq!(stage.clients(), 2 * CLIENTS);
    go(&mut stage, &backends[1], 1);
    // Each holds all but what the kernels have.
    let left = stage.clients();
    assert!(left * (OWED - 2 * BUFFERS) <= LIMIT, "{left}");
    assert!((left + 1) * OWED > LIMIT, "{left}");
    let reset = |crowd: &[(RemoteId, u32)]| {
        let is_reset = |(id, _): &&(RemoteId, u32)| stage.world().saw_reset(*id);
        crowd.iter().filter(is_reset).count()
    };
    let gone = 2 * CLIENTS - left;
    assert_eq!((reset(&crowds[0]), reset(&crowds[1])), (gone, 0));
    for crowd in crowds {
        let (stays, _) = crowd[CLIENTS - 1];
        while !stage.world().saw_fin(stays) {
            assert!(stage.world().is_open(stays));
            stage.world().remote_read(stays, BUFFERS);
            stage.settle();
        }
        assert_has_all(&stage, stays);
    }
}
