//! Whether the other end is alive: a session is answered at once.

use std::time::Duration;

use super::RELAY_PORT;
use super::roles::party;
use super::stage::{Caller, Stage, header};
use crate::proto::yamux::{Flags, HEADER_LEN, Kind};
use crate::reactor::net::Addr;
use crate::sim::{Actor, Behaviour, Faults};

const MUX: &str = "hydrant.mux.v1";
/// It lasts, and is answered at once.
const PATIENT: &str = "--ping 25";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
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
