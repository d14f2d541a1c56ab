//! What all connections may hold together, step by step: `--memory`.

use std::time::Duration;

use super::SERVICE_PORT;
use super::stage::{Caller, Stage, header};
use crate::proto::yamux::{Flags, HEADER_LEN, Header, Kind};

const MIB: usize = 1 << 20;

#[test]
fn clients_without_hosts_hold_no_more_than_memory_together() {
    let mut stage = Stage::relay("--memory 1M --pair-timeout 1h", "");
    let mut host = stage.admitted("/host", "");
    let mut client = stage.admitted("/client", "");
    let mut waiting = Vec::new();
    for name in 0..20 {
        let caller = stage.admitted(&format!("/client/n{name}"), "");
        stage.stuff(&caller, 100_000);
        waiting.push(caller);
    }
    let held = stage.with_relay(|relay, _| relay.held());
    assert!(held > MIB / 2 && held <= MIB, "{held}");
    waiting.iter_mut().for_each(|caller| stage.hear(caller));
    let is_reset = |caller: &&Caller| caller.close == Some(1011);
    assert_eq!(waiting.iter().filter(is_reset).count(), 10);
    assert_eq!(stage.with_relay(|relay, _| relay.counts().shed), 10);
    // Those who hold little are not touched.
    stage.say(&client, b"and we?");
    stage.hear(&mut host);
    assert_eq!(host.heard, b"and we?");
    stage.hear(&mut client);
    assert_eq!(client.close, None);
}

#[test]
fn what_waits_for_those_who_do_not_read_counts() {
    let mut stage = Stage::relay("--memory 1M", "");
    let mut clients = Vec::new();
    for name in 0..8 {
        let host = stage.admitted(&format!("/host/n{name}"), "");
        clients.push((stage.admitted(&format!("/client/n{name}"), ""), host.id));
        stage.stuff(&host, 400_000);
    }
    let held = stage.with_relay(|relay, _| relay.held());
    assert!(held > MIB / 2 && held <= MIB, "{held}");
    assert!(stage.with_relay(|relay, _| relay.counts().shed) > 0);
    // Whoever is left gets what there is as soon as it reads.
    stage.run(Duration::from_secs(10));
    let open =
        |(client, host): &&(Caller, _)| !stage.is_over(client.id) && stage.world().is_open(*host);
    assert!(clients.iter().filter(open).count() >= 2);
}

#[test]
fn what_hosts_say_before_they_have_clients_counts() {
    let mut stage = Stage::relay("--memory 1M", "");
    let mut hosts = Vec::new();
    for name in 0..12 {
        hosts.push(stage.admitted(&format!("/host/n{name}"), ""));
        stage.stuff(&hosts[name], 120_000);
    }
    let held = stage.with_relay(|relay, _| relay.held());
    assert!(held > MIB / 2 && held <= MIB, "{held}");
    assert_eq!(stage.with_relay(|relay, _| relay.counts().shed), 4);
}

/// A fast reader may hold the most at the moment at which the limit is reached.
#[test]
fn an_end_resets_whose_bytes_have_waited_for_the_longest() {
    let mut stage = Stage::relay("", "");
    stage.service();
    stage.add("ws host ws://127.0.0.1:8080/host 80 --memory 1M");
    stage.add("ws client ws://127.0.0.1:8080/client 7001");
    stage.run(Duration::from_secs(1));
    let programs: Vec<_> = (0..5).map(|_| stage.program()).collect();
    stage.run(Duration::from_millis(10));
    let (stalled, others) = programs.split_first().expect("there are some");
    // It holds less than a window, and each of the others a whole one.
    stage.stuff_bytes(*stalled, &[b'x'; 300_000]);
    stage.run(Duration::from_secs(1));
    for program in others {
        stage.stuff_bytes(*program, &[b'x'; 400_000]);
    }
    stage.run(Duration::from_secs(1));
    assert!(stage.world().saw_reset(*stalled));
    let reset = others.iter().filter(|id| stage.world().saw_reset(**id));
    assert_eq!(reset.count(), 0);
}

/// So does a relay, of all its connections.
#[test]
fn a_relay_resets_whose_bytes_have_waited_for_the_longest() {
    let mut stage = Stage::relay("--memory 1M --pair-timeout 1h", "");
    let mut callers = Vec::new();
    // The first holds less than the others, and the last little.
    for (name, len) in [90_000]
        .into_iter()
        .chain([128_000; 8])
        .chain([100])
        .enumerate()
    {
        let caller = stage.admitted(&format!("/client/n{name}"), "");
        stage.stuff(&caller, len);
        stage.run(Duration::from_millis(10));
        callers.push(caller);
    }
    callers.iter_mut().for_each(|caller| stage.hear(caller));
    let reset = callers.iter().map(|caller| caller.close == Some(1011));
    assert_eq!(
        reset.collect::<Vec<_>>(),
        [
            true, false, false, false, false, false, false, false, false, false
        ]
    );
}

/// And of those of one WebSocket.
#[test]
fn a_session_resets_whose_bytes_have_waited_for_the_longest() {
    let mut stage = Stage::relay("--memory 1M --pair-timeout 1h", "");
    let mut client = stage.ask_for("/client", "", &["hydrant.mux.v1"]);
    assert_eq!(client.status, Some(101));
    // The first holds less than the others, and the last little.
    let lens = [200_000, 250_000, 250_000, 250_000, 250_000, 100];
    for (stream, len) in (1..).step_by(2).zip(lens) {
        let mut says = header(Kind::Data, Flags::SYN, stream, len);
        says.resize(says.len() + len, b'x');
        stage.stuff_bytes(client.id, &Stage::message(&says));
    }
    stage.hear(&mut client);
    let (said, rest) = client.heard.as_chunks::<HEADER_LEN>();
    assert!(rest.is_empty());
    let said = said.iter().map(|it| Header::decode(it).expect("a header"));
    let reset = said.filter(|header| header.flags.has(Flags::RST));
    let reset = reset.map(|header| header.stream);
    assert_eq!(reset.collect::<Vec<_>>(), [1]);
}

#[test]
fn an_end_holds_no_more_than_its_own_memory() {
    let mut stage = Stage::relay("", "");
    stage.service();
    stage.add("ws host ws://127.0.0.1:8080/host 80 --memory 1M");
    stage.add("ws client ws://127.0.0.1:8080/client 7001");
    stage.run(Duration::from_secs(1));
    let programs: Vec<_> = (0..12).map(|_| stage.program()).collect();
    stage.run(Duration::from_millis(10));
    // Nobody reads what they say.
    for program in &programs {
        stage.stuff_bytes(*program, &[b'x'; 400_000]);
    }
    stage.run(Duration::from_secs(1));
    let reset = programs.iter().filter(|id| stage.world().saw_reset(**id));
    assert!((4..12).contains(&reset.count()), "some are, and not all");
    let service = stage.called(SERVICE_PORT);
    assert!(!stage.world().saw_fin(service));
}

/// What clients do is said to their host, and a host that takes none of it has lost what there was no room for.
#[test]
fn a_host_to_which_nothing_more_can_be_said_is_gone() {
    let mut stage = Stage::relay("", "");
    let host = stage.ask_for("/host", "", &["hydrant.mux.v1"]);
    let client = stage.ask_for("/client", "", &["hydrant.mux.v1"]);
    assert_eq!((host.status, client.status), (Some(101), Some(101)));
    let of = |flags, streams: std::ops::Range<u32>| -> Vec<u8> {
        let update = |stream| header(Kind::WindowUpdate, flags, 2 * stream + 1, 0);
        streams.flat_map(update).collect()
    };
    for batch in 0..40 {
        let streams = 200 * batch..200 * (batch + 1);
        for flags in [Flags::SYN, Flags::RST] {
            stage.say(&client, &of(flags, streams.clone()));
        }
    }
    stage.run(Duration::from_secs(2));
    // It does not read the end either.
    assert_eq!(stage.with_relay(|relay, _| relay.sockets().count()), 2);
    assert!(!stage.is_over(client.id));
}
