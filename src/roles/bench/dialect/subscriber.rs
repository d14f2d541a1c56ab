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
        let mut rest = match cx.read(sock, room) {
            Ok(Some(n @ 1..)) => &room[..n],
            Ok(None) if counted > 0 => return Ok(Some(counted)),
            // What there was counts first. No readiness announces an end twice.
            _ if counted > 0 => {
                cx.revisit(sock);
                return Ok(Some(counted));
            }
            over => return over,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::endpoint::Endpoint;
    use crate::reactor::mio_net::{self, MioNet};
    use crate::reactor::{Event, Options, Reactor, Role, RoleId};
    use crate::roles::listening;
    use std::time::Duration;

    /// A broker, and its client that counts all that comes.
    #[derive(Default)]
    struct Both {
        broker: Option<SockId>,
        client: Option<(SockId, Subscriber)>,
        counted: usize,
        is_over: bool,
    }

    impl Both {
        /// The broker says all of this.
        fn say(&mut self, cx: &mut Cx<'_>, words: &[u8]) -> SockId {
            let broker = self.broker.expect("the client has come");
            say(cx, broker, words).expect("there is room");
            broker
        }

        fn read(&mut self, cx: &mut Cx<'_>) {
            let Some((sock, subscriber)) = &mut self.client else {
                return;
            };
            let mut buffer = vec![0; 64 << 10];
            match subscriber.read(cx, *sock, &Board::default(), &mut buffer, None) {
                Ok(None) => {}
                Ok(Some(n @ 1..)) => self.counted += n,
                Ok(Some(0)) | Err(_) => {
                    self.is_over = true;
                    cx.want_read(*sock, false);
                }
            }
        }
    }

    impl Role for Both {
        fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
            match event {
                Event::Start => {
                    let any: Endpoint = "127.0.0.1:0".parse().expect("it is an endpoint");
                    let listens = listening::listen(cx, &any).expect("a port is free");
                    let at = listens[0].1.to_string();
                    let at = at.parse().expect("it is an endpoint");
                    cx.dial(&at, Duration::from_secs(10));
                }
                Event::Accepted { sock, .. } => self.broker = Some(sock),
                Event::Connected { sock, .. } => {
                    let begun = Subscriber::begin(cx, sock, Dialect::Redis);
                    let begun = begun.expect("it can be asked");
                    self.client = Some((sock, begun.expect("it is asked")));
                    cx.want_read(sock, true);
                }
                Event::ConnectFailed { error, .. } => panic!("{error}"),
                Event::Readable(_) => self.read(cx),
                _ => {}
            }
        }
    }

    fn turn_until(reactor: &mut Reactor<Both>, id: RoleId, is_so: impl Fn(&Both) -> bool) {
        while !is_so(reactor.role(id).expect("it runs")) {
            reactor.turn(&mut Vec::new()).expect("a wait works");
        }
    }

    /// The rest of a long message is thrown away, and the read behind it finds the end, in one visit.
    #[test]
    fn what_comes_with_the_end_of_a_connection_counts() {
        const MESSAGE: usize = 2 * LONG;
        const BEGINNING: usize = 1000;
        let net = MioNet::new(mio_net::Options::default()).expect("a poll can be had");
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let id = reactor.add(Both::default());
        turn_until(&mut reactor, id, |both| {
            both.broker.is_some() && both.client.is_some()
        });
        let mut says = b"*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n".to_vec();
        let head = format!("*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n${MESSAGE}\r\n");
        says.extend_from_slice(head.as_bytes());
        says.resize(says.len() + BEGINNING, b'x');
        reactor.with(id, |both, cx| both.say(cx, &says));
        turn_until(&mut reactor, id, |both| both.counted == BEGINNING);
        let mut rest = vec![b'x'; MESSAGE - BEGINNING];
        rest.extend_from_slice(b"\r\n");
        let ended = reactor.with(id, |both, cx| {
            let broker = both.say(cx, &rest);
            cx.shutdown(broker)
        });
        assert!(matches!(ended, Some(Ok(()))));
        turn_until(&mut reactor, id, |both| both.is_over);
        let counted = reactor.role(id).map(|both| both.counted);
        assert_eq!(counted, Some(MESSAGE));
    }
}
