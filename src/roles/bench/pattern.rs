//! The bytes that a bench sends, and what becomes of them: numbered messages whose every byte is known beforehand.
//!
//! ```text
//! 000000000000002a 0001cb32f0a51c00 00010000 5f3a aQ7_kX...w LF       one message, --size bytes in all
//! number           due, ns UTC      size     sum  filler: depends on the message's number and the place in it
//! ```
//!
//! A message that was lost or repeated shows in the numbers; bytes that were lost, repeated or altered show because
//! nothing behind them stands in its place. Messages are lines, so that relays that know records find theirs. Knows
//! no socket and no clock.

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
        hex(&mut into[..16], self.seq);
        hex(&mut into[17..33], self.due);
        hex(&mut into[34..42], u64::from(self.size));
        hex(&mut into[43..47], u64::from(self.sum()));
        for at in [16, 33, 42, 47, 48] {
            into[at] = b' ';
        }
    }

    fn read(from: &[u8; HEAD]) -> Option<Self> {
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

/// The filler of all messages of one size.
#[derive(Debug)]
pub(super) struct Filler {
    size: usize,
    /// The messages that can be told apart by their filler, in turns.
    lap: u64,
    letters: Vec<u8>,
}

impl Filler {
    pub(super) fn new(size: usize) -> Self {
        let mut rng = Rng::new(size as u64);
        let letter = |bits: u64| ALPHABET[bits as usize % ALPHABET.len()];
        Self {
            size,
            lap: (LAP / size).max(1) as u64,
            letters: (0..size + SHIFTS as usize)
                .map(|_| letter(rng.next()))
                .collect(),
        }
    }

    /// How long a message is.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The filler of a message, from a place in it on.
    fn from(&self, seq: u64, place: usize) -> &[u8] {
        let shift = Rng::new(seq % self.lap).next() % SHIFTS;
        &self.letters[shift as usize + place..shift as usize + self.size - 1]
    }
}

/// The sender's side: messages that have been begun and not been taken yet.
#[derive(Debug)]
pub(super) struct Feed {
    /// Of a message with what is around it.
    size: u64,
    /// Bytes in front of it.
    before: usize,
    /// Of a message alone.
    message: u32,
    /// A lap of messages, with their filler; heads are written when a message begins.
    buffer: Vec<u8>,
    begun: u64,
    /// Bytes that were taken.
    sent: u64,
}

impl Feed {
    #[cfg(test)]
    pub(super) fn new(filler: &Filler) -> Self {
        Self::starting_with(filler, 0, [&[], &[]])
    }

    /// A sender whose first message has this number, and whose messages stand between these bytes.
    pub(super) fn starting_with(filler: &Filler, seq: u64, [before, behind]: [&[u8]; 2]) -> Self {
        let size = before.len() + filler.size + behind.len();
        let mut buffer = Vec::with_capacity(filler.lap as usize * size);
        for place in 0..filler.lap {
            buffer.extend(before);
            buffer.extend([0; HEAD]);
            buffer.extend(filler.from(place, HEAD));
            buffer.push(b'\n');
            buffer.extend(behind);
        }
        Self {
            size: size as u64,
            before: before.len(),
            message: filler.size as u32,
            buffer,
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
        self.waiting() + self.size as usize <= self.buffer.len()
    }

    /// Begins the next message, which was due at `due`.
    pub(super) fn begin(&mut self, due: u64) {
        let at = self.place(self.begun * self.size) + self.before;
        let head = Head {
            seq: self.begun,
            due,
            size: self.message,
        };
        head.write(&mut self.buffer[at..at + HEAD]);
        self.begun += 1;
    }

    /// What waits, as two slices.
    pub(super) fn ready(&self) -> [&[u8]; 2] {
        let (at, waiting) = (self.place(self.sent), self.waiting());
        let first = waiting.min(self.buffer.len() - at);
        [
            &self.buffer[at..at + first],
            &self.buffer[..waiting - first],
        ]
    }

    /// The rest of a message of which a part was taken.
    pub(super) fn rest(&self) -> &[u8] {
        let at = self.place(self.sent);
        match self.sent % self.size {
            0 => &[],
            taken => &self.buffer[at..at + (self.size - taken) as usize],
        }
    }

    /// So many bytes of it were taken.
    pub(super) fn took(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    fn place(&self, offset: u64) -> usize {
        (offset % self.buffer.len() as u64) as usize
    }
}

/// What a receiver finds in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A message is whole.
    Message(Head),
    /// So many messages are missing in front of this one.
    Lost(u64),
    /// Messages come again, or in the wrong order.
    Repeated,
    /// A message is not what was sent.
    Altered,
}

/// The receiver's side, which may join in the middle of a message. There is one for each client: it is small.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    state: State,
    head: [u8; HEAD],
    /// The number that the next message should have, once one has been seen.
    next: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Looks for the end of a line. What is before that is not held against anyone.
    Hunting,
    /// So many bytes of a head are there.
    Head(usize),
    /// The next byte's place in the message.
    Body(usize),
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            state: State::Hunting,
            head: [0; HEAD],
            next: None,
        }
    }
}

impl Follower {
    /// One that has the stream from its first byte on, and so misses what is missing there.
    #[cfg(test)]
    pub(super) fn from_start() -> Self {
        Self {
            state: State::Head(0),
            next: Some(0),
            ..Self::default()
        }
    }

    /// Hands the next bytes over while no filler is known yet. Returns how long messages are, once one has begun; from
    /// then on this follower is of no more use.
    pub(super) fn learn(&mut self, mut bytes: &[u8]) -> Option<usize> {
        while !bytes.is_empty() {
            match self.state {
                State::Head(have) => {
                    let n = bytes.len().min(HEAD - have);
                    self.head[have..have + n].copy_from_slice(&bytes[..n]);
                    self.state = State::Head(have + n);
                    bytes = &bytes[n..];
                    if have + n == HEAD {
                        if let Some(head) = Head::read(&self.head) {
                            return Some(head.size as usize);
                        }
                        self.state = State::Hunting;
                    }
                }
                State::Hunting | State::Body(_) => bytes = self.hunt(bytes),
            }
        }
        None
    }

    /// Hands the next bytes over. With `check` the filler is compared too. What is found goes to `found`.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        filler: &Filler,
        check: bool,
        mut found: impl FnMut(Found),
    ) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Hunting => self.hunt(bytes),
                State::Head(have) => self.take_head(have, bytes, filler, &mut found),
                State::Body(place) => self.take_body(place, bytes, filler, check, &mut found),
            };
        }
    }

    fn hunt<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match memchr::memchr(b'\n', bytes) {
            Some(at) => {
                self.state = State::Head(0);
                &bytes[at + 1..]
            }
            None => &[],
        }
    }

    fn take_head<'a>(
        &mut self,
        have: usize,
        bytes: &'a [u8],
        filler: &Filler,
        found: &mut impl FnMut(Found),
    ) -> &'a [u8] {
        let n = bytes.len().min(HEAD - have);
        self.head[have..have + n].copy_from_slice(&bytes[..n]);
        self.state = State::Head(have + n);
        if have + n < HEAD {
            return &[];
        }
        match Head::read(&self.head).filter(|head| head.size as usize == filler.size) {
            Some(head) => {
                let expected = self.next.unwrap_or(head.seq);
                if head.seq > expected {
                    found(Found::Lost(head.seq - expected));
                } else if head.seq < expected {
                    found(Found::Repeated);
                }
                self.next = Some(head.seq + 1);
                self.state = State::Body(HEAD);
                &bytes[n..]
            }
            None => {
                found(Found::Altered);
                self.state = State::Hunting;
                // The line's end may be among what looked like a head.
                match memchr::memchr(b'\n', &bytes[..n]) {
                    Some(at) => &bytes[at..],
                    None => &bytes[n..],
                }
            }
        }
    }

    fn take_body<'a>(
        &mut self,
        place: usize,
        bytes: &'a [u8],
        filler: &Filler,
        check: bool,
        found: &mut impl FnMut(Found),
    ) -> &'a [u8] {
        let head = Head::read(&self.head).expect("a body follows a head that could be read");
        let last = filler.size - 1;
        let n = bytes.len().min(filler.size - place);
        let text = n.min(last - place);
        let as_sent = !check || bytes[..text] == filler.from(head.seq, place)[..text];
        let ended = place + n == filler.size;
        if !as_sent || (ended && bytes[n - 1] != b'\n') {
            found(Found::Altered);
            self.state = State::Hunting;
            return bytes;
        }
        self.state = State::Body(place + n);
        if ended {
            found(Found::Message(head));
            self.state = State::Head(0);
        }
        &bytes[n..]
    }
}

fn hex(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[number as usize & 15];
        number >>= 4;
    }
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

/// What is sent without a new head in between, about.
const LAP: usize = 1 << 20;
/// Places where a message's filler may begin: a prime, so that laps and sizes don't fall in step with it.
const SHIFTS: u64 = 4093;
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(size: usize, messages: u64) -> (Filler, Vec<u8>) {
        let filler = Filler::new(size);
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
        let filler = Filler::new(1000);
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
        let filler = Filler::new(100);
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
        let found = follow(Follower::default(), &filler, &bytes[130..], 7);
        assert_eq!(seqs(&found), [2, 3]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn messages_that_are_missing_or_come_again_are_seen() {
        let (filler, bytes) = stream(100, 6);
        let missing = [&bytes[..200], &bytes[400..]].concat();
        let found = follow(Follower::from_start(), &filler, &missing, 1000);
        assert!(found.contains(&Found::Lost(2)), "{found:?}");
        let again = [&bytes[..300], &bytes[100..]].concat();
        let found = follow(Follower::from_start(), &filler, &again, 1000);
        assert!(found.contains(&Found::Repeated), "{found:?}");
        let found = follow(Follower::from_start(), &filler, &bytes[100..], 1000);
        assert_eq!(found[0], Found::Lost(1), "the first one is missed too");
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

    proptest! {
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
