//! What had come whole, with its end, when a relay went: it is delivered all the same, by a client and by a host.

use std::time::Duration;

use super::roles::party;
use super::stage::{Caller, Stage, header};
use super::{RELAY_PORT, SERVICE_PORT, at};
use crate::proto::proxy::Call;
use crate::proto::yamux::{Flags, HEADER_LEN, Kind};
use crate::reactor::net::Addr;
use crate::sim::{Actor, Behaviour, Faults, RemoteId};

const MUX: &str = "hydrant.mux.v1";
/// More than the kernels on the way to a reader take, and no more than a stream's window.
const OWED: usize = 250_000;
/// More than the kernels take, and no more than waits on a plain WebSocket.
const OWED_PLAIN: usize = 200_000;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An end, by its command line, of a tunnel whose relay and service are played by hand.
fn end(line: &str) -> Stage {
    let mut stage = Stage::of(party(line), Faults::none());
    let manual = Behaviour::serve(Actor::Manual);
    stage
        .world()
        .listen_remote(Addr::Tcp(at(RELAY_PORT)), manual);
    stage.service();
    stage.run(secs(1));
    stage
}

fn client(flags: &str) -> Stage {
    let line = format!("ws client ws://127.0.0.1:8080/client 7001 --retry 0.2 {flags}");
    end(line.trim())
}

fn host(flags: &str) -> Stage {
    let line = format!("ws host ws://127.0.0.1:8080/host 80 --retry 0.2 {flags}");
    end(line.trim())
}

/// A frame of a session with so many bytes, which may be the last of its direction.
fn data(stream: u32, len: usize, flags: Flags) -> Vec<u8> {
    let mut frame = header(Kind::Data, flags, stream, len);
    frame.resize(HEADER_LEN + len, b'x');
    frame
}

/// The relay's answer on a stream that the client has opened, as a whole or without its end.
fn answer(stage: &mut Stage, relay: &Caller, stream: u32, end: Flags) {
    let mut says = header(Kind::WindowUpdate, Flags::ACK, stream, 0);
    says.extend(data(stream, OWED, end));
    stage.send(relay.id, &Stage::served(&says));
}

/// A stream with what a client has said, and the service's connection for it.
fn question(stage: &mut Stage, relay: &Caller, len: usize, end: Flags) -> RemoteId {
    let call = Call::default().write_v2();
    let mut says = header(Kind::Data, Flags::SYN, 2, call.len());
    says.extend(call);
    says.extend(data(2, len, end));
    stage.send(relay.id, &Stage::served(&says));
    stage.run(Duration::from_millis(10));
    stage.called(SERVICE_PORT)
}

/// Each way in which a relay goes.
fn go(stage: &mut Stage, relay: &Caller, how: &str) {
    match how {
        "closes" => stage.send(relay.id, &[0x88, 2, 3, 233]),
        "hangs up" => stage.world().remote_close(relay.id),
        "breaks a rule" => stage.send(relay.id, &[0xff; 20]),
        _ => stage.world().remote_reset(relay.id),
    }
    stage.run(Duration::from_millis(10));
}

const WAYS: [&str; 4] = ["closes", "hangs up", "breaks a rule", "is reset"];

/// Reads a little every second until nothing comes any more.
fn read_slowly(stage: &mut Stage, id: RemoteId) {
    for _ in 0..OWED / 10_000 + 2 {
        stage.world().remote_read(id, 10_000);
        stage.run(secs(1));
    }
}

/// Somebody who has all that he is owed, and its end.
#[track_caller]
fn assert_has(stage: &Stage, id: RemoteId, len: usize, how: &str) {
    assert_eq!(stage.world().received(id).len(), len, "{how}");
    assert!(stage.world().saw_fin(id), "{how}");
    assert!(!stage.world().saw_reset(id), "{how}");
}

fn connections(stage: &Stage) -> usize {
    stage.adapter().view(stage.now()).clients
}

#[test]
fn a_program_reads_the_end_of_its_answer_though_the_relay_is_gone() {
    for how in WAYS {
        for half_closes in [true, false] {
            let mut stage = client("");
            let relay = stage.granted(&[MUX]);
            let (whole, cut) = (stage.program(), stage.program());
            stage.run(Duration::from_millis(10));
            if half_closes {
                stage.world().remote_shutdown(whole);
            }
            answer(&mut stage, &relay, 1, Flags::FIN);
            answer(&mut stage, &relay, 3, Flags::NONE);
            go(&mut stage, &relay, how);
            assert!(stage.world().saw_reset(cut), "{how}: its end had not come");
            assert_eq!(connections(&stage), 1, "{how}");
            read_slowly(&mut stage, whole);
            assert_has(&stage, whole, OWED, how);
            assert_eq!(connections(&stage), 0, "{how}");
        }
    }
}

/// What it says behind that goes nowhere, which it is told, once it has everything.
#[test]
fn a_program_that_talks_on_gets_the_end_of_its_answer_and_then_a_reset() {
    let mut stage = client("");
    let relay = stage.granted(&[MUX]);
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    answer(&mut stage, &relay, 1, Flags::FIN);
    go(&mut stage, &relay, "hangs up");
    stage.send(program, &[b'y'; 200_000]);
    while stage.world().received(program).len() < OWED {
        assert!(stage.world().is_open(program));
        stage.world().remote_read(program, 1 << 20);
        stage.run(Duration::from_millis(1));
    }
    stage.run(secs(3));
    assert!(stage.world().saw_reset(program));
    assert_eq!(connections(&stage), 0);
}

/// The kernel has all of it, and the program has not, whose own direction is open.
#[test]
fn what_only_the_kernel_holds_is_read_too() {
    let mut stage = client("");
    let relay = stage.granted(&[MUX]);
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    let mut says = header(Kind::WindowUpdate, Flags::ACK, 1, 0);
    says.extend(data(1, 100_000, Flags::FIN));
    stage.send(relay.id, &Stage::served(&says));
    go(&mut stage, &relay, "is reset");
    stage.run(secs(5));
    assert_eq!(connections(&stage), 1);
    read_slowly(&mut stage, program);
    assert_has(&stage, program, 100_000, "in the kernel");
    assert_eq!(connections(&stage), 0);
}

#[test]
fn the_service_reads_what_a_client_had_said_though_the_relay_is_gone() {
    for how in WAYS {
        let mut stage = host("");
        let relay = stage.granted(&[MUX]);
        let whole = question(&mut stage, &relay, OWED, Flags::FIN);
        go(&mut stage, &relay, how);
        stage.run(secs(1));
        // The next session's stream has the same id.
        let relay = stage.granted(&[MUX]);
        let next = question(&mut stage, &relay, OWED, Flags::NONE);
        assert_ne!(whole, next);
        read_slowly(&mut stage, whole);
        assert_has(&stage, whole, OWED, how);
        stage.world().remote_close(whole);
        stage.run(secs(2));
        assert!(stage.world().is_open(next), "{how}");
        stage.world().remote_reset(relay.id);
        stage.run(secs(1));
        assert!(stage.world().saw_reset(next), "{how}: its end had not come");
        assert_eq!(connections(&stage), 0, "{how}");
    }
}

/// What is dialled for a client that has said all is told it, though the relay goes before it answers.
#[test]
fn a_service_that_is_being_reached_gets_what_it_is_owed() {
    let mut stage = host("");
    let relay = stage.granted(&[MUX]);
    let call = Call::default().write_v2();
    let mut says = header(Kind::Data, Flags::SYN, 2, call.len());
    says.extend(call);
    says.extend(data(2, 5, Flags::FIN));
    let says = Stage::served(&says);
    assert_eq!(stage.world().remote_send(relay.id, &says), says.len());
    stage.world().remote_close(relay.id);
    stage.run(secs(1));
    let service = stage.called(SERVICE_PORT);
    assert_eq!(stage.world().remote_read(service, 100), b"xxxxx");
    assert!(stage.world().saw_fin(service));
}

#[test]
fn an_end_that_stops_waits_for_what_its_program_is_owed() {
    for (reads, is_up) in [(true, true), (true, false), (false, false)] {
        let mut stage = client("--drain 40s");
        let relay = stage.granted(&[MUX]);
        let program = stage.program();
        stage.run(Duration::from_millis(10));
        answer(&mut stage, &relay, 1, Flags::FIN);
        go(&mut stage, &relay, "is reset");
        if is_up {
            stage.run(secs(1));
            stage.granted(&[MUX]);
        }
        stage.terminate();
        stage.run(secs(5));
        assert_eq!(stage.over, 0);
        if reads {
            read_slowly(&mut stage, program);
            assert_has(&stage, program, OWED, "stopped");
        } else {
            stage.run(secs(34));
            assert_eq!(stage.over, 0, "its time is not over");
            stage.run(secs(2));
            assert!(stage.world().saw_reset(program));
        }
        assert_eq!(stage.over, 1);
    }
}

/// It is stopped first, and its relay goes then.
#[test]
fn an_end_that_stops_delivers_what_a_relay_leaves() {
    let mut stage = client("--drain 40s");
    let relay = stage.granted(&[MUX]);
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    answer(&mut stage, &relay, 1, Flags::FIN);
    stage.terminate();
    stage.run(secs(1));
    go(&mut stage, &relay, "is reset");
    read_slowly(&mut stage, program);
    assert_has(&stage, program, OWED, "stopped before");
    assert_eq!(stage.over, 1);
}

/// What relays have left, and what the one that is there has sent, are held against one limit.
#[test]
fn what_relays_have_left_counts_as_memory() {
    let mut stage = client("--memory 1M");
    let mut programs = Vec::new();
    for _ in 0..3 {
        let relay = stage.granted(&[MUX]);
        for stream in [1, 3, 5] {
            programs.push(stage.program());
            stage.run(Duration::from_millis(10));
            answer(&mut stage, &relay, stream, Flags::FIN);
        }
        go(&mut stage, &relay, "hangs up");
        stage.run(secs(1));
    }
    let reset: Vec<_> = programs
        .iter()
        .map(|id| stage.world().saw_reset(*id))
        .collect();
    let left = reset.iter().filter(|is_reset| !**is_reset).count();
    // Each holds all but what the kernels have; those whose bytes have waited for the longest go first.
    assert!((4..9).contains(&left), "{reset:?}");
    assert!(
        reset[..9 - left].iter().all(|is_reset| *is_reset),
        "{reset:?}"
    );
    assert_eq!(connections(&stage), left);
}

/// They count as connections, and hold up nobody: the oldest of them goes for the next one.
#[test]
fn those_who_read_what_is_left_make_room_for_a_hosts_next_clients() {
    let mut stage = host("--max-streams 2");
    let mut services = Vec::new();
    for _ in 0..3 {
        let relay = stage.granted(&[MUX]);
        services.push(question(&mut stage, &relay, OWED, Flags::FIN));
        go(&mut stage, &relay, "hangs up");
        stage.run(secs(1));
    }
    assert_ne!(services[1], services[2], "the third is served");
    assert_eq!(connections(&stage), 2);
    assert!(stage.world().saw_reset(services[0]));
    for service in &services[1..] {
        read_slowly(&mut stage, *service);
        assert_has(&stage, *service, OWED, "one of two");
    }
}

/// Those that the session has itself make none.
#[test]
fn a_host_refuses_a_stream_that_is_one_too_many() {
    let mut stage = host("--max-streams 1");
    let mut relay = stage.granted(&[MUX]);
    let first = question(&mut stage, &relay, 5, Flags::NONE);
    let second = header(Kind::WindowUpdate, Flags::SYN, 4, 0);
    stage.send(relay.id, &Stage::served(&second));
    stage.run(secs(1));
    stage.hear(&mut relay);
    let reset = header(Kind::WindowUpdate, Flags::RST, 4, 0);
    assert!(relay.heard.windows(HEADER_LEN).any(|bytes| bytes == reset));
    assert!(stage.world().is_open(first));
}

#[test]
fn those_who_read_what_is_left_make_room_for_a_clients_next_programs() {
    for mux in [true, false] {
        let mut stage = client("--max-streams 2");
        let mut programs = Vec::new();
        for _ in 0..3 {
            programs.push(stage.program());
            stage.run(secs(1));
            let relay = match mux {
                true => stage.granted(&[MUX]),
                false => stage.granted(&[]),
            };
            match mux {
                true => answer(&mut stage, &relay, 1, Flags::FIN),
                false => {
                    stage.send(relay.id, &Stage::served(&[b'x'; OWED_PLAIN]));
                    stage.send(relay.id, &[0x88, 2, 3, 232]);
                }
            }
            go(&mut stage, &relay, "hangs up");
            stage.run(secs(1));
        }
        assert_eq!(connections(&stage), 2, "{mux}");
        assert!(stage.world().saw_reset(programs[0]), "{mux}");
        for program in &programs[1..] {
            let len = if mux { OWED } else { OWED_PLAIN };
            read_slowly(&mut stage, *program);
            assert_has(&stage, *program, len, "one of two");
        }
    }
}

/// A relay that knows no sessions has said all, and is gone in whatever way.
#[test]
fn a_program_reads_to_the_end_what_a_plain_relay_had_said() {
    for (how, half_closes) in WAYS.into_iter().zip([true, false].into_iter().cycle()) {
        let mut stage = client("");
        let relay = stage.granted(&[]);
        let program = stage.program();
        stage.run(Duration::from_millis(10));
        stage.send(program, b"a question");
        if half_closes {
            stage.world().remote_shutdown(program);
        }
        stage.send(relay.id, &Stage::served(&[b'x'; OWED_PLAIN]));
        stage.send(relay.id, &[0x88, 2, 3, 232]);
        go(&mut stage, &relay, how);
        stage.run(secs(1));
        // The next one need not wait for it.
        let next = stage.program();
        stage.run(secs(1));
        let relay = stage.granted(&[]);
        stage.send(relay.id, &Stage::served(b"hello"));
        assert_eq!(stage.world().remote_read(next, 100), b"hello", "{how}");
        read_slowly(&mut stage, program);
        assert_has(&stage, program, OWED_PLAIN, how);
        assert_eq!(connections(&stage), 1, "{how}");
        assert!(stage.world().is_open(next), "{how}");
    }
}

/// One who does not read before all that it says is taken would wait for ever.
#[test]
fn a_program_that_talks_on_behind_a_plain_relays_close_gets_its_answer() {
    let mut stage = client("");
    let relay = stage.granted(&[]);
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    stage.send(relay.id, &Stage::served(&[b'x'; OWED_PLAIN]));
    stage.send(relay.id, &[0x88, 2, 3, 232]);
    stage.send(program, &[b'y'; 400_000]);
    while stage.world().received(program).len() < OWED_PLAIN {
        assert!(stage.world().is_open(program));
        stage.world().remote_read(program, 1 << 20);
        stage.run(Duration::from_millis(1));
    }
    stage.run(secs(3));
    assert!(stage.world().saw_reset(program));
}

/// A host that knows no sessions is there for the next client at once; the services that still read are not more than
/// connections may be.
#[test]
fn a_plain_host_keeps_as_many_services_as_it_may_have_connections() {
    let mut stage = host("--max-streams 2");
    let mut services = Vec::new();
    for _ in 0..3 {
        let relay = stage.granted(&[]);
        stage.run(Duration::from_millis(10));
        services.push(stage.called(SERVICE_PORT));
        stage.send(relay.id, &Stage::served(&[b'x'; OWED_PLAIN]));
        stage.send(relay.id, &[0x88, 2, 3, 232]);
        go(&mut stage, &relay, "hangs up");
        stage.run(secs(1));
    }
    assert_eq!(connections(&stage), 2);
    let reset: Vec<_> = services
        .iter()
        .map(|id| stage.world().saw_reset(*id))
        .collect();
    assert_eq!(reset, [true, false, false]);
}

/// And what had no end is no answer.
#[test]
fn a_program_whose_plain_relay_is_lost_is_reset() {
    let mut stage = client("");
    let relay = stage.granted(&[]);
    let program = stage.program();
    stage.run(Duration::from_millis(10));
    stage.send(relay.id, &Stage::served(&[b'x'; OWED_PLAIN]));
    go(&mut stage, &relay, "hangs up");
    assert!(stage.world().saw_reset(program));
    assert_eq!(connections(&stage), 0);
}

/// The service is reached while the relay has said all, and is gone.
#[test]
fn a_plain_hosts_service_gets_what_came_before_it_was_reached() {
    let mut stage = host("");
    let relay = stage.called(RELAY_PORT);
    stage.granted(&[]);
    let before = stage
        .world()
        .accepted_at(&Addr::Tcp(at(SERVICE_PORT)))
        .len();
    assert_eq!(before, 1);
    let service = stage.called(SERVICE_PORT);
    stage.send(relay, &Stage::served(&[b'x'; OWED_PLAIN]));
    stage.send(relay, &[0x88, 2, 3, 232]);
    stage.world().remote_reset(relay);
    stage.run(secs(2));
    // It is reached again for the next one.
    let next = stage.called(RELAY_PORT);
    assert_ne!(relay, next);
    stage.granted(&[]);
    assert_ne!(stage.called(SERVICE_PORT), service);
    read_slowly(&mut stage, service);
    assert_has(&stage, service, OWED_PLAIN, "plain");
}
