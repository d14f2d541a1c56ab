//! Whether the other end is alive. A session is answered at once; and on a line so thin that a ping waits for longer
//! behind the data on its way than an answer may take, whoever has not had the question can't have answered it: it is
//! alive as long as the line moves.

use std::time::Duration;

use super::roles::{party, relay};
use super::stage::{Caller, Stage, header};
use super::{RELAY_PORT, SERVICE_PORT};
use crate::proto::websocket::{FrameHead, Key, Opcode};
use crate::proto::yamux::{Flags, HEADER_LEN, Kind};
use crate::reactor::net::Addr;
use crate::sim::{Actor, Behaviour, Content, Ending, Faults, Receiver, Source};

const MUX: &str = "hydrant.mux.v1";
/// Takes five seconds on a thin line.
const MUCH: usize = 40_000;
/// It lasts, and is answered at once.
const PATIENT: &str = "--ping 25";
/// A peer that says nothing for two of them is dead.
const IMPATIENT: &str = "--ping 0.5";

/// 7500 bytes a second.
fn thin() -> Faults {
    Faults {
        send_buffer: 300,
        delay: Duration::from_millis(40),
        ..Faults::none()
    }
}

/// 6000 bytes a second for who reads every 50 ms.
fn thin_to_its_reader() -> Faults {
    Faults {
        receive_buffer: 300,
        ..Faults::none()
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lines from now on are as they should be.
fn widen(stage: &Stage) {
    *stage.world().faults() = Faults::none();
}

/// Somebody who says much, and then nothing more.
fn talker() -> Actor {
    Actor::Source(Source {
        ending: Ending::HalfClose,
        content: Content::Bytes([b'a'; MUCH].as_slice().into()),
        ..Source::pattern(0, MUCH as u64)
    })
}

/// Reads what comes for so long, and answers each ping.
fn attend(stage: &mut Stage, caller: &mut Caller, key: Option<Key>, time: Duration) {
    let end = stage.now() + time;
    while stage.now() < end {
        let before = caller.pings;
        stage.run(Duration::from_millis(50));
        stage.hear_some(caller, usize::MAX);
        if caller.pings > before {
            let pong = FrameHead::new(Opcode::Pong, true, 0, key);
            stage.world().remote_send(caller.id, &pong);
        }
    }
}

/// Asks the session at the other end, and whether an answer comes at once.
fn is_answered(stage: &mut Stage, caller: &mut Caller, says: fn(&[u8]) -> Vec<u8>) -> bool {
    let ping = says(&header(Kind::Ping, Flags::SYN, 0, 7));
    stage.send(caller.id, &ping);
    stage.hear(caller);
    let pong = header(Kind::Ping, Flags::ACK, 0, 7);
    caller.heard.chunks(HEADER_LEN).any(|said| said == pong)
}

#[test]
fn a_session_is_answered_at_once() {
    let mut stage = Stage::relay(PATIENT, "");
    let mut host = stage.ask_for("/host", "", &[MUX]);
    assert!(
        is_answered(&mut stage, &mut host, Stage::message),
        "by a relay"
    );

    let host = party("ws host ws://127.0.0.1:8080/host 80 --retry 10");
    let mut stage = Stage::of(host, Faults::none());
    let manual = Behaviour::serve(Actor::Manual);
    stage
        .world()
        .listen_remote(Addr::Tcp(super::at(RELAY_PORT)), manual);
    stage.run(secs(11));
    let mut relay = stage.granted(&[MUX]);
    assert!(
        is_answered(&mut stage, &mut relay, Stage::served),
        "by a host"
    );
}

#[test]
fn a_host_that_sends_much_keeps_its_relay() {
    for (host_pings, relay_pings) in [(IMPATIENT, PATIENT), (IMPATIENT, IMPATIENT)] {
        let mut stage = Stage::of(relay(relay_pings, ""), thin());
        stage.world().listen_remote(
            Addr::Tcp(super::at(SERVICE_PORT)),
            Behaviour::serve(talker()),
        );
        stage.add(&format!("ws host ws://127.0.0.1:8080/host 80 {host_pings}"));
        stage.run(secs(1));
        widen(&stage);
        let mut client = stage.admitted("/client", "");
        stage.say(&client, b"hello");
        attend(&mut stage, &mut client, Some(Key([0; 4])), secs(12));
        assert_eq!(
            (client.heard.len(), client.close),
            (MUCH, Some(1000)),
            "{relay_pings}"
        );
    }
}

/// What TLS holds has not arrived, though it has been taken.
#[test]
fn a_host_that_sends_much_by_tls_keeps_its_relay() {
    keeps_its_relay_by_tls(IMPATIENT, PATIENT);
}

/// A record takes its time to become whole.
#[test]
fn a_relay_to_which_much_is_sent_by_tls_keeps_its_host() {
    keeps_its_relay_by_tls(PATIENT, IMPATIENT);
}

#[track_caller]
fn keeps_its_relay_by_tls(host_pings: &str, relay_pings: &str) {
    let files = "src/fuzz/tls";
    let relay = format!(
        "ws relay 8080 --tls-cert {files}/certificate.pem --tls-key {files}/key.pem {relay_pings}"
    );
    let mut stage = Stage::of(party(&relay), thin());
    stage.world().listen_remote(
        Addr::Tcp(super::at(SERVICE_PORT)),
        Behaviour::serve(talker()),
    );
    stage.add(&format!(
        "ws host wss://127.0.0.1:8080/host 80 --tls-insecure {host_pings}"
    ));
    stage.run(secs(3));
    widen(&stage);
    stage.add("ws client wss://127.0.0.1:8080/client 7001 --tls-insecure");
    stage.run(secs(1));
    let program = stage.program();
    stage
        .world()
        .set_actor(program, Actor::Receiver(Receiver::eager()));
    stage.run(secs(12));
    assert_eq!(stage.world().received(program).len(), MUCH);
    assert!(!stage.world().saw_reset(program));
}

#[test]
fn a_relay_that_sends_much_keeps_its_host() {
    let mut stage = Stage::of(relay(IMPATIENT, ""), thin());
    stage.service();
    stage.add(&format!("ws host ws://127.0.0.1:8080/host 80 {PATIENT}"));
    stage.run(secs(1));
    widen(&stage);
    let mut client = stage.admitted("/client", "");
    stage.say(&client, &[b'q'; MUCH]);
    attend(&mut stage, &mut client, Some(Key([0; 4])), secs(12));
    let service = stage.called(SERVICE_PORT);
    assert_eq!(stage.world().remote_read(service, usize::MAX).len(), MUCH);
    assert!(!stage.is_over(service));
}

#[test]
fn a_relay_that_sends_much_keeps_its_plain_client_for_as_long_as_the_line_moves() {
    let mut stage = Stage::of(relay(IMPATIENT, ""), thin_to_its_reader());
    let mut client = stage.admitted("/client", "");
    widen(&stage);
    let mut host = stage.admitted("/host", "");
    stage.say(&host, &[b'a'; MUCH]);
    for _ in 0..200 {
        attend(
            &mut stage,
            &mut host,
            Some(Key([0; 4])),
            Duration::from_millis(50),
        );
        attend(
            &mut stage,
            &mut client,
            Some(Key([0; 4])),
            Duration::from_millis(50),
        );
    }
    assert_eq!(client.heard.len(), MUCH);
    assert!(!stage.is_over(client.id));
    // Where nothing moves any more its silence counts.
    attend(&mut stage, &mut host, Some(Key([0; 4])), secs(2));
    stage.hear(&mut client);
    assert!(stage.is_over(client.id));
}

/// A relay that knows no sessions.
#[test]
fn a_plain_host_that_sends_much_keeps_its_relay_for_as_long_as_the_line_moves() {
    let host = party(&format!("ws host ws://127.0.0.1:8080/host 80 {IMPATIENT}"));
    let mut stage = Stage::of(host, thin());
    let manual = Behaviour::serve(Actor::Manual);
    stage
        .world()
        .listen_remote(Addr::Tcp(super::at(RELAY_PORT)), manual);
    stage.world().listen_remote(
        Addr::Tcp(super::at(SERVICE_PORT)),
        Behaviour::serve(talker()),
    );
    stage.run(secs(1));
    widen(&stage);
    let mut relay = stage.granted(&[]);
    stage.send(relay.id, &Stage::served(b"hello"));
    attend(&mut stage, &mut relay, None, secs(12));
    assert_eq!(relay.heard.len(), MUCH);
}

#[test]
fn a_host_to_which_much_is_sent_keeps_its_name_for_as_long_as_the_line_moves() {
    let thinner = Faults {
        send_buffer: 150,
        ..thin()
    };
    let mut stage = Stage::of(relay(PATIENT, ""), thinner);
    stage.service();
    stage.add(&format!("ws host ws://127.0.0.1:8080/host 80 {PATIENT}"));
    stage.run(secs(1));
    widen(&stage);
    let mut client = stage.admitted("/client", "");
    stage.say(&client, &[b'q'; MUCH]);
    let mut rivals = [stage.ask("/host", ""), stage.ask("/host", "")];
    attend(&mut stage, &mut client, Some(Key([0; 4])), secs(15));
    for rival in &mut rivals {
        stage.hear(rival);
        assert_eq!(rival.status, Some(409), "the host is there");
    }
    let service = stage.called(SERVICE_PORT);
    assert_eq!(stage.world().remote_read(service, usize::MAX).len(), MUCH);
    assert!(!stage.is_over(service));
}

#[test]
fn a_host_that_has_its_question_and_does_not_answer_loses_its_name() {
    let mut stage = Stage::of(relay(PATIENT, ""), thin_to_its_reader());
    let mut host = stage.admitted("/host", "");
    widen(&stage);
    let client = stage.admitted("/client", "");
    stage.say(&client, &[b'q'; MUCH]);
    let mut rival = stage.ask("/host", "");
    let asked = stage.now();
    while rival.status.is_none() {
        assert!(stage.now() < asked + secs(20), "it waits for ever");
        stage.hear_some(&mut host, usize::MAX);
        stage.run(Duration::from_millis(50));
        stage.hear_some(&mut rival, usize::MAX);
    }
    assert_eq!((rival.status, host.pings), (Some(101), 1));
    let had = stage.now().since(asked);
    assert!(secs(8) < had && had < secs(12), "{had:?}");
}
