//! Who is let in, how many, and what becomes of those who break the rules.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use hydrant::proto::yamux::{Flags, Header, Kind};
use hydrant::reactor::mio_net::{MioNet, Options};

use crate::clients::is_turned_away;
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, connect_from, connect_narrow, leave};
use crate::common::scratch::Scratch;
use crate::common::service::{ask, bytes, is_reset, service, until};
use crate::peer::{Peer, flood, greet};
use crate::rig::{Backend, Server, echo};

fn frame(kind: Kind, flags: Flags, stream: u32, length: u32) -> Vec<u8> {
    let header = Header {
        kind,
        flags,
        stream,
        length,
    };
    header.encode().to_vec()
}

/// Something that a backend does wrong, and what the log says of it.
struct Wrong {
    what: &'static str,
    does: fn(&mut Peer),
}

const WRONGS: &[Wrong] = &[
    Wrong {
        what: "it speaks version 71 of yamux, or none",
        does: |peer| {
            peer.0
                .write_all(b"GET / HTTP/1.1\r\n\r\n")
                .expect("it is read")
        },
    },
    Wrong {
        what: "it sent a frame of type 9, which there is not",
        does: |peer| {
            peer.0
                .write_all(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                .expect("it is read")
        },
    },
    Wrong {
        what: "it closed the connection",
        does: |peer| {
            peer.0.write_all(&[0, 0, 0]).expect("it is read");
            crate::common::peers::half_close(&peer.0);
        },
    },
    Wrong {
        what: "it sent 262145 bytes on stream 3, of 262144 granted",
        does: |peer| peer.send(Kind::Data, Flags::SYN, 3, 262_145),
    },
    Wrong {
        what: "it granted stream 3 more than 4 GiB",
        does: |peer| peer.send(Kind::WindowUpdate, Flags::SYN, 3, u32::MAX),
    },
    Wrong {
        what: "it opened stream 2, an id of the other side's",
        does: |peer| peer.send(Kind::WindowUpdate, Flags::SYN, 2, 0),
    },
    Wrong {
        what: "it used the id 1 again",
        does: |peer| peer.send(Kind::WindowUpdate, Flags::SYN, 1, 0),
    },
    Wrong {
        what: "it says that it is in trouble",
        does: |peer| peer.send(Kind::GoAway, Flags::NONE, 0, 2),
    },
    Wrong {
        what: "it floods us with frames that move nothing",
        does: |peer| flood(&mut peer.0, &frame(Kind::Data, Flags::NONE, 77, 0)),
    },
];

#[test]
fn a_backend_that_breaks_a_rule_is_ended_and_its_neighbours_notice_nothing() {
    let (server, _backend, public) = echo("");
    let mut neighbour = connect(public);
    for wrong in WRONGS {
        let (mut peer, its) = Peer::plain(server.at);
        assert_ne!(its, public);
        (wrong.does)(&mut peer);
        server.run.wait_logs(&["lost: ", wrong.what]);
        neighbour.write_all(b"?").expect("it is read");
        neighbour.read_exact(&mut [0]).expect("it comes back");
        until("its port to be free again", || {
            TcpStream::connect(its).is_err().then_some(())
        });
    }
}

/// An ACK changes something once, and a bit that means nothing never does.
#[test]
fn a_flood_on_a_stream_that_is_open_ends_the_session() {
    let server = Server::start("");
    for flags in [Flags::ACK, Flags::NONE] {
        let (mut peer, its) = Peer::plain(server.at);
        let client = connect(its);
        let (header, _) = peer.stream_frame();
        assert_eq!(header.flags, Flags::SYN);
        flood(
            &mut peer.0,
            &frame(Kind::WindowUpdate, flags, header.stream, 0),
        );
        let why = "it floods us with frames that move nothing";
        server.run.wait_logs(&["lost: ", why, "1 client reset"]);
        assert!(is_reset(client));
        until("its port to be free again", || {
            TcpStream::connect(its).is_err().then_some(())
        });
    }
}

#[test]
fn floods_end_the_session_in_bounded_memory() {
    let (server, _backend, public) = echo("");
    let before = server.run.resident_kib();
    let syns: Vec<u8> = (2..40_000u32)
        .flat_map(|i| frame(Kind::WindowUpdate, Flags::SYN, 2 * i + 1, 0))
        .collect();
    let floods = [
        frame(Kind::Ping, Flags::SYN, 0, 1),
        frame(Kind::WindowUpdate, Flags::NONE, 99, 1),
        frame(Kind::Ping, Flags::ACK, 0, 1),
        syns,
    ];
    for bytes in floods {
        let (mut peer, _) = Peer::plain(server.at);
        // It never reads.
        flood(&mut peer.0, &bytes);
        server.run.wait_log("lost: it ");
        assert_eq!(ask(public, b"?"), b"?");
    }
    let grown = server.run.resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more than before");
}

/// Each stream that it opens may have been dialled for before it resets it.
#[test]
fn a_relay_that_opens_and_resets_streams_without_end_is_left_in_bounded_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let backend = Backend::start(listener.local_addr().expect("it is bound"), "--echo");
    let dialled = || listener.accept().expect("it is dialled").0;
    // It knows no hello.
    drop(dialled());
    let mut relay = Peer(dialled());
    let (header, _) = relay.stream_frame();
    assert_eq!((header.stream, header.flags), (1, Flags::SYN));
    relay.data(1, b"127.0.0.1:9");
    relay.send(Kind::Data, Flags::FIN, 1, 0);
    backend.public();
    let before = backend.run.resident_kib();
    // It reads all that is said, so that nothing but the flood can be held against it.
    let mut reader = relay.0.try_clone().expect("a socket can be cloned");
    let reading = thread::spawn(move || {
        let mut into = [0; 4096];
        while reader.read(&mut into).is_ok_and(|count| count > 0) {}
    });
    let pairs: Vec<u8> = (1..250_000)
        .flat_map(|i| [Flags::SYN, Flags::RST].map(|flag| (2 * i, flag)))
        .flat_map(|(stream, flag)| frame(Kind::WindowUpdate, flag, stream, 0))
        .collect();
    flood(&mut relay.0, &pairs);
    let why = " lost: it floods us with frames that move nothing";
    backend.run.wait_log(why);
    let grown = backend.run.resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more than before");
    reading.join().expect("it read to the end");
    drop(dialled());
}

/// More clients than a session has memory for, none of which reads.
#[test]
fn what_a_session_holds_has_a_cap_and_those_who_read_go_on() {
    let _net = MioNet::new(Options::default()).expect("a poll can be made");
    let server = Server::start("");
    let source = service(|mut stream| {
        let block = vec![7; 64 << 10];
        while stream.write_all(&block).is_ok() {}
    });
    let backend = Backend::start(server.at, &source.to_string());
    let public = backend.public();
    let before = server.run.resident_kib();
    let mut stalled: Vec<TcpStream> = (0..400).map(|_| connect_narrow(public)).collect();
    let full = "left: it reads too little, and the session's memory is full";
    server.run.wait_log(full);
    let mut other = connect(public);
    let mut into = vec![0; 1 << 20];
    for _ in 0..32 {
        other.read_exact(&mut into).expect("it is not held up");
    }
    // 64 MiB in queues, which may have twice the room that they use.
    let grown = server.run.resident_kib().saturating_sub(before);
    assert!(grown < 140 << 10, "{grown} KiB more than before");
    // No more are reset than has to be: 256 whole windows are what there is room for, and some hold a little less.
    let log = server.run.log();
    let reset = log.iter().filter(|line| line.contains(full)).count();
    assert!(reset < 400 - 240, "{reset} were reset");
    stalled.clear();
    drop(other);
    server.run.report_until("| 0 clients |");
}

/// As above, at the other end: a service that takes connections and does not read them.
#[test]
fn what_a_backend_holds_has_a_cap_and_those_who_are_read_go_on() {
    let _net = MioNet::new(Options::default()).expect("a poll can be made");
    let server = Server::start("");
    let folder = Scratch::new();
    let service = folder.at("service");
    reluctant_service(&service);
    let backend = Backend::start(server.at, &format!("unix:{service}"));
    let public = backend.public();
    let before = backend.run.resident_kib();
    let mut stalled: Vec<(TcpStream, usize)> = (0..400).map(|_| (connect(public), 0)).collect();
    for (client, _) in &mut stalled {
        client
            .set_nonblocking(true)
            .expect("a socket can be told so");
    }
    let full = "the service reads too little, and the session's memory is full: a client is reset";
    until("the memory to be full", || {
        stalled.iter_mut().for_each(feed);
        backend.run.has_logged(full).then_some(())
    });
    // Each holds less than those who fill their windows.
    let some = [b"read me".as_slice(), &bytes(100 << 10)].concat();
    for _ in 0..20 {
        assert_eq!(ask(public, &some), some.len().to_string().as_bytes());
    }
    let grown = backend.run.resident_kib().saturating_sub(before);
    assert!(grown < 140 << 10, "{grown} KiB more than before");
    // No more are reset than has to be.
    let is_over = |(client, _): &mut (TcpStream, usize)| match client.read(&mut [0]) {
        Ok(count) => panic!("{count} bytes of a service that says nothing"),
        Err(error) => (error.kind() != ErrorKind::WouldBlock).then_some(()),
    };
    let reset = stalled.iter_mut().filter_map(is_over).count();
    assert!((1..400 - 240).contains(&reset), "{reset} were reset");
}

/// Writes what is taken, up to what a window and the kernels hold.
fn feed((client, written): &mut (TcpStream, usize)) {
    let block = [b'x'; 32 << 10];
    while *written < 768 << 10
        && let Ok(count) = client.write(&block)
    {
        *written += count;
    }
}

/// A service whose kernel has little room for what it does not read: it reads those who ask for it, and tells them how
/// much that was.
fn reluctant_service(at: &str) {
    let listener = UnixListener::bind(at).expect("a socket in a folder of our own");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut first = [0; 7];
                if stream.read_exact(&mut first).is_err() || first != *b"read me" {
                    // It lives as long as the test.
                    return thread::park();
                }
                let rest = std::io::copy(&mut stream, &mut std::io::sink());
                let read = rest.expect("it ends well") + first.len() as u64;
                write!(stream, "{read}").expect("it is read");
            });
        }
    });
}

#[test]
fn what_is_neither_hello_nor_yamux_is_closed() {
    let server = Server::start("");
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"SSH-2.0-x"] {
        let mut stream = connect(server.at);
        stream.write_all(bytes).expect("it is read");
        assert!(is_turned_away(stream));
    }
    server.run.wait_log("it speaks neither hello nor yamux");
    let mut stream = connect(server.at);
    stream
        .write_all(b"HYD\x01\x01\xff\xff")
        .expect("it is read");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it ends well");
    assert_eq!(answer[..5], *b"HYD\x01\x05", "it is refused");
    server.run.wait_log("a message of 65535 bytes, of 1024");
}

#[test]
fn a_backend_that_says_nothing_has_five_seconds() {
    let server = Server::start("");
    let before = Instant::now();
    let stream = connect(server.at);
    assert!(is_turned_away(stream));
    assert!(before.elapsed().as_secs() >= 4);
    server.run.wait_log("its hello took longer than 5 s");
}

#[test]
fn clients_are_limited_in_all_and_by_their_address() {
    let (server, _backend, public) = echo("--max-clients 2");
    let mut first = connect(public);
    let _second = connect(public);
    first.write_all(b"x").expect("it is read");
    first.read_exact(&mut [0]).expect("it comes back");
    assert!(is_turned_away(connect(public)));
    server
        .run
        .wait_log("2 clients are connected (--max-clients)");
    drop(first);
    server.run.wait_log("left: finished");
    assert_eq!(ask(public, b"x"), b"x");

    let (server, _backend, public) = echo("--max-clients-per-ip 1");
    let mut first = connect(public);
    first.write_all(b"x").expect("it is read");
    first.read_exact(&mut [0]).expect("it comes back");
    assert!(is_turned_away(connect(public)));
    server.run.wait_log("(--max-clients-per-ip)");
    let other = "127.0.0.2".parse().expect("an address");
    let mut other = connect_from(other, public);
    other.write_all(b"x").expect("it is read");
    other.read_exact(&mut [0]).expect("it comes back");
}

#[test]
fn too_few_descriptors_are_told_at_the_start() {
    let server = hydrant("tunnel serve 127.0.0.1:0 --ports 0")
        .shell(r#"ulimit -n 100; exec "$0" "$@""#)
        .start();
    let line = server.wait_log("descriptors are enough for ");
    assert!(
        line.contains(" clients, and not the 10000 of --max-clients: raise ulimit -n, or "),
        "{line}"
    );
    let at = server.address_of("backends");
    let backend = hydrant(&format!("tunnel expose {at} --echo"))
        .shell(r#"ulimit -n 100; exec "$0" "$@""#)
        .start();
    backend.wait_logs(&["descriptors are enough for ", " of --max-streams: "]);
    server.wait_log("connected, public at ");

    for line in [
        "tunnel serve 127.0.0.1:0 --ports 0",
        "tunnel expose 127.0.0.1:1 --echo",
    ] {
        let done = hydrant(line).shell(r#"ulimit -n 16; exec "$0" "$@""#).run();
        assert_eq!(done.code, 1, "{done:?}");
        let last = done.stderr.last().expect("it says why");
        assert!(
            last.contains("too few file descriptors for any client"),
            "{last}"
        );
    }
}

#[test]
fn streams_are_limited_for_each_backend() {
    let (server, _backend, public) = echo("--max-streams 1");
    let mut first = connect(public);
    first.write_all(b"x").expect("it is read");
    first.read_exact(&mut [0]).expect("it comes back");
    assert!(is_turned_away(connect(public)));
    server.run.wait_log("(--max-streams)");
    let other = Backend::start(server.at, "--echo");
    assert_eq!(ask(other.public(), b"x"), b"x");
}

/// What a session answers by itself leaves at once, and not with whatever comes next.
#[test]
fn answers_leave_at_once() {
    let server = Server::start("");
    let backend = Backend::start(server.at, "--echo --max-streams 1");
    let public = backend.public();
    let mut first = connect(public);
    first.write_all(b"x").expect("it is read");
    first.read_exact(&mut [0]).expect("it comes back");
    let (mut peer, _) = Peer::plain(server.at);
    // Everything is looked at each second in any case, which would take each of these a second; a busy machine may make
    // some of them take as long, and not all.
    let round = |value: u32| {
        let start = Instant::now();
        assert!(is_turned_away(connect(public)), "there is one already");
        peer.send(Kind::Ping, Flags::SYN, 0, value);
        let is_answer = |header: Header| header.flags.has(Flags::ACK) && header.length == value;
        while !is_answer(peer.frame().0) {}
        start.elapsed()
    };
    let quickest = (0..15).map(round).min();
    assert!(quickest < Some(Duration::from_millis(500)), "{quickest:?}");
}

#[test]
fn backends_are_limited() {
    let (server, _backend, _) = echo("--max-backends 1");
    let refused = greet(&mut connect(server.at), None, 0, None);
    let refused = refused.expect_err("one is there");
    assert!(refused.starts_with("Full: 1 backend here"), "{refused}");
    // One that speaks the seed's way can't be told; it is closed.
    let mut plain = connect(server.at);
    plain
        .write_all(&frame(Kind::WindowUpdate, Flags::SYN, 1, 0))
        .expect("it is read");
    assert!(is_turned_away(plain));
}

#[test]
fn access_is_checked_for_every_connection() {
    let server = Server::start("--allow 127.0.0.1 --allow-clients 127.0.0.2");
    let backend = Backend::start(server.at, "--echo");
    let public = backend.public();
    let two = "127.0.0.2".parse().expect("an address");
    assert!(is_turned_away(connect(public)));
    server
        .run
        .wait_log("client 127.0.0.1 refused: not in --allow-clients");
    let mut client = connect_from(two, public);
    client.write_all(b"x").expect("it is read");
    client.read_exact(&mut [0]).expect("it comes back");
    assert!(is_turned_away(connect_from(two, server.at)));
    server
        .run
        .wait_log("backend 127.0.0.2 refused: not in --allow");
}

#[test]
fn streams_that_a_backend_opens_are_reset() {
    let server = Server::start("");
    let (mut peer, _) = Peer::plain(server.at);
    peer.send(Kind::WindowUpdate, Flags::SYN, 3, 0);
    let (header, _) = peer.stream_frame();
    assert_eq!((header.stream, header.flags), (3, Flags::RST));
}

#[test]
fn ports_run_out_and_those_of_names_go_last() {
    // Nobody else is given them meanwhile.
    let places = Place::pair();
    let base = places[0].at.port();
    let server = Server::start_at(0, &format!("--ports {}-{}", base, base + 1));
    let port = |public: String| public.parse::<SocketAddr>().expect("HOST:PORT").port();
    let mut named = connect(server.at);
    let its = port(greet(&mut named, Some("web"), 0, None).expect("a port is free"));
    assert_eq!(its, base);
    leave(&named);
    server.run.wait_logs(&["backend web (", "lost: "]);
    let mut other = connect(server.at);
    let others = port(greet(&mut other, None, 0, None).expect("a port is free"));
    assert_eq!(others, base + 1, "the port of a name is left alone");
    let mut third = connect(server.at);
    let thirds = port(greet(&mut third, None, 0, None).expect("no other is left"));
    assert_eq!(thirds, base);
    let refused = greet(&mut connect(server.at), None, 0, None);
    let refused = refused.expect_err("all are taken");
    assert!(refused.starts_with("Full: no port of "), "{refused}");
}
