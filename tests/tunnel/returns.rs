//! Ends that are lost and return.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use hydrant::proto::yamux::{Flags, Kind};
use hydrant::reactor::mio_net::{MioNet, Options};

use crate::clients::is_turned_away;
use crate::common::peers::{Place, connect};
use crate::common::service::{ask, is_reset, until};
use crate::peer::{Peer, begin, finish, greet};
use crate::rig::{Backend, Server};

#[test]
fn a_backend_that_is_killed_returns_to_its_port() {
    let server = Server::start("");
    let first = Backend::start(server.at, "--echo --name web");
    let public = first.public();
    let mut client = connect(public);
    client.write_all(b"x").expect("it is read");
    client.read_exact(&mut [0]).expect("it comes back");
    drop(first);
    assert!(is_reset(client), "it can't be the end of the stream");
    // Who comes meanwhile is held.
    let mut held = connect(public);
    held.write_all(b"y").expect("there is room");
    let second = Backend::start(server.at, "--echo --name web");
    assert_eq!(second.public(), public);
    held.read_exact(&mut [0]).expect("it was not turned away");
}

#[test]
fn who_waits_too_long_for_a_backend_is_turned_away() {
    let server = Server::start("--linger 200ms");
    let backend = Backend::start(server.at, "--echo --name web");
    let public = backend.public();
    drop(backend);
    server.run.wait_log("backend web (");
    server.run.wait_logs(&["backend web (", "lost: "]);
    assert!(is_turned_away(connect(public)));
    server.run.wait_log("left: its backend was away for 0.2 s");

    let server = Server::start("--linger off");
    let backend = Backend::start(server.at, "--echo --name web");
    let public = backend.public();
    drop(backend);
    server.run.wait_logs(&["backend web (", "lost: "]);
    assert!(is_turned_away(connect(public)));
    server.run.wait_log("the backend of web is away");
}

#[test]
fn a_server_that_is_killed_finds_its_backends_again() {
    let [own, open] = [(); 2].map(|()| Place::everywhere());
    let (port, open) = (own.at.port(), open.at.port());
    let ports = format!("--ports {open}-{open}");
    let server = Server::start_at(port, &ports);
    let backend = Backend::start(server.at, "--echo --name web");
    let public = backend.public();
    let client = connect(public);
    drop(server);
    backend.run.wait_log("lost: it ");
    drop(client);
    until("the port to be free again", || {
        TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
    let server = Server::start_at(port, &ports);
    // Printed only where it is news: the same port is asked for and given.
    backend.run.wait_log("connected (was down ");
    assert_eq!(ask(public, b"again"), b"again");
    drop(server);
}

#[test]
fn a_dead_backend_is_noticed_when_a_client_comes() {
    let server = Server::start("--alive-timeout 3s");
    let backend = Backend::start(server.at, "--echo");
    let public = backend.public();
    assert_eq!(ask(public, b"x"), b"x");
    backend.run.signal("STOP");
    let mut client = connect(public);
    client.write_all(b"x").expect("there is room");
    assert!(is_turned_away(client));
    server.run.wait_log("lost: no sign of life within 3");
    until("its port to be free", || {
        TcpStream::connect(public).is_err().then_some(())
    });
    backend.run.signal("CONT");
    // It asks for the port that it had, which is printed once only.
    backend.run.wait_log("connected (was down ");
    assert_eq!(ask(public, b"x"), b"x");
}

#[test]
fn a_dead_backend_with_a_name_keeps_its_port() {
    let server = Server::start("--alive-timeout 3s");
    let backend = Backend::start(server.at, "--echo --name web");
    let public = backend.public();
    backend.run.signal("STOP");
    server.run.wait_log("connected, public at");
    assert!(is_turned_away(connect(public)));
    server.run.wait_log("lost: no sign of life within 3");
    backend.run.signal("CONT");
    backend.run.wait_log("connected (was down ");
    assert_eq!(ask(public, b"x"), b"x");
}

#[test]
fn a_stopped_server_lets_its_clients_finish() {
    let server = Server::start("--drain 20s");
    let backend = Backend::start(server.at, "--echo");
    let public = backend.public();
    let mut client = connect(public);
    client.write_all(b"x").expect("it is read");
    client.read_exact(&mut [0]).expect("it comes back");
    server.run.signal("TERM");
    until("the port to be closed", || {
        TcpStream::connect(public).is_err().then_some(())
    });
    client.write_all(b"y").expect("it is read");
    client.read_exact(&mut [0]).expect("it still comes back");
    drop(client);
    let lines = {
        let mut run = server.run;
        assert_eq!(run.wait_exit(), 0);
        run.log()
    };
    assert!(lines.iter().any(|line| line.contains("stopped by SIGTERM")));
    backend.run.wait_log("lost: it went away");
}

/// What its backend's machine has not taken by the end of the time.
#[test]
fn a_stopped_server_says_how_much_was_under_way() {
    let mut server = Server::start("--drain 1s");
    let (mut backend, public) = Peer::plain(server.at);
    let mut client = connect(public);
    let (opened, _) = backend.stream_frame();
    let window = 64 << 20;
    backend.send(Kind::WindowUpdate, Flags::ACK, opened.stream, window);
    client.set_nonblocking(true).expect("it is a socket");
    let chunk = [0; 64 << 10];
    // It reads nothing from now on.
    while let Ok(count) = client.write(&chunk) {
        assert!(count > 0);
    }
    server.run.signal("TERM");
    assert_eq!(server.run.wait_exit(), 0);
    let parts = [
        "stopped by SIGTERM: 1 backend, 1 client cut, up to ",
        " under way lost; up ",
    ];
    server.run.wait_logs(&parts);
}

#[test]
fn a_stopped_backend_lets_its_clients_finish() {
    let server = Server::start("");
    let backend = Backend::start(server.at, "--echo --drain 20s");
    let public = backend.public();
    let mut client = connect(public);
    client.write_all(b"x").expect("it is read");
    client.read_exact(&mut [0]).expect("it comes back");
    backend.run.signal("TERM");
    client.write_all(b"y").expect("it is read");
    client.read_exact(&mut [0]).expect("it still comes back");
    drop(client);
    let mut run = backend.run;
    assert_eq!(run.wait_exit(), 0);
    server.run.wait_log("lost: it went away");
}

#[test]
fn a_thousand_backends_return_at_once_to_a_server_that_was_killed() {
    // It raises the limit of this process's descriptors, too.
    let _net = MioNet::new(Options::default()).expect("a poll can be made");
    let place = Place::everywhere();
    let port = place.at.port();
    // None of them says that it is alive, and it may take us a while until all are in.
    let flags = "--ports 0 --max-backends 1000 --alive-timeout 1m";
    let server = Server::start_at(port, flags);
    let streams = return_all(&server);
    drop(server);
    until("the port to be free again", || {
        TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
    drop(streams);

    let server = Server::start_at(port, flags);
    let streams = return_all(&server);
    // The next one is told so, and those who are in stay.
    let mut late = connect(server.at);
    let refused = greet(&mut late, Some("late"), 0, None).expect_err("it is full");
    assert_eq!(refused, "Full: 1000 backends here already (--max-backends)");
    drop(streams);
    server.run.report_until("\u{20}0 backends | ");
}

/// A thousand backends connect and say who they are before the first one is heard.
fn return_all(server: &Server) -> Vec<TcpStream> {
    server.run.signal("STOP");
    let at = server.at;
    let mut begun = Vec::new();
    for i in 0..1000 {
        let mut stream = connect(at);
        let name = format!("b{i}");
        let asking = begin(&mut stream, Some(&name), 0, None);
        begun.push((name, stream, asking));
    }
    server.run.signal("CONT");
    let mut streams = Vec::new();
    for (name, mut stream, asking) in begun {
        let mut public = finish(&mut stream, asking);
        // Where we are slow, its time may have run out, and it tries again as a backend does.
        while public.is_err() {
            stream = connect(at);
            public = greet(&mut stream, Some(&name), 0, None);
        }
        let public = public.expect("it is taken in");
        public.parse::<SocketAddr>().expect("HOST:PORT");
        streams.push(stream);
    }
    server.run.report_until("1000 backends | ");
    streams
}

/// Those who do not finish their hello can't have all its descriptors, nor all its time.
#[test]
fn hellos_are_heard_256_at_a_time_and_the_others_wait_without_a_spin() {
    let _net = MioNet::new(Options::default()).expect("a poll can be made");
    let server = Server::start("");
    let idle = server.run.descriptors();
    let mut begun: Vec<TcpStream> = Vec::new();
    for _ in 0..600 {
        let mut stream = connect(server.at);
        begin(&mut stream, None, 0, None);
        begun.push(stream);
    }
    until("all places to be taken", || {
        (server.run.descriptors() == idle + 256).then_some(())
    });
    let before = server.run.processor_ticks();
    // Each of them has a second, since others wait.
    let mut first = &begun[0];
    first.read_to_end(&mut Vec::new()).expect("an orderly end");
    let used = server.run.processor_ticks() - before;
    assert!(used < 50, "{used} hundredths of a second to wait");
    let most = server.run.descriptors();
    assert!(most <= idle + 256, "{most} descriptors, {idle} at first");
    // Now the others are heard; the last ones behind two times as many as there are places.
    let mut last = begun.pop().expect("there are 600");
    last.read_exact(&mut [0]).expect("it is challenged");
    let most = server.run.descriptors();
    assert!(most <= idle + 256, "{most} descriptors, {idle} at first");
    drop(begun);
    let (backend, other) = (Backend::start(server.at, "--echo"), b"heard");
    assert_eq!(ask(backend.public(), other), other);
}
