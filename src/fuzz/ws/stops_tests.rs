//! Programs that stop, step by step: what is on its way arrives first, though the other end reads slowly and goes on
//! talking. A socket that is closed answers that with a reset, and what is under way behind it is lost.

use std::time::Duration;

use super::roles::{party, relay};
use super::stage::{Caller, Stage, header};
use super::{RELAY_PORT, SERVICE_PORT};
use crate::proto::proxy::Call;
use crate::proto::yamux::{Flags, HEADER_LEN, Header, Kind};
use crate::reactor::net::Addr;
use crate::sim::{Actor, Behaviour, Faults};

const MUX: &str = "hydrant.mux.v1";
/// Fits into the buffers on the way, and is more than is read at once.
const TAIL: usize = 100_000;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How much payload of streams is in these bytes of a session.
fn payload(mut bytes: &[u8]) -> usize {
    let mut payload = 0;
    while let Some((header, behind)) = bytes.split_first_chunk::<HEADER_LEN>() {
        let header = Header::decode(header).expect("a header");
        let len = match header.kind {
            Kind::Data => (header.length as usize).min(behind.len()),
            _ => 0,
        };
        payload += len;
        bytes = &behind[len..];
    }
    payload
}

/// Reads what comes, slowly, and pings the session all the while, as a live peer does.
fn talk_and_read(stage: &mut Stage, caller: &mut Caller, says: impl Fn(&[u8]) -> Vec<u8>) {
    let ping = says(&header(Kind::Ping, Flags::SYN, 0, 7));
    for _ in 0..100 {
        stage.world().remote_send(caller.id, &ping);
        stage.run(Duration::from_millis(20));
        stage.hear_some(caller, 4 << 10);
    }
}

#[test]
fn the_tail_arrives_at_a_client_that_talks_while_the_relay_stops() {
    let mut stage = Stage::relay("--drain 1m", "");
    let host = stage.admitted("/host", "");
    let mut client = stage.ask_for("/client", "", &[MUX]);
    assert_eq!(client.status, Some(101));
    for flags in [Flags::SYN, Flags::FIN] {
        stage.say(&client, &header(Kind::WindowUpdate, flags, 1, 0));
    }
    stage.say(&host, &[b'a'; TAIL]);
    stage.close(&host, 1000);
    stage.run(secs(1));
    stage.terminate();
    talk_and_read(&mut stage, &mut client, Stage::message);
    assert_eq!(payload(&client.heard), TAIL);
    assert_eq!(client.close, Some(1001), "and then it is told the end");
    assert_eq!(stage.over, 1);
}

#[test]
fn the_tail_arrives_at_a_relay_that_talks_while_a_host_stops() {
    let host = party("ws host ws://127.0.0.1:8080/host 80 --drain 1m --retry 10");
    let mut stage = Stage::of(host, Faults::none());
    let at = Addr::Tcp(super::at(RELAY_PORT));
    let manual = Behaviour::serve(Actor::Manual);
    stage.world().listen_remote(at, manual);
    stage.service();
    stage.run(secs(11));
    let mut relay = stage.granted(&[MUX]);
    let call = Call::default().write_v2();
    let mut says = header(Kind::Data, Flags::SYN, 2, call.len());
    says.extend(call);
    says.extend(header(Kind::WindowUpdate, Flags::FIN, 2, 0));
    stage.send(relay.id, &Stage::served(&says));
    stage.run(secs(1));
    let service = stage.called(SERVICE_PORT);
    stage.send(service, &[b'a'; TAIL]);
    stage.world().remote_shutdown(service);
    stage.run(secs(1));
    stage.terminate();
    talk_and_read(&mut stage, &mut relay, Stage::served);
    assert_eq!(payload(&relay.heard), TAIL);
    assert_eq!(relay.close, Some(1001), "and then it is told the end");
    assert_eq!(stage.over, 1);
}

/// A relay that takes nothing any more and says nothing.
#[test]
fn a_host_that_stops_gives_up_a_relay_that_is_gone() {
    let host = party("ws host ws://127.0.0.1:8080/host 80 --drain 20 --retry 10");
    let mut stage = Stage::of(host, Faults::none());
    let at = Addr::Tcp(super::at(RELAY_PORT));
    let manual = Behaviour::serve(Actor::Manual);
    stage.world().listen_remote(at, manual);
    stage.run(secs(11));
    let relay = stage.granted(&[MUX]);
    stage.world().remote_vanish(relay.id);
    stage.terminate();
    stage.run(secs(19));
    assert_eq!(stage.over, 0);
    stage.run(secs(2));
    assert_eq!(stage.over, 1);
}

/// A connection that a host has wholly done with does not need it any more.
#[test]
fn what_a_host_has_said_arrives_though_it_is_gone() {
    for how in ["closes", "hangs up", "is reset"] {
        let faults = Faults {
            send_buffer: 10 << 10,
            receive_buffer: 10 << 10,
            ..Faults::none()
        };
        let mut stage = Stage::of(relay("", ""), faults);
        let mut host = stage.ask_for("/host", "", &[MUX]);
        assert_eq!(host.status, Some(101));
        let mut client = stage.admitted("/client", "");
        stage.say(&client, b"a question");
        stage.close(&client, 1000);
        stage.hear(&mut host);
        let mut says = header(Kind::WindowUpdate, Flags::ACK, 2, 0);
        says.extend(header(Kind::Data, Flags::FIN, 2, 2 * TAIL));
        says.resize(says.len() + 2 * TAIL, b'a');
        stage.say(&host, &says);
        stage.run(secs(1));
        match how {
            "closes" => stage.close(&host, 1001),
            "hangs up" => stage.world().remote_close(host.id),
            _ => stage.world().remote_reset(host.id),
        }
        stage.run(secs(1));
        stage.hear_slowly(&mut client, 5000, secs(10));
        let told = (client.heard.len(), client.close);
        assert_eq!(told, (2 * TAIL, Some(1000)), "{how}");
        stage.world().remote_close(client.id);
        stage.run(secs(6));
        assert_eq!(stage.with_relay(|relay, _| relay.sockets().count()), 1);
        assert_eq!(stage.with_relay(|relay, _| relay.held()), 0);
    }
}

/// While nobody answers, and nothing is under way, a stop takes no time.
#[test]
fn a_relay_stops_at_once_where_nothing_is_under_way() {
    let mut stage = Stage::of(relay("--drain 1m", ""), Faults::none());
    let mut host = stage.admitted("/host", "");
    let mut other = stage.ask_for("/host/x", "", &[MUX]);
    stage.run(secs(1));
    stage.terminate();
    stage.run(secs(2));
    assert_eq!(stage.over, 1);
    for caller in [&mut host, &mut other] {
        stage.hear(caller);
        assert_eq!(caller.close, Some(1001));
    }
}
