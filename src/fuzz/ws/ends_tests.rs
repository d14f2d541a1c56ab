//! How connections of plain programs end, step by step: behind all their bytes, and in time.

use std::time::Duration;

use super::RELAY_PORT;
use super::roles::{party, relay};
use super::stage::Stage;
use crate::reactor::net::Addr;
use crate::sim::{Actor, Behaviour, Faults};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_client_that_has_closed_and_reads_slowly_gets_every_byte_and_a_close() {
    let mut stage = Stage::relay("", "");
    let mut host = stage.admitted("/host", "");
    let mut client = stage.admitted("/client", "");
    stage.say(&client, b"a question");
    stage.close(&client, 1000);
    stage.hear(&mut host);
    assert_eq!((&*host.heard, host.close), (&b"a question"[..], Some(1000)));
    // More than the kernels take, and less than what waits at most.
    stage.say(&host, &[b'a'; 180_000]);
    stage.close(&host, 1000);
    stage.hear_slowly(&mut client, 500, secs(40));
    assert_eq!((client.heard.len(), client.close), (180_000, Some(1000)));
    stage.world().remote_close(client.id);
    stage.run(secs(6));
    assert_eq!(stage.with_relay(|relay, _| relay.sockets().count()), 1);
}

#[test]
fn a_client_that_has_closed_and_reads_nothing_is_let_go() {
    let mut stage = Stage::relay("", "");
    let host = stage.admitted("/host", "");
    let client = stage.admitted("/client", "");
    stage.close(&client, 1000);
    stage.say(&host, &[b'a'; 180_000]);
    stage.close(&host, 1000);
    stage.run(secs(12));
    assert_eq!(stage.with_relay(|relay, _| relay.sockets().count()), 1);
}

#[test]
fn a_client_that_never_answers_a_close_is_dead_when_it_is_silent() {
    let mut stage = Stage::relay("--ping 1", "");
    let mut host = stage.admitted("/host", "");
    let mut client = stage.admitted("/client", "");
    stage.close(&host, 1000);
    stage.hear(&mut client);
    assert_eq!(client.close, Some(1000));
    // While it still speaks it is alive: its host has gone, so that is the last of it.
    stage.run(secs(9));
    assert!(stage.is_over(client.id), "nothing was heard of it");
    stage.hear(&mut host);
}

#[test]
fn a_stream_does_not_wait_for_a_silent_plain_client_for_ever() {
    let mut stage = Stage::relay("--ping 1", "");
    stage.service();
    stage.add("ws host ws://127.0.0.1:8080/host 80");
    stage.run(secs(1));
    let mut client = stage.admitted("/client", "");
    stage.say(&client, b"hello");
    let service = stage.called(super::SERVICE_PORT);
    stage.world().remote_shutdown(service);
    // It reads, and answers nothing.
    for _ in 0..8 {
        stage.run(secs(1));
        stage.hear(&mut client);
    }
    assert_eq!(client.close, Some(1000));
    assert!(stage.is_over(client.id), "it has had its time");
    assert!(stage.is_over(service), "and so has what is behind it");
}

/// A long pause between a question and its answer is no silence: pings go on, though they can't be answered.
#[test]
fn a_client_that_has_closed_is_kept_and_pinged_until_its_answer_comes() {
    let mut stage = Stage::relay("--ping 1", "");
    stage.service();
    stage.add("ws host ws://127.0.0.1:8080/host 80");
    stage.run(secs(1));
    let mut client = stage.admitted("/client", "");
    stage.say(&client, b"a question");
    stage.close(&client, 1000);
    for _ in 0..20 {
        stage.run(secs(1));
        stage.hear(&mut client);
    }
    assert!(client.pings >= 15, "{} pings", client.pings);
    let service = stage.called(super::SERVICE_PORT);
    stage.send(service, b"an answer");
    stage.world().remote_shutdown(service);
    stage.run(Duration::from_millis(10));
    stage.hear(&mut client);
    assert_eq!(
        (&*client.heard, client.close),
        (&b"an answer"[..], Some(1000))
    );
}

#[test]
fn what_a_client_has_said_before_it_hung_up_arrives() {
    let mut stage = Stage::relay("", "");
    let mut host = stage.admitted("/host", "");
    let client = stage.admitted("/client", "");
    // More than the way to its host takes while that does not read.
    stage.say(&client, &[b'q'; 200_000]);
    stage.close(&client, 1000);
    stage.world().remote_close(client.id);
    stage.run(secs(1));
    stage.hear_slowly(&mut host, 5000, secs(10));
    assert_eq!((host.heard.len(), host.close), (200_000, Some(1000)));
    // It may still answer, and is done with.
    stage.say(&host, b"to whom?");
    stage.close(&host, 1000);
    stage.run(secs(6));
    assert_eq!(stage.with_relay(|relay, _| relay.sockets().count()), 1);
}

#[test]
fn a_stop_waits_for_the_last_byte_of_a_close() {
    for send_buffer in [3, 10, 100, 1000] {
        let faults = Faults {
            send_buffer,
            receive_buffer: 10,
            ..Faults::none()
        };
        let mut stage = Stage::of(relay("--drain 1m", ""), faults);
        let host = stage.admitted("/host", "");
        let mut client = stage.admitted("/client", "");
        stage.close(&client, 1000);
        stage.say(&host, &[b'a'; 2000]);
        stage.close(&host, 1000);
        stage.terminate();
        stage.hear_slowly(&mut client, 10, secs(30));
        assert_eq!(
            (client.heard.len(), client.close),
            (2000, Some(1000)),
            "{send_buffer}"
        );
    }
}

/// A relay that knows no sessions, and our own client.
#[test]
fn what_a_plain_connection_has_moved_counts_when_it_is_lost() {
    let client = party("ws client ws://127.0.0.1:8080/client 7001 --retry 10");
    let mut stage = Stage::of(client, Faults::none());
    let relay = Addr::Tcp(super::at(RELAY_PORT));
    stage
        .world()
        .listen_remote(relay, Behaviour::serve(Actor::Manual));
    stage.run(secs(11));
    let relay = stage.granted(&[]).id;
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    stage.send(program, b"question");
    stage.send(relay, &Stage::served(b"answer"));
    let moved = |stage: &Stage| {
        let view = stage.adapter().view(stage.now());
        (view.bytes_out, view.bytes_in)
    };
    assert_eq!(moved(&stage), (6, 8));
    stage.world().remote_reset(relay);
    stage.run(secs(1));
    assert!(stage.is_over(program));
    assert_eq!(moved(&stage), (6, 8), "it does not go back");
}
