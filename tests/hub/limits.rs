//! Each limit and each refusal: what the others notice (nothing), what is logged, and what is counted.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use crate::common::DEADLINE;
use crate::common::hydrant::hydrant;
use crate::common::peers::{connect_from, connect_narrow, half_close};
use crate::rig::{Client, Hub};

/// What is counted for a client that is dropped.
#[track_caller]
fn counts_drop(hub: &Hub, reason: &str) {
    let report = hub.run.report();
    assert!(
        report.contains(&format!("| drops 1 ({reason} 1) |")),
        "{report}"
    );
}

#[track_caller]
fn counts_refusal(hub: &Hub, refusal: &str, times: u32) {
    let report = hub.run.report();
    let part = format!("| refused: {refusal} {times} |");
    assert!(report.contains(&part), "{report}");
}

#[test]
fn a_name_in_use_is_closed_at_once() {
    let hub = Hub::start("");
    let a = hub.plain("a");
    let mut second = hub.connect();
    let us = second.us();
    second.send("a|");
    second.ends();
    let why = format!("client {us} refused: name-in-use; a is {}", a.us());
    hub.logs(&["[WARN] hub: ", &why]);
    counts_refusal(&hub, "name-in-use", 1);
}

#[test]
fn a_name_has_to_come_in_time() {
    let hub = Hub::start("--name-timeout 0.2");
    let mut half = hub.connect();
    half.send("half a na");
    hub.connect().ends();
    half.ends();
    hub.logs(&[
        "[WARN] hub: client 127.0.0.1:",
        " refused: name-timeout; no name within 0.2 s",
    ]);
    counts_refusal(&hub, "name-timeout", 2);
}

#[test]
fn what_is_no_name_is_refused() {
    for (said, why) in [
        ("|", "no name in front of the first |"),
        ("|x", "no name in front of the first |"),
        (" a|", "the name begins or ends with a space"),
        ("a\n|", "the name has a control character in it"),
        ("|8|envelope|", "the name is empty"),
    ] {
        let hub = Hub::start("");
        let mut client = hub.connect();
        client.send(said);
        // The first one alone might still become the envelope.
        half_close(&client.0);
        client.goes();
        if said != "|" {
            hub.logs(&["refused: bad-name; ", why]);
            counts_refusal(&hub, "bad-name", 1);
        } else {
            hub.logs(&["refused: unnamed; closed before it was registered"]);
        }
    }
    let hub = Hub::start("");
    hub.plain(&"x".repeat(255));
    let mut client = hub.connect();
    client.send("x".repeat(256));
    client.goes();
    hub.logs(&["refused: bad-name; the name is longer than 255 bytes"]);
}

#[test]
fn silence_is_a_reason_to_go_and_a_keepalive_is_not() {
    // We may be kept from sending for a while, too.
    let hub = Hub::start("--idle-timeout 4");
    let silent = hub.plain("silent");
    let us = silent.us();
    let mut alive = hub.plain("alive");
    let end = silent;
    let waiter = std::thread::spawn(move || end.ends());
    while !waiter.is_finished() {
        alive.send("alive|1|.");
        alive.gets(".");
    }
    waiter.join().expect("an orderly end");
    hub.logs(&[&format!("[WARN] hub: client silent ({us}) dropped: idle; ")]);
    counts_drop(&hub, "idle");
}

#[test]
fn a_length_is_as_it_must_be() {
    for (said, reason, why) in [
        ("b|1025|", "too-long", "LENGTH 1025 is above 1024"),
        (
            "b|18446744073709551616|",
            "too-long",
            "LENGTH 18446744073709551615 is above 1024",
        ),
        (
            "b|000000000000000000001|",
            "malformed",
            "LENGTH has more than 20 digits",
        ),
        ("b||", "malformed", "LENGTH is empty"),
        ("b|+5|", "malformed", "LENGTH has '+' in it"),
        ("b|5 |", "malformed", "LENGTH has ' ' in it"),
    ] {
        let hub = Hub::start("--max-message 1K");
        let mut b = hub.plain("b");
        let mut a = hub.plain("a");
        let us = a.us();
        a.send(format!("b|1024|{}", "x".repeat(1024)));
        a.send("b|00000000000000000001|y");
        a.send(said);
        a.goes();
        b.gets("x".repeat(1024) + "y");
        hub.logs(&[&format!("client a ({us}) dropped: {reason}; {why}; ")]);
        counts_drop(&hub, reason);
    }
    let hub = Hub::start("");
    let mut a = hub.plain("a");
    a.send("x".repeat(256));
    a.goes();
    hub.logs(&["dropped: malformed; no | within 256 bytes of a head"]);
}

/// Two who go for the same reason are both named.
#[test]
fn each_client_that_is_dropped_is_named() {
    let hub = Hub::start("");
    for name in ["a", "b"] {
        let mut client = hub.plain(name);
        let us = client.us();
        client.send("c|x|");
        client.goes();
        hub.logs(&[&format!(
            "[WARN] hub: client {name} ({us}) dropped: malformed; LENGTH has 'x' in it; "
        )]);
    }
}

/// A length that is only announced takes no memory; what comes of it does.
#[test]
fn a_length_is_not_trusted_before_its_bytes_are_there() {
    let hub = Hub::start("--max-message 4M --queue 8M --memory 8M");
    let mut to = hub.plain("to");
    let mut senders: Vec<Client> = (0..20).map(|n| hub.plain(&format!("s{n}"))).collect();
    for sender in &mut senders {
        // What comes before it, and with it, is delivered: so it has been read.
        sender.send("to|1|.to|4194304|");
    }
    to.gets(".".repeat(20));
    let report = hub.run.report();
    assert!(
        report.contains("hub 21 clients | waiting 0 B, held 0 B |"),
        "{report}"
    );
    for sender in &mut senders {
        sender.send(vec![b'x'; 1000]);
    }
    let report = hub.run.report_until("held 19 KiB");
    assert!(report.contains("| drops 0 |"), "{report}");
}

/// A receiver that does not read is dropped when its queue is full; its senders go on at full speed.
#[test]
fn a_queue_that_is_full_ends_its_receiver() {
    let hub = Hub::start("--queue 2M");
    let mut stuck = Client(connect_narrow(hub.at));
    let us = stuck.us();
    stuck.send("stuck|");
    hub.logs(&[&format!("client stuck ({us}) connected")]);
    let mut a = hub.plain("a");
    let frame = [&b"stuck|65536|"[..], &[7; 65536]].concat();
    let end = Instant::now() + DEADLINE;
    while !hub.run.has_logged("dropped: overflow") {
        assert!(Instant::now() < end, "nobody is dropped");
        for _ in 0..16 {
            a.send(&frame);
        }
        a.send("a|2|ok");
        a.gets("ok");
    }
    stuck.goes();
    hub.logs(&[
        &format!("[WARN] hub: client stuck ({us}) dropped: overflow; "),
        " waiting; ",
    ]);
    counts_drop(&hub, "overflow");
    hub.run.report_until("| waiting 0 B, held 0 B |");
}

/// Half-sent messages that reach --memory end the client with the largest, and nobody else.
#[test]
fn many_unfinished_messages_end_the_largest() {
    let hub = Hub::start("--memory 4M --queue 4M --max-message 2M");
    let _to = hub.plain("to");
    let mut senders: Vec<Client> = (0..6).map(|n| hub.plain(&format!("s{n}"))).collect();
    let largest = senders[2].us();
    // They lack one byte, so that what they hold does not depend on how they are read.
    senders[2].send("to|1900001|");
    senders[2].send(vec![b'x'; 1_900_000]);
    hub.run.report_until("held 1.8 MiB");
    for number in [0, 1, 3, 4, 5] {
        assert!(!hub.run.has_logged("dropped: "), "there is room");
        senders[number].send("to|500001|");
        senders[number].send(vec![b'x'; 500_000]);
    }
    hub.logs(&[&format!(
        "[WARN] hub: client s2 ({largest}) dropped: memory; "
    )]);
    senders.remove(2).goes();
    let report = hub.run.report();
    assert!(report.contains("(memory 1)"), "{report}");
}

/// Messages that nobody takes, too.
#[test]
fn many_queues_end_the_largest() {
    let hub = Hub::start("--memory 4M --queue 4M");
    let narrow: Vec<Client> = (0..4)
        .map(|number| {
            let mut client = Client(connect_narrow(hub.at));
            client.send(format!("n{number}|"));
            hub.logs(&[&format!("client n{number} (")]);
            client
        })
        .collect();
    let mut a = hub.plain("a");
    let end = Instant::now() + DEADLINE;
    while !hub.run.has_logged("dropped: memory") {
        assert!(Instant::now() < end, "nobody is dropped");
        for to in [0, 1, 1, 2, 3] {
            a.send(format!("n{to}|60000|{}", "x".repeat(60_000)));
        }
        a.send("a|1|.");
        a.gets(".");
    }
    hub.logs(&["client n1 (", "dropped: memory; "]);
    drop(narrow);
}

#[test]
fn only_so_many_are_registered() {
    let hub = Hub::start("--max-clients 2");
    let (a, _b) = (hub.plain("a"), hub.plain("b"));
    let mut c = hub.connect();
    c.send("|8|envelopec|");
    c.gets("|12|refused full");
    c.ends();
    hub.logs(&["refused: full; as many are registered as may be, 2 (--max-clients)"]);
    let mut d = hub.connect();
    d.send("d|");
    d.ends();
    counts_refusal(&hub, "full", 2);
    let us = a.us();
    drop(a);
    hub.logs(&[&format!("client a ({us}) left")]);
    hub.plain("c");
}

#[test]
fn only_so_many_wait_for_a_name() {
    let hub = Hub::start("--name-timeout 60 --idle-timeout off");
    let first = hub.connect();
    let us = first.us();
    let mut member = hub.plain("member");
    let crowd: Vec<Client> = (0..256).map(|_| hub.connect()).collect();
    first.ends();
    hub.logs(&[&format!("client {us} refused: newcomers; 256 later ones")]);
    member.send("member|1|.");
    member.gets(".");
    counts_refusal(&hub, "newcomers", 1);
    drop(crowd);
}

#[test]
fn only_those_who_are_allowed_come_in() {
    let hub = Hub::start("--allow 127.0.0.2 --max-clients-per-ip 1");
    hub.connect().ends();
    hub.logs(&["client 127.0.0.1:", " refused: not-allowed; not in --allow"]);
    let two = "127.0.0.2".parse().unwrap();
    let mut one = Client(connect_from(two, hub.at));
    one.send("a|a|1|.");
    one.gets(".");
    Client(connect_from(two, hub.at)).ends();
    hub.logs(&[
        " refused: max-clients-per-ip; as many from there as may be, 1 (--max-clients-per-ip)",
    ]);
    let us = one.us();
    drop(one);
    hub.logs(&[&format!("client a ({us}) left")]);
    let mut next = Client(connect_from(two, hub.at));
    next.send("a|a|1|.");
    next.gets(".");
    counts_refusal(&hub, "not-allowed", 1);
    counts_refusal(&hub, "max-clients-per-ip", 1);
}

#[test]
fn a_connection_that_says_nothing_is_no_client() {
    let hub = Hub::start("");
    half_close(&hub.connect().0);
    hub.logs(&[
        "[INFO] hub: client 127.0.0.1:",
        "refused: unnamed; closed before",
    ]);
    counts_refusal(&hub, "unnamed", 1);
}

/// Who has not said its name when the hub is told to end is turned away at once; whoever comes later finds nobody.
#[test]
fn a_newcomer_during_a_drain_is_turned_away() {
    let mut hub = Hub::start("--drain 60 --queue 64M --idle-timeout off --name-timeout 60");
    let mut stuck = Client(connect_narrow(hub.at));
    stuck.send("stuck|");
    hub.logs(&["client stuck ("]);
    let silent = hub.connect();
    let mut half = hub.connect();
    half.send("half a na");
    let mut asked = hub.connect();
    asked.send("|8|envelope");
    // Connections are accepted in the order in which they came.
    let mut a = hub.plain("a");
    while hub.run.report().contains("| waiting 0 B,") {
        a.send(format!("stuck|65536|{}", "x".repeat(65_536)));
    }
    let us = silent.us();
    hub.run.signal("TERM");
    silent.ends();
    half.goes();
    asked.goes();
    hub.logs(&[&format!(
        "[INFO] hub: client {us} refused: ending; the hub ends"
    )]);
    counts_refusal(&hub, "ending", 3);
    let late = TcpStream::connect(hub.at).map_err(|error| error.kind());
    assert_eq!(late.err(), Some(ErrorKind::ConnectionRefused));
    drop(stuck);
    assert_eq!(hub.run.wait_exit(), 0);
}

/// A client that does not take its last bytes is cut when the hub ends, within --drain.
#[test]
fn who_takes_nothing_is_cut_at_the_end() {
    let mut hub = Hub::start("--drain 0.2");
    let mut stuck = Client(connect_narrow(hub.at));
    stuck.send("stuck|");
    hub.logs(&["client stuck ("]);
    let mut a = hub.plain("a");
    for _ in 0..60 {
        a.send(format!("stuck|65536|{}", "x".repeat(65_536)));
    }
    a.send("a|1|.");
    a.gets(".");
    let mut report = hub.run.report();
    // Until so much waits that the kernels can't take it all.
    while report.contains("| waiting 0 B,") {
        a.send(format!("stuck|65536|{}", "x".repeat(65_536)));
        report = hub.run.report();
    }
    hub.run.signal("TERM");
    assert_eq!(hub.run.wait_exit(), 0);
    hub.logs(&["client stuck (", "dropped: cut; "]);
    hub.logs(&["stopped by SIGTERM: 1 client drained, 1 cut; "]);
    stuck.goes();
}

#[test]
fn a_name_on_the_loopback_is_listened_at() {
    let run = hydrant("hub serve localhost:0").start();
    run.address_of("clients");
    run.stop();
}
