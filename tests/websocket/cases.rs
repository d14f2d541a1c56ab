//! What an end has to do, case by case, under the numbers of the Autobahn test suite: 1 framing, 2 pings and pongs,
//! 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 limits. The cases themselves are drawn from
//! RFC 6455. Each is played to a server and to a client, at once, frame by frame, and in pieces of several lengths,
//! byte by byte where it is short: where only that tells cases of the suite apart, they are one here.

#[path = "cases/limits.rs"]
mod limits;
#[path = "cases/utf8.rs"]
mod utf8;

use hydrant::proto::websocket::Side;

use crate::echo::{Reply, echo, raw};

const LAST: u8 = 0x80;
const CONTINUES: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = LAST | 8;
const PING: u8 = LAST | 9;
const PONG: u8 = LAST | 10;

/// Both, since each of them has to keep the rules.
const SIDES: [Side; 2] = [Side::Server, Side::Client];

/// Which cases were played.
#[derive(Default)]
struct Played(Vec<String>);

impl Played {
    /// Plays the cases of these numbers, with spaces in between: the frames, given by their first bytes and their
    /// payloads, and what they are answered with.
    #[track_caller]
    fn case(&mut self, numbers: &str, frames: &[(u8, &[u8])], expected: &[Reply]) {
        check(numbers, frames, expected);
        self.note(numbers);
    }

    fn note(&mut self, numbers: &str) {
        self.0.extend(numbers.split(' ').map(str::to_owned));
    }

    /// Whether these were all: so many of each group.
    #[track_caller]
    fn are(mut self, groups: &[(&str, usize)]) {
        let numbers = |(group, count): &(&str, usize)| {
            let group = (*group).to_owned();
            (1..=*count).map(move |number| format!("{group}.{number}"))
        };
        let mut all: Vec<String> = groups.iter().flat_map(numbers).collect();
        all.sort();
        self.0.sort();
        assert_eq!(self.0, all, "the suite's numbers, each of them once");
    }
}

/// Sends the frames, and compares the answers.
#[track_caller]
fn check(case: &str, frames: &[(u8, &[u8])], expected: &[Reply]) {
    for side in SIDES {
        let frames = frames
            .iter()
            .map(|(first, payload)| raw(side, *first, payload));
        let frames: Vec<Vec<u8>> = frames.collect();
        let answered = echo(side, frames.iter().map(|frame| &frame[..]));
        assert!(
            answered == expected,
            "{case}, {side:?}, frame by frame: {}",
            shown(&answered)
        );
        check_bytes(case, side, &frames.concat(), expected);
    }
}

#[track_caller]
fn check_bytes(case: &str, side: Side, bytes: &[u8], expected: &[Reply]) {
    let mut sizes = vec![bytes.len(), 997];
    if bytes.len() < 70_000 {
        sizes.extend([1, 2, 3, 7]);
    }
    for size in sizes {
        check_pieces(case, side, bytes, size, expected);
    }
}

#[track_caller]
fn check_pieces(case: &str, side: Side, bytes: &[u8], size: usize, expected: &[Reply]) {
    let answered = echo(side, bytes.chunks(size));
    assert!(
        answered == expected,
        "{case}, {side:?}, {size} bytes at a time: {}",
        shown(&answered)
    );
}

fn shown(replies: &[Reply]) -> String {
    format!("{replies:?}").chars().take(400).collect()
}

fn text(bytes: &[u8]) -> Reply {
    Reply::Text(bytes.to_vec())
}

fn binary(bytes: &[u8]) -> Reply {
    Reply::Binary(bytes.to_vec())
}

fn pong(bytes: &[u8]) -> Reply {
    Reply::Pong(bytes.to_vec())
}

fn close(code: u16) -> Reply {
    Reply::Close(Some(code))
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn group_1_messages_of_every_width_of_length() {
    let mut played = Played::default();
    for (number, len) in (1..).zip([0, 125, 126, 127, 128, 65_535, 65_536]) {
        // The last two are the same length, in different pieces.
        let numbers = |group: &str| match number {
            7 => format!("{group}.7 {group}.8"),
            _ => format!("{group}.{number}"),
        };
        let payload = vec![b'*'; len];
        played.case(
            &numbers("1.1"),
            &[(LAST | TEXT, &payload)],
            &[text(&payload)],
        );
        let payload = vec![0xfe; len];
        played.case(
            &numbers("1.2"),
            &[(LAST | BINARY, &payload)],
            &[binary(&payload)],
        );
    }
    played.are(&[("1.1", 8), ("1.2", 8)]);
}

#[test]
fn group_2_pings_and_pongs() {
    let mut played = Played::default();
    let full = [0xfe; 125];
    let hello: &[u8] = b"Hello, world!";
    let bytes: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    played.case("2.1", &[(PING, b"")], &[pong(b"")]);
    played.case("2.2", &[(PING, hello)], &[pong(hello)]);
    played.case("2.3", &[(PING, bytes)], &[pong(bytes)]);
    played.case("2.4 2.6", &[(PING, &full)], &[pong(&full)]);
    played.case("2.5", &[(PING, &[0xfe; 126])], &[close(1002)]);
    played.case("2.7", &[(PONG, b"")], &[]);
    played.case("2.8", &[(PONG, b"unasked")], &[]);
    played.case(
        "2.9",
        &[(PONG, b"unasked"), (PING, b"asked")],
        &[pong(b"asked")],
    );
    let pings: Vec<Vec<u8>> = (0..10).map(|n| format!("ping {n}").into_bytes()).collect();
    let frames: Vec<_> = pings.iter().map(|ping| (PING, &ping[..])).collect();
    let pongs: Vec<_> = pings.iter().map(|ping| pong(ping)).collect();
    played.case("2.10 2.11", &frames, &pongs);
    played.are(&[("2", 11)]);
}

#[test]
fn group_3_reserved_bits() {
    let mut played = Played::default();
    let hello: &[u8] = b"Hello, world!";
    let normal = close_payload(1000, b"");
    let bits = |bits: u8| bits << 4;
    let text_with = |number| (LAST | TEXT | bits(number), hello);
    let first = (LAST | TEXT, hello);
    let ping: (u8, &[u8]) = (PING, b"");
    let after_a_message = [text(hello), close(1002)];
    let done = [close(1002)];
    played.case("3.1", &[text_with(1)], &done);
    played.case("3.2", &[first, text_with(2), ping], &after_a_message);
    played.case("3.3", &[first, text_with(3), ping], &after_a_message);
    played.case("3.4", &[first, text_with(4), ping], &after_a_message);
    played.case("3.5", &[(LAST | BINARY | bits(5), b"\x00\xff")], &done);
    played.case("3.6", &[(PING | bits(6), hello)], &done);
    played.case("3.7", &[(CLOSE | bits(7), &normal)], &done);
    played.are(&[("3", 7)]);
    for bits in (1..=7).map(bits) {
        for first in [LAST | TEXT, LAST | BINARY, TEXT, PING, PONG, CLOSE] {
            check("all bits", &[(first | bits, hello)], &done);
        }
    }
}

#[test]
fn group_4_opcodes_that_mean_nothing() {
    let mut played = Played::default();
    let first: (u8, &[u8]) = (LAST | TEXT, b"Hello");
    let ping: (u8, &[u8]) = (PING, b"");
    let payload: &'static [u8] = b"reserved";
    let after_a_message = [text(b"Hello"), close(1002)];
    let done = [close(1002)];
    for (group, base) in [("4.1", 3), ("4.2", 11)] {
        let number = |n| format!("{group}.{n}");
        let wrong = |n: u8, payload: &'static [u8]| (LAST | (base + n), payload);
        played.case(&number(1), &[wrong(0, b"")], &done);
        played.case(&number(2), &[wrong(1, payload)], &done);
        played.case(&number(3), &[first, wrong(2, b""), ping], &after_a_message);
        for n in [3, 4] {
            let frames = [first, wrong(n, payload), ping];
            played.case(&number(n + 1), &frames, &after_a_message);
        }
    }
    played.are(&[("4.1", 5), ("4.2", 5)]);
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], payload] {
            check("in fragments", &[(opcode, payload)], &done);
            let within = [(TEXT, &b"Hello"[..]), (LAST | opcode, payload)];
            check("within a message", &within, &done);
        }
    }
}

#[test]
fn group_5_fragments() {
    let mut played = Played::default();
    let done = [close(1002)];
    let whole = (LAST | TEXT, &b"Hello"[..]);
    let begin = (TEXT, &b"one "[..]);
    let more = (CONTINUES, &b"two"[..]);
    let end = (LAST, &b"two"[..]);
    let ping = (PING, &b"ping"[..]);
    let joined = text(b"one two");
    played.case("5.1", &[(PING & !LAST, b"one"), end], &done);
    played.case("5.2", &[(PONG & !LAST, b"one"), end], &done);
    played.case("5.3 5.4 5.5", &[begin, end], std::slice::from_ref(&joined));
    played.case(
        "5.6 5.7 5.8",
        &[begin, ping, end],
        &[pong(b"ping"), joined.clone()],
    );
    played.case("5.9 5.10 5.11", &[end, whole], &done);
    played.case("5.12 5.13 5.14", &[more, whole], &done);
    let then_more = [begin, end, more, whole];
    played.case("5.15", &then_more, &[joined.clone(), close(1002)]);
    check(
        "5.15 with an end",
        &[begin, end, end, whole],
        &[joined, close(1002)],
    );
    played.case("5.16", &[more, begin, end, more, begin, end], &done);
    played.case("5.17", &[end, begin, end, end, begin, end], &done);
    played.case("5.18", &[begin, whole], &done);
    check("5.18 in bytes", &[begin, (BINARY, b"b")], &done);
    played.case(
        "5.19 5.20",
        &[
            begin,
            more,
            (PING, b"first"),
            (CONTINUES, b"3"),
            (CONTINUES, b"4"),
            (PING, b"second"),
            (LAST, b"5"),
        ],
        &[pong(b"first"), pong(b"second"), text(b"one two345")],
    );
    played.are(&[("5", 20)]);
    check(
        "fragments without a byte",
        &[(BINARY, b""), (CONTINUES, b""), (PONG, b""), (LAST, b"")],
        &[binary(b"")],
    );
}

#[test]
fn group_7_closing() {
    let mut played = Played::default();
    let normal = close_payload(1000, b"");
    let gone = (CLOSE, &normal[..]);
    let hello: &[u8] = b"Hello World!";
    let whole = (LAST | TEXT, hello);
    let ping = (PING, &b""[..]);
    let done = [close(1000)];
    played.case("7.1.1", &[whole, gone], &[text(hello), close(1000)]);
    played.case("7.1.2", &[gone, gone], &done);
    played.case("7.1.3", &[gone, ping], &done);
    played.case("7.1.4", &[gone, whole], &done);
    played.case("7.1.5", &[(TEXT, hello), gone, (LAST, hello)], &done);
    let long = vec![b'x'; 256 << 10];
    played.case(
        "7.1.6",
        &[(LAST | TEXT, &long), gone, ping],
        &[text(&long), close(1000)],
    );
    let reason = |len: usize| close_payload(1000, &vec![b'*'; len]);
    let invalid = close_payload(1000, b"\xce\xba\xed\xa0\x80edited");
    played.case("7.3.1", &[(CLOSE, b"")], &[Reply::Close(None)]);
    played.case("7.3.2", &[(CLOSE, b"a")], &[close(1002)]);
    played.case("7.3.3", &[gone], &done);
    played.case("7.3.4", &[(CLOSE, &close_payload(1000, hello))], &done);
    played.case("7.3.5", &[(CLOSE, &reason(123))], &done);
    played.case("7.3.6", &[(CLOSE, &reason(124))], &[close(1002)]);
    played.case("7.5.1", &[(CLOSE, &invalid)], &[close(1007)]);
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    for (number, code) in (1..).zip(valid) {
        let frames = [(CLOSE, &close_payload(code, b"")[..])];
        played.case(&format!("7.7.{number}"), &frames, &[close(code)]);
    }
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (number, code) in (1..).zip(invalid) {
        let frames = [(CLOSE, &close_payload(code, b"")[..])];
        played.case(&format!("7.9.{number}"), &frames, &[close(1002)]);
    }
    for (number, code) in (1..).zip([5000, 65_535]) {
        let frames = [(CLOSE, &close_payload(code, b"")[..])];
        played.case(&format!("7.13.{number}"), &frames, &[close(1002)]);
    }
    let groups = [
        ("7.1", 6),
        ("7.3", 6),
        ("7.5", 1),
        ("7.7", 13),
        ("7.9", 9),
        ("7.13", 2),
    ];
    played.are(&groups);
}

#[test]
fn group_7_every_close_code() {
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    for code in 0..=u16::MAX {
        let is_valid = valid.contains(&code) || (3000..=4999).contains(&code);
        let answer = close(if is_valid { code } else { 1002 });
        for side in SIDES {
            let bytes = raw(side, CLOSE, &close_payload(code, b"why"));
            let answered = echo(side, [&bytes[..]]);
            assert_eq!(answered, std::slice::from_ref(&answer), "{code} {side:?}");
        }
    }
}

/// What the suite leaves out: masks, and lengths that lie.
#[test]
fn masks_and_lengths_are_held_to() {
    let server = |case: &str, bytes: &[u8], expected: &[Reply]| {
        check_bytes(case, Side::Server, bytes, expected);
    };
    let client = |case: &str, bytes: &[u8], expected: &[Reply]| {
        check_bytes(case, Side::Client, bytes, expected);
    };
    let done = [close(1002)];
    server("not masked", b"\x81\x05Hello", &done);
    client("masked", b"\x81\x85maskHello", &done);
    server("the second byte tells", b"\x81\x7f", &done);
    client("the second byte tells", b"\x81\xff", &done);
    let lengths: &[(u8, &[u8])] = &[
        (0x7f, b"\x80\0\0\0\0\0\0\0mask"),
        (0x7f, b"\xff\xff\xff\xff\xff\xff\xff\xffmask"),
        (0x7e, b"\0\x05mask"),
        (0x7e, b"\0\x7dmask"),
        (0x7f, b"\0\0\0\0\0\0\xff\xffmask"),
    ];
    for (length, rest) in lengths {
        server("a length", &[&[0x82, 0x80 | length], *rest].concat(), &done);
        client("a length", &[&[0x82, *length], *rest].concat(), &done);
    }
    for length in [&b"\x7e\0\x05"[..], b"\x7f"] {
        let masked = [length[0] | 0x80];
        let bytes = [b"\x89", &masked[..], &length[1..]].concat();
        server("a long ping", &bytes, &done);
        client("a long ping", &[b"\x89", length].concat(), &done);
    }
    // As long as can be said: nothing is allocated for it.
    let longest: &[u8] = b"\x7f\xff\xff\xff\xff\xff\xff\xffand so on, and on";
    server("2^63 - 1", &[b"\x82\xff", longest].concat(), &[]);
    client("2^63 - 1", &[b"\x82\x7f", longest].concat(), &[]);
}
