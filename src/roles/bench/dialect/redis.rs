//! What redis says to its clients: RESP 2. A value is a line, and behind the line of a bulk string its bytes; an array
//! is a line and then its items. To those who subscribe it says arrays of three, of which the first item is a word.

use super::line::Line;
use super::{Heard, TAIL, number, quoted};

pub(super) const SUBSCRIBE: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n";

/// What stands before a message.
pub(super) fn publish(size: usize) -> Vec<u8> {
    format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n${size}\r\n").into_bytes()
}

/// Follows a connection to redis.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Line,
    place: Place,
}

/// Where in the stream it is.
#[derive(Debug, Default)]
struct Place {
    state: State,
    /// Items of the array that are still to come, the one at hand with them; 0: none is under way.
    items: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// A value begins.
    #[default]
    Value,
    /// A bulk string of so many bytes, in which there is no line's end.
    Word(usize),
    /// So many bytes of a message are still to come.
    Body(usize),
    /// A line's end behind a message.
    End,
}

/// What an array says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Its first item is still to come.
    #[default]
    Unknown,
    Message,
    Subscribed,
    Other,
}

impl Reader {
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Heard<'a>) {
        if let State::Body(left) = self.place.state {
            let n = bytes.len().min(left);
            self.skip(n);
            return (n, Heard::Body(&bytes[..n]));
        }
        let (n, line) = self.line.take(bytes);
        let heard = line.map_or(Heard::Other, |line| self.place.understand(line));
        (n, heard)
    }

    pub(super) fn left(&self) -> usize {
        match self.place.state {
            State::Body(left) => left,
            State::Value | State::Word(_) | State::End => 0,
        }
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        let left = self.left();
        if bytes == left + TAIL {
            self.place.end();
        } else {
            self.place.state = match left.saturating_sub(bytes) {
                0 => State::End,
                left => State::Body(left),
            };
        }
    }
}

impl Place {
    fn understand(&mut self, line: &[u8]) -> Heard<'static> {
        match self.state {
            State::Value => self.begin(line),
            State::Word(len) if line.len() == len => {
                if self.kind == Kind::Unknown {
                    self.kind = match line {
                        b"message" => Kind::Message,
                        b"subscribe" => Kind::Subscribed,
                        _ => Kind::Other,
                    };
                }
                self.end()
            }
            State::End if line.is_empty() => self.end(),
            State::Word(_) | State::End | State::Body(_) => Heard::Refused(quoted(line)),
        }
    }

    /// A value's first line.
    fn begin(&mut self, line: &[u8]) -> Heard<'static> {
        let refused = || Heard::Refused(quoted(line));
        let Some((kind, rest)) = line.split_first() else {
            return refused();
        };
        match (kind, number(rest)) {
            (b'*', Some(items @ 1..)) if self.items == 0 => {
                self.items = items;
                self.kind = Kind::Unknown;
                Heard::Other
            }
            (b'$', Some(len)) if self.items > 0 => {
                self.state = match (self.kind, self.items, len) {
                    (Kind::Message, 1, 0) => State::End,
                    (Kind::Message, 1, _) => State::Body(len),
                    _ => State::Word(len),
                };
                Heard::Other
            }
            (b'$', None) if rest == b"-1" => self.end(),
            (b':' | b'+', _) => self.end(),
            _ => refused(),
        }
    }

    /// A value is whole.
    fn end(&mut self) -> Heard<'static> {
        self.state = State::Value;
        let was_last = self.items == 1;
        self.items = self.items.saturating_sub(1);
        match self.kind {
            Kind::Subscribed if was_last => Heard::Subscribed,
            _ => Heard::Other,
        }
    }
}
