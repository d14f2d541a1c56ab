//! Who asks a relay to be let in, step by step.

use std::time::Duration;

use super::roles::relay;
use super::stage::{Caller, Stage};
use crate::base::time::Time;
use crate::sim::Faults;

const TOKEN: &str = "0123456789abcdef";
const OTHER: &str = "fedcba9876543210";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Each deadline runs out while a reset is on its way, or has come and is not told yet.
#[test]
fn connections_that_are_reset_at_their_deadline_are_gone_once() {
    let faults = Faults {
        late_event: 1000,
        ..Faults::none()
    };
    let mut stage = Stage::of(relay("", ""), faults);
    let silent: Vec<_> = (0..64).map(|_| stage.call()).collect();
    for (nth, id) in silent.iter().copied().enumerate() {
        let when = Time::ZERO + secs(5) + Duration::from_micros(nth as u64 * 50);
        stage.world().at(when, move |world| world.remote_reset(id));
    }
    stage.run(secs(7));
    assert!(silent.iter().all(|id| !stage.world().is_open(*id)));
    let host = stage.ask("/host", "");
    assert_eq!(host.status, Some(101), "it is still served");
}

#[test]
fn those_who_have_their_answer_make_way_first() {
    let mut stage = Stage::relay("", "");
    let slow = stage.call();
    stage.run(Duration::from_millis(10));
    stage.send(slow, b"GET /healthz HTTP/1.1\r\n");
    let answered: Vec<Caller> = (0..255).map(|_| stage.ask("/nowhere", "")).collect();
    assert!(answered.iter().all(|caller| caller.status == Some(404)));
    for _ in 0..100 {
        assert_eq!(stage.ask("/client", "").status, Some(101), "a newcomer");
        // Its place is for the next one.
        let last = stage.ask("/nowhere", "");
        assert_eq!(last.status, Some(404));
        stage.with_relay(|relay, _| assert!(relay.sockets().count() < 500));
        if stage.now() > Time::ZERO + secs(4) {
            break;
        }
    }
    stage.send(slow, b"Host: x\r\n\r\n");
    let told = stage.world().remote_read(slow, 4096);
    assert!(told.starts_with(b"HTTP/1.1 200"), "{told:?}");
    let refused = stage.with_relay(|relay, _| relay.counts().refused);
    assert!(refused >= 255, "{refused}");
}

#[test]
fn those_who_wait_for_one_host_leave_room_for_all_others() {
    let mut stage = Stage::relay("--pair-timeout 1h", "");
    let _host = stage.admitted("/host", "");
    let _first = stage.admitted("/client", "");
    let waiting: Vec<Caller> = (0..300).map(|_| stage.ask("/client", "")).collect();
    let refused = |caller: &&Caller| caller.status == Some(503);
    assert_eq!(waiting.iter().filter(refused).count(), 300 - 32);
    assert_eq!(stage.with_relay(|relay, _| relay.counts().refused), 268);
    // Many names have no more of them together than half of all places.
    let mut held = Vec::new();
    for name in 0..8 {
        held.push(stage.admitted(&format!("/host/{name}"), ""));
        held.push(stage.admitted(&format!("/client/{name}"), ""));
        for _ in 0..32 {
            held.push(stage.ask(&format!("/client/{name}"), ""));
        }
    }
    let waits = |caller: &&Caller| caller.status.is_none();
    assert_eq!(held.iter().filter(waits).count(), 128 - 32);
    assert_eq!(stage.ask("/host/other", "").status, Some(101));
}

#[test]
fn those_who_wait_are_judged_by_the_tokens_of_the_day() {
    let both = format!("- {TOKEN}\n- {OTHER}\n");
    let mut stage = Stage::relay("--pair-timeout 1h", &both);
    let host = stage.admitted("/host", TOKEN);
    let first = stage.admitted("/client", TOKEN);
    let mut waiting = stage.ask("/client", OTHER);
    let mut stays = stage.ask("/client", TOKEN);
    assert_eq!((waiting.status, stays.status), (None, None));
    stage.set_tokens(&format!("- {TOKEN}\n"));
    stage.hear(&mut waiting);
    assert_eq!(waiting.status, Some(401), "it is told at once");
    stage.close(&first, 1000);
    stage.close(&host, 1000);
    let _host = stage.admitted("/host", TOKEN);
    stage.hear(&mut stays);
    assert_eq!(stays.status, Some(101), "its turn comes");
}

#[test]
fn the_most_websockets_are_never_exceeded_by_those_who_waited() {
    let mut stage = Stage::relay("--pair-timeout 1h --max-connections 3", "");
    let host = stage.admitted("/host", "");
    let mut first = stage.admitted("/client", "");
    let mut waiting = stage.ask("/client", "");
    let _other = stage.admitted("/host/other", "");
    stage.close(&host, 1000);
    stage.hear(&mut first);
    stage.close(&first, 1000);
    stage.world().remote_close(host.id);
    stage.world().remote_close(first.id);
    stage.run(secs(1));
    let _third = stage.admitted("/host/third", "");
    let _host = stage.admitted("/host", "");
    stage.hear(&mut waiting);
    assert_eq!(waiting.status, Some(503), "there is no room for it");
}

#[test]
fn a_proven_host_takes_over_though_all_places_are_taken() {
    let mut stage = Stage::relay("--max-connections 2", &format!("- {TOKEN}\n"));
    let mut stale = stage.admitted("/host", TOKEN);
    let _client = stage.admitted("/client", TOKEN);
    assert_eq!(stage.ask("/client", OTHER).status, Some(401));
    let _fresh = stage.admitted("/host", TOKEN);
    stage.hear(&mut stale);
    assert_eq!(stale.close, Some(1008), "it is told why");
    assert!(stage.is_over(stale.id));
}
