//! Record boundaries against the plainest thing that could tell them: a splitter that has all bytes at once, looks at
//! one record at a time and searches each from its start.

use std::num::NonZeroUsize;

use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::record::{Delim, Framing, Malformed, PACKET, Piece, Prefix, Splitter, Width};

/// Draws a framing and a stream from the script, and splits the stream in one piece, byte by byte and in pieces drawn
/// from a seed.
///
/// # Panics
/// When any of them differs from the naive splitter, at any moment; when a record's length is not found at its start;
/// or when records that were encoded do not come out as they went in.
pub fn framing(data: &[u8]) {
    let mut script = Script::new(data);
    let framing = draw(&mut script);
    let record_max = framing.shortest() + script.pick(60);
    let mut rng = Rng::new(u64::from(script.take_u16()));
    shows_what_it_reads(framing);
    let mut stream = Vec::new();
    let mut encoded = Some(Vec::new());
    let only_encoded = script.pick(4) == 0;
    while !script.is_empty() && stream.len() < STREAM_MAX {
        let start = stream.len();
        if only_encoded || script.pick(3) == 0 {
            // Among other bytes, some are a little too long.
            let over = if only_encoded { 0 } else { 2 };
            let spare = script.pick(record_max + over + 1 - framing.shortest());
            encoded = encoded.filter(|_| framing.shortest() + spare <= record_max);
            encode(framing, spare, &mut rng, &mut stream);
            encoded
                .iter_mut()
                .for_each(|lens| lens.push(stream.len() - start));
        } else {
            scribble(framing, &mut script, &mut stream);
            encoded = None;
        }
    }
    let naive = Naive::split(framing, record_max, &stream);
    if let Some(lens) = encoded {
        check_encoded(framing, &naive, &lens);
    }
    check_lookup(framing, record_max, &stream, &naive);
    let all = stream.len();
    check_pieces(framing, record_max, &stream, &mut || all);
    check_pieces(framing, record_max, &stream, &mut || 1);
    let longest = 1 + rng.below(stream.len() as u64);
    check_pieces(framing, record_max, &stream, &mut || {
        1 + rng.below(longest) as usize
    });
}

/// What is told of a stream, in order. Whole records stand together, since a splitter does not tell them apart, and so
/// does all garbage of one loss of sync that nothing whole interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// So many bytes of whole records.
    Whole(usize),
    /// So many bytes that belong to none.
    Garbage(usize, Option<Malformed>),
}

/// The naive splitter's answer.
#[derive(Debug, Default)]
pub struct Naive {
    /// What can be told.
    pub told: Vec<Told>,
    /// Where each whole record begins, and its length.
    pub records: Vec<(usize, usize)>,
    /// How many of the last bytes nothing can be told of yet.
    pub partial: usize,
}

impl Naive {
    /// Splits the first bytes of an upstream, as far as they go.
    pub fn split(framing: Framing, record_max: usize, bytes: &[u8]) -> Self {
        let mut own = Self::default();
        let (mut at, mut sync) = (0, Sync::Start);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let found = match framing {
                Framing::Raw => Found::Record(1),
                Framing::Fixed(len) => record(Some(len.get()), rest),
                Framing::Line => until(b"\n", rest, record_max),
                Framing::Delim(delim) => until(delim.as_bytes(), rest, record_max),
                Framing::Len(prefix) => prefixed(prefix, rest, record_max),
                Framing::MpegTs => packet(rest, &mut sync),
            };
            match found {
                Found::Record(len) => {
                    own.records.push((at, len));
                    tell(&mut own.told, Told::Whole(len));
                    at += len;
                }
                Found::Garbage(len, why) => {
                    tell(&mut own.told, Told::Garbage(len, why));
                    at += len;
                }
                Found::Nothing => break,
            }
        }
        own.partial = bytes.len() - at;
        own
    }
}

enum Found {
    Record(usize),
    Garbage(usize, Option<Malformed>),
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Start,
    Lost { told: bool },
    Found,
}

fn record(len: Option<usize>, rest: &[u8]) -> Found {
    let len = len.filter(|len| *len <= rest.len());
    len.map_or(Found::Nothing, Found::Record)
}

fn until(delim: &[u8], rest: &[u8], max: usize) -> Found {
    let place = rest.windows(delim.len()).position(|bytes| bytes == delim);
    match place.map(|place| place + delim.len()) {
        Some(len) if len <= max => Found::Record(len),
        None if rest.len() < max => Found::Nothing,
        len => Found::Garbage(len.unwrap_or(rest.len()), Some(Malformed::TooLong { max })),
    }
}

fn prefixed(prefix: Prefix, rest: &[u8], max: usize) -> Found {
    let Some(len) = length(prefix, rest) else {
        return Found::Nothing;
    };
    if len > max {
        let why = Malformed::Length { given: len, max };
        return Found::Garbage(rest.len(), Some(why));
    }
    record(Some(len), rest)
}

fn length(prefix: Prefix, rest: &[u8]) -> Option<usize> {
    let length = match (prefix.width, prefix.little) {
        (Width::U16, false) => u16::from_be_bytes(rest.first_chunk().copied()?).into(),
        (Width::U16, true) => u16::from_le_bytes(rest.first_chunk().copied()?).into(),
        (Width::U32, false) => u32::from_be_bytes(rest.first_chunk().copied()?),
        (Width::U32, true) => u32::from_le_bytes(rest.first_chunk().copied()?),
    };
    Some(length as usize + prefix.width.bytes() + prefix.extra)
}

fn packet(rest: &[u8], sync: &mut Sync) -> Found {
    let is_sync = |at: usize| rest.get(at).map(|byte| *byte == SYNC);
    if *sync == Sync::Found {
        if is_sync(0) == Some(true) {
            return record(Some(PACKET), rest);
        }
        *sync = Sync::Lost { told: false };
    }
    let proof: &[usize] = match sync {
        Sync::Start => &[0, PACKET],
        _ => &[0, PACKET, 2 * PACKET],
    };
    if proof.iter().any(|at| is_sync(*at) == Some(false)) {
        let why = (*sync != Sync::Lost { told: true }).then_some(Malformed::NoSync);
        *sync = Sync::Lost { told: true };
        return Found::Garbage(1, why);
    }
    if proof.iter().any(|at| is_sync(*at).is_none()) {
        return Found::Nothing;
    }
    *sync = Sync::Found;
    record(Some(PACKET), rest)
}

/// Adds to what was told, joining what a splitter may tell in one piece or in several.
fn tell(told: &mut Vec<Told>, next: Told) {
    match (told.last_mut(), next) {
        (_, Told::Whole(0)) => (),
        (Some(Told::Whole(len)), Told::Whole(more)) => *len += more,
        (Some(Told::Garbage(len, _)), Told::Garbage(more, None)) => *len += more,
        _ => told.push(next),
    }
}

/// Feeds the stream in pieces of the sizes drawn, and compares at each piece's end what has been told so far.
fn check_pieces(
    framing: Framing,
    record_max: usize,
    stream: &[u8],
    size: &mut dyn FnMut() -> usize,
) {
    let mut splitter = Splitter::new(framing, record_max);
    let mut told = Vec::new();
    let (mut at, mut compared, mut partial) = (0, 0, 0);
    let each = 1 + stream.len() / COMPARED_MAX;
    while at < stream.len() {
        let end = stream.len().min(at + size());
        partial = feed(&mut splitter, partial, &stream[at..end], &mut told);
        at = end;
        // The naive splitter begins anew each time.
        if at == stream.len() || at / each > compared {
            compared = at / each;
            let naive = Naive::split(framing, record_max, &stream[..at]);
            assert_eq!(told, naive.told, "{framing} after {at} bytes");
            assert_eq!(partial, naive.partial, "{framing} after {at} bytes");
        }
    }
    splitter.reset();
    let mut again = Vec::new();
    assert_eq!(feed(&mut splitter, 0, stream, &mut again), partial);
    assert_eq!(
        again, told,
        "{framing}: after a reset nothing is left of what was before"
    );
}

/// Feeds all of `bytes`, while so many are held back, and says how many are then.
fn feed(splitter: &mut Splitter, mut partial: usize, bytes: &[u8], told: &mut Vec<Told>) -> usize {
    let mut rest = bytes;
    let mut was_whole = false;
    while !rest.is_empty() {
        let piece = splitter.feed(rest);
        let is_whole = matches!(piece, Piece::Whole(_));
        assert!(!(was_whole && is_whole), "what is whole is told at once");
        was_whole = is_whole;
        rest = &rest[piece.taken()..];
        match piece {
            Piece::Whole(len) => {
                assert!(partial + len > 0, "a piece gets somewhere");
                tell(told, Told::Whole(partial + len));
                partial = 0;
            }
            Piece::Partial(len) => {
                assert!(len > 0 && rest.is_empty(), "nothing is left over");
                partial += len;
            }
            Piece::Garbage { before, bytes, why } => {
                assert!(before + bytes > 0, "a piece gets somewhere");
                assert!(before == partial || before < partial && bytes == 0);
                tell(told, Told::Garbage(before + bytes, why));
                partial -= before;
            }
        }
    }
    partial
}

/// Each record's length is found at its start, wherever a seam lies, and none before it is complete.
fn check_lookup(framing: Framing, record_max: usize, stream: &[u8], naive: &Naive) {
    for &(start, len) in &naive.records {
        let rest = &stream[start..];
        let seam = (start * 7 + len) % (len + 1);
        let (first, second) = rest.split_at(seam);
        assert_eq!(framing.record_len(rest, record_max), Some(len));
        assert_eq!(
            framing.record_len_in([first, second], record_max),
            Some(len)
        );
        assert_eq!(framing.record_len(&rest[..len - 1], record_max), None);
    }
    let partial = &stream[stream.len() - naive.partial..];
    if framing != Framing::MpegTs {
        assert_eq!(framing.record_len(partial, record_max), None);
    }
    assert!(naive.partial <= framing.partial_max(record_max));
}

fn check_encoded(framing: Framing, naive: &Naive, lens: &[usize]) {
    let found: Vec<_> = naive.records.iter().map(|(_, len)| *len).collect();
    match framing {
        Framing::Raw => assert_eq!(found.len(), lens.iter().sum::<usize>()),
        // One packet alone is not proven to be one.
        Framing::MpegTs if lens.len() == 1 => assert_eq!(naive.partial, PACKET),
        _ => assert_eq!(found, lens, "{framing}: encoded and split"),
    }
}

/// What a framing shows reads back to the same.
fn shows_what_it_reads(framing: Framing) {
    let shown = framing.to_string();
    assert_eq!(shown.parse(), Ok(framing), "shown as {shown}");
}

fn draw(script: &mut Script<'_>) -> Framing {
    match script.pick(6) {
        0 => Framing::Raw,
        1 => Framing::Line,
        2 => Framing::Fixed(NonZeroUsize::MIN.saturating_add(script.pick(20))),
        3 => {
            let kind = script.take_u8();
            Framing::Len(Prefix {
                width: if kind & 1 == 0 {
                    Width::U16
                } else {
                    Width::U32
                },
                little: kind & 2 != 0,
                extra: usize::from(kind >> 2) % 4,
            })
        }
        4 => {
            let len = 1 + script.pick(6);
            // Few letters, so that ends overlap themselves and each other.
            let bytes: Vec<_> = (0..len).map(|_| letter(script.take_u8())).collect();
            Framing::Delim(Delim::new(&bytes).expect("1 to 6 bytes are accepted"))
        }
        _ => Framing::MpegTs,
    }
}

/// Appends a record as its sender would write it, with `spare` bytes more than the shortest has, where that can be.
fn encode(framing: Framing, spare: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    let len = match framing {
        Framing::Fixed(_) | Framing::MpegTs => framing.shortest(),
        _ => framing.shortest() + spare,
    };
    let start = out.len();
    out.extend((0..len).map(|_| letter(rng.next() as u8)));
    let record = &mut out[start..];
    let end: &[u8] = match &framing {
        Framing::Raw | Framing::Fixed(_) => &[],
        Framing::Line => b"\n",
        Framing::Delim(delim) => delim.as_bytes(),
        Framing::MpegTs => {
            record[0] = SYNC;
            &[]
        }
        Framing::Len(prefix) => {
            let (width, length) = (prefix.width.bytes(), len - framing.shortest());
            let length = (length as u32).to_le_bytes();
            record[..width].copy_from_slice(&length[..width]);
            if !prefix.little {
                record[..width].reverse();
            }
            &[]
        }
    };
    let payload = len - end.len();
    if !end.is_empty() {
        record[payload..].copy_from_slice(end);
        record[..payload]
            .iter_mut()
            .for_each(|byte| *byte = if end.contains(byte) { b'-' } else { *byte });
    }
}

/// Appends bytes that need not be a record.
fn scribble(framing: Framing, script: &mut Script<'_>, out: &mut Vec<u8>) {
    match script.pick(4) {
        0 => out.extend((0..script.pick(20)).map(|_| script.take_u8())),
        1 => out.extend((0..script.pick(20)).map(|_| letter(script.take_u8()))),
        2 => {
            let byte = if script.pick(2) == 0 { SYNC } else { 0 };
            out.extend(vec![byte; script.pick(400)]);
        }
        _ => match framing {
            Framing::Delim(delim) => {
                let part = script.pick(delim.as_bytes().len() + 1);
                out.extend_from_slice(&delim.as_bytes()[..part]);
            }
            Framing::MpegTs => {
                out.push(SYNC);
                out.extend(vec![script.take_u8(); PACKET - 1]);
            }
            _ => out.push(script.take_u8()),
        },
    }
}

/// One of a few bytes, none of which is `-`.
fn letter(byte: u8) -> u8 {
    b"ab\ncG\r"[usize::from(byte) % 6]
}

const SYNC: u8 = 0x47;
const STREAM_MAX: usize = 2048;
/// At how many places of a stream the two are compared.
const COMPARED_MAX: usize = 60;
