//! A client's side of a broker's protocol. What is only counted is thrown away unseen as far as it can be: whoever
//! shares a machine with the broker is not to be what sets the pace.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering::Relaxed;

use super::{Dialect, Heard, Reader, TAIL, nats};
use crate::reactor::Cx;
use crate::reactor::net::SockId;
use crate::roles::bench::board::Board;

/// One that has asked for all messages.
#[derive(Debug)]
pub(in crate::roles::bench) struct Subscriber {
    reader: Reader,
    subscribed: bool,
    /// Messages are so long that it pays to throw them away one by one.
    long: bool,
}

impl Subscriber {
    /// Asks for the messages, where there is something to be asked.
    pub(in crate::roles::bench) fn begin(
        cx: &mut Cx<'_>,
        sock: SockId,
        dialect: Dialect,
    ) -> io::Result<Option<Self>> {
        let Some(reader) = Reader::of(dialect) else {
            return Ok(None);
        };
        say(cx, sock, dialect.subscription())?;
        Ok(Some(Self {
            reader,
            subscribed: false,
            long: false,
        }))
    }

    /// Whether the broker has said that it will get all messages from now on.
    pub(in crate::roles::bench) fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// Reads what came. Returns how many bytes of messages are in it, as [`Cx::read`] does; they are put into `bodies`,
    /// if they are wanted. That it is subscribed now, or will never be, goes to the board.
    pub(in crate::roles::bench) fn read(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        board: &Board,
        buffer: &mut [u8],
        mut bodies: Option<&mut Vec<u8>>,
    ) -> io::Result<Option<usize>> {
        let mut counted = 0;
        let left = self.reader.left();
        // The rest of a long one goes the same way, however little a read between two has left of it.
        if bodies.is_none() && left > 0 && (self.long || left >= LONG) {
            match cx.discard(sock, left + TAIL)? {
                Some(n @ 1..) => {
                    self.reader.skip(n);
                    counted = n.min(left);
                }
                other => return Ok(other),
            }
            if self.reader.left() > 0 || !cx.is_readable(sock) {
                return Ok(Some(counted));
            }
        }
        let room = match bodies.is_none() && self.long {
            true => &mut buffer[..BETWEEN],
            false => buffer,
        };
        let mut rest = match cx.read(sock, room)? {
            Some(n @ 1..) => &room[..n],
            Some(0) => return Ok(Some(0)),
            None => return Ok((counted > 0).then_some(counted)),
        };
        if let Some(bodies) = &mut bodies {
            bodies.clear();
        }
        while !rest.is_empty() {
            let (n, heard) = self.reader.take(rest);
            rest = &rest[n..];
            match heard {
                Heard::Other => {}
                Heard::Body(body) => {
                    counted += body.len();
                    self.long |= body.len() + self.reader.left() >= LONG;
                    if let Some(bodies) = &mut bodies {
                        bodies.extend_from_slice(body);
                    }
                }
                Heard::Ping => say(cx, sock, nats::PONG)?,
                Heard::Subscribed if !self.subscribed => {
                    self.subscribed = true;
                    board.clients.connected.fetch_add(1, Relaxed);
                }
                Heard::Subscribed => {}
                Heard::Refused(text) => {
                    board.fail(format!("the relay tells a client: {text}"));
                    return Err(ErrorKind::InvalidData.into());
                }
            }
        }
        Ok((counted > 0).then_some(counted))
    }
}

/// A few words find room, unless the broker reads nothing at all.
fn say(cx: &mut Cx<'_>, sock: SockId, words: &[u8]) -> io::Result<()> {
    match cx.write(sock, [words, &[]])? {
        Some(n) if n == words.len() => Ok(()),
        _ => Err(ErrorKind::TimedOut.into()),
    }
}

/// From here on it is cheaper to throw a message away by a call of its own than to have it copied.
const LONG: usize = 16 << 10;
/// More than what stands between two messages.
const BETWEEN: usize = 512;
