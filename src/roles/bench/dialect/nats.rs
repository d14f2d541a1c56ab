//! What NATS says to its clients: lines, and the bytes of a message behind some of them.

use super::line::Line;
use super::{Heard, TAIL, number, quoted};

/// Without `verbose`, nothing that is well is answered.
pub(super) const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// The answer to the `PING` comes when what is before it has been done.
pub(super) const SUBSCRIBE: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB bench 1\r\nPING\r\n";

/// The answer to a `PING`.
pub(super) const PONG: &[u8] = b"PONG\r\n";

/// What stands before a message.
pub(super) fn publish(size: usize) -> Vec<u8> {
    format!("PUB bench {size}\r\n").into_bytes()
}

/// Follows a connection to NATS.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Line,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Line,
    /// So many bytes of a message are still to come.
    Body(usize),
    /// A line's end behind a message.
    End,
}

impl Reader {
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Heard<'a>) {
        match self.state {
            State::Body(left) => {
                let n = bytes.len().min(left);
                self.skip(n);
                (n, Heard::Body(&bytes[..n]))
            }
            State::End => match self.line.take(bytes) {
                (n, None) => (n, Heard::Other),
                (n, Some(b"")) => {
                    self.state = State::Line;
                    (n, Heard::Other)
                }
                (n, Some(line)) => (n, Heard::Refused(quoted(line))),
            },
            State::Line => {
                let (n, line) = self.line.take(bytes);
                let Some(line) = line else {
                    return (n, Heard::Other);
                };
                let (heard, size) = understand(line);
                match size {
                    Some(0) => self.state = State::End,
                    Some(size) => self.state = State::Body(size),
                    None => {}
                }
                (n, heard)
            }
        }
    }

    pub(super) fn left(&self) -> usize {
        match self.state {
            State::Body(left) => left,
            State::Line | State::End => 0,
        }
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        let left = self.left();
        self.state = match left.saturating_sub(bytes) {
            0 if bytes == left + TAIL => State::Line,
            0 => State::End,
            left => State::Body(left),
        };
    }
}

/// What a line says, and how long the message behind it is, where there is one.
fn understand(line: &[u8]) -> (Heard<'static>, Option<usize>) {
    if line.starts_with(b"MSG ") {
        let last = line.rsplit(|byte| *byte == b' ').next();
        return match last.and_then(number) {
            Some(size) => (Heard::Other, Some(size)),
            None => (Heard::Refused(quoted(line)), None),
        };
    }
    let heard = match line {
        b"PING" => Heard::Ping,
        b"PONG" => Heard::Subscribed,
        b"+OK" => Heard::Other,
        _ if line.starts_with(b"INFO ") => Heard::Other,
        _ => Heard::Refused(quoted(line)),
    };
    (heard, None)
}
