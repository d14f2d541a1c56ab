//! Several ways out of one upstream, and the kinds of address that either side may have.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::SockRef;

use crate::common::DEADLINE;
use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, connect_unix, end, half_close};
use crate::common::scratch::Scratch;
use crate::common::tools::skip;

#[test]
fn one_upstream_feeds_every_kind_of_output() {
    let scratch = Scratch::new();
    let (mut place, mut server) = (Place::opened(), Place::opened());
    let socket = scratch.at("out");
    let line = format!(
        "{} 127.0.0.1:0 listen:127.0.0.1:0 connect:{} unix:{socket} -",
        place.at, server.at
    );
    let mut hydrant = hydrant(&line).start();
    let mut upstream = place.accept();
    let mut tcp: Vec<_> = [
        connect(hydrant.address_of("clients")),
        connect(hydrant.address_of("clients")),
        server.accept(),
    ]
    .map(|stream| Taker::new(stream, 0))
    .into();
    let mut unix = Taker::new(connect_unix(Path::new(&socket)), 0);
    let mut stdout = Taker::new(hydrant.stdout(), 0);
    hydrant.report_until("| 5 clients | ");
    let mut feed = Feed::default();
    for _ in 0..20 {
        // No more than a pipe holds, since stdout is read last.
        feed.send(&mut upstream, 50_000);
        tcp.iter_mut().for_each(|taker| taker.take(50_000));
        unix.take(50_000);
        stdout.take(50_000);
    }
    // One connection was enough for all of them.
    hydrant.signal("TERM");
    for taker in &mut tcp {
        assert_eq!(taker.take_rest(), Ending::Orderly);
    }
    assert_eq!(unix.take_rest(), Ending::Orderly);
    assert_eq!(stdout.take_rest(), Ending::Orderly);
    assert_eq!(hydrant.wait_exit(), 0);
    let log = hydrant.log();
    let ups = log.iter().filter(|line| line.contains("upstream ")).count();
    assert_eq!(ups, 1, "{log:#?}");
}

#[test]
fn unix_sockets_on_both_sides() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.at("in"), scratch.at("out"));
    let line = format!("unix:{from} unix:{to} --mode listen-listen");
    let mut hydrant = hydrant(&line).start();
    hydrant.wait_log(&format!("listening on unix:{from} for the upstream"));
    hydrant.wait_log(&format!("listening on unix:{to} for clients"));
    let mut takers: Vec<_> = (0..3)
        .map(|_| Taker::new(connect_unix(Path::new(&to)), 0))
        .collect();
    hydrant.report_until("| 3 clients | ");
    let mut upstream = connect_unix(Path::new(&from));
    let mut feed = Feed::default();
    for _ in 0..20 {
        feed.send(&mut upstream, 100_000);
        takers.iter_mut().for_each(|taker| taker.take(100_000));
    }
    hydrant.signal("TERM");
    for taker in &mut takers {
        assert_eq!(taker.take_rest(), Ending::Orderly);
    }
    assert_eq!(hydrant.wait_exit(), 0);
    assert!(
        !Path::new(&from).exists() && !Path::new(&to).exists(),
        "its files are still there"
    );
}

#[test]
fn unix_sockets_are_dialled() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.at("in"), scratch.at("out"));
    let line = format!("unix:{from} unix:{to} --mode connect-connect --retry 20ms");
    let hydrant = hydrant(&line).start();
    hydrant.wait_log(&format!("upstream unix:{from} can't be reached"));
    let accept = |path: &str| -> UnixStream {
        let listener = UnixListener::bind(path).unwrap();
        // On Linux it holds for accepting too.
        SockRef::from(&listener)
            .set_read_timeout(Some(DEADLINE))
            .unwrap();
        let (stream, _) = listener.accept().expect("it is dialled");
        SockRef::from(&stream)
            .set_read_timeout(Some(DEADLINE))
            .unwrap();
        stream
    };
    let mut taker = Taker::new(accept(&to), 0);
    let mut upstream = accept(&from);
    let mut feed = Feed::default();
    for _ in 0..20 {
        feed.send(&mut upstream, 100_000);
        taker.take(100_000);
    }
    hydrant.stop();
    assert_eq!(taker.take_rest(), Ending::Orderly);
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.at("out");
    // A listener that ends without taking its file away, as one that was killed.
    end(&UnixListener::bind(&path).unwrap());
    assert!(Path::new(&path).exists());
    let mut place = Place::opened();
    let hydrant = hydrant(&format!("{} unix:{path}", place.at)).start();
    hydrant.wait_log(&format!("listening on unix:{path} for clients"));
    let mut upstream = place.accept();
    let mut taker = Taker::new(connect_unix(Path::new(&path)), 0);
    hydrant.report_until("| 1 client | ");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
}

/// A program that replaces its file while the relay runs has its own there: that one is left alone.
#[test]
fn a_socket_file_of_somebody_else_is_not_taken_away() {
    let scratch = Scratch::new();
    let path = scratch.at("out");
    let place = Place::opened();
    let hydrant = hydrant(&format!("{} unix:{path}", place.at)).start();
    hydrant.wait_log("listening on unix:");
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    hydrant.stop();
    assert!(Path::new(&path).exists());
}

#[test]
fn ipv6_on_both_sides() {
    let Some(mut place) = ipv6_place() else {
        return;
    };
    let hydrant = hydrant(&format!("{} [::1]:0", place.at)).start();
    let at = hydrant.address_of("clients");
    assert_eq!(at.ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
    let mut upstream = place.accept();
    hydrant.wait_log(&format!("upstream {} connected", place.at));
    let mut taker = Taker::new(connect(at), 0);
    let us = taker.stream.local_addr().unwrap();
    hydrant.wait_log(&format!("client [::1]:{} connected", us.port()));
    Feed::default().send(&mut upstream, 100_000);
    taker.take(100_000);
}

#[test]
fn every_interface_means_both_families() {
    for dst in [":0", "*:0"] {
        let mut place = Place::opened();
        let hydrant = hydrant(&format!("{} {dst}", place.at)).start();
        let port = hydrant.address_of("clients").port();
        let mut upstream = place.accept();
        let v4 = connect(SocketAddr::from(([127, 0, 0, 1], port)));
        // Though it came in on a socket of IPv6, it is one of IPv4.
        let us = v4.local_addr().unwrap();
        hydrant.wait_log(&format!("client {us} connected"));
        let mut takers = vec![Taker::new(v4, 0)];
        if ipv6_place().is_some() {
            let v6 = connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
            let us = v6.local_addr().unwrap();
            hydrant.wait_log(&format!("client {us} connected"));
            takers.push(Taker::new(v6, 0));
        }
        Feed::default().send(&mut upstream, 100_000);
        for mut taker in takers {
            taker.take(100_000);
        }
    }
}

#[test]
fn a_bare_port_is_this_machine_only() {
    let hydrant = hydrant("0 0 --mode listen-listen").start();
    for what in ["the upstream", "clients"] {
        let line = hydrant.wait_logs(&["listening on 127.0.0.1:", what]);
        assert!(!line.contains("127.0.0.1:0 "), "{line}");
    }
}

#[test]
fn names_are_looked_up() {
    let mut place = Place::opened();
    let line = format!("localhost:{} localhost:0", place.at.port());
    let hydrant = hydrant(&line).start();
    // A name may stand for two addresses. Each of them has a port of its own then.
    let at = hydrant.address_of("clients");
    assert!(at.ip().is_loopback());
    let mut upstream = place.accept();
    hydrant.wait_log(&format!("upstream localhost:{} connected", place.at.port()));
    let mut taker = Taker::new(connect(at), 0);
    hydrant.report_until("| 1 client | ");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
}

/// What can't be looked up is tried again, and delays nobody: the other output gets its bytes meanwhile.
#[test]
fn a_name_that_does_not_resolve_is_tried_again() {
    let mut place = Place::opened();
    let line = format!(
        "{} 127.0.0.1:0 connect:no-such-name.invalid:7000 --retry 20ms --slow drop",
        place.at
    );
    let hydrant = hydrant(&line).start();
    let mut upstream = place.accept();
    let mut taker = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    Feed::default().send(&mut upstream, 100_000);
    taker.take(100_000);
    let line = hydrant.wait_log("downstream no-such-name.invalid:7000 can't be resolved (");
    assert!(
        line.ends_with("; retrying until it answers (every 20 ms)"),
        "{line}"
    );
    hydrant.stop();
}

/// `:PORT` dials this machine, in whichever family somebody listens.
#[test]
fn a_port_alone_dials_this_machine() {
    let places = [Some(Place::opened()), ipv6_place()];
    for mut place in places.into_iter().flatten() {
        let port = place.at.port();
        let hydrant = hydrant(&format!(":{port} 127.0.0.1:0")).start();
        let upstream = place.accept();
        hydrant.wait_log(&format!("upstream :{port} connected"));
        half_close(&upstream);
        hydrant.wait_log(&format!("upstream :{port} closed the connection after "));
    }
}

#[test]
fn a_relay_can_follow_another() {
    let mut place = Place::opened();
    let first = hydrant(&format!("{} 127.0.0.1:0", place.at)).start();
    let first_at = first.address_of("clients");
    let second = hydrant(&format!("{first_at} 127.0.0.1:0")).start();
    let mut upstream = place.accept();
    second.wait_log(&format!("upstream {first_at} connected"));
    first.report_until("| 1 client | ");
    let mut taker = Taker::new(connect(second.address_of("clients")), 0);
    second.report_until("| 1 client | ");
    let mut feed = Feed::default();
    for _ in 0..20 {
        feed.send(&mut upstream, 100_000);
        taker.take(100_000);
    }
    first.stop();
    second.wait_log(&format!("upstream {first_at} closed the connection"));
}

/// What is left of the connections of the one before does not keep the port from the next one.
#[test]
fn a_restart_gets_its_port_back() {
    let mut place = Place::opened();
    let door = Place::new();
    let line = format!("{} {}", place.at, door.at);
    let first = hydrant(&line).start();
    let at = first.address_of("clients");
    let mut takers: Vec<_> = (0..5).map(|_| Taker::new(connect(at), 0)).collect();
    let _upstream = place.accept();
    first.report_until("| 5 clients | ");
    first.stop();
    for taker in &mut takers {
        assert_eq!(taker.take_rest(), Ending::Orderly);
    }
    let second = hydrant(&line).start();
    assert_eq!(second.address_of("clients"), at);
    let mut upstream = place.accept();
    let mut taker = Taker::new(connect(at), 0);
    second.report_until("| 1 client | ");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
}

/// A place on the loopback address of IPv6, where this machine has it.
fn ipv6_place() -> Option<Place> {
    match Place::on(Ipv6Addr::LOCALHOST.into()) {
        Ok(mut place) => {
            place.open();
            Some(place)
        }
        Err(error) => {
            skip(&format!("this machine has no IPv6: {error}"));
            None
        }
    }
}
