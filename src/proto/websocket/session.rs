//! One end of a connection: what the peer sends, what it is owed for that, and how both come to an end.
//!
//! ```text
//!            close()                     Close comes
//!    open ────────────> we have closed ────────────────> closed
//!      │                                                   ^
//!      └── Close comes, or a violation: ours is due ───────┘ once it is sent
//! ```
//!
//! What is owed is bounded: the pong for the latest ping only (RFC 6455, section 5.5.3), one ping, one close.

use super::Side;
use super::close::{self, CloseCode};
use super::frame::{FrameHead, Key, Opcode, mask};
use super::reader::{Event, Reader};
use super::violation::Violation;

/// Reads as [`Reader`] does, and keeps the control frames that are to be sent.
///
/// The caller owns the messages: it writes a [`FrameHead`] and a payload at a time. Whenever such a frame is complete,
/// and before it begins another, it writes what [`Session::control`] has, to its end.
#[derive(Clone, Debug)]
pub struct Session {
    side: Side,
    reader: Reader,
    pong: Option<Vec<u8>>,
    ping: Option<Vec<u8>>,
    close: Option<Vec<u8>>,
    /// The control frame that is being sent, and how much of it was.
    out: Vec<u8>,
    sent: usize,
    we: Ending,
    peer_has_ended: bool,
    /// The peer's close is answered when the caller says so.
    answers_late: bool,
}

/// How far our own end of the closing handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    Due,
    Sending,
    Sent,
}

impl Session {
    /// From the first byte after the upgrade on. For `message_max`: [`Reader::new`].
    pub fn new(side: Side, message_max: u64) -> Self {
        Self {
            side,
            reader: Reader::new(side, message_max),
            pong: None,
            ping: None,
            close: None,
            out: Vec::new(),
            sent: 0,
            we: Ending::Open,
            peer_has_ended: false,
            answers_late: false,
        }
    }

    /// From now on a close frame of the peer's does not make ours due: messages may follow it until the caller says
    /// [`Session::close`] (RFC 6455, section 5.5.1, lets an endpoint finish what it is sending).
    pub fn answer_late(&mut self) {
        self.answers_late = true;
    }

    /// As [`Reader::feed`]. A ping makes a pong due; a close or a violation makes our close due, if there was none,
    /// with the same code or with the violation's. A close that is to be answered late does not.
    pub fn feed<'a>(
        &'a mut self,
        bytes: &'a mut [u8],
    ) -> Result<(usize, Option<Event<'a>>), Violation> {
        let fed = self.reader.feed(bytes);
        match &fed {
            Ok((_, Some(Event::Ping(payload)))) if self.we == Ending::Open => {
                self.pong = Some(payload.to_vec());
            }
            Ok((_, Some(Event::Close(said)))) => {
                self.peer_has_ended = true;
                if !self.answers_late {
                    end(&mut self.we, &mut self.close, said.code, "");
                }
            }
            Err(violation) => {
                self.peer_has_ended = true;
                let why = violation.to_string();
                end(&mut self.we, &mut self.close, Some(violation.code()), &why);
            }
            _ => {}
        }
        fed
    }

    /// Makes a ping due, in place of one that is due already.
    ///
    /// # Panics
    /// If the payload is longer than [`super::CONTROL_MAX`].
    pub fn ping(&mut self, payload: &[u8]) {
        assert!(
            payload.len() <= super::CONTROL_MAX,
            "a ping takes 125 bytes"
        );
        if self.we == Ending::Open {
            self.ping = Some(payload.to_vec());
        }
    }

    /// Makes our close due, unless it is or was. No message may begin any more. A reason longer than 123 bytes is cut.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        end(&mut self.we, &mut self.close, Some(code), reason);
    }

    /// What is to be written now, where a frame may begin; empty if nothing is due. `key` is asked for a fresh one for
    /// each frame of a client, and never by a server. What was written is reported by [`Session::control_sent`].
    pub fn control(&mut self, key: impl FnOnce() -> Key) -> &[u8] {
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            if let Some((opcode, mut payload)) = self.next_due() {
                let key = (self.side == Side::Client).then(key);
                let head = FrameHead::new(opcode, true, payload.len() as u64, key);
                if let Some(key) = key {
                    mask(&mut payload, key, 0);
                }
                self.out.extend_from_slice(&head);
                self.out.append(&mut payload);
            }
        }
        &self.out[self.sent..]
    }

    /// So many bytes of [`Session::control`] were written.
    ///
    /// # Panics
    /// If there were not so many.
    pub fn control_sent(&mut self, count: usize) {
        self.sent += count;
        assert!(
            self.sent <= self.out.len(),
            "only what is there can have been sent"
        );
        if self.sent == self.out.len() && self.we == Ending::Sending {
            self.we = Ending::Sent;
        }
    }

    /// Whether [`Session::control`] has something to write, or has begun to.
    pub fn owes(&self) -> bool {
        let due = self.pong.is_some() || self.ping.is_some() || self.close.is_some();
        due || self.sent < self.out.len()
    }

    /// Whether a frame of data may be sent: our close is neither due nor sent.
    pub fn is_open(&self) -> bool {
        self.we == Ending::Open
    }

    /// Whether the peer will send nothing more that counts: it has closed, or was at fault.
    pub fn peer_has_ended(&self) -> bool {
        self.peer_has_ended
    }

    /// Whether both have closed: a server closes the connection now, a client waits for that a while (7.1.1).
    pub fn is_closed(&self) -> bool {
        self.peer_has_ended && self.we == Ending::Sent
    }

    fn next_due(&mut self) -> Option<(Opcode, Vec<u8>)> {
        if let Some(payload) = self.close.take() {
            self.we = Ending::Sending;
            // Nothing follows a close, and what was owed before it means nothing any more.
            (self.pong, self.ping) = (None, None);
            return Some((Opcode::Close, payload));
        }
        let pong = self.pong.take().map(|payload| (Opcode::Pong, payload));
        pong.or_else(|| self.ping.take().map(|payload| (Opcode::Ping, payload)))
    }
}

fn end(we: &mut Ending, due: &mut Option<Vec<u8>>, code: Option<CloseCode>, reason: &str) {
    if *we == Ending::Open {
        *we = Ending::Due;
        *due = Some(close::payload(code, reason));
    }
}
