//! The bytes that a bench sends: numbered messages whose every byte is known beforehand.
//!
//! ```text
//! 000000000000002a 0001cb32f0a51c00 00010000 5f3a aQ7_kX...w LF       one message, --size bytes in all
//! number           due, ns UTC      size     sum  filler: depends on the message's number and the place in it
//! ```
//!
//! A message that was lost or repeated shows in the numbers; bytes that were lost, repeated or altered show because
//! nothing behind them stands in its place. Messages are lines, so that relays that know records find theirs. Knows
//! no socket and no clock.

use std::sync::Arc;

use crate::base::rng::Rng;

/// Bytes of a message before its filler.
pub(super) const HEAD: usize = 49;

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its number, from 0.
    pub(super) seq: u64,
    /// When it was due: nanoseconds since 1970.
    pub(super) due: u64,
    /// Its length in bytes.
    pub(super) size: u32,
}

impl Head {
    fn write(self, into: &mut [u8]) {
        for (at, number) in [(0, self.seq), (17, self.due)] {
            into[at..at + 8].copy_from_slice(&hex((number >> 32) as u32));
            into[at + 8..at + 16].copy_from_slice(&hex(number as u32));
        }
        into[34..42].copy_from_slice(&hex(self.size));
        into[43..47].copy_from_slice(&hex(self.sum().into())[4..]);
        for at in [16, 33, 42, 47, 48] {
            into[at] = b' ';
        }
    }

    /// What these bytes say, if they are a head.
    pub(super) fn read(from: &[u8; HEAD]) -> Option<Self> {
        let this = Self {
            seq: unhex(&from[..16])?,
            due: unhex(&from[17..33])?,
            size: unhex(&from[34..42])? as u32,
        };
        let spaced = [16, 33, 42, 47, 48].iter().all(|at| from[*at] == b' ');
        (spaced && unhex(&from[43..47])? == u64::from(this.sum()) && this.size as usize > HEAD)
            .then_some(this)
    }

    fn sum(self) -> u16 {
        let mut rng = Rng::new(self.seq ^ self.due.rotate_left(32) ^ u64::from(self.size) << 7);
        rng.next() as u16
    }
}

/// The filler of all messages of one size: for each message a piece of the same letters, which begins somewhere else.
///
/// Messages that have the same filler are so many apart that what a relay takes out of another place of a buffer, from
/// an earlier lap of it, is wrong: short messages come round after a prime number of them, 17 or more and about a
/// mebibyte, and long ones never do. Not seen is the middle of a message that stands for that of another one a multiple
/// of this prime earlier, and, once in 16,381 times, of any other one.
#[derive(Debug)]
pub(super) struct Filler {
    size: usize,
    /// The messages that can be told apart by their filler, in turns: a prime. `None`: their whole number tells.
    lap: Option<u64>,
    letters: Vec<u8>,
}

impl Filler {
    pub(super) fn new(size: usize) -> Self {
        let mut rng = Rng::new(size as u64);
        let letter = |bits: u64| ALPHABET[bits as usize % ALPHABET.len()];
        Self {
            size,
            lap: (size <= LAP / LAP_LEAST).then(|| prime_from(LAP / size) as u64),
            letters: (0..size + SHIFTS as usize)
                .map(|_| letter(rng.next()))
                .collect(),
        }
    }

    /// How long a message is.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Where a message's filler begins among the letters, as if it began with the message.
    fn shift(&self, seq: u64) -> usize {
        let turn = self.lap.map_or(seq, |lap| seq % lap);
        (Rng::new(turn).next() % SHIFTS) as usize
    }

    /// The filler of a message, from a place in it on.
    pub(super) fn from(&self, seq: u64, place: usize) -> &[u8] {
        let shift = self.shift(seq);
        &self.letters[shift + place..shift + self.size - 1]
    }
}

/// The least prime that is not less than this.
fn prime_from(least: usize) -> usize {
    let is_prime = |n: &usize| {
        (2..)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    (least.max(2)..)
        .find(is_prime)
        .expect("there is no last one")
}

/// The sender's side: messages that have been begun and not been taken yet.
#[derive(Debug)]
pub(super) struct Feed {
    filler: Arc<Filler>,
    /// What is around a message.
    wrap: [Vec<u8>; 2],
    /// Bytes of a message with what is around it.
    size: u64,
    store: Store,
    begun: u64,
    /// Bytes that were taken.
    sent: u64,
}

/// Where the bytes of messages that have been begun are. Filler is not copied for each message.
#[derive(Debug)]
enum Store {
    /// A lap of messages, with their filler; heads are written when a message begins.
    Lap(Vec<u8>),
    /// The letters of all filler. The one message that has been begun is laid over them.
    Over(Over),
}

#[derive(Debug)]
struct Over {
    letters: Vec<u8>,
    /// Where the message begins, with what is around it.
    at: usize,
    /// What is to be put back in front and at its end.
    hidden: [Vec<u8>; 2],
}

impl Feed {
    #[cfg(test)]
    pub(super) fn new(filler: &Arc<Filler>) -> Self {
        Self::starting_with(filler, 0, [&[], &[]])
    }

    /// A sender whose first message has this number, and whose messages stand between these bytes.
    pub(super) fn starting_with(
        filler: &Arc<Filler>,
        seq: u64,
        [before, behind]: [&[u8]; 2],
    ) -> Self {
        let size = before.len() + filler.size + behind.len();
        let store = match filler.lap {
            Some(lap) => {
                let mut buffer = Vec::with_capacity(lap as usize * size);
                for place in 0..lap {
                    buffer.extend(before);
                    buffer.extend([0; HEAD]);
                    buffer.extend(filler.from(place, HEAD));
                    buffer.push(b'\n');
                    buffer.extend(behind);
                }
                Store::Lap(buffer)
            }
            None => Store::Over(Over {
                letters: [before, &filler.letters, behind].concat(),
                at: 0,
                hidden: [Vec::new(), Vec::new()],
            }),
        };
        Self {
            filler: Arc::clone(filler),
            wrap: [before, behind].map(<[u8]>::to_vec),
            size: size as u64,
            store,
            begun: seq,
            sent: seq * size as u64,
        }
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.begun
    }

    /// Bytes that wait to be taken.
    pub(super) fn waiting(&self) -> usize {
        (self.begun * self.size - self.sent) as usize
    }

    /// Whether one more message can be begun before some that wait are taken.
    pub(super) fn has_room(&self) -> bool {
        match &self.store {
            Store::Lap(buffer) => self.waiting() + self.size as usize <= buffer.len(),
            Store::Over(_) => self.waiting() == 0,
        }
    }

    /// Begins the next message, which was due at `due`. There is room for it.
    pub(super) fn begin(&mut self, due: u64) {
        let head = Head {
            seq: self.begun,
            due,
            size: self.filler.size as u32,
        };
        let place = self.place(self.begun * self.size);
        match &mut self.store {
            Store::Lap(buffer) => {
                let at = place + self.wrap[0].len();
                head.write(&mut buffer[at..at + HEAD]);
            }
            Store::Over(over) => {
                let at = self.filler.shift(self.begun);
                over.lay(at, self.size as usize, head, &self.wrap);
            }
        }
        self.begun += 1;
    }

    /// What waits, as two slices.
    pub(super) fn ready(&self) -> [&[u8]; 2] {
        let waiting = self.waiting();
        match &self.store {
            Store::Lap(buffer) => {
                let at = self.place(self.sent);
                let first = waiting.min(buffer.len() - at);
                [&buffer[at..at + first], &buffer[..waiting - first]]
            }
            Store::Over(over) => [over.last(self.size as usize, waiting), &[]],
        }
    }

    /// The rest of a message of which a part was taken.
    pub(super) fn rest(&self) -> &[u8] {
        let left = match self.sent % self.size {
            0 => return &[],
            taken => (self.size - taken) as usize,
        };
        match &self.store {
            Store::Lap(buffer) => {
                let at = self.place(self.sent);
                &buffer[at..at + left]
            }
            Store::Over(over) => over.last(self.size as usize, left),
        }
    }

    /// So many bytes of it were taken.
    pub(super) fn took(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    fn place(&self, offset: u64) -> usize {
        match &self.store {
            Store::Lap(buffer) => (offset % buffer.len() as u64) as usize,
            Store::Over(_) => 0,
        }
    }
}

impl Over {
    /// Takes the last message away, and lays the next one over the letters from `at` on.
    fn lay(&mut self, at: usize, size: usize, head: Head, [before, behind]: &[Vec<u8>; 2]) {
        let ends =
            |at: usize, first: usize, last: usize| [at..at + first, at + size - last..at + size];
        let [front, end] = &self.hidden;
        let spans = ends(self.at, front.len(), end.len());
        for (span, letters) in spans.into_iter().zip(&self.hidden) {
            self.letters[span].copy_from_slice(letters);
        }
        let [front, end] = ends(at, before.len() + HEAD, 1 + behind.len());
        self.hidden = [&front, &end].map(|span| self.letters[span.clone()].to_vec());
        let front = &mut self.letters[front];
        front[..before.len()].copy_from_slice(before);
        head.write(&mut front[before.len()..]);
        let end = &mut self.letters[end];
        end[0] = b'\n';
        end[1..].copy_from_slice(behind);
        self.at = at;
    }

    /// The last bytes of the message.
    fn last(&self, size: usize, bytes: usize) -> &[u8] {
        let end = self.at + size;
        &self.letters[end - bytes..end]
    }
}

/// All eight digits at once: a source of short messages does little else.
fn hex(number: u32) -> [u8; 8] {
    let halves = u64::from(number) | u64::from(number) << 16;
    let bytes = halves & 0x0000_ffff_0000_ffff;
    let bytes = (bytes | bytes << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let above_nine = (nibbles + 6 * EACH_BYTE) >> 4 & EACH_BYTE;
    let digits = nibbles + u64::from(b'0') * EACH_BYTE;
    (digits + u64::from(b'a' - b'9' - 1) * above_nine).to_be_bytes()
}

fn unhex(from: &[u8]) -> Option<u64> {
    from.iter().try_fold(0, |number: u64, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// One in each byte.
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
/// Bytes after which short messages come round, about.
const LAP: usize = 1 << 20;
/// Messages in a lap at least. Fewer would fall in step with the buffers of relays.
const LAP_LEAST: usize = 16;
/// Places where a message's filler may begin.
const SHIFTS: u64 = 16_381;
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::follower::{Follower, Found};
    use proptest::prelude::*;

    fn stream(size: usize, messages: u64) -> (Arc<Filler>, Vec<u8>) {
        let filler = Arc::new(Filler::new(size));
        let mut feed = Feed::new(&filler);
        let mut all = Vec::new();
        for seq in 0..messages {
            feed.begin(seq * 1000);
            all.extend(feed.ready().concat());
            feed.took(feed.waiting());
        }
        (filler, all)
    }

    fn follow(mut follower: Follower, filler: &Filler, bytes: &[u8], piece: usize) -> Vec<Found> {
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            follower.feed(piece, filler, true, |found| all.push(found));
        }
        all
    }

    fn seqs(found: &[Found]) -> Vec<u64> {
        let seq = |found: &Found| match found {
            Found::Message(head) => Some(head.seq),
            _ => None,
        };
        found.iter().filter_map(seq).collect()
    }

    #[test]
    fn a_stream_is_what_was_sent_however_it_is_cut() {
        for size in [64, 100, 256, 65_536, 700_000] {
            let count = (3 << 20) / size as u64;
            let (filler, bytes) = stream(size, count);
            assert_eq!(bytes.len() as u64, count * size as u64);
            for piece in [97, 4096, 300_000] {
                let found = follow(Follower::from_start(), &filler, &bytes, piece);
                assert_eq!(found.len() as u64, count, "size {size}, pieces of {piece}");
                assert_eq!(seqs(&found), (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_was_not_taken_goes_over_the_end_of_the_lap() {
        let filler = Arc::new(Filler::new(1000));
        let mut feed = Feed::new(&filler);
        let mut all = Vec::new();
        let mut follower = Follower::from_start();
        for _ in 0..1000 {
            while feed.has_room() {
                feed.begin(7);
            }
            let [first, second] = feed.ready();
            let bytes = [first, &second[..second.len().min(333)]].concat();
            let taken = bytes.len() - bytes.len() / 3;
            follower.feed(&bytes[..taken], &filler, true, |found| all.push(found));
            feed.took(taken);
        }
        assert!(feed.next() > 3000);
        assert!(
            all.iter().all(|found| matches!(found, Found::Message(_))),
            "{all:?}"
        );
    }

    #[test]
    fn messages_can_have_something_around_them() {
        let filler = Arc::new(Filler::new(100));
        let mut feed = Feed::starting_with(&filler, 7, [b"<<<", b">>"]);
        assert!(feed.rest().is_empty());
        feed.begin(1);
        feed.begin(2);
        feed.took(50);
        assert_eq!(feed.rest(), &feed.ready()[0][..55]);
        assert_eq!((feed.rest().len(), feed.waiting()), (55, 160));
        feed.took(55);
        let whole = feed.ready().concat();
        assert!(feed.rest().is_empty() && whole.starts_with(b"<<<") && whole.ends_with(b"\n>>"));
        let mut all = Vec::new();
        Follower::from_start().feed(&whole[3..103], &filler, true, |found| all.push(found));
        assert_eq!(seqs(&all), [8]);
    }

    #[test]
    fn who_joins_in_the_middle_begins_with_the_next_message() {
        let (filler, bytes) = stream(100, 4);
        for piece in [7, 49, 1000] {
            let found = follow(Follower::default(), &filler, &bytes[130..], piece);
            assert!(matches!(found[0], Found::Begun(Head { seq: 2, .. })));
            assert_eq!((seqs(&found), found.len()), (vec![2, 3], 3));
            let found = follow(Follower::default(), &filler, &bytes[200..], piece);
            assert_eq!((seqs(&found), found.len()), (vec![2, 3], 3));
        }
    }

    /// Nobody passes over as many bytes as a message has and finds none of it wrong.
    #[test]
    fn who_finds_no_message_says_so() {
        let (filler, bytes) = stream(100, 6);
        for (name, wrong) in [
            ("zeros", vec![0; 600]),
            (
                "no newline",
                bytes
                    .iter()
                    .map(|b| if *b == b'\n' { b' ' } else { *b })
                    .collect(),
            ),
            ("the first one altered", [b"x", &bytes[1..]].concat()),
        ] {
            for piece in [7, 100, 1000] {
                let found = follow(Follower::default(), &filler, &wrong, piece);
                assert!(found.contains(&Found::Altered), "{name}: {found:?}");
            }
        }
        let found = follow(Follower::default(), &filler, &[0; 99], 1000);
        assert_eq!(found, []);
    }

    #[test]
    fn messages_that_are_missing_or_come_again_are_seen() {
        let (filler, bytes) = stream(100, 6);
        let missing = [&bytes[..200], &bytes[400..]].concat();
        let found = follow(Follower::from_start(), &filler, &missing, 1000);
        assert!(found.contains(&Found::Lost(2)), "{found:?}");
        let again = [&bytes[..300], &bytes[100..]].concat();
        let found = follow(Follower::from_start(), &filler, &again, 1000);
        assert_eq!(seqs(&found), [0, 1, 2, 3, 4, 5], "each counts once");
        let repeats = found.iter().filter(|found| **found == Found::Repeated);
        assert_eq!(repeats.count(), 2);
        let found = follow(Follower::from_start(), &filler, &bytes[100..], 1000);
        assert_eq!(found[0], Found::Lost(1), "the first one is missed too");
    }

    /// Its numbers begin again, but time goes on.
    #[test]
    fn a_source_that_begins_anew_is_followed() {
        let (filler, bytes) = stream(100, 6);
        let mut again = Feed::new(&filler);
        let mut all = bytes;
        for seq in 0..3 {
            again.begin(1_000_000 + seq);
        }
        all.extend(again.ready().concat());
        let found = follow(Follower::from_start(), &filler, &all, 1000);
        assert_eq!(seqs(&found), [0, 1, 2, 3, 4, 5, 0, 1, 2]);
        assert_eq!(found.len(), 9 + 1);
    }

    #[test]
    fn the_size_is_learnt_from_the_stream_itself() {
        let (_, bytes) = stream(200, 6);
        for piece in [7, 200, 1000] {
            let mut follower = Follower::default();
            let mut pieces = bytes[150..].chunks(piece);
            assert_eq!(pieces.find_map(|piece| follower.learn(piece)), Some(200));
        }
        assert_eq!(Follower::default().learn(&[b'\n'; 500]), None);
    }

    /// A buffer that goes round, and from which the middle of each message is taken a lap or more too late.
    #[test]
    fn bytes_of_an_earlier_lap_of_any_buffer_are_seen() {
        for (size, messages) in [(256, 80_000), (1000, 20_000), (65_536, 300), (1 << 20, 22)] {
            let (filler, bytes) = stream(size, messages);
            let rings = [16, 18, 20, 21, 22, 23, 24].map(|power| 1 << power);
            let rings = rings
                .into_iter()
                .chain([1_000_000, 10_000_000, 3 << 20, 10 << 20, size]);
            for ring in rings.filter(|ring| ring + size <= bytes.len()) {
                let at = ring.div_ceil(size) * size;
                let [from, to] = [HEAD + 1, size - 2];
                let mut stale = bytes[at..at + size].to_vec();
                stale[from..to].copy_from_slice(&bytes[at - ring + from..at - ring + to]);
                let found = follow(Follower::from_start(), &filler, &stale, 300_000);
                assert!(
                    found.contains(&Found::Altered),
                    "messages of {size}, a ring of {ring}"
                );
            }
        }
    }

    /// The whole message comes again as it was, however it is taken.
    #[test]
    fn long_messages_are_laid_over_the_letters_and_leave_no_trace() {
        let size = 200_000;
        let filler = Arc::new(Filler::new(size));
        let mut feed = Feed::starting_with(&filler, 3, [b"<<<", b">>"]);
        let mut all = Vec::new();
        for seq in 3..9 {
            assert!(feed.has_room() && feed.rest().is_empty());
            feed.begin(seq);
            assert!(!feed.has_room());
            while feed.waiting() > 0 {
                let [first, second] = feed.ready();
                assert!(second.is_empty() && first.len() == feed.waiting());
                let taken = first.len().min(70_001);
                all.extend(&first[..taken]);
                feed.took(taken);
                assert_eq!(feed.rest().len(), feed.waiting());
            }
        }
        let framed: Vec<&[u8]> = all.chunks(3 + size + 2).collect();
        let mut bytes = Vec::new();
        for message in framed {
            assert!(message.starts_with(b"<<<0000") && message.ends_with(b"\n>>"));
            bytes.extend(&message[3..3 + size]);
        }
        let found = follow(
            Follower::default(),
            &filler,
            &[b"\n", &bytes[..]].concat(),
            4096,
        );
        assert_eq!(seqs(&found), (3..9).collect::<Vec<_>>());
        assert_eq!(found.len(), 1 + 6);
    }

    proptest! {
        #[test]
        fn a_number_is_written_as_anybody_would(number: u32) {
            let digits = hex(number);
            prop_assert_eq!(std::str::from_utf8(&digits), Ok(&*format!("{number:08x}")));
            prop_assert_eq!(unhex(&digits), Some(number.into()));
        }

        /// One byte that is altered, lost or there twice is always noticed, and the stream found again.
        #[test]
        fn no_wrong_byte_goes_unseen(
            size in prop::sample::select(vec![64usize, 100, 5000]), at in 0usize..10_000, kind in 0u8..3, bit in 0u8..8
        ) {
            let (filler, mut bytes) = stream(size, 40_000 / size as u64 + 3);
            match kind {
                0 => bytes[at] ^= 1 << bit,
                1 => { bytes.remove(at); }
                _ => { let again = bytes[at]; bytes.insert(at, again); }
            }
            let found = follow(Follower::from_start(), &filler, &bytes, 777);
            prop_assert!(found.iter().any(|found| !matches!(found, Found::Message(_))));
            let last = seqs(&found).last().copied();
            prop_assert_eq!(last, Some(40_000 / size as u64 + 2));
        }
    }
}
