//! What became of the bytes that a bench has sent: each client follows its own, and says what is missing, comes again
//! or is not what was sent. Knows no socket and no clock.

use crate::roles::bench::pattern::{Filler, HEAD, Head};

/// What a receiver finds in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first message of one that may have missed some begins. What is before it is not held against anyone, unless
    /// it is as long as a message.
    Begun(Head),
    /// A message is whole, for the first time.
    Message(Head),
    /// So many messages are missing in front of this one.
    Lost(u64),
    /// A message comes again, or in the wrong order.
    Repeated,
    /// A message is not what was sent.
    Altered,
}

/// The receiver's side, which may join in the middle of a message. There is one for each client: it is small.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    state: State,
    /// It may be in the middle of its first message.
    joins: bool,
    /// The message that is coming in has come before.
    is_repeat: bool,
    head: [u8; HEAD],
    /// The number that the next message should have, once one has been seen.
    next: Option<u64>,
    /// When the message before it was due.
    due: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Looks for the end of a line, and has passed over so many bytes.
    Hunting(usize),
    /// So many bytes of a head are there.
    Head(usize),
    /// The next byte's place in the message.
    Body(usize),
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            state: State::Head(0),
            joins: true,
            is_repeat: false,
            head: [0; HEAD],
            next: None,
            due: 0,
        }
    }
}

impl Follower {
    /// One that has the stream from its first byte on, and so misses what is missing there.
    pub(super) fn from_start() -> Self {
        Self {
            joins: false,
            next: Some(0),
            ..Self::default()
        }
    }

    /// Whether it has found a message, so that something was compared.
    pub(super) fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// Hands the next bytes over while no filler is known yet. Returns how long messages are, once one has begun; from
    /// then on this follower is of no more use.
    pub(super) fn learn(&mut self, mut bytes: &[u8]) -> Option<usize> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head(have) => {
                    let (whole, rest) = self.gather(have, bytes);
                    if whole {
                        if let Some(head) = Head::read(&self.head) {
                            return Some(head.size as usize);
                        }
                        self.pass_head();
                    }
                    rest
                }
                State::Hunting(_) | State::Body(_) => self.hunt(0, bytes).1,
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
                State::Hunting(passed) => self.seek(passed, bytes, filler, &mut found),
                State::Head(have) => self.take_head(have, bytes, filler, &mut found),
                State::Body(place) => self.take_body(place, bytes, filler, check, &mut found),
            };
        }
    }

    /// Passes over bytes up to the end of a line. Returns how many that were, from the beginning of the search on, and
    /// the rest.
    fn hunt<'a>(&mut self, passed: usize, bytes: &'a [u8]) -> (usize, &'a [u8]) {
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let passed = passed + end.unwrap_or(bytes.len());
        self.state = match end {
            Some(_) => State::Head(0),
            None => State::Hunting(passed),
        };
        (passed, &bytes[end.unwrap_or(bytes.len())..])
    }

    /// The same for one who knows how long messages are: nobody has to pass over a whole one to find the next, and over
    /// more than two where one was not what was sent.
    fn seek<'a>(
        &mut self,
        passed: usize,
        bytes: &'a [u8],
        filler: &Filler,
        found: &mut impl FnMut(Found),
    ) -> &'a [u8] {
        let most = match self.joins {
            true => filler.size() - 1,
            false => 2 * filler.size(),
        };
        let (passed, rest) = self.hunt(passed, bytes);
        if passed > most {
            found(Found::Altered);
            self.joins = false;
            if let State::Hunting(passed) = &mut self.state {
                *passed = 0;
            }
        }
        if let State::Head(_) = self.state {
            self.joins = false;
        }
        rest
    }

    /// Adds bytes to a head. Returns whether it is whole, and the rest.
    fn gather<'a>(&mut self, have: usize, bytes: &'a [u8]) -> (bool, &'a [u8]) {
        let n = bytes.len().min(HEAD - have);
        self.head[have..have + n].copy_from_slice(&bytes[..n]);
        self.state = State::Head(have + n);
        (have + n == HEAD, &bytes[n..])
    }

    /// Goes on behind what looked like a head and is none: the line's end may be in it.
    fn pass_head(&mut self) {
        self.state = match memchr::memchr(b'\n', &self.head) {
            Some(at) => {
                self.joins = false;
                self.head.copy_within(at + 1.., 0);
                State::Head(HEAD - at - 1)
            }
            None if self.joins => State::Hunting(HEAD),
            None => State::Hunting(0),
        };
    }

    fn take_head<'a>(
        &mut self,
        have: usize,
        bytes: &'a [u8],
        filler: &Filler,
        found: &mut impl FnMut(Found),
    ) -> &'a [u8] {
        let (whole, rest) = self.gather(have, bytes);
        if !whole {
            return rest;
        }
        match Head::read(&self.head).filter(|head| head.size as usize == filler.size()) {
            Some(head) => {
                self.count(head, found);
                self.joins = false;
                self.state = State::Body(HEAD);
            }
            None => {
                if !self.joins {
                    found(Found::Altered);
                }
                self.pass_head();
            }
        }
        rest
    }

    /// Compares a message's number with those before it.
    fn count(&mut self, head: Head, found: &mut impl FnMut(Found)) {
        // Only a source that has begun anew sends a lower number later.
        self.is_repeat = false;
        match self.next {
            None => found(Found::Begun(head)),
            Some(next) if head.seq > next => found(Found::Lost(head.seq - next)),
            Some(next) if head.seq < next => {
                found(Found::Repeated);
                self.is_repeat = head.due <= self.due;
            }
            Some(_) => {}
        }
        if !self.is_repeat {
            self.next = Some(head.seq + 1);
            self.due = head.due;
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
        let last = filler.size() - 1;
        let n = bytes.len().min(filler.size() - place);
        let text = n.min(last - place);
        let as_sent = !check || bytes[..text] == filler.from(head.seq, place)[..text];
        let ended = place + n == filler.size();
        if !as_sent || (ended && bytes[n - 1] != b'\n') {
            found(Found::Altered);
            self.state = State::Hunting(0);
            return bytes;
        }
        self.state = State::Body(place + n);
        if ended {
            if !self.is_repeat {
                found(Found::Message(head));
            }
            self.state = State::Head(0);
        }
        &bytes[n..]
    }
}
