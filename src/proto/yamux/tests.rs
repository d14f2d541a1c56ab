//! Two sessions that talk to each other, and frames made by hand for what no good peer sends.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::time::Time;

#[path = "oracle.rs"]
mod oracle;

const START: Time = Time::from_millis(1000);

fn session(side: Side) -> Session {
    Session::new(side, Limits::default(), START)
}

fn frame(kind: Kind, flags: Flags, stream: u32, length: u32) -> Vec<u8> {
    let header = Header {
        kind,
        flags,
        stream,
        length,
    };
    header.encode().to_vec()
}

fn syn(stream: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, Flags::SYN, stream, 0)
}

fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(Kind::Data, Flags::NONE, stream, payload.len() as u32);
    bytes.extend_from_slice(payload);
    bytes
}

/// What a session made of some bytes: its events, with payload joined, and what it has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<String>,
    said: Vec<Header>,
}

/// Feeds bytes in pieces of at most `piece`, accepts every stream, and consumes what comes at once.
fn feed_in_pieces(session: &mut Session, bytes: &[u8], piece: usize) -> Result<Seen, Violation> {
    let mut seen = Seen::default();
    for mut rest in bytes.chunks(piece) {
        while let Some(event) = session.feed(START, &mut rest)? {
            note(&mut seen.events, event);
            match event {
                Event::Opened(id) => session.accept(id, id.get() * 10),
                Event::Data(id, _, payload) => session.consumed(START, id, payload.len()),
                _ => {}
            }
            say(session, &mut seen.said);
        }
        say(session, &mut seen.said);
    }
    session.check_invariants();
    Ok(seen)
}

fn feed(session: &mut Session, bytes: &[u8]) -> Result<Seen, Violation> {
    feed_in_pieces(session, bytes, bytes.len().max(1))
}

fn note(events: &mut Vec<String>, event: Event<'_>) {
    let Event::Data(id, tag, payload) = event else {
        events.push(format!("{event:?}"));
        return;
    };
    let name = format!("Data({id:?}, {tag}) ");
    let shown: String = payload
        .pieces()
        .map(|piece| piece.escape_ascii().to_string())
        .collect();
    match events.last_mut().filter(|last| last.starts_with(&name)) {
        Some(last) => last.push_str(&shown),
        None => events.push(name + &shown),
    }
}

fn say(session: &mut Session, said: &mut Vec<Header>) {
    while let Some(bytes) = session.poll(START) {
        said.push(Header::decode(&bytes).expect("we write good headers"));
    }
}

fn said(session: &mut Session) -> Vec<Header> {
    let mut headers = Vec::new();
    say(session, &mut headers);
    headers
}

fn bytes_of(session: &mut Session) -> Vec<u8> {
    said(session).into_iter().flat_map(Header::encode).collect()
}

/// Everything that one has to say reaches the other.
fn carry(from: &mut Session, to: &mut Session) -> Seen {
    let bytes = bytes_of(from);
    feed(to, &bytes).expect("a session keeps the rules")
}

#[test]
fn a_stream_is_opened_taken_used_and_ended_by_both() {
    let (mut client, mut server) = (session(Side::Client), session(Side::Server));
    let id = client.open(START, 7).expect("nothing is in the way");
    assert_eq!(id.get(), 1);
    let mut bytes = bytes_of(&mut client);
    bytes.extend(client.data(id, 5));
    bytes.extend(b"hello");
    let seen = feed(&mut server, &bytes).expect("it keeps the rules");
    assert_eq!(seen.events, ["Opened(~1)", "Data(~1, 10) hello"]);
    assert_eq!(seen.said.len(), 1);
    assert_eq!(seen.said[0].flags, Flags::ACK, "it is acknowledged at once");

    let ack = seen.said[0].encode();
    let seen = feed(&mut client, &ack).expect("it keeps the rules");
    assert_eq!(seen.events, ["Taken(~1, 7)"]);

    client.finish(id);
    assert_eq!(client.sendable(id), 0, "nothing goes behind the end");
    assert_eq!(
        carry(&mut client, &mut server).events,
        ["Finished(~1, 10)"],
        "one direction has ended"
    );
    assert!(server.sendable(id) > 0, "the other has not");
    assert!(client.has(id));
    server.finish(id);
    assert_eq!(carry(&mut server, &mut client).events, ["Finished(~1, 7)"]);
    assert!(client.is_empty() && server.is_empty());
}

#[test]
fn a_reset_ends_both_directions_and_what_still_comes_is_thrown_away() {
    let (mut client, mut server) = (session(Side::Client), session(Side::Server));
    let id = server.open(START, 3).expect("nothing is in the way");
    assert_eq!(id.get(), 2);
    carry(&mut server, &mut client);
    server.reset(id);
    let late = data(2, b"late");
    assert_eq!(carry(&mut server, &mut client).events, ["Reset(~2, 20)"]);
    assert_eq!(feed(&mut server, &late), Ok(Seen::default()));
    assert!(client.is_empty());
    server.reset(id);
    assert_eq!(said(&mut server), [], "it is gone already");
}

#[test]
fn a_stream_that_is_reset_before_it_was_announced_never_was() {
    let mut client = session(Side::Client);
    let id = client.open(START, 0).expect("nothing is in the way");
    client.reset(id);
    assert_eq!(said(&mut client), []);
    let next = client.open(START, 0).expect("nothing is in the way");
    assert_eq!(next.get(), 3, "ids are never used again");
}

#[test]
fn credit_comes_back_when_half_is_free_and_not_before() {
    let mut server = session(Side::Server);
    feed(&mut server, &syn(1)).expect("it keeps the rules");
    let id = StreamId(1);
    let half = WINDOW_MIN / 2;
    let mut bytes = frame(Kind::Data, Flags::NONE, 1, half);
    bytes.resize(bytes.len() + half as usize, 0);
    let mut rest = bytes.as_slice();
    while server.feed(START, &mut rest).expect("in order").is_some() {}
    assert_eq!(server.held(), u64::from(half));
    server.consumed(START, id, half as usize - 1);
    assert_eq!(said(&mut server), []);
    server.consumed(START, id, 1);
    let back = said(&mut server);
    assert_eq!((back[0].kind, back[0].length), (Kind::WindowUpdate, half));
    server.check_invariants();
}

/// Uses a stream's window again and again, each time within `each`.
fn use_up(server: &mut Session, times: usize, each: Duration) {
    let mut now = START;
    for _ in 0..times {
        now = now + each;
        let id = StreamId(1);
        let half = server.window(id) / 2;
        let mut rest = &frame(Kind::Data, Flags::NONE, 1, half)[..];
        assert_eq!(server.feed(now, &mut rest), Ok(None));
        let payload = vec![0; half as usize];
        let mut rest = &payload[..];
        while server.feed(now, &mut rest).expect("in order").is_some() {}
        server.consumed(now, id, half as usize);
        while server.poll(now).is_some() {}
        server.check_invariants();
    }
}

/// A session that knows its round trip, with stream 1 opened by the peer.
fn measured(limits: Limits, round_trip: Duration) -> Session {
    let mut server = Session::new(Side::Server, limits, START);
    server.ping(START);
    while server.poll(START).is_some() {}
    let pong = frame(Kind::Ping, Flags::ACK, 0, 0);
    let event = server.feed(START + round_trip, &mut &pong[..]);
    assert_eq!(event, Ok(Some(Event::Pong)));
    feed(&mut server, &syn(1)).expect("in order");
    server
}

#[test]
fn a_window_grows_where_the_line_is_longer_than_it() {
    let line = Duration::from_millis(60);
    let mut server = measured(Limits::default(), line);
    use_up(&mut server, 12, line);
    assert_eq!(server.window(StreamId(1)), 16 << 20, "up to its cap");

    let id = server.open(START, 0).expect("nothing is in the way");
    assert_eq!(server.window(id), 16 << 20, "the next one begins with it");
    let syn = said(&mut server);
    assert_eq!(syn[0].flags, Flags::SYN);
    assert_eq!(syn[0].length, (16 << 20) - WINDOW_MIN);

    let mut slow = measured(Limits::default(), line);
    use_up(&mut slow, 12, 3 * line);
    assert_eq!(slow.window(StreamId(1)), WINDOW_MIN, "it was wide enough");
}

#[test]
fn a_window_does_not_grow_for_a_reader_who_is_behind() {
    let line = Duration::from_millis(60);
    let mut server = measured(Limits::default(), line);
    let id = StreamId(1);
    // A quarter of the window is always left unread; what is read is given back and comes again at once.
    let unread = WINDOW_MIN / 4;
    let mut more = WINDOW_MIN;
    for _ in 0..12 {
        let mut rest = &frame(Kind::Data, Flags::NONE, 1, more)[..];
        assert_eq!(server.feed(START, &mut rest), Ok(None));
        let payload = vec![0; more as usize];
        let mut rest = &payload[..];
        while server.feed(START, &mut rest).expect("in order").is_some() {}
        more = WINDOW_MIN - unread;
        server.consumed(START, id, more as usize);
        while server.poll(START).is_some() {}
        assert_eq!(server.held(), u64::from(unread));
        server.check_invariants();
    }
    assert_eq!(server.window(id), WINDOW_MIN);
}

#[test]
fn all_windows_together_have_a_cap() {
    let line = Duration::from_millis(60);
    let limits = Limits {
        windows_max: 1 << 20,
        ..Limits::default()
    };
    let mut server = measured(limits, line);
    use_up(&mut server, 12, line);
    assert_eq!(server.window(StreamId(1)), 1 << 20);
    let id = server.open(START, 0).expect("nothing is in the way");
    assert_eq!(server.window(id), WINDOW_MIN, "the least is never refused");
    server.reset(StreamId(1));
    server.check_invariants();
}

#[test]
fn a_frame_has_at_most_16_kib_and_credit_runs_out() {
    let mut client = session(Side::Client);
    let id = client.open(START, 4).expect("nothing is in the way");
    assert_eq!(client.sendable(id), 16 << 10);
    client.data(id, 5);
    for _ in 1..WINDOW_MIN as usize / PAYLOAD_MAX {
        client.data(id, PAYLOAD_MAX);
    }
    let rest = PAYLOAD_MAX - 5;
    assert_eq!(client.sendable(id), rest);
    client.data(id, rest);
    assert_eq!(client.sendable(id), 0);
    let grant = |n| frame(Kind::WindowUpdate, Flags::NONE, 1, n);
    let seen = feed(&mut client, &grant(9)).expect("in order");
    assert_eq!(seen.events, ["Taken(~1, 4)", "Credit(~1, 4)"]);
    assert_eq!(client.sendable(id), 9);
    let seen = feed(&mut client, &grant(1)).expect("in order");
    assert!(seen.events.is_empty(), "it had some already");
}

#[test]
#[should_panic(expected = "may not send 16385 bytes now")]
fn a_longer_frame_is_a_mistake() {
    let mut client = session(Side::Client);
    let id = client.open(START, 4).expect("nothing is in the way");
    client.data(id, PAYLOAD_MAX + 1);
}

#[test]
fn frames_one_behind_the_other_fit_into_the_room_with_their_headers() {
    let mut client = session(Side::Client);
    let id = client.open(START, 4).expect("nothing is in the way");
    let full = HEADER_LEN + PAYLOAD_MAX;
    for (room, payload) in [
        (0, 0),
        (HEADER_LEN, 0),
        (HEADER_LEN + 1, 1),
        (full, PAYLOAD_MAX),
        (full + HEADER_LEN, PAYLOAD_MAX),
        (2 * full + HEADER_LEN + 7, 2 * PAYLOAD_MAX + 7),
        (1 << 20, WINDOW_MIN as usize),
    ] {
        assert_eq!(client.sendable_within(id, room), payload, "in {room}");
    }
    client.data(id, PAYLOAD_MAX);
    let left = WINDOW_MIN as usize - PAYLOAD_MAX;
    assert_eq!(client.sendable_within(id, 1 << 20), left);
}

#[test]
fn the_last_frame_under_way_may_be_shorter() {
    let room = 2 * (HEADER_LEN + PAYLOAD_MAX) + HEADER_LEN + 3;
    let limits = Limits {
        flight_max: Some(room as u64),
        ..Limits::default()
    };
    let mut client = Session::new(Side::Client, limits, START);
    let id = client.open(START, 0).expect("nothing is in the way");
    assert_eq!(client.sendable_within(id, 1 << 20), 2 * PAYLOAD_MAX + 3);
    for len in [PAYLOAD_MAX, PAYLOAD_MAX, 3] {
        client.data(id, len);
    }
    assert_eq!(client.under_way(), room as u64);
    assert_eq!(client.sendable_within(id, 1 << 20), 0);
    client.check_invariants();
}

/// What one call tells of `bytes`, piece by piece, and what is left for the next.
fn pieces_of<'a>(server: &mut Session, bytes: &'a [u8]) -> (Vec<&'a [u8]>, usize) {
    let mut rest = bytes;
    match server.feed(START, &mut rest) {
        Ok(Some(Event::Data(_, _, payload))) => (payload.pieces().collect(), rest.len()),
        other => panic!("{other:?} of {bytes:?}"),
    }
}

#[test]
fn frames_of_one_stream_that_came_together_are_told_together() {
    let accepting = || {
        let mut server = session(Side::Server);
        feed(&mut server, &[syn(1), syn(3)].concat()).expect("in order");
        server
    };
    let two = [data(1, b"ab"), data(1, b"c")].concat();
    let apart = [
        ("another stream's", data(3, b"x")),
        ("an end", frame(Kind::Data, Flags::FIN, 1, 0)),
        ("nothing", [data(1, b""), data(1, b"x")].concat()),
        ("no header", vec![9; HEADER_LEN + 1]),
        (
            "more than was granted",
            [&frame(Kind::Data, Flags::NONE, 1, WINDOW_MIN)[..], b"x"].concat(),
        ),
        ("half of a header", data(1, b"")[..HEADER_LEN / 2].to_vec()),
        (
            "a header and no payload yet",
            data(1, b"xyz")[..HEADER_LEN].to_vec(),
        ),
    ];
    for (what, next) in apart {
        let bytes = [&two[..], &next].concat();
        let told = pieces_of(&mut accepting(), &bytes);
        assert_eq!(told, (vec![&b"ab"[..], b"c"], next.len()), "before {what}");
    }
    let bytes = [&two[..], &data(1, b"xyz")[..HEADER_LEN + 1]].concat();
    let mut server = accepting();
    assert_eq!(
        pieces_of(&mut server, &bytes),
        (vec![&b"ab"[..], b"c", b"x"], 0)
    );
    assert_eq!(pieces_of(&mut server, b"yz"), (vec![&b"yz"[..]], 0));
    server.check_invariants();
}

#[test]
fn a_ping_is_answered_with_its_value() {
    let mut server = session(Side::Server);
    let seen = feed(&mut server, &frame(Kind::Ping, Flags::SYN, 0, 77)).expect("in order");
    let pong = (Kind::Ping, Flags::ACK, 77);
    let got = seen.said.first().map(|h| (h.kind, h.flags, h.length));
    assert_eq!(got, Some(pong));
}

#[test]
fn after_a_go_away_what_is_open_finishes_and_nothing_is_opened() {
    let mut client = session(Side::Client);
    let id = client.open(START, 5).expect("nothing is in the way");
    said(&mut client);
    let seen = feed(&mut client, &frame(Kind::GoAway, Flags::NONE, 0, 0)).expect("in order");
    assert_eq!(seen.events, ["GoAway(Normal)"]);
    assert_eq!(client.open(START, 6), Err(OpenError::GoingAway));
    let seen = feed(&mut client, &data(1, b"x")).expect("in order");
    assert_eq!(seen.events[1], "Data(~1, 5) x");
    assert!(client.sendable(id) > 0);

    let mut server = session(Side::Server);
    server.go_away(GoAway::Normal);
    assert_eq!(server.open(START, 1), Err(OpenError::GoingAway));
    let seen = feed(&mut server, &syn(1)).expect("it crossed ours");
    assert_eq!(seen.events, [""; 0]);
    assert_eq!(seen.said.last().map(|h| h.flags), Some(Flags::RST));
}

#[test]
fn ids_run_out_rather_than_come_again() {
    let mut client = session(Side::Client);
    client.skip_to_id(u32::MAX - 6);
    let last = client.open(START, 0).expect("one is left");
    assert_eq!(last.get(), u32::MAX - 6);
    let last = client.open(START, 0).expect("one is left");
    assert_eq!(last.get(), u32::MAX - 4);
    assert_eq!(client.open(START, 0), Err(OpenError::IdsUsedUp));
    assert_eq!(client.open(START, 0), Err(OpenError::IdsUsedUp));
}

#[test]
fn no_more_than_256_streams_wait_to_be_taken() {
    let mut client = session(Side::Client);
    let mut first = None;
    for _ in 0..256 {
        let id = client.open(START, 0).expect("nothing is in the way");
        first = first.or(Some(id));
    }
    assert_eq!(client.open(START, 0), Err(OpenError::Backlog));
    let ack = frame(Kind::WindowUpdate, Flags::ACK, 1, 0);
    feed(&mut client, &ack).expect("in order");
    assert!(client.open(START, 0).is_ok());
    assert_eq!(client.open(START, 0), Err(OpenError::Backlog));
    client.reset(first.expect("there is one"));
    assert_eq!(
        client.open(START, 0),
        Err(OpenError::Backlog),
        "it was taken"
    );
    client.check_invariants();
}

#[test]
fn a_syn_beyond_the_limit_of_streams_is_reset() {
    let limits = Limits {
        streams_max: 2,
        ..Limits::default()
    };
    let mut server = Session::new(Side::Server, limits, START);
    let bytes = [syn(1), syn(3), syn(5)].concat();
    let seen = feed(&mut server, &bytes).expect("in order");
    assert_eq!(seen.events, ["Opened(~1)", "Opened(~3)"]);
    let last = seen.said.last().expect("it answers");
    assert_eq!((last.flags, last.stream), (Flags::RST, 5));
    assert!(server.open(START, 0).is_err());
}

#[test]
fn what_is_under_way_is_bounded_over_all_streams_and_tells_when_there_is_room() {
    let limits = Limits {
        flight_max: Some(1 << 20),
        ..Limits::default()
    };
    let mut client = Session::new(Side::Client, limits, START);
    let mut server = session(Side::Server);
    let ids: Vec<StreamId> = (0..10)
        .map(|tag| client.open(START, tag).expect("nothing is in the way"))
        .collect();
    let (mut line, mut payload) = (Vec::new(), 0);
    loop {
        line.extend(std::iter::from_fn(|| client.poll(START)).flatten());
        let Some(id) = ids.iter().find(|id| client.sendable(**id) > 0) else {
            break;
        };
        let len = client.sendable(*id);
        line.extend(client.data(*id, len));
        line.extend(vec![0; len]);
        payload += len;
        client.check_invariants();
    }
    assert_eq!(client.under_way(), line.len() as u64);
    assert!(line.len() <= 1 << 20 && payload > 1000 << 10);
    // Nobody takes the payload there, and still it has arrived.
    let mut rest = &line[..];
    let mut answers = Vec::new();
    while let Some(event) = server.feed(START, &mut rest).expect("in order") {
        if let Event::Opened(id) = event {
            server.accept(id, 0);
        }
        answers.extend(std::iter::from_fn(|| server.poll(START)).flatten());
    }
    answers.extend(std::iter::from_fn(|| server.poll(START)).flatten());
    let (mut rest, mut told) = (&answers[..], 0);
    while let Some(event) = client.feed(START, &mut rest).expect("in order") {
        told += usize::from(matches!(event, Event::Credit(..)));
    }
    let able = ids.iter().filter(|id| client.sendable(**id) > 0).count();
    assert!(able > 0 && told == able, "{told} of {able} were told");
    assert!(client.under_way() < 256 << 10);
    client.check_invariants();
}

#[test]
fn silence_behind_a_ping_ends_a_session() {
    let mut client = session(Side::Client);
    assert_eq!(client.due(), START + Duration::from_secs(30));
    assert_eq!(client.tick(client.due()), Ok(()));
    assert_eq!(said(&mut client)[0].kind, Kind::Ping);
    let after = Duration::from_secs(10);
    assert_eq!(client.due(), START + Duration::from_secs(40));
    assert_eq!(client.tick(client.due()), Err(Silent { after }));
}

/// The rules, each with the bytes that break it, sent to a server where stream 1 is open.
fn broken_rules() -> Vec<(Violation, Vec<u8>)> {
    let update = |flags, id, n| frame(Kind::WindowUpdate, flags, id, n);
    let fin = || frame(Kind::Data, Flags::FIN, 1, 0);
    vec![
        (Violation::Version(b'G'), b"GET / HTTP/1.1".to_vec()),
        (Violation::Type(9), vec![0, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        (Violation::StreamZero, data(0, b"x")),
        (
            Violation::SessionFrameOnStream(1),
            frame(Kind::Ping, Flags::SYN, 1, 0),
        ),
        (Violation::Parity(2), syn(2)),
        (Violation::SecondSyn(1), syn(1)),
        (
            Violation::IdReused(3),
            [syn(3), update(Flags::RST, 3, 0), syn(3)].concat(),
        ),
        (
            Violation::WindowOverrun {
                stream: 1,
                len: 262_145,
                granted: 262_144,
            },
            frame(Kind::Data, Flags::NONE, 1, 262_145),
        ),
        (
            Violation::WindowOverrun {
                stream: 3,
                len: 262_145,
                granted: 262_144,
            },
            frame(Kind::Data, Flags::SYN, 3, 262_145),
        ),
        (
            Violation::FrameTooLong {
                len: u32::MAX,
                max: 16 << 20,
            },
            frame(Kind::Data, Flags::NONE, 99, u32::MAX),
        ),
        (
            Violation::CreditOverflow(1),
            update(Flags::NONE, 1, u32::MAX - 262_144 + 1),
        ),
        (
            Violation::CreditOverflow(3),
            update(Flags::SYN, 3, u32::MAX),
        ),
        (Violation::DataAfterFin(1), [fin(), data(1, b"x")].concat()),
        (Violation::SecondFin(1), [fin(), fin()].concat()),
    ]
}

#[test]
fn every_rule_that_a_peer_breaks_has_its_name() {
    for (violation, bytes) in broken_rules() {
        for piece in [1, 5, bytes.len()] {
            let mut server = session(Side::Server);
            feed(&mut server, &syn(1)).expect("in order");
            let seen = feed_in_pieces(&mut server, &bytes, piece);
            assert_eq!(seen, Err(violation), "in pieces of {piece}");
            server.go_away(GoAway::Protocol);
            let last = said(&mut server).pop().expect("it says why");
            assert_eq!((last.kind, last.length), (Kind::GoAway, 1));
        }
    }
}

#[test]
fn credit_up_to_the_brim_is_no_overflow() {
    let mut server = session(Side::Server);
    let brim = frame(Kind::WindowUpdate, Flags::SYN, 1, u32::MAX - WINDOW_MIN);
    assert!(feed(&mut server, &brim).is_ok());
}

#[test]
fn credit_is_legal_behind_an_end() {
    let mut server = session(Side::Server);
    let fin = frame(Kind::WindowUpdate, Flags::FIN, 1, 0);
    let more = frame(Kind::WindowUpdate, Flags::NONE, 1, 100);
    let seen = feed(&mut server, &[syn(1), fin, more].concat()).expect("in order");
    assert_eq!(seen.events, ["Opened(~1)", "Finished(~1, 10)"]);
}

#[test]
fn frames_for_streams_that_are_not_there_are_thrown_away() {
    let mut server = session(Side::Server);
    let bytes = [
        data(9, b"nobody"),
        frame(Kind::WindowUpdate, Flags::NONE, 9, 5),
        frame(Kind::Data, Flags::FIN, 9, 0),
        frame(Kind::WindowUpdate, Flags::RST, 9, 0),
        frame(Kind::Data, Flags::ACK, 2, 0),
        frame(Kind::Ping, Flags::ACK, 0, 12345),
    ];
    assert_eq!(feed(&mut server, &bytes.concat()), Ok(Seen::default()));
}

#[test]
fn a_stream_that_is_opened_and_reset_in_one_frame_never_was() {
    let mut server = session(Side::Server);
    let both = [0, 1, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(feed(&mut server, &both), Ok(Seen::default()));
    assert!(server.is_empty());
    assert_eq!(feed(&mut server, &syn(1)), Err(Violation::IdReused(1)));
}

/// Sends one frame again and again, reading all answers, until the session has had enough.
fn flood(frame: &[u8]) -> Violation {
    let mut server = session(Side::Server);
    feed(&mut server, &syn(1)).expect("in order");
    for _ in 0..1_000_000 {
        if let Err(violation) = feed(&mut server, frame) {
            return violation;
        }
    }
    panic!("it bears everything");
}

#[test]
fn floods_of_what_moves_nothing_end_the_session() {
    let nothing = frame(Kind::Data, Flags::NONE, 1, 0);
    let update = frame(Kind::WindowUpdate, Flags::NONE, 1, 0);
    let ack = frame(Kind::WindowUpdate, Flags::ACK, 1, 0);
    // Bits that mean nothing yet, in the lower byte of the flags, change nothing either.
    let [update_with, data_with] = [1, 0].map(|kind| {
        let bits = [0x10, 0x12];
        bits.map(|bits| vec![0, kind, 0, bits, 0, 0, 0, 1, 0, 0, 0, 0])
    });
    for frame in [update_with, data_with].concat() {
        assert_eq!(flood(&frame), Violation::Flood);
    }
    let data_ack = frame(Kind::Data, Flags::ACK, 1, 0);
    let ping = frame(Kind::Ping, Flags::SYN, 0, 1);
    let dead = data(99, b"x");
    let goaway = frame(Kind::GoAway, Flags::NONE, 0, 0);
    for frame in [nothing, update, ack, data_ack, ping, dead, goaway] {
        assert_eq!(flood(&frame), Violation::Flood);
    }
}

/// What was granted may be on its way in frames as small as the peer likes when a stream is reset.
#[test]
fn the_granted_rest_of_streams_that_we_reset_is_no_flood() {
    let mut server = session(Side::Server);
    let pieces = data(0, &[7; 64]).repeat(4096);
    for id in (1..40).step_by(2) {
        feed(&mut server, &syn(id)).expect("in order");
        server.reset(StreamId(id));
        let mut rest = pieces.clone();
        for at in (0..rest.len()).step_by(HEADER_LEN + 64) {
            rest[at + 4..at + 8].copy_from_slice(&id.to_be_bytes());
        }
        feed(&mut server, &rest).expect("it was granted");
    }
    // What was not granted moves nothing.
    let more = (0..1_000_000).find_map(|_| feed(&mut server, &data(1, b"x")).err());
    assert_eq!(more, Some(Violation::Flood));
}

#[test]
fn a_flood_of_syns_opens_no_more_than_may_be_and_ends() {
    let limits = Limits {
        streams_max: 10,
        ..Limits::default()
    };
    let mut server = Session::new(Side::Server, limits, START);
    let ended = (0..).map(|i| feed(&mut server, &syn(2 * i + 1)));
    let ended = ended.take(1_000_000).find_map(Result::err);
    assert_eq!(ended, Some(Violation::Flood));
    assert_eq!(server.len(), 10);
}

/// As where nobody takes the peer's streams, and it reads all the answers.
#[test]
fn a_flood_of_syns_that_are_all_reset_ends() {
    let mut server = session(Side::Server);
    let ended = (0..1_000_000).find_map(|i| {
        let bytes = syn(2 * i + 1);
        match server.feed(START, &mut &bytes[..]) {
            Ok(Some(Event::Opened(id))) => server.reset(id),
            Ok(other) => panic!("{other:?}"),
            Err(violation) => return Some(violation),
        }
        while server.poll(START).is_some() {}
        None
    });
    assert_eq!(ended, Some(Violation::Flood));
}

/// As from a peer that resets whatever it opens, and what it opens is taken.
#[test]
fn a_flood_of_streams_that_the_peer_resets_itself_ends() {
    let mut server = session(Side::Server);
    let ended = (0..1_000_000).find_map(|i| {
        let id = 2 * i + 1;
        let reset = frame(Kind::WindowUpdate, Flags::RST, id, 0);
        let bytes = [syn(id), reset].concat();
        let mut rest = &bytes[..];
        loop {
            match server.feed(START, &mut rest) {
                Ok(Some(Event::Opened(id))) => server.accept(id, 0),
                Ok(Some(Event::Reset(..))) => {}
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => return None,
                Err(violation) => return Some((i, violation)),
            }
            while server.poll(START).is_some() {}
        }
    });
    let (pairs, violation) = ended.expect("it bears everything");
    assert_eq!(violation, Violation::Flood);
    assert!(pairs <= 65_536, "{pairs}");
}

#[test]
fn a_peer_that_asks_and_never_lets_us_answer_is_given_up() {
    let mut server = session(Side::Server);
    let ping = frame(Kind::Ping, Flags::SYN, 0, 1);
    let many = ping.repeat(1025);
    let ended = server.feed(START, &mut &many[..]);
    assert_eq!(ended, Err(Violation::TooManyAnswers));
}

/// Some frames that keep the rules, from a client, as bytes.
fn lawful() -> impl Strategy<Value = Vec<u8>> {
    let step = (0usize..8, prop::collection::vec(any::<u8>(), 0..40));
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut client = session(Side::Client);
        let mut bytes = Vec::new();
        let mut ids = Vec::new();
        for (what, payload) in steps {
            match (what, ids.last().copied()) {
                (0 | 1, _) => ids.extend(client.open(START, 0)),
                (2, Some(id)) => client.finish(id),
                (3, Some(id)) => client.reset(id),
                (4, _) => client.ping(START),
                (_, Some(id)) if (1..=client.sendable(id)).contains(&payload.len()) => {
                    bytes.extend(bytes_of(&mut client));
                    bytes.extend(client.data(id, payload.len()));
                    bytes.extend(payload);
                }
                _ => {}
            }
            bytes.extend(bytes_of(&mut client));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn where_the_bytes_are_split_makes_no_difference(bytes in lawful(), piece in 1usize..60) {
        let whole = feed(&mut session(Side::Server), &bytes);
        prop_assert!(whole.is_ok());
        for piece in [1, piece] {
            let pieces = feed_in_pieces(&mut session(Side::Server), &bytes, piece);
            prop_assert_eq!(&whole, &pieces);
        }
        for at in 0..=bytes.len() {
            let mut server = session(Side::Server);
            let mut seen = feed(&mut server, &bytes[..at]).expect("in order");
            let rest = feed(&mut server, &bytes[at..]).expect("in order");
            seen.said.extend(rest.said);
            prop_assert_eq!(&whole.as_ref().expect("in order").said, &seen.said);
        }
    }

    #[test]
    fn garbage_is_no_more_than_a_violation(bytes in prop::collection::vec(0u8..5, 0..400)) {
        let mut server = session(Side::Server);
        let _ = feed(&mut server, &bytes);
        server.check_invariants();
    }
}
