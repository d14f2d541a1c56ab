//! Group 6: texts are UTF-8, and what is not is refused with 1007 as soon as that is seen.

use super::{
    BINARY, CONTINUES, LAST, Played, Reply, SIDES, TEXT, binary, check, close, echo, raw, text,
};

/// A text in fragments of this size.
fn fragments(bytes: &[u8], size: usize) -> Vec<(u8, &[u8])> {
    let pieces = bytes.chunks(size).map(|piece| (CONTINUES, piece));
    let mut frames: Vec<(u8, &[u8])> = pieces.collect();
    frames[0].0 |= TEXT;
    if let Some(last) = frames.last_mut() {
        last.0 |= LAST;
    }
    frames
}

/// A number in so many bytes, by UTF-8's pattern, whether UTF-8 has it or not.
fn wide(number: u32, len: u32) -> Vec<u8> {
    let mark = !(0xff_u8 >> len);
    let byte = |at: u32| {
        let bits = (number >> (6 * (len - 1 - at))) as u8;
        match at {
            0 => mark | bits,
            _ => 0x80 | (bits & 0x3f),
        }
    };
    (0..len).map(byte).collect()
}

/// What all bits say that fit into so many bytes.
fn widest(len: u32) -> Vec<u8> {
    wide((1 << (5 * len + 1)) - 1, len)
}

impl Played {
    /// A group of texts, each alone under its number, and then in fragments of every size and behind something.
    #[track_caller]
    fn texts<T: AsRef<[u8]>>(&mut self, group: u32, texts: impl IntoIterator<Item = T>) {
        for (number, bytes) in (1..).zip(texts) {
            let case = format!("6.{group}.{number}");
            let bytes = bytes.as_ref();
            let answer = |bytes: &[u8]| match std::str::from_utf8(bytes) {
                Ok(_) => text(bytes),
                Err(_) => close(1007),
            };
            self.case(&case, &[(LAST | TEXT, bytes)], &[answer(bytes)]);
            for size in 1..=bytes.len() {
                check(&case, &fragments(bytes, size), &[answer(bytes)]);
            }
            let within = [b"before ", bytes].concat();
            check(&case, &[(LAST | TEXT, &within)], &[answer(&within)]);
            // Bytes are taken as they are.
            check(&case, &[(LAST | BINARY, bytes)], &[binary(bytes)]);
        }
    }

    /// A group of which nothing is UTF-8.
    #[track_caller]
    fn wrong<T: AsRef<[u8]>>(&mut self, group: u32, texts: impl IntoIterator<Item = T>) {
        let is_wrong = |bytes: &T| std::str::from_utf8(bytes.as_ref()).is_err();
        let texts = texts.into_iter();
        self.texts(
            group,
            texts.inspect(|bytes| assert!(is_wrong(bytes), "6.{group}")),
        );
    }
}

#[test]
fn group_6_fragments_of_texts() {
    let mut played = Played::default();
    played.case("6.1.1", &[(LAST | TEXT, b"")], &[text(b"")]);
    let empty: [(u8, &[u8]); 3] = [(TEXT, b""), (CONTINUES, b""), (LAST, b"")];
    played.case("6.1.2", &empty, &[text(b"")]);
    let middle: [(u8, &[u8]); 3] = [(TEXT, b""), (CONTINUES, b"middle"), (LAST, b"")];
    played.case("6.1.3", &middle, &[text(b"middle")]);
    let long = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    played.case("6.2.1", &[(LAST | TEXT, long)], &[text(long)]);
    let boundary = "Hello-µ@ßöä".len();
    let halves = [(TEXT, &long[..boundary]), (LAST, &long[boundary..])];
    played.case("6.2.2", &halves, &[text(long)]);
    played.case("6.2.3", &fragments(long, 1), &[text(long)]);
    let short = KOSME.as_bytes();
    played.case("6.2.4", &fragments(short, 1), &[text(short)]);
    let wrong = [short, &wide(0xd800, 3), b"edited"].concat();
    played.case("6.3.1", &[(LAST | TEXT, &wrong)], &[close(1007)]);
    played.case("6.3.2", &fragments(&wrong, 1), &[close(1007)]);
    played.are(&[("6.1", 3), ("6.2", 4), ("6.3", 2)]);
}

/// The rest of the frame, or of the message, is not waited for.
#[test]
fn group_6_4_what_is_not_utf_8_is_refused_at_once() {
    let mut played = Played::default();
    let good = KOSME.as_bytes();
    let wrong = wide(0x11_0000, 4);
    let rest = b"edited";
    let whole = [good, &wrong, rest].concat();
    // In the frame that makes it wrong there is more, or the byte that does is the last of it.
    let begins = [good, &wrong[..1]].concat();
    for (number, first, second) in [
        ("6.4.1", good, &wrong[..]),
        ("6.4.2", &begins[..], &wrong[1..2]),
    ] {
        for side in SIDES {
            let first = raw(side, TEXT, first);
            assert_eq!(echo(side, [&first[..]]), [], "{number}");
            let second = raw(side, CONTINUES, second);
            let refused = echo(side, [&first[..], &second]);
            assert_eq!(refused, [close(1007)], "{number}");
        }
        played.note(number);
    }
    // As before, in one frame that comes in pieces.
    for (number, before, after) in [
        ("6.4.3", good.len(), good.len() + wrong.len()),
        ("6.4.4", good.len() + 1, good.len() + 2),
    ] {
        for side in SIDES {
            let frame = raw(side, LAST | TEXT, &whole);
            let head = frame.len() - whole.len();
            let first = &frame[..head + before];
            assert_eq!(echo(side, [first]), [], "{number}");
            let second = &frame[head + before..head + after];
            assert_eq!(echo(side, [first, second]), [close(1007)], "{number}");
        }
        played.note(number);
    }
    played.are(&[("6.4", 4)]);
}

#[test]
fn group_6_texts_are_utf_8() {
    let mut played = Played::default();
    let some = KOSME;
    played.texts(
        5,
        [
            "hello$world",
            "hello¢world",
            "hello€world",
            "hello𤭢world",
            some,
        ],
    );
    played.texts(6, (1..=some.len()).map(|len| &some.as_bytes()[..len]));
    played.texts(7, ["\0", "\u{80}", "\u{800}", "\u{10000}"]);
    played.texts(8, [wide(0x20_0000, 5), wide(0x400_0000, 6)]);
    played.texts(9, ["\x7f", "\u{7ff}", "\u{ffff}", "\u{10ffff}"]);
    played.texts(10, (4..=6).map(widest));
    let bounds = ["\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{10ffff}"];
    let bounds = bounds.map(|text| text.as_bytes().to_vec()).into_iter();
    played.texts(11, bounds.chain([wide(0x11_0000, 4)]));
    // Every plane's last two, which are no characters and may be sent all the same.
    let nobodys = (0..=16).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    played.texts(22, nobodys.map(character));
    played.texts(23, (0xfff9..=0xffff).map(character));
    let valid = [
        (5, 5),
        (6, 11),
        (7, 4),
        (8, 2),
        (9, 4),
        (10, 3),
        (11, 5),
        (22, 34),
        (23, 7),
    ];
    let groups = valid.map(|(group, count)| (format!("6.{group}"), count));
    played.are(&groups.each_ref().map(|(group, count)| (&group[..], *count)));
}

fn character(number: u32) -> String {
    char::from_u32(number).expect("no surrogate").to_string()
}

#[test]
fn group_6_what_is_not_utf_8_is_refused() {
    let mut played = Played::default();
    let both = |len: usize| b"\x80\xbf".iter().copied().cycle().take(len);
    let alone = [vec![0x80], vec![0xbf]].into_iter();
    let several = (2..=6).map(|len| both(len).collect());
    played.wrong(12, alone.chain(several).chain([(0x80..0xbf).collect()]));
    let firsts = [
        0xc0..=0xdf,
        0xe0..=0xef,
        0xf0..=0xf7,
        0xf8..=0xfb,
        0xfc..=0xfd,
    ];
    let lonely = firsts.map(|firsts| firsts.flat_map(|first| [first, b' ']).collect::<Vec<u8>>());
    played.wrong(13, lonely);
    let cut = |mut bytes: Vec<u8>| {
        bytes.pop();
        bytes
    };
    let least = (2..=6).map(|len| cut(wide(0, len)));
    let cuts: Vec<Vec<u8>> = least.chain((2..=6).map(widest).map(cut)).collect();
    played.wrong(14, &cuts);
    played.wrong(15, [cuts.concat()]);
    played.wrong(16, [&b"\xfe"[..], b"\xff", b"\xfe\xfe\xff\xff"]);
    played.wrong(17, (2..=6).map(|len| wide(u32::from(b'/'), len)));
    // The last number that would have fitted into fewer bytes.
    let shorter = |len: u32| match len {
        2 => 0x7f,
        _ => (1 << (5 * len - 4)) - 1,
    };
    played.wrong(18, (2..=6).map(|len| wide(shorter(len), len)));
    played.wrong(19, (2..=6).map(|len| wide(0, len)));
    let surrogates = [0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff];
    played.wrong(20, surrogates.map(|number| wide(number, 3)));
    let lows = [wide(0xdc00, 3), wide(0xdfff, 3)];
    let pairs = surrogates[..4].iter().flat_map(|high| {
        let high = wide(*high, 3);
        lows.each_ref().map(|low| [&high[..], low].concat())
    });
    played.wrong(21, pairs);
    let counts = [
        (12, 8),
        (13, 5),
        (14, 10),
        (15, 1),
        (16, 3),
        (17, 5),
        (18, 5),
        (19, 5),
        (20, 7),
        (21, 8),
    ];
    let groups = counts.map(|(group, count)| (format!("6.{group}"), count));
    played.are(&groups.each_ref().map(|(group, count)| (&group[..], *count)));
}

/// The pattern of bytes that the cases are made of, on what is known.
#[test]
fn numbers_are_spread_over_bytes() {
    assert_eq!(wide(0x10_ffff, 4), "\u{10ffff}".as_bytes());
    assert_eq!(wide(0x7ff, 2), widest(2));
    assert_eq!(widest(6), [0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]);
    assert_eq!(Reply::Text(wide(0x20ac, 3)), text("€".as_bytes()));
}

/// Characters of two bytes, and one of three.
const KOSME: &str = "κ\u{1f79}σμε";
