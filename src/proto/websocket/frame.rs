//! The head of a frame, and masking (RFC 6455, sections 5.2 and 5.3).
//!
//! ```text
//!   FIN RSV RSV RSV opcode | MASK length (7 bits) | length (0, 2 or 8 bytes) | masking key (0 or 4 bytes) | payload
//! ```

use std::ops::Deref;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the message that is under way.
    Continuation = 0x0,
    /// Begins a message of UTF-8.
    Text = 0x1,
    /// Begins a message of bytes.
    Binary = 0x2,
    /// The sender will send nothing more.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or nothing.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode with this number; `None` for one that the RFC reserves.
    pub fn of(number: u8) -> Option<Self> {
        const ALL: [Opcode; 6] = [
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ];
        ALL.into_iter().find(|opcode| *opcode as u8 == number)
    }

    /// Whether it may come between the fragments of a message, and is short and never in fragments itself.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a client's payload is masked with: four bytes that nobody can foretell, new ones for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; 4]);

/// The head of a frame to be sent. The payload follows it, masked where there is a key.
///
/// ```
/// use hydrant::proto::websocket::{FrameHead, Opcode};
///
/// let head = FrameHead::new(Opcode::Binary, true, 300, None);
/// assert_eq!(*head, [0x82, 126, 1, 44]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    bytes: [u8; HEAD_MAX],
    len: u8,
}

impl FrameHead {
    /// The head for a payload of `len` bytes. `last`: no fragment of the message follows.
    ///
    /// # Panics
    /// For a control frame that is longer than [`CONTROL_MAX`] or not the last fragment, and from 2^63 bytes on: a peer
    /// would have to end the connection.
    pub fn new(opcode: Opcode, last: bool, len: u64, key: Option<Key>) -> Self {
        let fits = !opcode.is_control() || last && len <= CONTROL_MAX as u64;
        assert!(fits, "a control frame is short and in one piece");
        assert!(len >> 63 == 0, "the length's top bit is never set");
        let mut head = Self {
            bytes: [0; HEAD_MAX],
            len: 0,
        };
        let masked = if key.is_some() { MASKED } else { 0 };
        head.push(&[if last { LAST } else { 0 } | opcode as u8]);
        match (u16::try_from(len), len as u8) {
            (Ok(0..LEN_16), short) => head.push(&[masked | short]),
            (Ok(len), _) => {
                head.push(&[masked | LEN_16 as u8]);
                head.push(&len.to_be_bytes());
            }
            (Err(_), _) => {
                head.push(&[masked | LEN_64 as u8]);
                head.push(&len.to_be_bytes());
            }
        }
        if let Some(Key(key)) = key {
            head.push(&key);
        }
        head
    }

    /// How long a frame's head is and how long its payload, by the first bytes of a frame that is known to be good: ten
    /// of them are always enough. `None` where they do not go far enough.
    pub fn extent(frame: &[u8]) -> Option<(usize, u64)> {
        let second = *frame.get(1)?;
        let key = if second & MASKED != 0 { 4 } else { 0 };
        let (width, len) = match u16::from(second & !MASKED) {
            LEN_16 => (2, u64::from(u16::from_be_bytes(*frame[2..].first_chunk()?))),
            LEN_64 => (8, u64::from_be_bytes(*frame[2..].first_chunk()?)),
            short => (0, u64::from(short)),
        };
        Some((2 + width + key, len))
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl Deref for FrameHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Masks a payload or unmasks it, which is the same. `at`: how many bytes of the frame's payload came before these.
pub fn mask(bytes: &mut [u8], Key(key): Key, at: u64) {
    let mut turned = key;
    turned.rotate_left((at % 4) as usize);
    let mut wide = [0; 8];
    wide[..4].copy_from_slice(&turned);
    wide[4..].copy_from_slice(&turned);
    let wide = u64::from_ne_bytes(wide);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

/// The longest head: two bytes, a length of eight, a key of four.
pub const HEAD_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_MAX: usize = 125;

pub(super) const LAST: u8 = 0x80;
pub(super) const RESERVED: u8 = 0x70;
pub(super) const OPCODE: u8 = 0x0F;
pub(super) const MASKED: u8 = 0x80;
/// Short lengths that say how wide the real one is.
pub(super) const LEN_16: u16 = 126;
pub(super) const LEN_64: u16 = 127;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_as_short_as_can_be() {
        let head = |len| FrameHead::new(Opcode::Text, false, len, None).to_vec();
        assert_eq!(head(0), [0x01, 0]);
        assert_eq!(head(125), [0x01, 125]);
        assert_eq!(head(126), [0x01, 126, 0, 126]);
        assert_eq!(head(65_535), [0x01, 126, 255, 255]);
        assert_eq!(head(65_536), [0x01, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let longest = FrameHead::new(Opcode::Binary, true, u64::MAX >> 1, Some(Key([1, 2, 3, 4])));
        assert_eq!(longest.len(), HEAD_MAX);
        assert_eq!(longest[..2], [0x82, 255]);
    }

    #[test]
    fn a_frame_tells_how_far_it_goes() {
        for len in [0, 125, 126, 65_535, 65_536, u64::MAX >> 1] {
            for key in [None, Some(Key([9; 4]))] {
                let head = FrameHead::new(Opcode::Binary, true, len, key);
                assert_eq!(FrameHead::extent(&head), Some((head.len(), len)));
                let without_key = head.len() - if key.is_some() { 4 } else { 0 };
                assert_eq!(FrameHead::extent(&head[..without_key - 1]), None);
            }
        }
    }

    /// The example of RFC 6455, section 5.7.
    #[test]
    fn a_masked_text_is_as_the_rfc_shows_it() {
        let key = Key([0x37, 0xfa, 0x21, 0x3d]);
        let mut payload = *b"Hello";
        mask(&mut payload, key, 0);
        assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let head = FrameHead::new(Opcode::Text, true, 5, Some(key));
        assert_eq!(*head, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
    }

    #[test]
    #[should_panic(expected = "short and in one piece")]
    fn a_long_ping_is_a_mistake() {
        FrameHead::new(Opcode::Ping, true, 126, None);
    }

    proptest! {
        #[test]
        fn masking_goes_on_where_it_was(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), key in any::<[u8; 4]>(), cut in 0usize..60
        ) {
            let naive: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
            let mut masked = bytes.clone();
            let (first, second) = masked.split_at_mut(cut.min(bytes.len()));
            mask(first, Key(key), 0);
            mask(second, Key(key), first.len() as u64);
            prop_assert_eq!(masked, naive);
        }
    }
}
