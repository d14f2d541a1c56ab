//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) without I/O: what came from the network goes in, what is for the network comes
//! out, and the same for the plaintext. It owns the bytes between the two and refuses to know sockets, files and
//! deadlines. Only this module and the ones below it name the library that does the work.
//!
//! ```text
//!              feed ──>┌─────────┐──> read           handshaking ──> connected ──close──> our end said
//!    network           │ Session │      plaintext         │            │ ^                (theirs may still come,
//!              send <──└─────────┘<── write               └── failed <─┘ └── close_notify  and the other way round)
//! ```
//!
//! **Invariant.** No more than [`BUFFER_MAX`] bytes of plaintext wait, encrypted, for the network: [`Session::write`]
//! takes no more, and whoever has more keeps it.
//!
//! **Invariant.** After an error nothing is taken in any more. What is left to send is the alert that tells the peer
//! why.

mod error;
mod load;
#[cfg(test)]
mod tests;
mod throwaway;

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

pub use self::error::{CertificateFault, Seen, TlsError};
pub use self::load::{Fault, Identity, Roots, Trust};
pub use self::throwaway::throwaway;

/// How those who connect to us are met. Clones share it: what one is given with [`Acceptor::renew`] holds for all.
#[derive(Clone)]
pub struct Acceptor {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Acceptor {
    /// Sessions that have this to show. With `clients`, those who connect must show a certificate that leads there.
    ///
    /// # Errors
    /// Where the key does not fit the certificate, or either can't be used.
    pub fn new(identity: Identity, clients: Option<Roots>) -> Result<Self, Fault> {
        let current = load::server(identity, clients)?;
        Ok(Self {
            current: Arc::new(RwLock::new(current)),
        })
    }

    /// Lets sessions that begin from now on be as `fresh` would have them. Those that have begun go on as they are.
    pub fn renew(&self, fresh: &Self) {
        let config = fresh.config();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The session of one connection.
    ///
    /// # Errors
    /// Where the library is out of randomness.
    pub fn session(&self) -> Result<Session, TlsError> {
        let conn = ServerConnection::new(self.config()).map_err(TlsError::from)?;
        Ok(Session::new(conn.into()))
    }

    fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// How we meet those whom we dial. Clones share it, as those of an [`Acceptor`] do.
#[derive(Clone)]
pub struct Connector {
    current: Arc<RwLock<Arc<ClientConfig>>>,
}

impl Connector {
    /// Sessions that trust these, and show `identity` to whoever asks for it.
    ///
    /// # Errors
    /// Where the key does not fit the certificate, or either can't be used.
    pub fn new(trust: Trust, identity: Option<Identity>) -> Result<Self, Fault> {
        let current = load::client(trust, identity, rustls::DEFAULT_VERSIONS)?;
        Ok(Self {
            current: Arc::new(RwLock::new(current)),
        })
    }

    /// Lets sessions that begin from now on be as `fresh` would have them. Those that have begun go on as they are.
    pub fn renew(&self, fresh: &Self) {
        let config = fresh.config();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The session of one connection, to whoever can prove to be `name`: a host's name or a literal address.
    ///
    /// # Errors
    /// Where no certificate can be for such a name.
    pub fn session(&self, name: &str) -> Result<Session, TlsError> {
        let bare = name.trim_end_matches('.');
        let server = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name {
            name: name.to_owned(),
        })?;
        let conn = ClientConnection::new(self.config(), server).map_err(TlsError::from)?;
        Ok(Session::new(conn.into()))
    }

    fn config(&self) -> Arc<ClientConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// One connection's TLS, in either role.
pub struct Session {
    conn: Connection,
    /// The first bytes that came in, by which one tells what else the peer may speak.
    first: First,
    /// Plaintext waits to be read.
    holds: bool,
    /// The peer has said that it will send nothing more.
    peer_closed: bool,
    /// We have.
    closed: bool,
    /// At most so many bytes wait for the network.
    unsent: usize,
    /// Bytes of plaintext in the longest record since all was seen to have arrived.
    longest: usize,
    failed: Option<TlsError>,
}

impl Session {
    fn new(conn: Connection) -> Self {
        Self {
            conn,
            first: First::default(),
            holds: false,
            peer_closed: false,
            closed: false,
            unsent: 0,
            longest: 0,
            failed: None,
        }
    }

    /// Whether the two sides are still finding out about each other.
    pub fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    /// Takes in what came from the network. Returns how many of the bytes it has used: fewer than given only where
    /// plaintext waits, which is to be read first.
    ///
    /// # Errors
    /// What is wrong with the peer, or with what it says about us. Then [`Session::send`] has an alert for it.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<usize, TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let given = bytes.len();
        self.first.note(bytes);
        while !bytes.is_empty() && !self.holds {
            if self.peer_closed {
                return Ok(given); // RFC 8446 6.1: what follows a close_notify is ignored
            }
            let taken = self.conn.read_tls(&mut bytes);
            taken.map_err(|error| self.fail(TlsError::Other(error.to_string())))?;
            self.process()?;
        }
        Ok(given - bytes.len())
    }

    /// Takes out plaintext. `None`: there is none for now. `Some(0)`, into a buffer that is not empty: the peer has
    /// said that no more will come.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        match self.conn.reader().read(into) {
            Ok(0) if into.is_empty() => None,
            Ok(0) => Some(0),
            Ok(n) => {
                self.holds = n == into.len();
                Some(n)
            }
            Err(_) => {
                self.holds = false;
                None
            }
        }
    }

    /// Whether the peer has said that it will send nothing more. What it sent before may still wait.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether plaintext may wait that [`Session::read`] would return.
    pub fn holds_plaintext(&self) -> bool {
        self.holds
    }

    /// The network has come to its end.
    ///
    /// # Errors
    /// Where the peer has not said before that it would send nothing more: somebody may have cut the connection.
    pub fn end(&mut self) -> Result<(), TlsError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.peer_closed => Ok(()),
            None if self.is_handshaking() => {
                let is_dialled = matches!(self.conn, Connection::Client(_));
                Err(self.fail(match is_dialled && self.first.len == 0 {
                    true => TlsError::NoAnswer,
                    false => TlsError::Left,
                }))
            }
            // It may still take what we have for it.
            None => Err(TlsError::Truncated),
        }
    }

    /// What is wrong, if anything is.
    pub fn error(&self) -> Option<&TlsError> {
        self.failed.as_ref()
    }

    /// Takes plaintext for the peer, the first slice and then the second, as far as there is room. Nothing before the
    /// handshake is over, and nothing after [`Session::close`].
    pub fn write(&mut self, from: [&[u8]; 2]) -> usize {
        if self.is_handshaking() || self.closed || self.failed.is_some() {
            return 0;
        }
        let slices = from.map(IoSlice::new);
        let slices = match from {
            [_, []] => &slices[..1],
            _ => &slices[..],
        };
        let taken = self.conn.writer().write_vectored(slices).unwrap_or(0);
        self.unsent += taken + taken.div_ceil(RECORD_MAX) * OVERHEAD;
        self.longest = self.longest.max(taken.min(RECORD_MAX));
        taken
    }

    /// Tells the peer that nothing more will come from us. What it still has to say can be read.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) && self.failed.is_none() {
            self.conn.send_close_notify();
            self.unsent += OVERHEAD + ALERT_LEN;
        }
    }

    /// Whether bytes wait for the network.
    pub fn wants_send(&self) -> bool {
        self.conn.wants_write()
    }

    /// How many bytes of the plaintext that was taken the peer may lack, where so many bytes of what the network took
    /// have not arrived: no fewer, and about one of its longest records more. Of a record whose last bytes are missing,
    /// none can be decrypted.
    pub fn lacks(&self, on_the_way: u64) -> u64 {
        let waits = on_the_way + self.unsent() as u64;
        let longest = self.longest as u64;
        match waits {
            0 => 0,
            _ => (waits * longest).div_ceil(longest + OVERHEAD_MIN) + longest,
        }
    }

    /// All that the network took has arrived: how long the records until now were matters no more.
    pub fn all_arrived(&mut self) {
        if self.unsent() == 0 {
            self.longest = 0;
        }
    }

    /// How many bytes wait for the network, or somewhat more.
    pub fn unsent(&self) -> usize {
        if self.wants_send() {
            self.unsent.max(1)
        } else {
            0
        }
    }

    /// Gives the network what waits for it, in one call of `write`, which takes the slices in their order as far as it
    /// likes. Returns how many bytes it took.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn send(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let sent = self.conn.write_tls(&mut Sink(write))?;
        self.unsent = match self.wants_send() {
            true => self.unsent.saturating_sub(sent),
            false => 0,
        };
        Ok(sent)
    }

    fn process(&mut self) -> Result<(), TlsError> {
        match self.conn.process_new_packets() {
            Ok(state) => {
                self.holds = state.plaintext_bytes_to_read() > 0;
                self.peer_closed = state.peer_has_closed();
                self.unsent = self.unsent.max(state.tls_bytes_to_write());
                Ok(())
            }
            Err(error) => {
                let is_server = matches!(self.conn, Connection::Server(_));
                let handshaking = self.is_handshaking();
                let error = match self.first.seen(is_server) {
                    Some(seen) if handshaking => TlsError::NotTls(seen),
                    _ => TlsError::from(error),
                };
                Err(self.fail(error))
            }
        }
    }

    fn fail(&mut self, error: TlsError) -> TlsError {
        self.failed = Some(error.clone());
        error
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("handshaking", &self.is_handshaking())
            .field("unsent", &self.unsent())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Two handles are equal where they share what they hold: what is inside is secret, and can't be compared.
macro_rules! same_where_shared {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.current, &other.current)
            }
        }

        impl Eq for $name {}
    };
}

same_where_shared!(Acceptor);
same_where_shared!(Connector);

/// Whether these are the first bytes of somebody who speaks TLS: a handshake's record, or an alert's.
pub fn looks_like_tls(first: &[u8]) -> bool {
    matches!(first, [HANDSHAKE | ALERT, 3, 0..=4, ..])
}

/// The first bytes of what came in.
#[derive(Default)]
struct First {
    bytes: [u8; 5],
    len: usize,
}

impl First {
    fn note(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.len += n;
    }

    /// What they are, where they are no TLS. Nobody begins with an alert but a server.
    fn seen(&self, is_server: bool) -> Option<Seen> {
        let first = &self.bytes[..self.len];
        match first {
            [HANDSHAKE, 3, ..] | [HANDSHAKE] | [] => None,
            [ALERT, 3, ..] | [ALERT] if !is_server => None,
            _ if HTTP.iter().any(|word| first.starts_with(word.as_bytes())) => Some(Seen::Http),
            _ => Some(Seen::Other),
        }
    }
}

/// Lets the library write its records, all in one go.
struct Sink<F>(F);

impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        (self.0)(records)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of plaintext that may wait for the network at most.
pub const BUFFER_MAX: usize = 64 << 10;
/// RFC 8446 5.1: the most plaintext that a record has.
pub const RECORD_MAX: usize = 16 << 10;
/// What a record adds to its plaintext at most: header, explicit nonce or content type, tag.
const OVERHEAD: usize = 5 + 8 + 1 + 16;
/// And at least: header, content type or nothing, tag.
const OVERHEAD_MIN: u64 = 5 + 16;
/// RFC 8446 5.1: content types.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// RFC 8446 6: its level and its description.
const ALERT_LEN: usize = 2;
const HTTP: [&str; 8] = [
    "GET ", "HEAD ", "POST ", "PUT ", "HTTP/", "OPTIO", "CONNE", "DELET",
];
