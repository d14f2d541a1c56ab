//! Who is shown to be connected, and is disconnected by hand, step by step.

use std::time::Duration;

use super::SERVICE_PORT;
use super::roles::party;
use super::stage::Stage;
use crate::reactor::view::ClientRow;
use crate::sim::Faults;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn rows_of_relay(stage: &mut Stage) -> Vec<ClientRow> {
    let now = stage.now();
    let mut rows = stage.with_relay(|relay, _| relay.client_page(now, 0).rows);
    rows.sort_by(|a, b| (&a.label, a.bytes_in).cmp(&(&b.label, b.bytes_in)));
    rows
}

fn labels(rows: &[ClientRow]) -> Vec<&str> {
    rows.iter().map(|row| &*row.label).collect()
}

#[test]
fn a_relay_shows_its_hosts_and_each_connection() {
    let mut stage = Stage::relay("--pair-timeout 1h", "");
    stage.service();
    stage.add("ws host ws://127.0.0.1:8080/host/game 80 --retry 1");
    stage.run(secs(1));
    let mut one = stage.admitted("/client/game", "");
    stage.say(&one, b"hello");
    let service = stage.called(SERVICE_PORT);
    stage.send(service, b"an answer");
    stage.hear(&mut one);
    let mut other = stage.admitted("/client/game", "");
    let _alone = stage.admitted("/client/lobby", "");
    let rows = rows_of_relay(&mut stage);
    assert_eq!(
        labels(&rows),
        [
            "game, client",
            "game, client",
            "game, host",
            "lobby, client, waits"
        ]
    );
    assert_eq!((rows[1].bytes_in, rows[1].bytes_out), (Some(5), 9));
    assert!(rows[1].peer.starts_with("127.0.0.9:"), "{}", rows[1].peer);
    let (kicked, host) = (rows[1].id, rows[2].id);
    let kick = |stage: &mut Stage, id| stage.with_relay(|relay, cx| relay.kick(cx, id));
    assert!(kick(&mut stage, kicked));
    stage.hear(&mut one);
    assert_eq!(one.close, Some(1011));
    assert!(stage.is_over(service));
    assert!(!kick(&mut stage, kicked), "it is gone already");
    // Who else is there goes on.
    let service = stage.called(SERVICE_PORT);
    stage.send(service, b"and you");
    stage.hear(&mut other);
    assert_eq!((&*other.heard, other.close), (&b"and you"[..], None));
    // A host takes along those who are connected through it, and may come again: as another.
    assert!(kick(&mut stage, host));
    stage.hear(&mut other);
    assert_eq!(other.close, Some(1011));
    assert!(stage.is_over(service));
    stage.run(secs(3));
    let rows = rows_of_relay(&mut stage);
    assert_eq!(labels(&rows), ["game, host", "lobby, client, waits"]);
    assert_ne!(rows[0].id, host);
    assert!(!kick(&mut stage, host));
}

/// At both ends the client is the one who sends.
#[test]
fn both_ends_show_the_same_connections() {
    let client = "ws client ws://127.0.0.1:8080/client 7001 --retry 1";
    let host = "ws host ws://127.0.0.1:8080/host 80 --retry 1";
    for (shown, behind) in [(client, host), (host, client)] {
        let mut stage = Stage::of(party(shown), Faults::none());
        stage.service();
        stage.add("ws relay 8080");
        stage.add(behind);
        stage.run(secs(3));
        let one = stage.program();
        stage.run(Duration::from_millis(10));
        stage.send(one, b"question");
        let service = stage.called(SERVICE_PORT);
        stage.send(service, b"an answer");
        let other = stage.program();
        stage.run(Duration::from_millis(10));
        let mut rows = stage.adapter().client_page(stage.now(), 0).rows;
        rows.sort_by_key(|row| row.bytes_in);
        let moved = rows.iter().map(|row| (row.bytes_in, row.bytes_out));
        assert_eq!(
            moved.collect::<Vec<_>>(),
            [(Some(0), 0), (Some(8), 9)],
            "{shown}"
        );
        assert!(labels(&rows).iter().all(|label| label.is_empty()));
        let id = rows[1].id;
        assert!(stage.with_adapter(|adapter, cx| adapter.kick(cx, id)));
        stage.run(Duration::from_millis(10));
        assert!(stage.is_over(one) && stage.is_over(service), "{shown}");
        assert!(!stage.with_adapter(|adapter, cx| adapter.kick(cx, id)));
        let service = stage.called(SERVICE_PORT);
        stage.send(service, b"and you");
        assert_eq!(stage.world().remote_read(other, 99), b"and you", "{shown}");
    }
}

#[test]
fn a_program_that_waits_is_shown_and_turned_away() {
    let client = "ws client ws://127.0.0.1:8080/client 7001 --retry 1";
    let mut stage = Stage::of(party(client), Faults::none());
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    let rows = stage.adapter().client_page(stage.now(), 0).rows;
    assert_eq!(labels(&rows), ["waits"]);
    assert!(rows[0].peer.starts_with("127.0.0.9:"), "{}", rows[0].peer);
    assert!(stage.with_adapter(|adapter, cx| adapter.kick(cx, rows[0].id)));
    stage.run(Duration::from_millis(10));
    assert!(stage.is_over(program));
    let rows = stage.adapter().client_page(stage.now(), 0).rows;
    assert_eq!(rows, []);
}
