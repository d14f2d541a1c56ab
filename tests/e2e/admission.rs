//! Who may come in: by address, by how many there are, and what is said of those who may not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use crate::common::feed::{Ending, Taker};
use crate::common::hydrant::hydrant;
use crate::common::peers::{connect_from, reset};
use crate::rig::Rig;

/// 127.0.0.x
fn local(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

#[track_caller]
fn is_turned_away(stream: TcpStream) {
    assert_eq!(Taker::new(stream, 0).take_rest(), Ending::Orderly);
}

#[test]
fn only_those_who_are_allowed_are_clients() {
    let mut rig = Rig::with(
        "connect-listen",
        "--allow 127.0.0.64/26 --allow 127.0.0.2,::1",
    );
    let mut upstream = rig.upstream();
    let at = rig.clients_at();
    let welcome = [2, 64, 100, 127].map(|last| connect_from(local(last), at));
    for last in [1, 3, 63, 128] {
        is_turned_away(connect_from(local(last), at));
        rig.hydrant.wait_log(&format!(
            "[WARN] relay: client 127.0.0.{last} refused: not in --allow"
        ));
    }
    let report = rig.hydrant.report_until("| 4 clients | ");
    assert!(report.contains("| refused: not-allowed 4 | "), "{report}");
    rig.feed.send(&mut upstream, 10_000);
    for stream in welcome {
        Taker::new(stream, 0).take(10_000);
    }
}

#[test]
fn only_those_who_are_allowed_are_upstreams() {
    let mut rig = Rig::with(
        "listen-listen",
        "--allow-upstream 127.0.0.2 --allow 127.0.0.1",
    );
    let mut client = rig.downstream();
    is_turned_away(connect_from(local(1), rig.upstream_at()));
    rig.hydrant
        .wait_log("[WARN] relay: upstream 127.0.0.1 refused: not in --allow-upstream");
    is_turned_away(connect_from(local(2), rig.clients_at()));
    rig.hydrant
        .wait_log("[WARN] relay: client 127.0.0.2 refused: not in --allow");
    let mut upstream = connect_from(local(2), rig.upstream_at());
    rig.feed.send(&mut upstream, 10_000);
    client.take(10_000);
    let report = rig.hydrant.report();
    assert!(report.contains("| refused: not-allowed 2 | "), "{report}");
}

/// A client that comes in on a socket of IPv6 by an address of IPv4 counts as one of IPv4.
#[test]
fn mapped_addresses_are_those_of_ipv4() {
    let run =
        hydrant("0 :0 --mode listen-listen --allow 127.0.0.0/30 --max-clients-per-ip 1").start();
    let at = SocketAddr::from(([127, 0, 0, 1], run.address_of("clients").port()));
    let _first = connect_from(local(1), at);
    let _second = connect_from(local(2), at);
    run.report_until("| 2 clients | ");
    is_turned_away(connect_from(local(2), at));
    run.wait_log("[WARN] relay: client 127.0.0.2 refused: 1 client from there is connected");
    is_turned_away(connect_from(local(5), at));
    run.wait_log("[WARN] relay: client 127.0.0.5 refused: not in --allow");
}

#[test]
fn one_address_has_only_so_many_clients() {
    let mut rig = Rig::with("connect-listen", "--max-clients-per-ip 2");
    let mut upstream = rig.upstream();
    let at = rig.clients_at();
    let mut first = rig.downstream();
    let second = rig.downstream();
    is_turned_away(connect_from(local(1), at));
    rig.hydrant.wait_log(
        "[WARN] relay: client 127.0.0.1 refused: 2 clients from there are connected (--max-clients-per-ip)",
    );
    let other = connect_from(local(2), at);
    let report = rig.hydrant.report_until("| 3 clients | ");
    assert!(
        report.contains("| refused: max-clients-per-ip 1 | "),
        "{report}"
    );
    // Once there is room, the next one is welcome.
    let gone = second.stream.local_addr().unwrap();
    reset(second.stream);
    rig.hydrant.wait_log(&format!("client {gone} left"));
    let mut next = rig.downstream();
    rig.feed.send(&mut upstream, 1000);
    first.take(1000);
    next.take(1000);
    Taker::new(other, 0).take(1000);
}

/// One line, and later how many there were; the others do not notice.
#[test]
fn a_flood_of_refusals_is_one_line() {
    let mut rig = Rig::with("connect-listen", "--allow 127.0.0.1");
    let mut upstream = rig.upstream();
    let mut client = rig.downstream();
    for _ in 0..500 {
        is_turned_away(connect_from(local(9), rig.clients_at()));
        rig.feed.send(&mut upstream, 100);
        client.take(100);
    }
    let report = rig.hydrant.report();
    assert!(report.contains("| refused: not-allowed 500 | "), "{report}");
    let log = rig.hydrant.log();
    let told: Vec<_> = log
        .iter()
        .filter(|line| line.contains("127.0.0.9 refused: "))
        .collect();
    // A slow machine gets to the next minute's line; a fast one only to the first.
    assert!(told.len() <= 3, "{told:#?}");
    if let Some(second) = told.get(1) {
        assert!(second.contains(" times in "), "{second}");
    }
}
