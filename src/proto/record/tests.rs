//! Each framing's cases, each fed whole, byte by byte, and in two pieces cut at every place: the outcome is the same.

use super::*;

/// What became of a stream: `Ok` is passed on in one go or in several, `Err` is removed, and the rest is partial.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    passed: Vec<Result<Vec<u8>, Option<Malformed>>>,
    partial: usize,
}

struct Caller {
    splitter: Splitter,
    /// The bytes that are partial.
    held: Vec<u8>,
    passed: Vec<Result<Vec<u8>, Option<Malformed>>>,
    removed: Vec<u8>,
}

impl Caller {
    fn new(framing: &str, record_max: usize) -> Self {
        Self {
            splitter: Splitter::new(parse(framing), record_max),
            held: Vec::new(),
            passed: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let piece = self.splitter.feed(bytes);
            let (taken, rest) = bytes.split_at(piece.taken());
            self.held.extend_from_slice(taken);
            bytes = rest;
            match piece {
                Piece::Partial(_) => assert!(rest.is_empty()),
                Piece::Whole(_) => {
                    let whole = std::mem::take(&mut self.held);
                    match self.passed.last_mut() {
                        Some(Ok(before)) => before.extend(whole),
                        _ => self.passed.push(Ok(whole)),
                    }
                }
                Piece::Garbage { before, bytes, why } => {
                    self.removed.extend(self.held.drain(..before + bytes));
                    if why.is_some() || !matches!(self.passed.last(), Some(Err(_))) {
                        self.passed.push(Err(why));
                    }
                }
            }
        }
    }

    fn outcome(self) -> Outcome {
        Outcome {
            passed: self.passed,
            partial: self.held.len(),
        }
    }
}

fn parse(framing: &str) -> Framing {
    framing.parse().expect("the tests name framings that exist")
}

/// Feeds `stream` however it can be cut in two, and byte by byte.
#[track_caller]
fn splits(
    framing: &str,
    record_max: usize,
    stream: &[u8],
    passed: &[Result<&[u8], Option<Malformed>>],
    partial: usize,
) {
    let expected = Outcome {
        passed: passed.iter().map(|part| part.map(<[u8]>::to_vec)).collect(),
        partial,
    };
    for cut in 0..=stream.len() {
        let mut caller = Caller::new(framing, record_max);
        let (first, second) = stream.split_at(cut);
        caller.feed(first);
        caller.feed(second);
        assert_eq!(caller.outcome(), expected, "{framing}, cut at {cut}");
    }
    let mut caller = Caller::new(framing, record_max);
    stream.chunks(1).for_each(|byte| caller.feed(byte));
    assert_eq!(caller.outcome(), expected, "{framing}, byte by byte");
}

const fn too_long(max: usize) -> Option<Malformed> {
    Some(Malformed::TooLong { max })
}

const fn length(given: usize, max: usize) -> Option<Malformed> {
    Some(Malformed::Length { given, max })
}

const NO_SYNC: Option<Malformed> = Some(Malformed::NoSync);

#[test]
fn raw_passes_everything_at_once() {
    splits("raw", 1, b"abc", &[Ok(b"abc")], 0);
    let mut splitter = Splitter::new(Framing::Raw, 1);
    assert_eq!(splitter.feed(b""), Piece::Partial(0));
    assert_eq!(splitter.feed(b"abc"), Piece::Whole(3));
}

#[test]
fn lines_end_with_their_newline() {
    splits("line", 9, b"", &[], 0);
    splits("line", 9, b"one\n\ntwo\nth", &[Ok(b"one\n\ntwo\n")], 2);
    splits("line", 9, b"\r\n", &[Ok(b"\r\n")], 0);
    splits("line", 1, b"\n\n", &[Ok(b"\n\n")], 0);
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    splits("line", 4, b"abc\nabc\n", &[Ok(b"abc\nabc\n")], 0);
    splits("line", 4, b"abc", &[], 3);
    splits("line", 4, b"abcd", &[Err(too_long(4))], 0);
    splits("line", 4, b"abcd\nx", &[Err(too_long(4))], 1);
    let passed = [Ok(&b"a\n"[..]), Err(too_long(4)), Ok(b"abc\n\n")];
    splits("line", 4, b"a\nabcdefghijk\nabc\n\n", &passed, 0);
    let passed = [Err(too_long(4)), Err(too_long(4)), Ok(&b"\n"[..])];
    splits("line", 4, b"abcdef\nabcd\n\n", &passed, 0);
}

#[test]
fn the_short_lines_before_one_that_is_too_long_pass() {
    let mut splitter = Splitter::new(Framing::Line, 4);
    let stream = b"a\nb\nabcde\nc\n";
    assert_eq!(splitter.feed(stream), Piece::Whole(4));
    let garbage = Piece::Garbage {
        before: 0,
        bytes: 6,
        why: too_long(4),
    };
    assert_eq!(splitter.feed(&stream[4..]), garbage);
    assert_eq!(splitter.feed(&stream[10..]), Piece::Whole(2));
}

#[test]
fn garbage_takes_the_partial_bytes_with_it() {
    let mut splitter = Splitter::new(Framing::Line, 4);
    assert_eq!(splitter.feed(b"abc"), Piece::Partial(3));
    let garbage = |before, bytes, why| Piece::Garbage { before, bytes, why };
    assert_eq!(splitter.feed(b"d"), garbage(3, 1, too_long(4)));
    assert_eq!(splitter.feed(b"efghi"), garbage(0, 5, None));
    assert_eq!(splitter.feed(b"j\nk\n"), garbage(0, 2, None));
    assert_eq!(splitter.feed(b"k\n"), Piece::Whole(2));
}

#[test]
fn a_piece_is_as_long_as_can_be_told() {
    let mut splitter = Splitter::new(Framing::Line, 1 << 20);
    let lines = b"0123456789\n".repeat(1000);
    assert_eq!(splitter.feed(&lines[..5000]), Piece::Whole(4994));
    assert_eq!(splitter.feed(&lines[4994..5000]), Piece::Partial(6));
    assert_eq!(splitter.feed(&lines[5000..]), Piece::Whole(6000));
    let mut narrow = Splitter::new(Framing::Line, 11);
    assert_eq!(narrow.feed(&lines), Piece::Whole(11_000));
    let mut narrow = Splitter::new(parse("delim:0d0a"), 6);
    assert_eq!(narrow.feed(b"a\r\nbb\r\ncccc"), Piece::Whole(7));
    let mut in_order = Splitter::new(parse("delim:0a0a"), 100);
    assert_eq!(in_order.feed(b"a\n\nb\n\n\nc"), Piece::Whole(6));
}

#[test]
fn a_limit_that_is_off_is_none() {
    for framing in ["line", "delim:0d0a", "len:u32be+1", "fixed:5", "mpegts"] {
        let mut splitter = Splitter::new(parse(framing), usize::MAX);
        assert_eq!(splitter.feed(b"G\xff"), Piece::Partial(2), "{framing}");
        assert_eq!(splitter.feed(b"\xff\r\n").taken(), 3, "{framing}");
    }
}

#[test]
fn fixed_records_are_counted() {
    splits("fixed:3", 3, b"abcdefgh", &[Ok(b"abcdef")], 2);
    splits("fixed:1", 3, b"ab", &[Ok(b"ab")], 0);
    splits("fixed:8", 8, b"abc", &[], 3);
}

#[test]
fn lengths_are_followed_in_each_of_their_forms() {
    let stream = b"\x00\x03abc\x00\x00\x00\x01x\x00\x02a";
    let whole = &stream[..10];
    splits("len:u16be", 9, stream, &[Ok(whole)], 3);
    splits("len:u16le", 9, b"\x01\x00a\x00", &[Ok(b"\x01\x00a")], 1);
    let stream = b"\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00";
    splits("len:u32be", 9, stream, &[Ok(&stream[..10])], 2);
    let stream = b"\x02\x00\x00\x00ab\x00\x00\x00";
    splits("len:u32le", 9, stream, &[Ok(&stream[..6])], 3);
}

#[test]
fn bytes_that_a_length_does_not_count_belong_to_the_record() {
    let stream = b"\x00\x01tta\x00\x00tt\x00\x01t";
    splits("len:u16be+2", 9, stream, &[Ok(&stream[..9])], 3);
}

#[test]
fn a_length_may_reach_the_limit_and_no_further() {
    splits("len:u16be", 5, b"\x00\x03abc", &[Ok(b"\x00\x03abc")], 0);
    splits("len:u16be", 5, b"\x00\x04abcd", &[Err(length(6, 5))], 0);
    splits("len:u16be+1", 5, b"\x00\x03abcd", &[Err(length(6, 5))], 0);
    splits("len:u16be", 5, b"\x00", &[], 1);
}

#[test]
fn after_a_malformed_length_nothing_passes_before_the_next_upstream() {
    let stream = b"\x00\x01a\xff\xff\x00\x01a\x00\x01a";
    let passed = [Ok(&stream[..3]), Err(length(0x1_0001, 9))];
    splits("len:u16be", 9, stream, &passed, 0);
    let longest = 4 + u32::MAX as usize;
    splits("len:u32le", 9, &[0xff; 6], &[Err(length(longest, 9))], 0);
    let mut caller = Caller::new("len:u16be", 9);
    caller.feed(stream);
    assert_eq!(caller.removed, stream[3..], "and it is said once");
    caller.splitter.reset();
    caller.feed(b"\x00\x01b");
    assert_eq!(caller.passed.last(), Some(&Ok(b"\x00\x01b".to_vec())));
}

#[test]
fn an_end_of_several_bytes_is_found_across_the_edge() {
    splits(
        "delim:0d0a",
        9,
        b"a\r\nb\rc\nd\r\n\r",
        &[Ok(b"a\r\nb\rc\nd\r\n")],
        1,
    );
    splits("delim:0d0a", 9, b"\n\r\n\r\r\n", &[Ok(b"\n\r\n\r\r\n")], 0);
    splits("delim:00", 9, b"a\0\0b", &[Ok(b"a\0\0")], 1);
    let end = b"0123456789abcdef";
    let framing = format!("delim:{}", "30313233343536373839616263646566");
    let stream = [&b"xx0123456789abcde"[..], end, end, b"01234"].concat();
    splits(&framing, 40, &stream, &[Ok(&stream[..49])], 5);
}

#[test]
fn an_end_is_found_however_often_its_last_byte_stands_before_or_behind_it() {
    for padding in [0, 1, 29, 30, 31, 32, 33, 62, 63, 64, 65, 200] {
        let padding = b"a".repeat(padding);
        let stream = [&padding[..], b"ba", &padding].concat();
        let whole = &stream[..padding.len() + 2];
        // The first can't overlap itself and is searched from the end, the second is searched in order.
        splits("delim:6261", 999, &stream, &[Ok(whole)], padding.len());
        let stream = [&padding[..], b"aba", &padding].concat();
        let whole = &stream[..padding.len() + 3];
        splits("delim:616261", 999, &stream, &[Ok(whole)], padding.len());
    }
}

#[test]
fn an_end_may_begin_within_what_looks_like_one() {
    splits("delim:616162", 9, b"aaabaab", &[Ok(b"aaabaab")], 0);
    splits("delim:616261", 9, b"ababab", &[Ok(b"aba")], 3);
    splits("delim:616261", 9, b"abababa", &[Ok(b"abababa")], 0);
    splits("delim:6161", 9, b"aaa", &[Ok(b"aa")], 1);
    splits("delim:6161", 9, b"aaaaaba", &[Ok(b"aaaa")], 3);
    splits(
        "delim:0d0a0d0a",
        20,
        b"\r\n\r\n\r\n\r",
        &[Ok(b"\r\n\r\n")],
        3,
    );
}

#[test]
fn an_end_of_several_bytes_counts_towards_the_limit() {
    splits("delim:0d0a", 4, b"ab\r\nab\r\n", &[Ok(b"ab\r\nab\r\n")], 0);
    splits("delim:0d0a", 4, b"ab\r", &[], 3);
    let passed = [Err(too_long(4)), Ok(&b"a\r\n"[..])];
    splits("delim:0d0a", 4, b"abc\r\na\r\n", &passed, 0);
    splits("delim:616162", 4, b"xxaab", &[Err(too_long(4))], 0);
    splits("delim:6161", 3, b"bbaaab", &[Err(too_long(3))], 2);
    splits("delim:6161", 2, b"aabaa", &[Ok(b"aa"), Err(too_long(2))], 0);
}

/// Packets in a row, each with its number in it and nothing that looks like a start.
fn packets(numbers: std::ops::Range<u8>) -> Vec<u8> {
    let packet = |number| [&[0x47][..], &[number; PACKET - 1]].concat();
    numbers.flat_map(packet).collect()
}

#[test]
fn the_first_packet_waits_for_one_byte_of_the_second() {
    let stream = packets(1..3);
    let mut splitter = Splitter::new(Framing::MpegTs, PACKET);
    assert_eq!(splitter.feed(&stream[..PACKET]), Piece::Partial(PACKET));
    assert_eq!(splitter.feed(&stream[PACKET..]), Piece::Whole(PACKET));
    let mut splitter = Splitter::new(Framing::MpegTs, PACKET);
    assert_eq!(splitter.feed(&stream[..PACKET]), Piece::Partial(PACKET));
    assert_eq!(splitter.feed(&[0x47]), Piece::Whole(0));
    assert_eq!(splitter.feed(&[0x47]), Piece::Partial(1));
    assert_eq!(
        splitter.feed(&stream[PACKET + 1..]),
        Piece::Whole(PACKET - 1)
    );
    assert_eq!(splitter.feed(&packets(4..5)), Piece::Whole(PACKET));
}

#[test]
fn packets_pass_each_when_it_is_complete() {
    splits("mpegts", 188, &packets(1..4), &[Ok(&packets(1..4))], 0);
    splits(
        "mpegts",
        188,
        &packets(1..4)[..500],
        &[Ok(&packets(1..3))],
        124,
    );
}

#[test]
fn an_upstream_joined_within_a_packet_is_searched_for_a_start() {
    let stream = &packets(1..5)[100..];
    splits(
        "mpegts",
        188,
        stream,
        &[Err(NO_SYNC), Ok(&packets(2..5))],
        0,
    );
    let stream = &packets(1..4)[100..];
    splits(
        "mpegts",
        188,
        &stream[..stream.len() - 188],
        &[Err(NO_SYNC)],
        188,
    );
    splits("mpegts", 188, &stream[..88 + 376], &[Err(NO_SYNC)], 376);
}

#[test]
fn a_sync_byte_within_a_packet_is_not_taken_for_a_start() {
    // One that has no other 188 bytes further on, and one that has just one other.
    let mut stream = packets(1..6);
    stream[100] = 0x47;
    stream[150] = 0x47;
    stream[150 + PACKET] = 0x47;
    splits(
        "mpegts",
        188,
        &stream[90..],
        &[Err(NO_SYNC), Ok(&stream[PACKET..])],
        0,
    );
    splits(
        "mpegts",
        188,
        &stream[100..],
        &[Err(NO_SYNC), Ok(&stream[PACKET..])],
        0,
    );
}

#[test]
fn a_broken_packet_is_removed_and_the_next_one_found() {
    let mut stream = packets(1..8);
    stream[2 * PACKET] = 0;
    let parts = [Ok(&packets(1..3)[..]), Err(NO_SYNC), Ok(&packets(4..8)[..])];
    splits("mpegts", 188, &stream, &parts, 0);
    // The same, with some bytes more before the next start.
    stream.splice(500..500, [1, 2, 0x47, 3]);
    splits("mpegts", 188, &stream, &parts, 0);
}

#[test]
fn each_loss_of_sync_is_told_once() {
    let mut stream = packets(1..4);
    stream.extend([0; 5]);
    stream.extend(packets(1..4));
    stream.extend([0; 500]);
    let mut caller = Caller::new("mpegts", 188);
    stream.chunks(7).for_each(|bytes| caller.feed(bytes));
    let whole = || Ok(packets(1..4));
    assert_eq!(
        caller.passed,
        [whole(), Err(NO_SYNC), whole(), Err(NO_SYNC)]
    );
    assert_eq!(caller.removed, [0; 505]);
}

#[test]
fn a_failed_start_leaves_later_ones_partial() {
    let mut splitter = Splitter::new(Framing::MpegTs, 188);
    let mut stream = [0; 200];
    stream[0] = 0x47;
    stream[30] = 0x47;
    assert_eq!(splitter.feed(&stream[..188]), Piece::Partial(188));
    let garbage = |before, bytes, why| Piece::Garbage { before, bytes, why };
    assert_eq!(splitter.feed(&stream[188..]), garbage(30, 0, NO_SYNC));
    assert_eq!(splitter.feed(&stream[188..]), Piece::Partial(12));
    assert_eq!(splitter.feed(&[0; 50]), garbage(170, 50, None));
}

#[test]
fn another_upstream_begins_with_nothing_left_of_the_old_one() {
    for (framing, left, fresh) in [
        ("line", &b"ab"[..], &b"\n"[..]),
        ("delim:0d0a", b"a\r", b"\n\r\n"),
        ("delim:0d0a", b"0123456789\r", b"\n\r\n"),
        ("fixed:3", b"ab", b"abc"),
        ("len:u16be", b"\x00", b"\x00\x01a"),
        ("len:u16be", b"\x00\x03a", b"\x00\x01a"),
    ] {
        let mut caller = Caller::new(framing, 9);
        caller.feed(left);
        caller.held.clear();
        caller.splitter.reset();
        caller.feed(fresh);
        let last = caller.passed.last();
        assert_eq!(last, Some(&Ok(fresh.to_vec())), "{framing}");
    }
    let mut splitter = Splitter::new(Framing::MpegTs, 188);
    assert_eq!(splitter.feed(&packets(1..4)), Piece::Whole(564));
    assert_eq!(splitter.feed(&packets(1..2)[..9]), Piece::Partial(9));
    splitter.reset();
    assert_eq!(splitter.feed(&packets(1..2)), Piece::Partial(188));
}

#[test]
#[should_panic(expected = "no record fits")]
fn a_limit_that_lets_nothing_pass_is_a_mistake() {
    Splitter::new(parse("len:u16be+2"), 3);
}

#[test]
fn a_record_is_measured_from_its_start() {
    for (framing, bytes, len) in [
        ("raw", &b"ab"[..], Some(1)),
        ("raw", b"", None),
        ("line", b"ab\nc\n", Some(3)),
        ("line", b"abcdefg\n", Some(8)),
        ("line", b"abcdefgh\n", None),
        ("line", b"ab", None),
        ("fixed:3", b"abcd", Some(3)),
        ("fixed:3", b"ab", None),
        ("len:u16le+1", b"\x01\x00ab\x00", Some(4)),
        ("len:u16le+1", b"\x01\x00a", None),
        ("len:u16le+1", b"\x06\x00123456789", None),
        ("len:u32be", b"\x00\x00\x00", None),
        ("delim:6161", b"baaa", Some(3)),
        ("delim:6161", b"bababa", None),
        ("mpegts", b"G", None),
    ] {
        let framing = parse(framing);
        assert_eq!(framing.record_len(bytes, 8), len, "{framing} {bytes:?}");
        for seam in 0..=bytes.len() {
            let (first, second) = bytes.split_at(seam);
            let found = framing.record_len_in([first, second], 8);
            assert_eq!(found, len, "{framing} {bytes:?} over {seam}");
        }
    }
    let packets = packets(1..3);
    assert_eq!(Framing::MpegTs.record_len(&packets, 188), Some(188));
    assert_eq!(Framing::MpegTs.record_len(&packets[1..], 188), None);
}

#[test]
fn a_framing_is_written_as_it_is_read() {
    for text in [
        "raw",
        "line",
        "fixed:1",
        "fixed:188",
        "len:u16be",
        "len:u16le",
        "len:u32be",
        "len:u32le",
        "len:u16be+2",
        "delim:0d0a",
        "delim:00112233445566778899aabbccddeeff",
        "mpegts",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse("fixed:4K").to_string(), "fixed:4096");
    assert_eq!(parse("delim:0D0A"), parse("delim:0d0a"));
    assert_eq!(parse("len:u32le+0").to_string(), "len:u32le");
}

#[test]
fn a_framing_that_is_none_says_what_would_do() {
    for (text, expected) in [
        (
            "lines",
            "lines is no framing: write raw, line, fixed:N, len:u16be",
        ),
        ("", "\"\" is no framing: "),
        ("line:", "line: is no framing: "),
        (
            "fixed",
            "fixed is no length of records: write fixed:N with N bytes, at least 1, as in fixed:512",
        ),
        ("fixed:0", "fixed:0 is no length of records"),
        ("fixed:-1", "fixed:-1 is no length of records"),
        (
            "fixed:99999999999G",
            "fixed:99999999999G is no length of records",
        ),
        ("len", "len is no kind of length: write len:u16be"),
        ("len:u8", "len:u8 is no kind of length"),
        ("len:u16be+", "len:u16be+ is no kind of length"),
        ("len:u16be+2+2", "len:u16be+2+2 is no kind of length"),
        ("len:u16be-2", "len:u16be-2 is no kind of length"),
        (
            "delim",
            "delim is no end of a record: write delim:HEX with two hexadecimal digits a byte",
        ),
        ("delim:", "delim: is no end of a record"),
        ("delim:0", "delim:0 is no end of a record"),
        ("delim:+1", "delim:+1 is no end of a record"),
        ("delim:0d\u{e9}", "\"delim:0d\u{e9}\" is no end of a record"),
        (
            "delim:0011223344556677889900112233445566",
            "17 bytes are too many for the end of a record: the most are 16",
        ),
    ] {
        let error = text.parse::<Framing>().expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn what_was_wrong_is_told_in_one_line() {
    for (why, text) in [
        (
            too_long(80),
            "a record is longer than the 80 bytes accepted",
        ),
        (
            length(65537, 80),
            "a record claims 65537 bytes, of 80 accepted",
        ),
        (NO_SYNC, "no MPEG-TS packet begins where one should"),
    ] {
        assert_eq!(why.map(|why| why.to_string()).as_deref(), Some(text));
    }
}
