//! The stream as WebSocket messages: framed once, in a ring that all WebSocket clients share.
//!
//! ```text
//!   ring       |  record   |   record    | record |          offsets of the stream
//!   framed     |h| record  |h|  record   |h|record|          its own offsets: heads count too
//!              ^ mark                     ^ mark             where both are known; those between are walked to
//! ```
//!
//! A client's cursor stays an offset of the stream, so that all that is decided by cursors (who leads, who lags, who is
//! overtaken, what is kept) is decided for WebSocket clients as for others. What the ring of the stream still holds,
//! this one holds too: it is larger by what heads can add. It is filled only while there are WebSocket clients.

use std::collections::VecDeque;

use crate::base::ring::Ring;
use crate::proto::record::Framing;
use crate::proto::websocket::{FrameHead, HEAD_MAX, Opcode};
use crate::roles::relay::config::RelayConfig;

/// The ring of messages, and how its offsets go with those of the stream.
#[derive(Debug)]
pub(super) struct Framed {
    framing: Framing,
    record_max: usize,
    ring: Ring,
    /// How far the stream is framed.
    whole: u64,
    /// Beginnings of messages, about a KiB apart, the oldest first.
    marks: VecDeque<Mark>,
    active: bool,
    /// Messages that were looked at to find a place.
    #[cfg(test)]
    pub(super) steps: std::cell::Cell<usize>,
}

/// The boundary between two messages, by both of its offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// In the stream.
    pub(super) plain: u64,
    /// In the ring of messages.
    pub(super) framed: u64,
}

/// A message, from its head to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    begin: Mark,
    /// How long its head is.
    head: u64,
    pub(super) end: Mark,
}

impl Framed {
    /// The messages of a relay with these orders, if anybody may want them.
    pub(super) fn of(config: &RelayConfig, capacity: usize) -> Option<Self> {
        let wanted = config.outputs.iter().any(|output| output.websocket);
        wanted.then(|| Self::new(config.framing, config.record_max, capacity))
    }

    /// For a stream of which a ring of `capacity` bytes holds the latest.
    pub(super) fn new(framing: Framing, record_max: usize, capacity: usize) -> Self {
        let longest = MESSAGE_MAX.max(framing.partial_max(record_max) + 1);
        let spare = longest + HEAD_MAX + SPACING as usize;
        Self {
            framing,
            record_max,
            ring: Ring::new(grown(capacity, framing.shortest()) + spare),
            whole: 0,
            marks: VecDeque::new(),
            active: false,
            #[cfg(test)]
            steps: std::cell::Cell::default(),
        }
    }

    /// Whether it follows the stream at present.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Begins to follow the stream at this offset, at which a message will begin.
    pub(super) fn begin(&mut self, plain: u64) {
        self.active = true;
        self.whole = plain;
        self.marks.clear();
        self.ring.rewind(self.ring.head());
    }

    /// Nobody is left who wants it.
    pub(super) fn stop(&mut self) {
        self.active = false;
        self.marks.clear();
        self.ring.rewind(self.ring.head());
    }

    /// Frames what is not framed yet of the stream up to `whole`, where a record ends: `least` bytes in any case, and
    /// of the rest as much as one visit may take.
    pub(super) fn extend(&mut self, stream: &Ring, whole: u64, least: u64) {
        if !self.active {
            return;
        }
        let least = self.whole.saturating_add(least);
        let mut work = 0;
        while self.whole < whole && (self.whole < least || work < VISIT) {
            let rest = stream
                .read_up_to(self.whole, (whole - self.whole) as usize)
                .expect("what has just come is held");
            let len = match self.framing {
                Framing::Raw => MESSAGE_MAX.min(rest[0].len() + rest[1].len()),
                framing => framing
                    .record_len_in(rest, self.record_max)
                    .expect("what is whole is made of records"),
            };
            let from = self.end();
            let is_far = |last: &Mark| from.framed - last.framed >= SPACING;
            if self.marks.back().is_none_or(is_far) {
                self.marks.push_back(from);
            }
            let head = FrameHead::new(Opcode::Binary, true, len as u64, None);
            self.ring.append(&head);
            let first = &rest[0][..len.min(rest[0].len())];
            self.ring.append(first);
            self.ring.append(&rest[1][..len - first.len()]);
            self.whole += len as u64;
            work += EACH + len as u64;
        }
        let tail = self.ring.tail();
        while self.marks.front().is_some_and(|mark| mark.framed < tail) {
            self.marks.pop_front();
        }
    }

    /// The first byte of the stream that it has still to frame, where the stream is whole up to `whole`: while it is
    /// behind, and nobody has begun to take from it.
    pub(super) fn lacks(&self, whole: u64) -> Option<u64> {
        (self.active && self.whole < whole).then_some(self.whole)
    }

    /// The ring of the stream starts over with what stands from `keep_from` on: so does this one.
    pub(super) fn rewind(&mut self, keep_from: u64) {
        if !self.active {
            return;
        }
        let after = self.marks.partition_point(|mark| mark.plain <= keep_from);
        let keep = after.saturating_sub(1);
        if keep_from >= self.whole {
            self.marks.clear();
            self.ring.rewind(self.ring.head());
        } else if let Some(mark) = self.marks.get(keep) {
            self.ring.rewind(mark.framed);
            self.marks.drain(..keep);
        }
    }

    /// The end of the last message.
    pub(super) fn end(&self) -> Mark {
        Mark {
            plain: self.whole,
            framed: self.ring.head(),
        }
    }

    /// What stands from `at` on, at most `max` bytes.
    pub(super) fn read(&self, at: u64, max: u64) -> [&[u8]; 2] {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        self.ring
            .read_up_to(at, max)
            .expect("it holds whatever the stream's own ring does")
    }

    /// The last boundary at or before this offset of the stream, as far as it is known; else the first one.
    pub(super) fn at_or_before(&self, plain: u64) -> Mark {
        match self.walk(plain, |mark| mark.plain) {
            Some(message) => message.begin,
            None if plain >= self.whole => self.end(),
            None => self.marks.front().copied().unwrap_or(self.end()),
        }
    }

    /// The first boundary at or after this offset of the stream.
    pub(super) fn at_or_after(&self, plain: u64) -> Mark {
        match self.walk(plain, |mark| mark.plain) {
            Some(message) if message.begin.plain < plain => message.end,
            Some(message) => message.begin,
            None => self.at_or_before(plain),
        }
    }

    /// The message that `at` lies in or before which it stands; `None` at the end of the last one.
    pub(super) fn message_at(&self, at: u64) -> Option<Message> {
        self.walk(at, |mark| mark.framed)
    }

    /// The offset of the stream that goes with `at`: a client that has everything below `at` has everything below it.
    pub(super) fn plain_at(&self, at: u64) -> u64 {
        match self.message_at(at) {
            Some(message) => message.plain_at(at),
            None => self.whole,
        }
    }

    /// Whether it stands there, or will next.
    pub(super) fn holds(&self, at: u64) -> bool {
        self.active && at >= self.ring.tail() && at <= self.ring.head()
    }

    /// How many bytes of the stream are in the last `waiting` bytes before `at`, which `plain` of it goes with.
    pub(super) fn payload_before(&self, at: u64, plain: u64, waiting: u64) -> u64 {
        let from = at.saturating_sub(waiting);
        if self.marks.front().is_none_or(|mark| from < mark.framed) {
            return waiting;
        }
        plain.saturating_sub(self.plain_at(from))
    }

    /// Goes from mark to message to the one that an offset lies in, by one of the two kinds of offsets.
    fn walk(&self, offset: u64, of: impl Fn(&Mark) -> u64) -> Option<Message> {
        if offset >= of(&self.end()) {
            return None;
        }
        let after = self.marks.partition_point(|mark| of(mark) <= offset);
        let mut begin = *self.marks.get(after.checked_sub(1)?)?;
        loop {
            let message = self.message(begin)?;
            #[cfg(test)]
            self.steps.update(|steps| steps + 1);
            if of(&message.end) > offset {
                return Some(message);
            }
            begin = message.end;
        }
    }

    /// The message that begins there.
    fn message(&self, begin: Mark) -> Option<Message> {
        let [first, second] = self.ring.read_up_to(begin.framed, HEAD_MAX).ok()?;
        let mut bytes = [0; HEAD_MAX];
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..first.len() + second.len()].copy_from_slice(second);
        let (head, payload) = FrameHead::extent(&bytes[..first.len() + second.len()])?;
        let head = head as u64;
        Some(Message {
            begin,
            head,
            end: Mark {
                plain: begin.plain + payload,
                framed: begin.framed + head + payload,
            },
        })
    }
}

impl Message {
    /// Where its first byte stands, which is its head's.
    pub(super) fn begins_at(&self) -> u64 {
        self.begin.framed
    }

    /// The offset of the stream that goes with one within it.
    pub(super) fn plain_at(&self, at: u64) -> u64 {
        self.begin.plain + at.saturating_sub(self.begin.framed + self.head)
    }
}

/// How much room `bytes` of a stream take as messages of `shortest` bytes or more: heads are the most of it where
/// messages are the shortest, or have just grown out of a shorter head.
fn grown(bytes: usize, shortest: usize) -> usize {
    let with_head = |len: usize| {
        let head = FrameHead::new(Opcode::Binary, true, len as u64, None).len();
        (bytes / len + 1) * (len + head)
    };
    let lens = [shortest, 126, 1 << 16];
    let lens = lens.iter().filter(|len| **len >= shortest);
    lens.map(|len| with_head(*len)).max().unwrap_or(bytes)
}

/// The longest message that a raw stream is cut into.
pub(super) const MESSAGE_MAX: usize = 64 << 10;
/// Bytes that are framed in one visit where nobody has to have them at once, and how many of them a message is worth
/// beside its own.
const VISIT: u64 = 256 << 10;
const EACH: u64 = 64;
/// How far marks are apart, at the least.
const SPACING: u64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::fuzz::websocket::{Told, told};
    use crate::proto::websocket::{Kind, Side};

    struct Bench {
        stream: Ring,
        framed: Framed,
    }

    fn bench(framing: &str, capacity: usize) -> Bench {
        let framing: Framing = framing.parse().unwrap();
        let mut framed = Framed::new(framing, 1000, capacity);
        framed.begin(0);
        Bench {
            stream: Ring::new(capacity),
            framed,
        }
    }

    impl Bench {
        fn write(&mut self, bytes: &[u8]) {
            self.stream.append(bytes);
            self.framed
                .extend(&self.stream, self.stream.head(), bytes.len() as u64);
        }

        /// The messages from a boundary on.
        fn messages(&self, from: Mark) -> Vec<Vec<u8>> {
            let bytes = self.framed.read(from.framed, u64::MAX).concat();
            let all = bytes.len();
            let told = told(Side::Client, u64::MAX, &bytes, &mut || all);
            told.into_iter()
                .map(|told| match told {
                    Told::Message {
                        kind: Kind::Binary,
                        bytes,
                        ends: true,
                    } => bytes,
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    }

    #[test]
    fn a_message_is_a_record() {
        let mut bench = bench("line", 1000);
        bench.write(b"one\ntwo\n");
        bench.write(b"\nfour\n");
        let start = bench.framed.at_or_before(0);
        let lines: [&[u8]; 4] = [b"one\n", b"two\n", b"\n", b"four\n"];
        assert_eq!(bench.messages(start), lines);
        let second = bench.framed.at_or_after(1);
        assert_eq!(bench.messages(second), lines[1..]);
        assert_eq!(bench.framed.at_or_before(7), second);
        let end = Mark {
            plain: 14,
            framed: 22,
        };
        assert_eq!(bench.framed.at_or_after(14), end);
        assert_eq!(bench.framed.at_or_after(10), end);
        // Within a head nothing of the payload has been taken; behind it, all but what is left.
        let plain: Vec<u64> = (0..=22).map(|at| bench.framed.plain_at(at)).collect();
        let expected = [
            0, 0, 0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 8, 9, 9, 9, 10, 11, 12, 13, 14,
        ];
        assert_eq!(plain, expected);
        assert_eq!(bench.framed.payload_before(22, 14, 10), 6);
    }

    /// What nobody has to have at once is framed little by little, and what is read meanwhile does not add to it.
    #[test]
    fn a_long_stream_is_framed_in_many_visits() {
        for (framing, shortest) in [("fixed:1", 1), ("raw", MESSAGE_MAX as u64)] {
            let mut bench = bench(framing, 4 << 20);
            bench.framed.stop();
            bench.stream.append(&vec![b'x'; 2 << 20]);
            bench.framed.begin(0);
            let (mut visits, mut behind) = (0, 2 << 20);
            while let Some(from) = bench.framed.lacks(bench.stream.head()) {
                bench.stream.append(&[b'x'; 1000]);
                bench
                    .framed
                    .extend(&bench.stream, bench.stream.head(), 1000);
                bench.framed.extend(&bench.stream, bench.stream.head(), 0);
                let (done, left) = (
                    bench.framed.whole - from,
                    bench.stream.head() - bench.framed.whole,
                );
                assert!(
                    done <= 1000 + 2 * (VISIT + MESSAGE_MAX as u64),
                    "{done} at once"
                );
                assert!(
                    shortest > 1 || done <= 1000 + 2 * VISIT / EACH,
                    "{done} at once"
                );
                assert!(left < behind, "it does not catch up");
                (visits, behind) = (visits + 1, left);
            }
            assert!(visits >= 4, "{framing} in {visits} visits");
            let first = bench.framed.at_or_before(0);
            let payload = bench.messages(first).concat();
            assert_eq!(payload.len() as u64, bench.stream.head());
        }
    }

    #[test]
    fn a_raw_stream_is_cut_as_it_came_and_into_messages_that_are_not_too_long() {
        let mut bench = bench("raw", 300_000);
        bench.write(b"abc");
        bench.write(&vec![b'x'; MESSAGE_MAX + 1]);
        let lens: Vec<_> = bench
            .messages(bench.framed.at_or_before(0))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(lens, [3, MESSAGE_MAX, 1]);
    }

    /// However the stream is made, what its own ring has is here too, and found.
    #[test]
    fn it_holds_what_the_stream_holds() {
        for (seed, framing) in (0..60).zip(
            ["raw", "line", "fixed:126", "fixed:1", "len:u16be"]
                .iter()
                .cycle(),
        ) {
            let mut rng = Rng::new(seed);
            let mut bench = bench(framing, 20_000);
            let mut begins = vec![0];
            for _ in 0..600 {
                let record = record(framing, &mut rng);
                bench.write(&record);
                begins.push(bench.stream.head());
                if rng.below(50) == 0 {
                    let keep = begins[begins.len() - 1 - rng.below(2) as usize];
                    bench.stream.rewind(keep);
                    bench.framed.rewind(keep);
                }
                let tail = bench.stream.tail();
                let first = begins.partition_point(|begin| *begin < tail);
                let any = begins[first + rng.below((begins.len() - first) as u64) as usize];
                let mark = bench.framed.at_or_before(any);
                assert_eq!(mark.plain, any, "{framing}, seed {seed}");
                assert_eq!(bench.framed.at_or_after(any), mark);
                assert_eq!(bench.framed.plain_at(mark.framed), any);
                let payload = bench.messages(mark).concat();
                assert_eq!(payload, bench.stream.read(any).unwrap().concat());
                // The message that the oldest byte lies in is still there from its head on.
                assert!(bench.framed.at_or_before(tail).plain <= tail);
            }
        }
    }

    fn record(framing: &str, rng: &mut Rng) -> Vec<u8> {
        let most = [3, 130, 900][rng.below(3) as usize];
        let len = rng.below(most) as usize;
        match framing {
            "line" => [&vec![b'x'; len][..], b"\n"].concat(),
            "fixed:126" => vec![7; 126],
            "fixed:1" => vec![7],
            "len:u16be" => [&(len as u16).to_be_bytes()[..], &vec![9; len]].concat(),
            _ => vec![1; len + 1],
        }
    }
}
