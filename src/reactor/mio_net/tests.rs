//! Real sockets on loopback. Whatever has to be waited for is waited for by event, with a deadline; nothing sleeps.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use socket2::{Domain, Protocol, SockRef, Type};

use super::*;
use crate::reactor::net::{Signal, is_exhaustion};

const DEADLINE: Duration = Duration::from_secs(10);

fn network() -> MioNet {
    MioNet::new(Options::default()).expect("a poll can be made")
}

fn local(port: u16) -> Addr {
    Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn tcp_address(addr: &Addr) -> SocketAddr {
    match addr {
        Addr::Tcp(at) => *at,
        Addr::Unix(path) => panic!("{} is not TCP", path.display()),
    }
}

/// Waits for events until `done` is content with one.
fn until<T>(net: &mut MioNet, mut done: impl FnMut(&mut MioNet, Ready) -> Option<T>) -> T {
    let end = net.clock() + DEADLINE;
    let mut found = Vec::new();
    loop {
        let now = net.clock();
        assert!(now < end, "nothing of the kind came within {DEADLINE:?}");
        net.wait(Some(end), &mut found).expect("waiting works");
        for ready in found.drain(..) {
            if let Some(value) = done(net, ready) {
                return value;
            }
        }
    }
}

/// Tries `call` again at each event until it does not say `WouldBlock`.
fn insist<T>(
    net: &mut MioNet,
    mut call: impl FnMut(&mut MioNet) -> io::Result<T>,
) -> io::Result<T> {
    match call(net) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        outcome => return outcome,
    }
    until(net, |net, _| match call(net) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        outcome => Some(outcome),
    })
}

fn accept(net: &mut MioNet, listener: SockId) -> (SockId, Peer) {
    insist(net, |net| net.accept(listener)).expect("a connection is accepted")
}

fn connected(net: &mut MioNet, id: SockId) -> io::Result<Peer> {
    insist(net, |net| {
        net.connected(id)
            .and_then(|peer| peer.ok_or_else(|| ErrorKind::WouldBlock.into()))
    })
}

/// Reads as the reactor does: again at once while there is `more`, and otherwise not before the socket is reported
/// readable. Returns all bytes up to the end of the stream.
fn read_to_end(net: &mut MioNet, id: SockId, chunk: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; chunk];
    let mut visit = |net: &mut MioNet| {
        loop {
            match net.read(id, &mut buffer) {
                Ok(Io { bytes: 0, .. }) => return Some(Ok(())),
                Ok(Io { bytes, more }) => {
                    all.extend_from_slice(&buffer[..bytes]);
                    if !more {
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    };
    let end = until(net, |net, ready| match ready {
        Ready::Sock {
            id: of,
            readable: true,
            ..
        } if of == id => visit(net),
        _ => None,
    });
    end.map(|()| all)
}

/// Writes until nothing more is taken, and returns how much was.
fn fill(net: &mut MioNet, id: SockId) -> usize {
    let block = [7; 64 << 10];
    let mut total = 0;
    loop {
        match net.write(id, [&block, &block[..100]]) {
            Ok(Io { bytes, more }) => {
                total += bytes;
                if !more {
                    return total;
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return total;
            }
        }
    }
}

/// A stream of ours, and the other end of it in the hands of a plain program.
fn tcp_pair(net: &mut MioNet) -> (SockId, TcpStream) {
    let (listener, at) = net.listen(&local(0)).expect("a free port is found");
    let theirs = TcpStream::connect(tcp_address(&at)).expect("it accepts");
    let (ours, peer) = accept(net, listener);
    assert_eq!(
        peer,
        Peer::Tcp(theirs.local_addr().expect("it is connected"))
    );
    net.close(listener, Close::Orderly);
    (ours, theirs)
}

/// A path that no other test and no other process uses.
fn fresh_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("hydrant-{}-{count}.sock", process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn bytes_go_both_ways_and_each_way_ends_for_itself() {
    let mut net = network();
    let (listener, at) = net.listen(&local(0)).unwrap();
    assert_ne!(tcp_address(&at).port(), 0);
    assert_eq!(
        net.accept(listener).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );

    let dialled = net.connect(&at).unwrap();
    let (accepted, _) = accept(&mut net, listener);
    assert_eq!(
        connected(&mut net, dialled).unwrap(),
        Peer::Tcp(tcp_address(&at))
    );
    for id in [dialled, accepted] {
        let (socket, ..) = net.sockets.stream(id).unwrap();
        assert!(socket.tcp_nodelay().unwrap() && socket.nonblocking().unwrap());
    }

    assert_eq!(
        net.write(dialled, [b"one ", b"and two"]).unwrap(),
        Io {
            bytes: 11,
            more: true
        }
    );
    assert_eq!(
        net.write(dialled, [b"", b", three"]).unwrap(),
        Io {
            bytes: 7,
            more: true
        }
    );
    net.shutdown(dialled).unwrap();
    assert_eq!(
        read_to_end(&mut net, accepted, 5).unwrap(),
        b"one and two, three"
    );

    net.write(accepted, [b"back", b""]).unwrap();
    net.close(accepted, Close::Orderly);
    assert_eq!(read_to_end(&mut net, dialled, 100).unwrap(), b"back");
}

#[test]
fn a_reset_is_not_an_end() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    net.close(ours, Close::Reset);
    assert_eq!(
        theirs.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );

    let (ours, theirs) = tcp_pair(&mut net);
    SockRef::from(&theirs)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(theirs);
    assert_eq!(
        read_to_end(&mut net, ours, 8).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[test]
fn an_id_that_is_gone_finds_nothing_though_its_place_is_taken() {
    let mut net = network();
    let (old, _) = tcp_pair(&mut net);
    net.close(old, Close::Orderly);
    let (listener, _) = net.listen(&local(0)).unwrap();
    assert_eq!(listener.key, old.key);
    assert_ne!(listener, old);

    assert_eq!(
        net.read(old, &mut [0]).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    assert_eq!(net.accept(old).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(net.unacknowledged(old), None);
    let left = net.sockets_left();
    net.close(old, Close::Reset);
    assert_eq!(net.sockets_left(), left);
    net.close(listener, Close::Orderly);
    assert_eq!(net.sockets_left(), left + 1);
}

#[test]
fn nobody_listening_is_a_refusal() {
    let mut net = network();
    let (listener, at) = net.listen(&local(0)).unwrap();
    net.close(listener, Close::Orderly);
    let refused = match net.connect(&at) {
        Ok(id) => connected(&mut net, id).unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let unix = net.connect(&Addr::Unix(fresh_path())).unwrap_err();
    assert_eq!(unix.kind(), ErrorKind::NotFound);
}

#[test]
fn a_connection_to_itself_is_a_refusal() {
    let mut net = network();
    // Bound to a port and connected to the same one: what the kernel may do by itself when a free port is dialled.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    socket.connect(&socket.local_addr().unwrap()).unwrap();
    let id = net.insert_stream(socket, Stream::Tcp).unwrap();
    assert_eq!(
        net.connected(id).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[test]
fn both_families_come_in_at_the_unspecified_address() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let mut net = network();
    let (listener, at) = net.listen(&Addr::Tcp("[::]:0".parse().unwrap())).unwrap();
    let port = tcp_address(&at).port();
    let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (_, peer) = accept(&mut net, listener);
    assert_eq!(
        peer,
        Peer::Tcp(four.local_addr().unwrap()),
        "an IPv4 peer stands as one"
    );
    let six = TcpStream::connect(("::1", port)).unwrap();
    let (_, peer) = accept(&mut net, listener);
    assert_eq!(peer, Peer::Tcp(six.local_addr().unwrap()));

    let (literal, _) = net.listen(&Addr::Tcp("[::1]:0".parse().unwrap())).unwrap();
    for (id, only_v6) in [(listener, false), (literal, true)] {
        let socket = &net.sockets.find(id).unwrap().socket;
        assert_eq!(socket.only_v6().unwrap(), only_v6);
    }
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let mut net = network();
    let (_, at) = net.listen(&local(0)).unwrap();
    assert_eq!(net.listen(&at).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_listener_is_shared_again_and_again() {
    let mut net = network();
    let (mut listener, at) = net.listen(&local(0)).expect("a port is free");
    for _ in 0..3 {
        let next = net.share(listener).expect("it listens");
        net.close(listener, Close::Orderly);
        listener = next;
        let _client = TcpStream::connect(tcp_address(&at)).expect("somebody listens");
        accept(&mut net, listener);
    }
}

#[test]
fn a_unix_socket_takes_its_file_with_it() {
    let mut net = network();
    let path = fresh_path();
    let (listener, at) = net.listen(&Addr::Unix(path.clone())).unwrap();
    let dialled = net.connect(&at).unwrap();
    assert_eq!(connected(&mut net, dialled).unwrap(), Peer::Unix);
    let (accepted, peer) = accept(&mut net, listener);
    assert_eq!(peer, Peer::Unix);
    net.write(dialled, [b"through the file system", b""])
        .unwrap();
    net.close(dialled, Close::Orderly);
    assert_eq!(
        read_to_end(&mut net, accepted, 64).unwrap(),
        b"through the file system"
    );
    assert_eq!(net.unacknowledged(accepted), None);

    assert!(path.exists());
    net.close(listener, Close::Orderly);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_longer_ours_is_left_alone() {
    let mut net = network();
    let path = fresh_path();
    let (listener, _) = net.listen(&Addr::Unix(path.clone())).unwrap();
    fs::remove_file(&path).unwrap();
    let another = UnixListener::bind(&path).unwrap();
    net.close(listener, Close::Orderly);
    assert!(UnixStream::connect(&path).is_ok());
    drop(another);
    fs::remove_file(&path).unwrap();
}

#[test]
fn only_a_stale_socket_is_replaced() {
    let mut net = network();
    let path = fresh_path();
    let first = UnixListener::bind(&path).unwrap();
    let live = net.listen(&Addr::Unix(path.clone())).unwrap_err();
    assert_eq!(live.kind(), ErrorKind::AddrInUse);
    assert!(UnixStream::connect(&path).is_ok(), "the live one goes on");

    drop(first);
    let (listener, at) = net.listen(&Addr::Unix(path.clone())).unwrap();
    net.connect(&at).unwrap();
    net.close(listener, Close::Orderly);

    fs::write(&path, "notes").unwrap();
    let file = net.listen(&Addr::Unix(path.clone())).unwrap_err();
    assert_eq!(file.kind(), ErrorKind::AlreadyExists);
    assert!(file.to_string().contains("not a socket"), "{file}");
    assert_eq!(fs::read(&path).unwrap(), b"notes");
    fs::remove_file(&path).unwrap();
}

#[test]
fn an_end_behind_a_short_read_is_seen() {
    let mut net = network();
    for bytes in 0..20 {
        let (ours, mut theirs) = tcp_pair(&mut net);
        let sent = vec![3; bytes];
        theirs.write_all(&sent).unwrap();
        drop(theirs);
        assert_eq!(read_to_end(&mut net, ours, 10).unwrap(), sent);
        net.close(ours, Close::Orderly);
    }
}

#[test]
fn a_short_read_promises_an_event() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    let mut buffer = [0; 16];
    for _ in 0..100 {
        theirs.write_all(b"word").unwrap();
        assert_eq!(
            insist(&mut net, |net| net.read(ours, &mut buffer)).unwrap(),
            Io {
                bytes: 4,
                more: false
            }
        );
    }
    theirs.write_all(&[1; 16]).unwrap();
    assert_eq!(
        insist(&mut net, |net| net.read(ours, &mut buffer)).unwrap(),
        Io {
            bytes: 16,
            more: true
        }
    );
    assert_eq!(
        net.read(ours, &mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(
        net.read(ours, &mut []).unwrap(),
        Io {
            bytes: 0,
            more: true
        }
    );
}

#[test]
fn an_urgent_byte_hides_nothing_behind_it() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    theirs.write_all(b"before").unwrap();
    SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
    theirs.write_all(b"behind").unwrap();
    // All of it is there before anything is read, so there is one event, and the first read stops at the mark.
    let end = net.clock() + DEADLINE;
    while sys::unacknowledged(theirs.as_fd()) != Some(0) {
        assert!(net.clock() < end, "loopback delivers");
        thread::yield_now();
    }
    until(&mut net, |_, ready| {
        matches!(ready, Ready::Sock { id, readable: true, .. } if id == ours).then_some(())
    });
    let mut buffer = [0; 64];
    assert_eq!(
        net.read(ours, &mut buffer).unwrap(),
        Io {
            bytes: 6,
            more: true
        }
    );
    assert_eq!(buffer[..6], *b"before");
    assert_eq!(
        net.read(ours, &mut buffer).unwrap(),
        Io {
            bytes: 6,
            more: true
        }
    );
    assert_eq!(buffer[..6], *b"behind");
    assert_eq!(
        net.read(ours, &mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn a_writer_that_came_up_short_is_told_when_there_is_room() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).map(|n| n as u64)
    });
    let mut written = fill(&mut net, ours);
    for _ in 0..20 {
        until(&mut net, |_, ready| match ready {
            Ready::Sock {
                id, writable: true, ..
            } if id == ours => Some(()),
            _ => None,
        });
        written += fill(&mut net, ours);
    }
    net.close(ours, Close::Orderly);
    assert_eq!(reader.join().unwrap().unwrap(), written as u64);
}

#[test]
fn what_a_silent_peer_has_not_taken_is_known() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    assert_eq!(net.unacknowledged(ours), Some(0));
    let written = fill(&mut net, ours);
    let left = net.unacknowledged(ours).unwrap() as usize;
    assert!(left > 0 && left < written, "{left} of {written}");
    net.shutdown(ours).unwrap();
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), written);
}

/// After the peer's end, reads say nothing of a reset.
#[test]
fn a_reset_behind_the_peers_end_is_known() {
    let mut net = network();
    let (ours, theirs) = tcp_pair(&mut net);
    fill(&mut net, ours);
    theirs.shutdown(Shutdown::Write).unwrap();
    until(&mut net, |net, _| {
        let read = net.read(ours, &mut [0]);
        read.is_ok_and(|read| read.bytes == 0).then_some(())
    });
    net.shutdown(ours).unwrap();
    assert!(!net.is_over(ours));
    assert_ne!(net.unacknowledged(ours), Some(0));
    drop(theirs); // with bytes unread, which resets
    let end = net.clock() + DEADLINE;
    while !net.is_over(ours) {
        assert!(net.clock() < end, "a reset arrives");
        thread::yield_now();
    }
}

#[test]
fn an_orderly_close_over_unread_input_still_delivers_the_tail() {
    let mut net = network();
    let (ours, mut theirs) = tcp_pair(&mut net);
    theirs.write_all(&[5; 10_000]).unwrap();
    until(&mut net, |net, _| {
        (sys_readable(net, ours) == 10_000).then_some(())
    });
    net.write(ours, [b"the tail", b""]).unwrap();
    net.close(ours, Close::Orderly);
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"the tail");
}

#[test]
fn keepalive_reaches_the_kernel() {
    let mut net = network();
    let (ours, _theirs) = tcp_pair(&mut net);
    let user_timeout = Some(Duration::from_millis(44_500));
    net.set_keepalive(
        ours,
        Keepalive {
            idle: Duration::from_millis(29_001),
            user_timeout,
        },
    )
    .unwrap();
    let (socket, ..) = net.sockets.stream(ours).unwrap();
    assert!(socket.keepalive().unwrap());
    assert_eq!(
        socket.tcp_keepalive_time().unwrap(),
        Duration::from_secs(30)
    );
    assert_eq!(
        socket.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(10)
    );
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_secs(45))
    );
    for idle in [Duration::ZERO, Duration::MAX] {
        net.set_keepalive(
            ours,
            Keepalive {
                idle,
                user_timeout: None,
            },
        )
        .unwrap();
    }
}

#[test]
fn names_are_looked_up_aside() {
    let mut net = network();
    let asked = [
        (1, "localhost"),
        (2, "localhost"),
        (3, "no-such-name.invalid"),
        (4, "192.0.2.7"),
    ];
    for (lookup, name) in asked {
        net.resolve(Lookup(lookup), name);
    }
    let mut open: HashSet<u64> = asked.iter().map(|(lookup, _)| *lookup).collect();
    until(&mut net, |_, ready| {
        let Ready::Resolved(Lookup(lookup), answer) = ready else {
            return None;
        };
        assert!(open.remove(&lookup), "{lookup} is answered once");
        match lookup {
            1 | 2 => assert!(answer.unwrap().iter().all(IpAddr::is_loopback)),
            3 => assert!(!answer.unwrap_err().to_string().is_empty()),
            _ => assert_eq!(answer.unwrap(), [IpAddr::from([192, 0, 2, 7])]),
        }
        open.is_empty().then_some(())
    });
}

#[test]
fn a_zero_timeout_only_looks_and_a_short_one_is_not_cut_short() {
    let mut net = network();
    let mut found = Vec::new();
    net.wait(Some(Time::ZERO), &mut found).unwrap();
    let before = net.clock();
    net.wait(Some(before + Duration::from_micros(1_500)), &mut found)
        .unwrap();
    assert!(net.now().since(before) >= Duration::from_micros(1_500));
    assert!(net.clock() >= net.now());
    assert!(found.is_empty());
}

#[test]
fn the_processors_time_is_that_of_the_thread_and_of_no_wait() {
    let mut net = network();
    let mut found = Vec::new();
    let (began, at_first) = (net.clock(), net.cpu_time());
    while net.cpu_time() == at_first {
        assert!(net.clock().since(began) < DEADLINE, "work takes time");
    }
    let (before, used) = (net.clock(), net.cpu_time());
    let wait = Duration::from_millis(200);
    net.wait(Some(before + wait), &mut found).unwrap();
    let waited = net.clock().since(before);
    assert!(net.cpu_time() - used < waited, "it sleeps meanwhile");
}

#[test]
fn a_wait_that_was_ended_by_an_event_delays_no_shorter_one() {
    let mut net = network();
    let (listener, at) = net.listen(&local(0)).unwrap();
    let _peer = TcpStream::connect(tcp_address(&at)).unwrap();
    let mut found = Vec::new();
    let start = net.clock();
    net.wait(Some(start + 6 * DEADLINE), &mut found).unwrap();
    net.accept(listener).unwrap();

    for micros in [1_500, 1_600, 1_500] {
        let end = net.clock() + Duration::from_micros(micros);
        while net.clock() < end {
            net.wait(Some(end), &mut found).unwrap();
        }
        assert!(net.now() >= end);
    }
    assert!(net.clock().since(start) < 6 * DEADLINE);
}

#[test]
fn a_wait_that_outlasts_the_one_before_is_not_cut_short_twice() {
    let mut net = network();
    let mut found = Vec::new();
    let first = net.clock() + Duration::from_millis(1);
    let second = first + Duration::from_millis(5);
    net.wait(Some(first), &mut found).unwrap();
    let mut waits = 0;
    while net.clock() < second {
        net.wait(Some(second), &mut found).unwrap();
        waits += 1;
    }
    assert!(waits <= 2, "it goes round {waits} times");
    assert!(found.is_empty());
}

#[test]
fn randomness_differs() {
    let mut net = network();
    assert_ne!(net.random(), net.random());
}

/// A standard stream of ours over one end of a pipe, in place of the process's own.
fn std_over(net: &mut MioNet, which: StdStream, file: impl Into<std::os::fd::OwnedFd>) -> SockId {
    let socket = net.std_streams.open_file(which, file.into()).unwrap();
    net.insert_stream(socket, Stream::of_std(which)).unwrap()
}

fn pipe() -> (PipeReader, PipeWriter) {
    io::pipe().expect("a pipe can be made")
}

#[test]
fn stdin_is_read_to_its_end() {
    let mut net = network();
    let (reader, mut writer) = pipe();
    let stdin = std_over(&mut net, StdStream::Stdin, reader);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let feeder = thread::spawn(move || writer.write_all(&sent));
    assert!(read_to_end(&mut net, stdin, 100_000).unwrap() == expected);
    feeder.join().unwrap().unwrap();
    assert_eq!(net.connected(stdin).unwrap(), Some(Peer::Stdio));
    assert_eq!(
        net.open_std(StdStream::Stdin).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn stdout_ends_once_all_is_handed_over() {
    let mut net = network();
    let (mut reader, writer) = pipe();
    let stdout = std_over(&mut net, StdStream::Stdout, writer);
    let written = fill(&mut net, stdout);
    net.shutdown(stdout).unwrap();
    let mut found = Vec::new();
    net.wait(Some(Time::ZERO), &mut found).unwrap();
    let early = net.read(stdout, &mut [0]).unwrap_err();
    assert_eq!(
        early.kind(),
        ErrorKind::WouldBlock,
        "the pipe holds less than was written"
    );

    let taker = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all)
    });
    assert_eq!(
        insist(&mut net, |net| net.read(stdout, &mut [0]))
            .unwrap()
            .bytes,
        0
    );
    assert_eq!(taker.join().unwrap().unwrap(), written);
}

#[test]
fn stdout_without_a_reader_is_a_broken_pipe() {
    let mut net = network();
    let (reader, writer) = pipe();
    let stdout = std_over(&mut net, StdStream::Stdout, writer);
    drop(reader);
    net.write(stdout, [b"into the void", b""]).unwrap();
    let gone = until(&mut net, |net, _| net.write(stdout, [b"again", b""]).err());
    assert_eq!(gone.kind(), ErrorKind::BrokenPipe);
    assert_eq!(
        net.read(stdout, &mut [0]).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn a_full_disk_under_stdout_is_not_taken_for_the_end() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let mut net = network();
    let stdout = std_over(&mut net, StdStream::Stdout, full);
    net.write(stdout, [b"too much", b""]).unwrap();
    net.shutdown(stdout).unwrap();
    let failed = insist(&mut net, |net| net.read(stdout, &mut [0])).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StorageFull);
}

/// How many bytes wait to be read, the urgent mark or not.
fn sys_readable(net: &MioNet, id: SockId) -> usize {
    let (socket, ..) = net.sockets.stream(id).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    socket.peek(&mut buffer).unwrap_or(0)
}

/// Runs the test of that name again in a process of its own, for what would disturb the other tests here.
fn alone(name: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let path = format!("reactor::mio_net::tests::{name}");
    let this = env::current_exe().unwrap();
    let run = Command::new(this)
        .args(["--exact", &path, "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    false
}

const ALONE: &str = "HYDRANT_TEST_ALONE";

#[test]
fn out_of_descriptors_a_connection_waits() {
    if !alone("out_of_descriptors_a_connection_waits") {
        return;
    }
    let mut net = network();
    let (listener, at) = net.listen(&local(0)).unwrap();
    let theirs = TcpStream::connect(tcp_address(&at)).unwrap();
    // The limit is on the descriptor's number, and the lowest free one is taken.
    let next = fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
    sys::set_descriptor_limit(next).unwrap();
    let error = insist(&mut net, |net| net.accept(listener)).unwrap_err();
    assert!(is_exhaustion(&error), "{error}");
    sys::set_descriptor_limit(next + 1).unwrap();
    let (_, peer) = net.accept(listener).unwrap();
    assert_eq!(peer, Peer::Tcp(theirs.local_addr().unwrap()));
}

#[test]
fn signals_come_through_the_poll() {
    if !alone("signals_come_through_the_poll") {
        return;
    }
    let mut net = MioNet::new(Options {
        signals: true,
        ..Options::default()
    })
    .unwrap();
    let all = [
        (SIGINT, Signal::Interrupt),
        (SIGTERM, Signal::Terminate),
        (SIGHUP, Signal::HangUp),
        (SIGUSR1, Signal::Report),
    ];
    for (number, expected) in all {
        signal_hook::low_level::raise(number).unwrap();
        let caught = until(&mut net, |_, ready| match ready {
            Ready::Signal(signal) => Some(signal),
            _ => None,
        });
        assert_eq!(caught, expected);
    }
}
