//! The hub's protocol against the plainest reader there could be: one that has all bytes at once and looks at one thing
//! at a time.

use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::mailbox::{
    DIGITS_MAX, Fault, HEAD_MAX, NAME_MAX, NameFault, Notice, Piece, Reader, Request, check_name,
    write_head, write_message, write_opening,
};

/// Draws a stream from the script, of rubbish and of what was properly written, and reads it in one piece, byte by byte
/// and in pieces drawn from a seed.
///
/// # Panics
/// When any of them differs from the naive reader, or when a message that means something does not read back.
pub fn mailbox(data: &[u8]) {
    let mut script = Script::new(data);
    let of_client = script.pick(4) > 0;
    let max = [0, 5, 70, 300, u64::MAX][script.pick(5)];
    let mut rng = Rng::new(u64::from(script.take_u16()));
    let mut stream = Vec::new();
    if of_client && script.pick(4) > 0 {
        write_opening(&name(&mut script), script.pick(2) == 0, &mut stream);
    }
    while !script.is_empty() && stream.len() < STREAM_MAX {
        add(&mut script, &mut rng, &mut stream);
    }
    let naive = naive(of_client, max, &stream);
    let reader = match of_client {
        true => Reader::of_client(max),
        false => Reader::of_hub(max),
    };
    let all = stream.len().max(1);
    let longest = 1 + rng.below(stream.len() as u64);
    check(&reader, &stream, &naive, || all);
    check(&reader, &stream, &naive, || 1);
    check(&reader, &stream, &naive, || 1 + rng.below(longest) as usize);
}

/// What a stream means, and the fault that ends it. All bytes of a message's that have come stand together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    things: Vec<Thing>,
    fault: Option<Fault>,
}

#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Envelope,
    Name(Vec<u8>),
    Message {
        name: Vec<u8>,
        len: u64,
        bytes: Vec<u8>,
        whole: bool,
    },
}

fn naive(of_client: bool, max: u64, stream: &[u8]) -> Told {
    let mut told = Told::default();
    let mut rest = stream;
    if of_client {
        match open(&mut rest, &mut told.things) {
            Ok(true) => {}
            Ok(false) => return told,
            Err(fault) => {
                told.fault = Some(fault);
                return told;
            }
        }
    }
    loop {
        match message(&mut rest, max) {
            Ok(Some(message)) => told.things.push(message),
            Ok(None) => return told,
            Err(fault) => {
                told.fault = Some(fault);
                return told;
            }
        }
    }
}

/// Whether the opening is complete.
fn open(rest: &mut &[u8], things: &mut Vec<Thing>) -> Result<bool, Fault> {
    const ENVELOPE: &[u8] = b"|8|envelope";
    if rest.first() == Some(&b'|') {
        match rest.strip_prefix(ENVELOPE) {
            Some(after) => *rest = after,
            None if ENVELOPE.starts_with(rest) => return Ok(false),
            None => return Err(Fault::Opening),
        }
        things.push(Thing::Envelope);
    }
    let Some(bar) = rest.iter().position(|byte| *byte == b'|') else {
        return match rest.len() > NAME_MAX {
            true => Err(Fault::Name(NameFault::TooLong)),
            false => Ok(false),
        };
    };
    check_name(&rest[..bar]).map_err(|fault| match fault {
        _ if bar > NAME_MAX => Fault::Name(NameFault::TooLong),
        fault => Fault::Name(fault),
    })?;
    things.push(Thing::Name(rest[..bar].to_vec()));
    *rest = &rest[bar + 1..];
    Ok(true)
}

fn message(rest: &mut &[u8], max: u64) -> Result<Option<Thing>, Fault> {
    let bar = rest.iter().position(|byte| *byte == b'|');
    if bar.unwrap_or(rest.len()) > NAME_MAX {
        return Err(Fault::HeadTooLong);
    }
    let Some(bar) = bar else { return Ok(None) };
    let mut digits = 0;
    let mut len: u128 = 0;
    for byte in &rest[bar + 1..] {
        match byte {
            b'|' if digits == 0 => return Err(Fault::NoLength),
            b'|' => {
                let len = u64::try_from(len).unwrap_or(u64::MAX);
                if len > max {
                    return Err(Fault::TooLong { len, max });
                }
                let name = rest[..bar].to_vec();
                let body = &rest[bar + 1 + digits + 1..];
                let came = body.len().min(usize::try_from(len).unwrap_or(usize::MAX));
                let (bytes, after) = body.split_at(came);
                *rest = after;
                let (bytes, whole) = (bytes.to_vec(), came as u64 == len);
                return Ok(Some(Thing::Message {
                    name,
                    len,
                    bytes,
                    whole,
                }));
            }
            b'0'..=b'9' if digits == DIGITS_MAX => return Err(Fault::TooManyDigits),
            b'0'..=b'9' => {
                digits += 1;
                len = len * 10 + u128::from(byte - b'0');
            }
            other => return Err(Fault::NotDigit(*other)),
        }
    }
    Ok(None)
}

/// Reads the stream in pieces of the sizes drawn.
fn check(reader: &Reader, stream: &[u8], naive: &Told, mut size: impl FnMut() -> usize) {
    let mut reader = reader.clone();
    let mut told = Told::default();
    let mut at = 0;
    while at < stream.len() && told.fault.is_none() {
        let end = stream.len().min(at + size());
        told.fault = feed(&mut reader, &stream[at..end], &mut told.things).err();
        at = end;
    }
    assert_eq!(&told, naive);
    if told.fault.is_none() {
        let unfinished = matches!(
            told.things.last(),
            Some(Thing::Message { whole: false, .. })
        );
        assert_eq!(reader.is_within_message(), unfinished);
    }
    for thing in &told.things {
        if let Thing::Message { bytes, .. } = thing {
            means_what_it_says(bytes);
        }
    }
}

fn feed(reader: &mut Reader, bytes: &[u8], things: &mut Vec<Thing>) -> Result<(), Fault> {
    let mut rest = bytes;
    loop {
        let (took, piece) = reader.feed(rest)?;
        rest = &rest[took..];
        let is_end = matches!(piece, Some(Piece::Body { last: true, .. }));
        assert!(
            took > 0 || piece.is_none() || is_end,
            "a piece gets somewhere"
        );
        match piece {
            None => break,
            Some(Piece::Envelope) => things.push(Thing::Envelope),
            Some(Piece::Name(name)) => things.push(Thing::Name(name.to_vec())),
            Some(Piece::Head { name, len }) => {
                assert!(name.len() <= NAME_MAX);
                things.push(Thing::Message {
                    name: name.to_vec(),
                    len,
                    bytes: Vec::new(),
                    whole: false,
                });
            }
            Some(Piece::Body { bytes, last }) => {
                let Some(Thing::Message {
                    bytes: all, whole, ..
                }) = things.last_mut()
                else {
                    panic!("bytes of no message");
                };
                all.extend_from_slice(bytes);
                *whole = last;
            }
        }
    }
    assert!(rest.is_empty(), "nothing is left over");
    Ok(())
}

/// What a body means, if it means anything, is written as it was read.
fn means_what_it_says(body: &[u8]) {
    let mut written = Vec::new();
    if let Some(request) = Request::read(body) {
        request.write(&mut written);
        assert_eq!(written, body);
    }
    if let Some(notice) = Notice::read(body) {
        written.clear();
        notice.write(&mut written);
        assert_eq!(written, body);
        if let Notice::Who(names) = notice {
            assert!(names.map(<[u8]>::len).sum::<usize>() < body.len());
        }
    }
}

/// Adds a message, a part of one, or rubbish.
fn add(script: &mut Script<'_>, rng: &mut Rng, stream: &mut Vec<u8>) {
    match script.pick(8) {
        0 => {
            for _ in 0..script.pick(6) {
                stream.push(b"|0159a \n"[script.pick(8)]);
            }
        }
        1 => stream.push(script.take_u8()),
        2 => {
            let digits = 1 + script.pick(DIGITS_MAX + 2);
            stream.extend_from_slice(&name(script));
            stream.push(b'|');
            stream.extend((0..digits).map(|_| b'0' + rng.below(10) as u8));
            stream.push(b'|');
        }
        3 => {
            let word: &[u8] = [&b"who"[..], b"ok", b"refused full", b"who\na\nb\n"][script.pick(4)];
            write_message(b"", word, stream);
        }
        4 => write_head(&name(script), script.pick(1000), stream),
        _ => {
            let body: Vec<u8> = (0..script.pick(90)).map(|_| rng.next() as u8).collect();
            write_message(&name(script), &body, stream);
        }
    }
}

fn name(script: &mut Script<'_>) -> Vec<u8> {
    match script.pick(6) {
        0 => vec![b'x'; script.pick(HEAD_MAX)],
        1 => vec![script.take_u8(); 1 + script.pick(3)],
        _ => vec![b'a' + script.pick(26) as u8],
    }
}

const STREAM_MAX: usize = 4000;
