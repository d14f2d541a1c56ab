//! What a session owes its peer, and when it is over.

use super::*;

/// What one end has to write now, handed to the other end.
fn carry(from: &mut Session, to: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.owes() {
        let control = from.control(|| Key([1, 2, 3, 4]));
        let count = control.len();
        bytes.extend_from_slice(control);
        from.control_sent(count);
    }
    let all = bytes.clone();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let (taken, _) = to.feed(rest).expect("our own frames break no rule");
        rest = &mut rest[taken..];
    }
    all
}

fn pair() -> (Session, Session) {
    (
        Session::new(Side::Client, u64::MAX),
        Session::new(Side::Server, u64::MAX),
    )
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let (mut client, mut server) = pair();
    client.ping(b"still there?");
    carry(&mut client, &mut server);
    let mut pong = carry(&mut server, &mut client);
    let mut reader = Reader::new(Side::Client, u64::MAX);
    let event = Event::Pong(b"still there?");
    assert_eq!(reader.feed(&mut pong), Ok((14, Some(event))));
    assert!(!client.owes() && !server.owes());
}

#[test]
fn only_the_latest_of_many_pings_is_answered() {
    let (mut client, mut server) = pair();
    for n in 0..1000u16 {
        client.ping(&n.to_be_bytes());
        carry(&mut client, &mut server);
    }
    assert_eq!(carry(&mut server, &mut client), [0x8a, 2, 3, 231]);
}

#[test]
fn a_pong_that_was_begun_is_finished_before_the_next() {
    let mut server = Session::new(Side::Server, u64::MAX);
    let mut pings = *b"\x89\x81\0\0\0\0a\x89\x81\0\0\0\0b";
    let (first, second) = pings.split_at_mut(7);
    server.feed(first).unwrap();
    assert_eq!(server.control(|| Key([0; 4])), b"\x8a\x01a");
    server.control_sent(1);
    server.feed(second).unwrap();
    server.close(CloseCode::GOING_AWAY, "");
    assert_eq!(server.control(|| Key([0; 4])), b"\x01a");
    server.control_sent(2);
    assert_eq!(server.control(|| Key([0; 4])), b"\x88\x02\x03\xe9");
    assert!(!server.is_open() && !server.is_closed());
}

#[test]
fn whoever_closes_first_waits_for_the_other() {
    let (mut client, mut server) = pair();
    server.close(CloseCode::GOING_AWAY, "stopped");
    assert!(!server.is_open());
    carry(&mut server, &mut client);
    assert!(client.peer_has_ended() && !client.is_open() && !client.is_closed());
    assert!(!server.is_closed());
    carry(&mut client, &mut server);
    assert!(client.is_closed() && server.is_closed());
    client.ping(b"too late");
    client.close(CloseCode::NORMAL, "twice");
    assert!(!client.owes());
}

#[test]
fn a_close_can_be_answered_late() {
    let (mut client, mut server) = pair();
    server.answer_late();
    client.close(CloseCode::NORMAL, "");
    carry(&mut client, &mut server);
    assert!(server.peer_has_ended() && server.is_open() && !server.owes());
    server.close(CloseCode::NORMAL, "");
    carry(&mut server, &mut client);
    assert!(client.is_closed() && server.is_closed());
}

#[test]
fn a_violation_is_answered_with_its_code_and_why() {
    let (mut client, mut server) = pair();
    assert_eq!(server.feed(&mut [0x82, 0x01]), Err(Violation::NotMasked));
    let close = carry(&mut server, &mut client);
    assert_eq!(close[..4], [0x88, 37, 3, 234]);
    assert_eq!(
        &close[4..],
        b"a frame of the client is not masked".as_slice()
    );
    assert!(server.is_closed(), "there is nothing to wait for");
}
