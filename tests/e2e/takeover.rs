//! A second upstream where SRC listens, and those who only look whether a port is open.

use std::io::Write;
use std::net::TcpStream;

use crate::common::feed::{Ending, Taker};
use crate::common::peers::{connect, leave, reset};
use crate::rig::Rig;

#[test]
fn a_new_upstream_replaces_the_old_one_at_its_first_byte() {
    let mut rig = Rig::new("listen-listen");
    let mut downstream = rig.downstream();
    let mut old = rig.upstream();
    rig.feed.send(&mut old, 1000);
    downstream.take(1000);
    let mut new = rig.upstream();
    let [old_at, new_at] = [&old, &new].map(|stream| stream.local_addr().unwrap());
    rig.hydrant.report();
    assert!(!rig.hydrant.has_logged("replaced"));

    // The new one is silent: the old one's bytes still count.
    rig.feed.send(&mut old, 1000);
    downstream.take(1000);
    rig.feed.send(&mut new, 1);
    downstream.take(1);
    assert_eq!(Taker::new(old, 0).take_rest(), Ending::Orderly);
    rig.hydrant.wait_log(&format!(
        "[WARN] relay: upstream {old_at} replaced by {new_at} (--takeover replace)"
    ));
    rig.feed.send(&mut new, 1_000_000);
    downstream.take(1_000_000);
}

#[test]
fn a_port_scan_kills_no_feed() {
    for mode in ["listen-listen", "listen-connect"] {
        let mut rig = Rig::new(mode);
        let mut downstream = rig.downstream();
        let mut upstream = rig.upstream();
        let mut silent: Vec<TcpStream> = Vec::new();
        for _ in 0..20 {
            rig.feed.send(&mut upstream, 1000);
            drop(rig.upstream());
            reset(rig.upstream());
            silent.push(rig.upstream());
            rig.feed.send(&mut upstream, 1000);
            downstream.take(2000);
        }
        assert!(!rig.hydrant.has_logged("replaced"));
    }
}

/// There may be no end of those who connect and say nothing: the oldest of them has to go, never the feed.
#[test]
fn silent_connections_are_bounded() {
    let mut rig = Rig::new("listen-listen");
    let mut downstream = rig.downstream();
    let mut upstream = rig.upstream();
    rig.feed.send(&mut upstream, 1);
    downstream.take(1);
    let mut silent: Vec<TcpStream> = (0..65).map(|_| rig.upstream()).collect();
    let oldest = silent.remove(0);
    assert_eq!(Taker::new(oldest, 0).take_rest(), Ending::Orderly);
    rig.hydrant
        .wait_log("it has sent nothing, and 64 others wait");
    rig.feed.send(&mut upstream, 1000);
    downstream.take(1000);
}

#[test]
fn a_second_upstream_can_be_refused() {
    let mut rig = Rig::with("listen-listen", "--takeover refuse");
    let mut downstream = rig.downstream();
    let mut first = rig.upstream();
    rig.feed.send(&mut first, 1000);
    downstream.take(1000);
    let mut second = rig.second_upstream();
    let second_at = second.local_addr().unwrap().ip();
    rig.hydrant.wait_log(&format!(
        "[WARN] relay: upstream {second_at} refused: another is connected (--takeover refuse)"
    ));
    // Its bytes go nowhere, whether it learns that by an end or by a reset.
    let _ = second.write_all(b"not part of the feed");
    Taker::new(second, 0).take_rest();
    rig.feed.send(&mut first, 1000);
    downstream.take(1000);

    // Once the first has gone, the next is welcome.
    rig.upstream_goes(first);
    rig.hydrant.wait_log("closed the connection");
    let mut third = rig.upstream();
    rig.feed.send(&mut third, 1000);
    downstream.take(1000);
}

/// Two senders one after the other, each of which is gone before its bytes are: `cat file1 | nc`, `cat file2 | nc`.
#[test]
fn files_sent_one_after_the_other_arrive_whole() {
    for mode in ["listen-listen", "listen-connect"] {
        let mut rig = Rig::with(mode, "--ring 64K --hold 5m");
        let mut downstream = rig.downstream();
        // How far the relay has come when the next one begins differs from time to time.
        for _ in 0..30 {
            for _ in 0..10 {
                let mut sender = rig.upstream();
                // Less than kernels hold, so that the sender does not have to wait for the relay.
                rig.feed.send(&mut sender, 100_000);
                leave(&sender);
            }
            downstream.take(1_000_000);
        }
        assert!(!rig.hydrant.has_logged("replaced"));
    }
}

/// As above, where the relay has had no time to look before all of them are gone.
#[test]
fn files_sent_while_the_relay_is_busy_arrive_in_order() {
    let mut rig = Rig::with("listen-listen", "--ring 64K --hold 5m");
    let mut downstream = rig.downstream();
    for _ in 0..5 {
        rig.hydrant.signal("STOP");
        for _ in 0..8 {
            let mut sender = connect(rig.upstream_at());
            rig.feed.send(&mut sender, 150_000);
            leave(&sender);
        }
        rig.hydrant.signal("CONT");
        downstream.take(8 * 150_000);
    }
}
