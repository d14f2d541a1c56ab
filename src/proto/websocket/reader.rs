//! Bytes in, pieces of messages and control frames out.

use super::Side;
use super::close::Close;
use super::frame::{
    CONTROL_MAX, HEAD_MAX, Key, LAST, LEN_16, LEN_64, MASKED, OPCODE, Opcode, RESERVED, mask,
};
use super::utf8::Utf8;
use super::violation::Violation;

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, which is checked as it comes: all that was handed out can begin a text.
    Text,
    /// Bytes.
    Binary,
}

/// What has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of a message, in the buffer that was fed. Empty only where the message `ends` without any.
    Data {
        /// What the message is made of.
        kind: Kind,
        /// The bytes, unmasked.
        bytes: &'a [u8],
        /// Whether they are its last.
        ends: bool,
    },
    /// The peer wants a pong with this payload.
    Ping(&'a [u8]),
    /// The peer answers a ping, or nothing.
    Pong(&'a [u8]),
    /// The peer will send nothing more. Whatever follows is thrown away.
    Close(Close<'a>),
}

/// Follows what one peer sends.
#[derive(Clone, Debug)]
pub struct Reader {
    side: Side,
    message_max: u64,
    head: [u8; HEAD_MAX],
    /// How much of the head of the frame has come.
    have: u8,
    /// The frame whose payload comes.
    frame: Option<Frame>,
    /// The message that has begun and not ended.
    message: Option<Kind>,
    /// How long that is, by what its frames have declared.
    message_len: u64,
    utf8: Utf8,
    /// The payload of a control frame.
    control: Vec<u8>,
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    last: bool,
    /// What came of the payload, and what is still to come.
    came: u64,
    left: u64,
    key: Option<Key>,
}

impl Frame {
    /// Whether a message ends with what came of this frame.
    fn ends_message(&self) -> bool {
        self.last && self.left == 0
    }
}

impl Reader {
    /// At the first byte after the upgrade. No message longer than `message_max` bytes is taken; since nothing of it is
    /// held, that guards only those who hold it themselves: the roles do not, and take messages of any length.
    pub fn new(side: Side, message_max: u64) -> Self {
        Self {
            side,
            message_max,
            head: [0; HEAD_MAX],
            have: 0,
            frame: None,
            message: None,
            message_len: 0,
            utf8: Utf8::default(),
            control: Vec::new(),
            over: false,
        }
    }

    /// Takes some of the bytes, at least one if there is one, and tells how many and what came of them. The caller
    /// feeds the rest again until none is left. After a violation or a close frame all is taken and nothing comes.
    ///
    /// ```
    /// use hydrant::proto::websocket::{Event, Kind, Reader, Side};
    ///
    /// let mut reader = Reader::new(Side::Client, u64::MAX);
    /// let mut bytes = *b"\x82\x05hel";
    /// let event = Event::Data { kind: Kind::Binary, bytes: b"hel", ends: false };
    /// assert_eq!(reader.feed(&mut bytes), Ok((5, Some(event))));
    /// ```
    pub fn feed<'a>(
        &'a mut self,
        bytes: &'a mut [u8],
    ) -> Result<(usize, Option<Event<'a>>), Violation> {
        if self.over {
            return Ok((bytes.len(), None));
        }
        let mut taken = 0;
        if self.frame.is_none() {
            match self.take_head(bytes) {
                Ok(head) => taken = head,
                Err(violation) => {
                    self.over = true;
                    return Err(violation);
                }
            }
        }
        let Some(frame) = &mut self.frame else {
            return Ok((taken, None));
        };
        let rest = &mut bytes[taken..];
        let count = usize::try_from(frame.left).map_or(rest.len(), |left| left.min(rest.len()));
        let payload = &mut rest[..count];
        if let Some(key) = frame.key {
            mask(payload, key, frame.came);
        }
        frame.came += count as u64;
        frame.left -= count as u64;
        let frame = *frame;
        if frame.left == 0 {
            self.frame = None;
        }
        let kind = self.message;
        if let Err(violation) = self.take_payload(frame, payload) {
            self.over = true;
            return Err(violation);
        }
        Ok((taken + count, self.event(frame, kind, payload)))
    }

    /// Looks at the next bytes of a payload, and keeps them where they are a control frame's.
    fn take_payload(&mut self, frame: Frame, bytes: &[u8]) -> Result<(), Violation> {
        if frame.opcode.is_control() {
            self.control.extend_from_slice(bytes);
            if frame.opcode == Opcode::Close && frame.left == 0 {
                self.over = true;
                Close::parse(&self.control)?;
            }
            return Ok(());
        }
        if self.message == Some(Kind::Text) {
            self.utf8.feed(bytes)?;
        }
        if frame.ends_message() {
            self.utf8.end()?;
            self.message = None;
            self.message_len = 0;
        }
        Ok(())
    }

    /// What has come with the latest bytes of a frame, which were looked at. `kind` is that of its message.
    fn event<'a>(&'a self, frame: Frame, kind: Option<Kind>, bytes: &'a [u8]) -> Option<Event<'a>> {
        let ends = frame.ends_message();
        match frame.opcode {
            _ if frame.opcode.is_control() && frame.left > 0 => None,
            Opcode::Ping => Some(Event::Ping(&self.control)),
            Opcode::Pong => Some(Event::Pong(&self.control)),
            Opcode::Close => Close::parse(&self.control).ok().map(Event::Close),
            _ if bytes.is_empty() && !ends => None,
            _ => kind.map(|kind| Event::Data { kind, bytes, ends }),
        }
    }

    /// Takes bytes of the head, as far as they go; when it is complete, its frame has begun. Each rule is looked at as
    /// soon as its byte is there.
    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        for (taken, byte) in (1..).zip(bytes) {
            let at = usize::from(self.have);
            self.head[at] = *byte;
            self.have += 1;
            match at {
                0 => self.check_kind(*byte)?,
                1 => self.check_length(*byte)?,
                _ => {}
            }
            if at > 0 && at + 1 == self.head_len() {
                self.have = 0;
                self.begin()?;
                return Ok(taken);
            }
        }
        Ok(bytes.len())
    }

    /// The first byte: what sort of frame it is, and whether it may come now.
    fn check_kind(&self, byte: u8) -> Result<(), Violation> {
        if byte & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let number = byte & OPCODE;
        let opcode = Opcode::of(number).ok_or(Violation::Opcode { number })?;
        match (opcode, self.message) {
            _ if opcode.is_control() && byte & LAST == 0 => Err(Violation::FragmentedControl),
            (Opcode::Continuation, None) => Err(Violation::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Violation::NotContinued),
            _ => Ok(()),
        }
    }

    /// The second byte: masked or not, and how long.
    fn check_length(&self, byte: u8) -> Result<(), Violation> {
        let is_control = self.head[0] & 0x8 != 0;
        match (self.side, byte & MASKED != 0) {
            (Side::Server, false) => Err(Violation::NotMasked),
            (Side::Client, true) => Err(Violation::Masked),
            _ if is_control && usize::from(byte & !MASKED) > CONTROL_MAX => {
                Err(Violation::LongControl)
            }
            _ => Ok(()),
        }
    }

    /// Of what its first two bytes say.
    fn head_len(&self) -> usize {
        let key = if self.head[1] & MASKED != 0 { 4 } else { 0 };
        2 + width(self.head[1]) + key
    }

    /// The head is complete.
    fn begin(&mut self) -> Result<(), Violation> {
        let opcode = Opcode::of(self.head[0] & OPCODE).expect("it was looked at");
        let short = u64::from(self.head[1] & !MASKED);
        let width = width(self.head[1]);
        let (length, rest) = self.head[2..].split_at(width);
        let long = length
            .iter()
            .fold(0, |len, byte| len << 8 | u64::from(*byte));
        let left = match width {
            0 => short,
            8 if long >> 63 != 0 => return Err(Violation::LengthTopBit),
            8 if long <= u64::from(u16::MAX) => return Err(Violation::LengthNotMinimal),
            2 if long < u64::from(LEN_16) => return Err(Violation::LengthNotMinimal),
            _ => long,
        };
        let masked = self.head[1] & MASKED != 0;
        let key = rest.first_chunk().copied().map(Key).filter(|_| masked);
        match opcode {
            Opcode::Text => self.message = Some(Kind::Text),
            Opcode::Binary => self.message = Some(Kind::Binary),
            Opcode::Continuation => {}
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.clear(),
        }
        if !opcode.is_control() {
            self.message_len = self.message_len.saturating_add(left);
            if self.message_len > self.message_max {
                let max = self.message_max;
                return Err(Violation::TooLong { max });
            }
        }
        self.frame = Some(Frame {
            opcode,
            last: self.head[0] & LAST != 0,
            came: 0,
            left,
            key,
        });
        Ok(())
    }
}

/// How many bytes of length follow the second byte of a head.
fn width(byte: u8) -> usize {
    match u16::from(byte & !MASKED) {
        LEN_16 => 2,
        LEN_64 => 8,
        _ => 0,
    }
}
