//! TLS on a role's sockets: a session between what a role reads and writes and what goes over the network. It owns no
//! socket and no deadline; the role says which socket it is for.
//!
//! A flight of a handshake costs up to a millisecond, so it is done only when the loop says that its turn has come: at
//! the end of a turn, one flight a turn, whoever waits for it.

pub mod options;

use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::proto::tls::{Acceptor, Connector, RECORD_MAX, Session, TlsError};
use crate::reactor::Cx;
use crate::reactor::net::SockId;

/// What a role needs to speak TLS on either side; what nobody needs is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// For those who connect to us.
    pub acceptor: Option<Acceptor>,
    /// For those whom we dial.
    pub connector: Option<Connector>,
    /// `--tls-insecure`: those whom we dial need not prove who they are.
    pub insecure: bool,
}

impl Tls {
    /// The session of a connection that came in.
    ///
    /// # Errors
    /// Where none can be had; then there is a reason.
    pub fn accepted(&self) -> Result<Secured, TlsError> {
        let acceptor = self.acceptor.as_ref().ok_or_else(unprepared)?;
        acceptor.session().map(Secured::new)
    }

    /// The session of a connection that was dialled.
    ///
    /// # Errors
    /// Where no certificate can be for this host.
    pub fn dialled(&self, to: &Endpoint) -> Result<Secured, TlsError> {
        let connector = self.connector.as_ref().ok_or_else(unprepared)?;
        let name = match to {
            Endpoint::Tcp {
                host: Host::Any, ..
            }
            | Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Tcp {
                host: Host::Ip(ip), ..
            } => ip.to_string(),
            Endpoint::Tcp {
                host: Host::Name(name),
                ..
            } => name.clone(),
        };
        connector.session(&name).map(Secured::new)
    }
}

/// What is given up for `--tls-insecure`.
pub const INSECURE: &str = "certificates are not verified (--tls-insecure): whoever stands between can read and \
                            change all";

/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

fn unprepared() -> TlsError {
    TlsError::Other("no certificates were given".to_owned())
}

/// A session, and what it has not taken of what the network brought.
#[derive(Debug)]
pub struct Secured {
    session: Session,
    rest: Vec<u8>,
    /// Something has come since this was last asked for.
    heard: bool,
    /// The role has been told that the peer has said its last.
    end_told: bool,
}

/// How a handshake stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It goes on.
    Going,
    /// Both sides know enough of each other.
    Done,
}

impl Secured {
    fn new(session: Session) -> Self {
        Self {
            session,
            rest: Vec::new(),
            heard: false,
            end_told: false,
        }
    }

    /// Whether the two sides are still finding out about each other.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the session wants the network to take something.
    pub fn wants_write(&self) -> bool {
        self.session.wants_send()
    }

    /// Whether bytes have come since the last call, if only some of a record.
    pub fn has_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// How many bytes it has for the network, or somewhat more.
    pub fn unsent(&self) -> usize {
        self.session.unsent()
    }

    /// How many bytes of what was written the peer may lack: see [`Session::lacks`].
    pub fn lacks(&self, unacknowledged: u64) -> u64 {
        self.session.lacks(unacknowledged)
    }

    /// The peer's kernel has acknowledged all that ours took.
    pub fn all_acknowledged(&mut self) {
        self.session.all_arrived();
    }

    /// One flight of the handshake: what came in is read, and what is to be said to it is written. `scratch` is what it
    /// may use for its reading.
    ///
    /// # Errors
    /// The connection's, or the session's (with the [`TlsError`] inside), after the peer was told.
    pub fn shake(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        scratch: &mut [u8],
    ) -> io::Result<Handshake> {
        // Where plaintext has come with the last flight, it is for the role to read before any more comes.
        if self.rest.is_empty()
            && !self.session.holds_plaintext()
            && let Some(n) = cx.read(sock, scratch)?
        {
            let fed = match n {
                0 => self.session.end().map(|()| 0),
                n => self.session.feed(&scratch[..n]),
            };
            let taken = self.explained(cx, sock, fed)?;
            self.rest = scratch[taken..n].to_vec();
        }
        self.flush(cx, sock)?;
        if self.session.is_handshaking() || self.wants_write() {
            return Ok(Handshake::Going);
        }
        if self.holds() {
            cx.revisit(sock);
        }
        Ok(Handshake::Done)
    }

    /// One read of plaintext, as [`Cx::read`] is one. It may leave bytes behind that no event announces; then it asks
    /// for another visit by itself. `scratch` is what it may use for its reading, and none of what is in it is kept.
    ///
    /// # Errors
    /// As [`Cx::read`], and the session's (with the [`TlsError`] inside), after the peer was told;
    /// [`io::ErrorKind::UnexpectedEof`] where the connection has ended and the peer had not said that it would.
    pub fn read(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        into: &mut [u8],
        scratch: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let mut filled = self.decrypt_rest(into);
        if matches!(filled, Ok(None)) {
            match cx.read(sock, scratch)? {
                None => return Ok(None),
                Some(0) => return self.ended(cx, sock),
                Some(n) => {
                    self.heard = true;
                    let mut bytes = &scratch[..n];
                    filled = self.decrypt(&mut bytes, into);
                    self.rest = bytes.to_vec();
                }
            }
        }
        self.told(cx, sock, filled, scratch)
    }

    /// As [`Secured::read`], with no room but `into`'s: what the network brings is put behind the place where its
    /// plaintext will be.
    ///
    /// # Errors
    /// As [`Secured::read`].
    pub fn read_within(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        into: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let mut little = [0; LITTLE];
        if into.len() < LITTLE {
            return self.read(cx, sock, into, &mut little);
        }
        let mut filled = self.decrypt_rest(into);
        if matches!(filled, Ok(None)) {
            // Records that are whole become shorter, so that only what came earlier of the first needs more room.
            let gap = (into.len() / 2).min(RECORD_MAX);
            match cx.read(sock, &mut into[gap..])? {
                None => return Ok(None),
                Some(0) => return self.ended(cx, sock),
                Some(n) => {
                    self.heard = true;
                    filled = self.decrypt_within(into, gap..gap + n);
                }
            }
        }
        self.told(cx, sock, filled, &mut little)
    }

    /// What the network brought earlier.
    fn decrypt_rest(&mut self, into: &mut [u8]) -> Result<Option<usize>, TlsError> {
        let mut rest = std::mem::take(&mut self.rest);
        let mut bytes = &rest[..];
        let filled = self.decrypt(&mut bytes, into);
        let left = bytes.len();
        rest.drain(..rest.len() - left);
        self.rest = rest;
        filled
    }

    /// Plaintext out of these bytes of a buffer, to its beginning. What does not fit in front of them is kept.
    fn decrypt_within(
        &mut self,
        buffer: &mut [u8],
        mut cipher: Range<usize>,
    ) -> Result<Option<usize>, TlsError> {
        let mut filled = 0;
        while !cipher.is_empty() && filled < cipher.start {
            let (room, bytes) = buffer[..cipher.end].split_at_mut(cipher.start);
            let mut bytes = &*bytes;
            let more = self.decrypt(&mut bytes, &mut room[filled..]);
            cipher.start = cipher.end - bytes.len();
            match more {
                Ok(Some(0)) | Err(_) if filled == 0 => return more,
                Ok(Some(n @ 1..)) => filled += n,
                _ => break,
            }
        }
        self.rest = buffer[cipher].to_vec();
        Ok((filled > 0).then_some(filled))
    }

    /// The connection has ended.
    fn ended(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<Option<usize>> {
        let end = self.session.end();
        self.explained(cx, sock, end).map(|()| Some(0))
    }

    /// What a read has come to. `scratch` may be written to.
    fn told(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        filled: Result<Option<usize>, TlsError>,
        scratch: &mut [u8],
    ) -> io::Result<Option<usize>> {
        if matches!(filled, Ok(Some(0))) {
            // The peer has said its last; what may still come is that it is gone.
            cx.read(sock, scratch)?;
            self.end_told = true;
        }
        if filled.is_ok() {
            // What the peer asked for may need an answer. What the kernel does not take of it goes with the next write,
            // and where it takes nothing any more, the next read says why.
            let _ = self.flush(cx, sock);
            if self.holds() {
                cx.revisit(sock);
            }
        }
        self.explained(cx, sock, filled)
    }

    /// Whether [`Secured::read`] has something to say that no event announces.
    pub fn holds(&self) -> bool {
        let end_waits = self.session.peer_has_closed() && !self.end_told;
        let error_waits = self.session.error().is_some();
        !self.rest.is_empty() || self.session.holds_plaintext() || end_waits || error_waits
    }

    /// Whether the peer has said its last: all of it has come, whatever becomes of the connection.
    pub fn peer_has_closed(&self) -> bool {
        self.session.peer_has_closed()
    }

    /// One write of plaintext, as [`Cx::write`] is one. What is taken may wait here for the network: see
    /// [`Secured::unsent`].
    ///
    /// # Errors
    /// As [`Cx::write`].
    pub fn write(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        from: [&[u8]; 2],
    ) -> io::Result<Option<usize>> {
        let mut taken = 0;
        // As many rounds as fill the kernel's buffer: each of them ends with an empty session or a full kernel.
        while self.flush(cx, sock)? {
            let rest = skip(from, taken);
            match self.session.write(rest) {
                0 => break,
                n => taken += n,
            }
        }
        Ok((taken > 0).then_some(taken))
    }

    /// Tells the peer that nothing more will come.
    pub fn close(&mut self) {
        self.session.close();
    }

    /// Writes what waits for the network. Whether nothing is left.
    ///
    /// # Errors
    /// As [`Cx::write`].
    pub fn flush(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<bool> {
        while self.session.wants_send() {
            let mut full = false;
            let sent = self.session.send(|from| {
                let asked: usize = from.iter().map(|slice| slice.len()).sum();
                let sent = cx.write_slices(sock, from)?.unwrap_or(0);
                full = sent < asked;
                Ok(sent)
            });
            sent?;
            if full {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Plaintext out of `bytes`, as long as there is some and `into` has room; used bytes are taken off `bytes`. What
    /// came before an error is still good: the error waits for the next call then.
    fn decrypt(&mut self, bytes: &mut &[u8], into: &mut [u8]) -> Result<Option<usize>, TlsError> {
        let mut filled = 0;
        loop {
            match self.session.read(&mut into[filled..]) {
                Some(0) if filled == 0 => return Ok(Some(0)),
                Some(0) => return Ok(Some(filled)),
                Some(n) => filled += n,
                None if filled > 0 && (bytes.is_empty() || filled == into.len()) => {
                    return Ok(Some(filled));
                }
                None => match (self.session.error(), bytes.is_empty()) {
                    (Some(_), _) if filled > 0 => return Ok(Some(filled)),
                    (Some(error), _) => return Err(error.clone()),
                    (None, true) => return Ok(None),
                    // An error is looked at in the next round.
                    (None, false) => {
                        let taken = self.session.feed(bytes).unwrap_or(bytes.len());
                        *bytes = &bytes[taken..];
                    }
                },
            }
        }
    }

    /// Tells the peer what is wrong, if anything is, as far as the kernel takes it.
    fn explained<T>(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        result: Result<T, TlsError>,
    ) -> io::Result<T> {
        result.map_err(|error| {
            // It is over in any case: what the kernel does not take is lost with it.
            let _ = self.flush(cx, sock);
            let kind = match error {
                TlsError::Truncated | TlsError::Left | TlsError::NoAnswer => {
                    io::ErrorKind::UnexpectedEof
                }
                _ => io::ErrorKind::InvalidData,
            };
            io::Error::new(kind, error)
        })
    }
}

/// Two slices without their first `n` bytes.
fn skip([first, second]: [&[u8]; 2], n: usize) -> [&[u8]; 2] {
    match n.checked_sub(first.len()) {
        None => [&first[n..], second],
        Some(n) => [&second[n..], &[]],
    }
}

/// A buffer that is shorter gets what comes by way of one of this length.
const LITTLE: usize = 1 << 10;
