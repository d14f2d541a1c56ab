//! Receivers that do what they should not, or what others do not expect. Nothing leaks, and nobody else feels it.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use crate::common::feed::{Ending, Feed, Taker, pattern};
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, half_close, reset};
use crate::common::tools::have;
use crate::rig::Rig;

#[test]
fn a_half_closed_receiver_gets_everything() {
    for mode in ["connect-listen", "connect-connect"] {
        let mut rig = Rig::new(mode);
        let mut upstream = rig.upstream();
        // At once, perhaps before the relay has heard of it.
        let mut downstream = rig.downstream_that_half_closes();
        // By then its end has been read.
        rig.hydrant.report();
        for _ in 0..10 {
            rig.feed.send(&mut upstream, 300_000);
            downstream.take(300_000);
        }
        assert!(!rig.hydrant.has_logged(" left"));
        rig.hydrant.signal("TERM");
        assert_eq!(downstream.take_rest(), Ending::Orderly);
        assert_eq!(rig.hydrant.wait_exit(), 0);
    }
}

#[test]
fn what_receivers_send_is_thrown_away() {
    for mode in ["connect-listen", "connect-connect"] {
        let mut rig = Rig::new(mode);
        let mut upstream = rig.upstream();
        let mut downstream = rig.downstream();
        let mut garbage = downstream.stream.try_clone().unwrap();
        for round in 0..50 {
            // If it were not read, the buffers would be full before the end.
            garbage.write_all(&pattern(round, 1 << 20)).unwrap();
            rig.feed.send(&mut upstream, 10_000);
            downstream.take(10_000);
        }
        // The upstream hears nothing of it.
        rig.hydrant.signal("TERM");
        let mut upstream = Taker::new(upstream, 0);
        assert_eq!((upstream.take_rest(), upstream.at), (Ending::Orderly, 0));
        assert_eq!(rig.hydrant.wait_exit(), 0);
    }
}

#[test]
fn a_receiver_that_resets_in_the_middle_leaves_alone() {
    let mut rig = Rig::new("connect-listen");
    let mut upstream = rig.upstream();
    let mut stays = rig.downstream();
    for round in 0..9 {
        let mut goes = rig.downstream();
        let us = goes.stream.local_addr().unwrap();
        rig.feed.send(&mut upstream, 200_000);
        goes.take(round * 10_000);
        reset(goes.stream);
        rig.feed.send(&mut upstream, 200_000);
        stays.take(400_000);
        rig.hydrant.wait_log(&format!("client {us} left"));
    }
    let report = rig.hydrant.report();
    assert!(report.contains("| 1 client | "), "{report}");
}

#[test]
fn thousands_who_come_and_go_leave_nothing_behind() {
    let mut rig = Rig::new("connect-listen");
    let mut upstream = rig.upstream();
    let mut stays = rig.downstream();
    rig.hydrant.report_until("| 1 client | ");
    let before = rig.hydrant.descriptors();
    for round in 0..3000 {
        let mut goes = connect(rig.clients_at());
        match round % 4 {
            0 => reset(goes),
            1 => half_close(&goes),
            2 => drop(goes.write_all(b"GET / HTTP/1.1\r\n\r\n")),
            _ => {}
        }
        if round % 100 == 0 {
            rig.feed.send(&mut upstream, 1000);
            stays.take(1000);
        }
    }
    // Who closed in an orderly way can be told from the half-closed only by what happens to the next bytes.
    while !rig.hydrant.report().contains("| 1 client | ") {
        rig.feed.send(&mut upstream, 1);
        stays.take(1);
    }
    assert_eq!(rig.hydrant.descriptors(), before);
}

#[test]
fn beyond_max_clients_newcomers_are_refused() {
    let mut rig = Rig::with("connect-listen", "--max-clients 2");
    let mut upstream = rig.upstream();
    let mut first = rig.downstream();
    let second = rig.downstream();
    let third = connect(rig.clients_at());
    let who = third.local_addr().unwrap().ip();
    assert_eq!(Taker::new(third, 0).take_rest(), Ending::Orderly);
    rig.hydrant.wait_log(&format!(
        "[WARN] relay: client {who} refused: 2 clients are connected (--max-clients)"
    ));
    let report = rig.hydrant.report();
    assert!(report.contains("| refused: max-clients 1 | "), "{report}");
    // Once there is room, the next one is welcome.
    let gone = second.stream.local_addr().unwrap();
    reset(second.stream);
    rig.hydrant.wait_log(&format!("client {gone} left"));
    let mut next = rig.downstream();
    rig.feed.send(&mut upstream, 1000);
    first.take(1000);
    next.take(1000);
}

#[test]
fn one_client_is_singular() {
    for (flags, why) in [
        ("--max-clients 1", "1 client is connected (--max-clients)"),
        (
            "--max-clients-per-ip 1",
            "1 client from there is connected (--max-clients-per-ip)",
        ),
    ] {
        let mut rig = Rig::with("connect-listen", flags);
        let _upstream = rig.upstream();
        let _first = rig.downstream();
        let _second = connect(rig.clients_at());
        rig.hydrant.wait_log(&format!(" refused: {why}"));
    }
}

#[test]
fn beyond_max_clients_the_oldest_half_closed_one_goes_first() {
    let mut rig = Rig::with("connect-listen", "--max-clients 3");
    let mut upstream = rig.upstream();
    let mut whole = rig.downstream();
    let mut half: Vec<_> = (0..2).map(|_| rig.downstream()).collect();
    for taker in half.iter().rev() {
        half_close(&taker.stream);
        // By then its end has been read, so that the order is known.
        rig.hydrant.report();
    }
    let mut newcomer = rig.downstream();
    let oldest = half.pop().unwrap();
    let who = oldest.stream.local_addr().unwrap();
    rig.hydrant.wait_log(&format!(
        "[WARN] relay: client {who} dropped: half-closed; "
    ));
    let mut oldest = oldest;
    assert_eq!(oldest.take_rest(), Ending::Orderly);
    rig.feed.send(&mut upstream, 1000);
    for taker in [&mut whole, &mut half[0], &mut newcomer] {
        taker.take(1000);
    }
}

/// More come at once than there are descriptors: who was there stays, and once the crowd has gone there is room again.
#[test]
fn a_crowd_at_the_door_drives_nobody_out() {
    let mut place = Place::opened();
    let hydrant = hydrant(&format!("{} 127.0.0.1:0", place.at))
        .shell(r#"ulimit -n 80; exec "$0" "$@""#)
        .start();
    let at = hydrant.address_of("clients");
    let line = hydrant.wait_log("descriptors are enough for ");
    let most = line.split("enough for ").nth(1).unwrap().split(' ').next();
    let most: usize = most.unwrap().parse().expect(&line);
    let mut upstream = place.accept();
    let mut stays = Taker::new(connect(at), 0);
    hydrant.wait_log(&format!("{} connected", stays.stream.local_addr().unwrap()));

    hydrant.signal("STOP");
    let crowd: Vec<TcpStream> = (0..200).map(|_| connect(at)).collect();
    hydrant.signal("CONT");
    let mut feed = Feed::default();
    feed.send(&mut upstream, 100_000);
    stays.take(100_000);

    // Each of them was let in or told that there is no room.
    hydrant.report_until(&format!("refused: max-clients {} ", 201 - most));
    crowd.into_iter().for_each(reset);
    hydrant.report_until("| 1 client | ");
    let mut next = Taker::new(connect(at), feed.at);
    hydrant.report_until("| 2 clients | ");
    feed.send(&mut upstream, 100_000);
    stays.take(100_000);
    next.take(100_000);
}

/// Out of descriptors, for as long as it lasts: the feed goes on, nobody spins, and who waits is let in in the end.
#[test]
fn without_descriptors_accepting_pauses() {
    if !have("prlimit") {
        return;
    }
    let mut place = Place::opened();
    let line = format!("{} 127.0.0.1:0 --stats --stats-interval 500ms", place.at);
    let hydrant = hydrant(&line).start();
    let at = hydrant.address_of("clients");
    let mut upstream = place.accept();
    let mut stays = Taker::new(connect(at), 0);
    hydrant.report_until("| 1 client | ");
    let limit = |descriptors: usize| {
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", hydrant.pid()))
            .arg(format!("--nofile={descriptors}:"))
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    // Those that are open stay so.
    limit(1);
    let waits: Vec<TcpStream> = (0..20).map(|_| connect(at)).collect();
    hydrant.wait_log("out of file descriptors or memory; new connections wait until some are free");
    let mut feed = Feed::default();
    feed.send(&mut upstream, 100_000);
    stays.take(100_000);
    let stats = || hydrant.wait_log(" | in ");
    stats();
    stats();
    let before = hydrant.processor_ticks();
    stats();
    stats();
    let used = hydrant.processor_ticks() - before;
    assert!(used < 10, "{used} hundredths of a second in one second");

    limit(1000);
    hydrant.report_until("| 21 clients | ");
    let mut takers: Vec<_> = waits
        .into_iter()
        .map(|stream| Taker::new(stream, feed.at))
        .collect();
    takers.push(stays);
    feed.send(&mut upstream, 100_000);
    takers.iter_mut().for_each(|taker| taker.take(100_000));
}

/// The soft limit of descriptors is for programs that still use select(2); nobody has to raise it by hand.
#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_it_may_be() {
    let hydrant = hydrant("0 0 --mode listen-listen")
        .shell(r#"ulimit -Sn 100; ulimit -Hn 200; exec "$0" "$@""#)
        .start();
    hydrant.address_of("clients");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", hydrant.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = line.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["200", "200"]);
}
