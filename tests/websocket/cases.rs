//! What an endpoint has to do, case by case, in the order in which the Autobahn test suite numbers its groups:
//! 1 framing, 2 pings and pongs, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 limits. The cases
//! themselves are drawn from RFC 6455. Each is sent at once and in several pieces, byte by byte where it is short.

use crate::echo::{Reply, echo, raw};

const LAST: u8 = 0x80;
const CONTINUES: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = LAST | 8;
const PING: u8 = LAST | 9;
const PONG: u8 = LAST | 10;

/// Sends the frames, given by their first bytes and their payloads, and compares the answers.
#[track_caller]
fn check(case: &str, frames: &[(u8, &[u8])], expected: &[Reply]) {
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|(first, payload)| raw(*first, payload))
        .collect();
    check_bytes(case, &bytes, expected);
}

#[track_caller]
fn check_bytes(case: &str, bytes: &[u8], expected: &[Reply]) {
    let mut sizes = vec![bytes.len(), 997];
    if bytes.len() < 70_000 {
        sizes.extend([1, 2, 3, 7]);
    }
    for size in sizes {
        let answered = echo(bytes, size);
        assert!(
            answered == expected,
            "{case}, {size} bytes at a time: {}",
            shown(&answered)
        );
    }
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
    for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; len];
        check("1.1", &[(LAST | TEXT, &payload)], &[text(&payload)]);
        let payload = vec![0xfe; len];
        check("1.2", &[(LAST | BINARY, &payload)], &[binary(&payload)]);
    }
}

#[test]
fn group_2_pings_and_pongs() {
    let full = [0xfe; 125];
    check("2.1", &[(PING, b"")], &[pong(b"")]);
    check(
        "2.2",
        &[(PING, b"Hello, world!")],
        &[pong(b"Hello, world!")],
    );
    check(
        "2.3",
        &[(PING, b"\x00\xff\xfe\xfd")],
        &[pong(b"\x00\xff\xfe\xfd")],
    );
    check("2.4, 2.6", &[(PING, &full)], &[pong(&full)]);
    check("2.5", &[(PING, &[0xfe; 126])], &[close(1002)]);
    check("2.7", &[(PONG, b"")], &[]);
    check("2.8", &[(PONG, b"unasked")], &[]);
    check(
        "2.9",
        &[(PONG, b"unasked"), (PING, b"asked")],
        &[pong(b"asked")],
    );
    let pings: Vec<Vec<u8>> = (0..10).map(|n| format!("ping {n}").into_bytes()).collect();
    let frames: Vec<_> = pings.iter().map(|ping| (PING, &ping[..])).collect();
    let pongs: Vec<_> = pings.iter().map(|ping| pong(ping)).collect();
    check("2.10, 2.11", &frames, &pongs);
}

#[test]
fn group_3_reserved_bits() {
    let hello: &[u8] = b"Hello, world!";
    for bits in 1..=7u8 {
        let bits = bits << 4;
        for first in [LAST | TEXT, LAST | BINARY, TEXT, PING, PONG, CLOSE] {
            check("3 alone", &[(first | bits, hello)], &[close(1002)]);
            check(
                "3 after a message",
                &[(LAST | TEXT, hello), (first | bits, hello), (PING, b"")],
                &[text(hello), close(1002)],
            );
        }
    }
}

#[test]
fn group_4_opcodes_that_mean_nothing() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"reserved"] {
            check("4 alone", &[(LAST | opcode, payload)], &[close(1002)]);
            check("4 in fragments", &[(opcode, payload)], &[close(1002)]);
            check(
                "4 after a message",
                &[
                    (LAST | TEXT, b"Hello"),
                    (LAST | opcode, payload),
                    (PING, b""),
                ],
                &[text(b"Hello"), close(1002)],
            );
        }
    }
}

#[test]
fn group_5_fragments() {
    let done = [close(1002)];
    check("5.1", &[(PING & !LAST, b"frag"), (LAST, b"ment")], &done);
    check("5.2", &[(PONG & !LAST, b"frag"), (LAST, b"ment")], &done);
    check(
        "5.3 to 5.5",
        &[(TEXT, b"fragment1"), (LAST, b"fragment2")],
        &[text(b"fragment1fragment2")],
    );
    check(
        "5.6 to 5.8",
        &[(TEXT, b"fragment1"), (PING, b"ping"), (LAST, b"fragment2")],
        &[pong(b"ping"), text(b"fragment1fragment2")],
    );
    for first in [LAST | CONTINUES, CONTINUES] {
        check(
            "5.9 to 5.14",
            &[(first, b"non-continuation"), (LAST | TEXT, b"Hello")],
            &done,
        );
        check(
            "5.15",
            &[
                (TEXT, b"a"),
                (LAST, b"b"),
                (first, b"c"),
                (LAST | TEXT, b"d"),
            ],
            &[text(b"ab"), close(1002)],
        );
    }
    check(
        "5.16, 5.17",
        &[(CONTINUES, b"a"), (TEXT, b"b"), (LAST, b"c")],
        &done,
    );
    check("5.18", &[(TEXT, b"a"), (LAST | TEXT, b"b")], &done);
    check("5.18", &[(TEXT, b"a"), (BINARY, b"b")], &done);
    check(
        "5.19, 5.20",
        &[
            (TEXT, b"1"),
            (CONTINUES, b"2"),
            (PING, b"first"),
            (CONTINUES, b"3"),
            (CONTINUES, b""),
            (PING, b"second"),
            (PONG, b"unasked"),
            (LAST, b"5"),
        ],
        &[pong(b"first"), pong(b"second"), text(b"1235")],
    );
    check(
        "fragments without a byte",
        &[(BINARY, b""), (CONTINUES, b""), (LAST, b"")],
        &[binary(b"")],
    );
}

/// A text alone, and in fragments of every size.
#[track_caller]
fn check_text(case: &str, bytes: &[u8], expected: &[Reply]) {
    check(case, &[(LAST | TEXT, bytes)], expected);
    for size in 1..=bytes.len() {
        let mut frames: Vec<(u8, &[u8])> =
            bytes.chunks(size).map(|piece| (CONTINUES, piece)).collect();
        frames[0].0 |= TEXT;
        if let Some(last) = frames.last_mut() {
            last.0 |= LAST;
        }
        check(case, &frames, expected);
    }
    // Bytes are taken as they are.
    check(case, &[(LAST | BINARY, bytes)], &[binary(bytes)]);
}

#[test]
fn group_6_texts_are_utf_8() {
    check("6.1.1", &[(LAST | TEXT, b"")], &[text(b"")]);
    check(
        "6.1.2, 6.1.3",
        &[(TEXT, b""), (CONTINUES, b""), (LAST, b"")],
        &[text(b"")],
    );
    let valid = [
        ("6.2", "Hello-µ@ßöäüàá-UTF-8!!"),
        ("6.5", "κόσμε"),
        ("6.7", "\u{0}\u{80}\u{800}\u{10000}"),
        ("6.9", "\u{7f}\u{7ff}\u{ffff}\u{10ffff}"),
        ("6.11", "\u{d7ff}\u{e000}\u{fffd}\u{10ffff}"),
        (
            "6.22",
            "\u{fffe}\u{ffff}\u{1fffe}\u{1ffff}\u{10fffe}\u{10ffff}\u{fdd0}",
        ),
        ("6.23", "\u{fff9}\u{fffa}\u{fffb}\u{fffc}\u{fffd}\u{feff}"),
    ];
    for (case, valid) in valid {
        check_text(case, valid.as_bytes(), &[text(valid.as_bytes())]);
    }
}

#[test]
fn group_6_what_is_not_utf_8_is_refused() {
    let invalid: &[(&str, &[u8])] = &[
        (
            "6.3",
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        ),
        ("6.6: the end is missing", b"\xce\xba\xe1\xbd"),
        ("6.8: five bytes, the first", b"\xf8\x88\x80\x80\x80"),
        ("6.8: six bytes, the first", b"\xfc\x84\x80\x80\x80\x80"),
        ("6.10: four bytes, past the last", b"\xf7\xbf\xbf\xbf"),
        ("6.10: five bytes, the last", b"\xfb\xbf\xbf\xbf\xbf"),
        ("6.10: six bytes, the last", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
        ("6.11: U+110000", b"\xf4\x90\x80\x80"),
        ("6.12: a continuation alone", b"\x80"),
        ("6.12: the last of them", b"a\xbf"),
        ("6.12: two", b"\x80\xbf"),
        ("6.13: a first byte alone", b"\xc3 "),
        ("6.13: of three", b"\xe1 "),
        ("6.13: of four", b"\xf1 "),
        ("6.14: the last byte is missing", b"\xc3"),
        ("6.14: of three", b"\xe0\xa0"),
        ("6.14: of four", b"\xf0\x90\x80"),
        ("6.15: one after the other", b"\xc3\xe0\xa0\xf0\x90\x80"),
        ("6.16: an impossible byte", b"\xfe"),
        ("6.16: another", b"\xff"),
        ("6.17: a slash in two bytes", b"\xc0\xaf"),
        ("6.17: in three", b"\xe0\x80\xaf"),
        ("6.17: in four", b"\xf0\x80\x80\xaf"),
        ("6.18: the longest overlong", b"\xc1\xbf"),
        ("6.18: of three", b"\xe0\x9f\xbf"),
        ("6.18: of four", b"\xf0\x8f\xbf\xbf"),
        ("6.19: zero in two bytes", b"\xc0\x80"),
        ("6.20: a surrogate", b"\xed\xa0\x80"),
        ("6.20: the last one", b"\xed\xbf\xbf"),
        ("6.21: a pair of them", b"\xed\xa0\x80\xed\xb0\x80"),
    ];
    for (case, invalid) in invalid {
        check_text(case, invalid, &[close(1007)]);
        let within = [b"before ", *invalid].concat();
        check_text(case, &within, &[close(1007)]);
    }
}

/// The rest of the frame, or of the message, is not waited for.
#[test]
fn group_6_4_what_is_not_utf_8_is_refused_at_once() {
    let payload = b"\xce\xba\xf4\x90\x80\x80 and a long rest";
    let whole = raw(LAST | TEXT, payload);
    let head = whole.len() - payload.len();
    assert_eq!(echo(&whole[..head + 3], 1), []);
    assert_eq!(echo(&whole[..head + 4], 1), [close(1007)]);
    let begun = raw(TEXT, b"\xce\xba\xf4");
    assert_eq!(echo(&begun, 1), []);
    let wrong = [begun, raw(CONTINUES, b"\x90")].concat();
    assert_eq!(echo(&wrong, 1), [close(1007)]);
}

#[test]
fn group_7_closing() {
    let normal = close_payload(1000, b"");
    let gone: &[u8] = &normal;
    let hello: &[u8] = b"Hello World!";
    check(
        "7.1.1",
        &[(LAST | TEXT, hello), (CLOSE, gone)],
        &[text(hello), close(1000)],
    );
    check("7.1.2", &[(CLOSE, gone), (CLOSE, gone)], &[close(1000)]);
    check("7.1.3", &[(CLOSE, gone), (PING, b"")], &[close(1000)]);
    check(
        "7.1.4",
        &[(CLOSE, gone), (LAST | TEXT, hello)],
        &[close(1000)],
    );
    check(
        "7.1.5",
        &[(TEXT, hello), (CLOSE, gone), (LAST, hello)],
        &[close(1000)],
    );
    let long = vec![b'x'; 256 << 10];
    check(
        "7.1.6",
        &[(LAST | TEXT, &long), (CLOSE, gone), (PING, b"")],
        &[text(&long), close(1000)],
    );
    check("7.3.1", &[(CLOSE, b"")], &[Reply::Close(None)]);
    check("7.3.2", &[(CLOSE, b"a")], &[close(1002)]);
    check("7.3.3", &[(CLOSE, gone)], &[close(1000)]);
    check(
        "7.3.4",
        &[(CLOSE, &close_payload(1000, hello))],
        &[close(1000)],
    );
    check(
        "7.3.5",
        &[(CLOSE, &close_payload(1000, &[b'*'; 123]))],
        &[close(1000)],
    );
    check(
        "7.3.6",
        &[(CLOSE, &close_payload(1000, &[b'*'; 124]))],
        &[close(1002)],
    );
    check(
        "7.5.1",
        &[(CLOSE, &close_payload(1000, b"\xed\xa0\x80"))],
        &[close(1007)],
    );
    check(
        "after nothing",
        &[(PONG, b""), (CLOSE, gone)],
        &[close(1000)],
    );
}

#[test]
fn group_7_close_codes() {
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];

    for code in 0..=u16::MAX {
        let is_valid = valid.contains(&code) || (3000..=4999).contains(&code);
        let answer = close(if is_valid { code } else { 1002 });
        let bytes = raw(CLOSE, &close_payload(code, b"why"));
        assert_eq!(
            echo(&bytes, bytes.len()),
            [answer],
            "7.7, 7.9, 7.13: {code}"
        );
    }
}

#[test]
fn group_9_long_messages_in_any_fragments() {
    let all: Vec<u8> = (0..4 << 20).map(|n: u32| b' ' + (n % 90) as u8).collect();
    for len in [64 << 10, 256 << 10, 1 << 20, 4 << 20] {
        let payload = &all[..len];
        check("9.1", &[(LAST | TEXT, payload)], &[text(payload)]);
        check("9.2", &[(LAST | BINARY, payload)], &[binary(payload)]);
    }
    let payload = &all[..1 << 20];
    for size in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        for (case, kind, expected) in [
            ("9.3", TEXT, text(payload)),
            ("9.4", BINARY, binary(payload)),
        ] {
            let mut frames: Vec<(u8, &[u8])> = payload
                .chunks(size)
                .map(|piece| (CONTINUES, piece))
                .collect();
            frames[0].0 |= kind;
            let last = frames.len() - 1;
            frames[last].0 |= LAST;
            check(case, &frames, &[expected]);
        }
        for (case, kind, expected) in [
            ("9.5", TEXT, text(payload)),
            ("9.6", BINARY, binary(payload)),
        ] {
            let bytes = raw(LAST | kind, payload);
            assert!(echo(&bytes, size) == [expected], "{case}, {size}");
        }
    }
    let short = b"again and again";
    let frames = vec![(LAST | TEXT, &short[..]); 1000];
    check("9.7, 9.8", &frames, &vec![text(short); 1000]);
}

/// What the suite leaves out: masks, and lengths that lie.
#[test]
fn masks_and_lengths_are_held_to() {
    check_bytes("not masked", b"\x81\x05Hello", &[close(1002)]);
    check_bytes(
        "the first byte after 0x81 tells",
        b"\x81\x7f",
        &[close(1002)],
    );
    let lengths: &[&[u8]] = &[
        b"\x82\xff\x80\0\0\0\0\0\0\0mask",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask",
        b"\x82\xfe\0\x05mask",
        b"\x82\xfe\0\x7dmask",
        b"\x82\xff\0\0\0\0\0\0\xff\xffmask",
        b"\x89\xfe\0\x05mask",
        b"\x89\xff",
    ];
    for length in lengths {
        check_bytes("a length", length, &[close(1002)]);
    }
    // As long as can be said: nothing is allocated for it.
    check_bytes(
        "2^63 - 1",
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmaskand so on",
        &[],
    );
}
