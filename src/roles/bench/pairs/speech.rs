//! What a broker of messages is told and says: a hub's words, with the envelope, and those of NATS.
//!
//! ```text
//!           begins with                          is let in by   sends               receives
//!   hub     |8|envelopeNAME|                     |2|ok          DEST|LENGTH|BYTES   SENDER|LENGTH|BYTES
//!   NATS    CONNECT, SUB NAME 1, PING, a line    PONG, INFO     PUB DEST LENGTH,    MSG DEST 1 LENGTH, a line,
//!           each                                 before it      BYTES, a line       BYTES, a line
//! ```

use crate::proto::mailbox::{write_head, write_opening};
use crate::roles::bench::dialect::Dialect;

/// A broker's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Hub,
    Nats,
}

/// What a broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// We are let in, and registered.
    Ready,
    /// It asks whether we are there.
    Ping,
    /// A message, and what is said of it: at a hub who sent it, and to whom with NATS.
    Message { label: &'a [u8], body: &'a [u8] },
    /// Something of no account.
    Other,
    /// We are not wanted, or not understood.
    Refused,
}

impl Speech {
    /// What is said where this is to be spoken: what is not NATS is a hub.
    pub(super) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Nats => Self::Nats,
            Dialect::Plain | Dialect::Redis => Self::Hub,
        }
    }

    /// How a client of this name begins.
    pub(super) fn opening(self, name: &str) -> Vec<u8> {
        match self {
            Self::Hub => {
                let mut out = Vec::new();
                write_opening(name.as_bytes(), true, &mut out);
                out
            }
            Self::Nats => format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {name} 1\r\nPING\r\n"
            )
            .into_bytes(),
        }
    }

    /// Writes what stands around a message's bytes, which `body` writes.
    pub(super) fn write(
        self,
        dest: &str,
        len: usize,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        match self {
            Self::Hub => {
                write_head(dest.as_bytes(), len, out);
                body(out);
            }
            Self::Nats => {
                out.extend_from_slice(b"PUB ");
                out.extend_from_slice(dest.as_bytes());
                out.extend_from_slice(format!(" {len}\r\n").as_bytes());
                body(out);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The first of what came, and how many bytes it takes; `None` while it is not whole.
    pub(super) fn read(self, bytes: &[u8]) -> Option<(usize, Heard<'_>)> {
        match self {
            Self::Hub => read_hub(bytes),
            Self::Nats => read_nats(bytes),
        }
    }
}

fn read_hub(bytes: &[u8]) -> Option<(usize, Heard<'_>)> {
    let sender = find(bytes, b'|')?;
    let digits = find(&bytes[sender + 1..], b'|')?;
    let head = sender + 1 + digits + 1;
    let Some(len) = number(&bytes[sender + 1..head - 1]) else {
        return Some((bytes.len(), Heard::Refused));
    };
    let body = bytes.get(head..head + len)?;
    let heard = match (sender, body) {
        (0, b"ok") => Heard::Ready,
        (0, body) if body.starts_with(b"refused") => Heard::Refused,
        (0, _) => Heard::Other,
        _ => Heard::Message {
            label: &bytes[..sender],
            body,
        },
    };
    Some((head + len, heard))
}

fn read_nats(bytes: &[u8]) -> Option<(usize, Heard<'_>)> {
    let line = find(bytes, b'\n')?;
    let text = bytes[..line].strip_suffix(b"\r").unwrap_or(&bytes[..line]);
    let next = line + 1;
    if text.starts_with(b"MSG ") {
        let last = text.rsplit(|byte| *byte == b' ').next();
        let Some(len) = last.and_then(number) else {
            return Some((bytes.len(), Heard::Refused));
        };
        let body = bytes.get(next..next + len)?;
        bytes.get(next + len..next + len + 2)?;
        let label = text.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        return Some((next + len + 2, Heard::Message { label, body }));
    }
    let heard = match text {
        b"PONG" => Heard::Ready,
        b"PING" => Heard::Ping,
        _ if text.starts_with(b"-ERR") => Heard::Refused,
        _ => Heard::Other,
    };
    Some((next, heard))
}

fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    memchr::memchr(byte, &bytes[..bytes.len().min(HEAD_MAX)])
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// No broker here says more before a message; NATS's INFO is the longest.
const HEAD_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(label: &'static [u8], body: &'static [u8]) -> Heard<'static> {
        Heard::Message { label, body }
    }

    #[test]
    fn both_are_read_however_they_come() {
        let cases: [(Speech, &[u8], &[Heard<'_>]); 2] = [
            (
                Speech::Hub,
                b"|2|ok|21|who\ndevice_a\ndevice_b\na|5|a|b|ca|0||19|refused name-in-use",
                &[
                    Heard::Ready,
                    Heard::Other,
                    message(b"\na", b"a|b|c"),
                    message(b"a", b""),
                    Heard::Refused,
                ],
            ),
            (
                Speech::Nats,
                b"INFO {}\r\nPONG\r\nMSG r0 1 5\r\na\r\nbc\r\nPING\r\nMSG r0 1 0\r\n\r\n-ERR 'no'\r\n",
                &[
                    Heard::Other,
                    Heard::Ready,
                    message(b"r0", b"a\r\nbc"),
                    Heard::Ping,
                    message(b"r0", b""),
                    Heard::Refused,
                ],
            ),
        ];
        for (speech, bytes, all) in cases {
            let (mut rest, mut heard) = (bytes, Vec::new());
            while let Some((took, what)) = speech.read(rest) {
                for short in 0..took {
                    assert_eq!(speech.read(&rest[..short]), None, "{short} of {took}");
                }
                heard.push(what);
                rest = &rest[took..];
            }
            assert!(heard == all && rest.is_empty(), "{heard:?}");
        }
        assert!(matches!(
            Speech::Hub.read(b"a|x|"),
            Some((_, Heard::Refused))
        ));
    }

    #[test]
    fn both_are_written_as_they_are_read() {
        let body = |out: &mut Vec<u8>| out.extend_from_slice(b"hello");
        let mut out = Vec::new();
        Speech::Hub.write("r0", 5, &mut out, body);
        Speech::Nats.write("r0", 5, &mut out, body);
        assert_eq!(out, b"r0|5|helloPUB r0 5\r\nhello\r\n");
        assert_eq!(Speech::of(Dialect::Nats), Speech::Nats);
        assert_eq!(Speech::of(Dialect::Plain), Speech::Hub);
    }
}
