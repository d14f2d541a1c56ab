//! How the two ends of a tunnel find each other through a hub that may lose either of them at any time.
//!
//! ```text
//!   01 own id (8 bytes) the peer's id or zeros          HELLO, again and again until it is answered
//!   02 own id           the peer's id           bytes   a piece of the session's byte stream, 16 KiB at most
//! ```
//!
//! An end draws its id anew whenever it may have missed something. A session stands once each end has had a HELLO that
//! names its own id; what names other ids is of a session that is over. It knows no clock and no yamux.

use std::time::Duration;

use crate::base::time::Time;

/// What tells an end from its former selves. All zeros: none.
pub type EndId = [u8; 8];

/// The most bytes of the session's stream in one piece.
pub const PIECE_MAX: usize = 16 << 10;
/// How often a HELLO that nobody has answered is said again.
pub const HELLO_EVERY: Duration = Duration::from_secs(2);
/// What stands in front of a piece's bytes; a HELLO is as long.
pub const PAIRING_HEAD: usize = 1 + 8 + 8;

/// One end.
#[derive(Clone, Debug)]
pub struct Pairing {
    own: EndId,
    peer: Option<EndId>,
    /// The peer has named our id.
    stands: bool,
    /// When a HELLO last named the peer's.
    answered: Option<Time>,
}

/// What a message of the peer's means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A HELLO.
    Hello {
        /// The peer is another than before: what was under way between the two is lost.
        anew: bool,
        /// The session stands from now on.
        stands: bool,
        /// It is to be answered, before anything else is sent.
        answer: bool,
    },
    /// A piece of the session's stream.
    Piece(&'a [u8]),
    /// A piece that is too long to be one: the stream can't be read any more.
    TooLong,
    /// A piece of a session that is over, or does not stand yet.
    Stray,
    /// Nothing that a tunnel's end says.
    Garbage,
}

impl Pairing {
    /// An end that has heard nothing. Its id is not all zeros, and nobody had it before.
    pub fn new(own: EndId) -> Self {
        debug_assert_ne!(own, NONE);
        Self {
            own,
            peer: None,
            stands: false,
            answered: None,
        }
    }

    /// Whether pieces may be sent.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Whether a message is a HELLO.
    pub fn is_hello(body: &[u8]) -> bool {
        body.len() == PAIRING_HEAD && body[0] == HELLO
    }

    /// A message of the peer's came in.
    pub fn hear<'a>(&mut self, now: Time, body: &'a [u8]) -> Heard<'a> {
        let Some((head, bytes)) = body.split_first_chunk::<PAIRING_HEAD>() else {
            return Heard::Garbage;
        };
        let (from, to) = ids(head);
        match head[0] {
            HELLO if bytes.is_empty() && from != NONE => self.on_hello(now, from, to),
            PIECE if !self.stands || self.peer != Some(from) || to != self.own => Heard::Stray,
            PIECE if bytes.len() > PIECE_MAX => Heard::TooLong,
            PIECE => Heard::Piece(bytes),
            _ => Heard::Garbage,
        }
    }

    fn on_hello(&mut self, now: Time, from: EndId, to: EndId) -> Heard<'static> {
        let anew = self.peer != Some(from);
        if anew {
            self.peer = Some(from);
            self.stands = false;
            self.answered = None;
        }
        let names_us = to == self.own;
        let stands = names_us && !self.stands;
        self.stands |= names_us;
        // Who names us may still wait to be named; but an answer to each answer would never end.
        let lately = |at: Time| now.since(at) < HELLO_EVERY / 2;
        Heard::Hello {
            anew,
            stands,
            answer: !names_us || !self.answered.is_some_and(lately),
        }
    }

    /// The HELLO to be sent now.
    pub fn hello(&mut self, now: Time) -> [u8; PAIRING_HEAD] {
        if self.peer.is_some() {
            self.answered = Some(now);
        }
        self.head(HELLO)
    }

    /// What goes in front of a piece's bytes.
    pub fn piece_head(&self) -> [u8; PAIRING_HEAD] {
        self.head(PIECE)
    }

    fn head(&self, kind: u8) -> [u8; PAIRING_HEAD] {
        let mut head = [kind; PAIRING_HEAD];
        head[1..9].copy_from_slice(&self.own);
        head[9..].copy_from_slice(&self.peer.unwrap_or(NONE));
        head
    }
}

fn ids(head: &[u8; PAIRING_HEAD]) -> (EndId, EndId) {
    let id = |at: usize| {
        let mut id = NONE;
        id.copy_from_slice(&head[at..at + 8]);
        id
    };
    (id(1), id(9))
}

const NONE: EndId = [0; 8];
const HELLO: u8 = 1;
const PIECE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Time = Time::from_millis(5_000);

    fn hello(anew: bool, stands: bool, answer: bool) -> Heard<'static> {
        Heard::Hello {
            anew,
            stands,
            answer,
        }
    }

    /// Both ends have been named.
    fn pair() -> (Pairing, Pairing) {
        let (mut a, mut b) = (Pairing::new([1; 8]), Pairing::new([2; 8]));
        let first = a.hello(START);
        assert_eq!(
            first,
            *b"\x01\x01\x01\x01\x01\x01\x01\x01\x01\0\0\0\0\0\0\0\0"
        );
        assert_eq!(b.hear(START, &first), hello(true, false, true));
        assert_eq!(a.hear(START, &b.hello(START)), hello(true, true, true));
        assert_eq!(b.hear(START, &a.hello(START)), hello(false, true, false));
        assert!(a.stands() && b.stands());
        (a, b)
    }

    fn piece(from: &Pairing, bytes: &[u8]) -> Vec<u8> {
        [&from.piece_head(), bytes].concat()
    }

    #[test]
    fn two_ends_find_each_other_and_then_are_quiet() {
        let (a, mut b) = pair();
        let said = piece(&a, b"hello");
        assert_eq!(b.hear(START, &said), Heard::Piece(b"hello"));
    }

    #[test]
    fn whoever_still_asks_is_answered_again() {
        let (mut a, mut b) = pair();
        let again = b.hello(START);
        assert_eq!(a.hear(START, &again), hello(false, false, false));
        let later = START + HELLO_EVERY;
        assert_eq!(a.hear(later, &b.hello(later)), hello(false, false, true));
    }

    #[test]
    fn a_new_self_ends_what_was() {
        let (mut a, old) = pair();
        let mut b = Pairing::new([3; 8]);
        assert_eq!(a.hear(START, &b.hello(START)), hello(true, false, true));
        assert!(!a.stands());
        assert_eq!(a.hear(START, &piece(&old, b"late")), Heard::Stray);
        assert_eq!(b.hear(START, &piece(&a, b"early")), Heard::Stray);
        assert_eq!(b.hear(START, &a.hello(START)), hello(true, true, true));
        assert_eq!(a.hear(START, &b.hello(START)), hello(false, true, false));
        assert_eq!(a.hear(START, &piece(&b, b"now")), Heard::Piece(b"now"));
    }

    #[test]
    fn what_no_end_says_is_told_from_what_one_does() {
        let (a, mut b) = pair();
        let most = vec![7; PIECE_MAX];
        assert_eq!(b.hear(START, &piece(&a, &most)), Heard::Piece(&most));
        let more = vec![7; PIECE_MAX + 1];
        assert_eq!(b.hear(START, &piece(&a, &more)), Heard::TooLong);
        for garbage in [
            &b""[..],
            b"GET / HTTP/1.1\r\n\r\n",
            &[1; 16],
            &[1; 18],
            &[0; 17],
        ] {
            assert_eq!(b.hear(START, garbage), Heard::Garbage, "{garbage:?}");
        }
        let nobody = [&[1][..], &[0; 8], &[2; 8]].concat();
        assert_eq!(b.hear(START, &nobody), Heard::Garbage, "zeros are no id");
        assert!(b.stands());
    }

    proptest! {
        /// Whatever is lost on the way, and whoever starts anew: once nothing is, both ends stand.
        #[test]
        fn they_always_come_together(lost in prop::collection::vec(0u8..8, 0..60)) {
            let mut ends = [Pairing::new([1; 8]), Pairing::new([2; 8])];
            let (mut now, mut fresh) = (START, 3);
            let mut lost = lost.into_iter();
            for _ in 0..100 {
                now = now + HELLO_EVERY;
                let mut to_say: Vec<usize> = (0..2).filter(|end| !ends[*end].stands()).collect();
                let mut said = 0;
                while let Some(from) = to_say.pop() {
                    said += 1;
                    prop_assert!(said < 10, "they never stop");
                    let hello = ends[from].hello(now);
                    match lost.next() {
                        Some(0..3) => continue,
                        Some(3) => {
                            ends[from] = Pairing::new([fresh; 8]);
                            fresh += 1;
                            continue;
                        }
                        _ => {}
                    }
                    let to = 1 - from;
                    if let Heard::Hello { answer: true, .. } = ends[to].hear(now, &hello) {
                        to_say.push(to);
                    }
                }
            }
            prop_assert!(ends.iter().all(Pairing::stands));
            prop_assert_eq!(ends[0].peer, Some(ends[1].own));
            prop_assert_eq!(ends[1].peer, Some(ends[0].own));
        }
    }
}
