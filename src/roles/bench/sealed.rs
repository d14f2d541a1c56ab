//! A client's side of TLS. What comes is decrypted until it has been served once, and then only counted, by the heads
//! of the records: whoever shares a machine with the relay under test is not to be what sets the pace.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::{env, process};

use crate::proto::tls::{Connector, Session, Trust, throwaway};
use crate::reactor::net::SockId;
use crate::reactor::{Cx, plain};
use crate::roles::bench::conduct::{Halt, House};
use crate::roles::bench::config::Scenario;

/// What speaks TLS with whoever shows any certificate.
pub(super) fn connector() -> Result<Connector, String> {
    Connector::new(Trust::Anyone, None).map_err(|fault| format!("the library for TLS {fault}"))
}

/// A file with a certificate and its key, made for one run and gone with it.
#[derive(Debug)]
pub(super) struct Certificate {
    path: String,
}

impl Certificate {
    /// What the relay of a scenario shows to its clients, where they speak TLS: they trust everybody.
    pub(super) fn of<H: House>(house: &mut H, scenario: Scenario) -> Result<Option<Self>, Halt> {
        match scenario {
            Scenario::Tls => Self::new(|| house.random()).map(Some).map_err(Halt::Failed),
            _ => Ok(None),
        }
    }

    /// Writes one that `random` has gone into, where temporary files are.
    fn new(mut random: impl FnMut() -> u64) -> Result<Self, String> {
        let mut seed = [0; 32];
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&random().to_be_bytes());
        }
        let text = throwaway(seed).map_err(|fault| format!("a certificate {fault}"))?;
        let name = format!("hydrant-bench-{}-{:016x}.pem", process::id(), random());
        let path = env::temp_dir().join(name).to_string_lossy().into_owned();
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let unwritable = |error: io::Error| format!("can't write {path}: {}", plain(&error));
        let mut file = opened.map_err(unwritable)?;
        let this = Self { path: path.clone() };
        file.write_all(text.as_bytes()).map_err(unwritable)?;
        Ok(this)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // Whoever cleans temporary files up may have been there first.
        let _ = fs::remove_file(&self.path);
    }
}

/// A client's session.
#[derive(Debug)]
pub(super) struct Sealed {
    session: Session,
    records: Records,
    /// Every byte is decrypted, and not only the first ones.
    all: bool,
    served: bool,
}

impl Sealed {
    /// Says hello. With `all`, every byte will be decrypted.
    pub(super) fn begin(
        cx: &mut Cx<'_>,
        sock: SockId,
        connector: &Connector,
        all: bool,
    ) -> io::Result<Self> {
        let session = connector.session("localhost").map_err(io::Error::other)?;
        let mut this = Self {
            session,
            records: Records::default(),
            all,
            served: false,
        };
        this.flush(cx, sock)?;
        Ok(this)
    }

    /// Takes what came. Returns how much plaintext is in it; of what was decrypted, that is in `plain`.
    pub(super) fn take(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let counted = self.records.walk(bytes);
        plain.clear();
        if self.served && !self.all {
            return Ok(counted);
        }
        let mut part = [0; 16 << 10];
        while !bytes.is_empty() || self.session.holds_plaintext() {
            let taken = self.session.feed(bytes);
            self.flush(cx, sock)?;
            bytes = &bytes[taken.map_err(io::Error::other)?..];
            while let Some(n @ 1..) = self.session.read(&mut part) {
                plain.extend_from_slice(&part[..n]);
            }
            if self.session.peer_has_closed() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        self.served |= !plain.is_empty();
        Ok(plain.len())
    }

    fn flush(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<()> {
        while self.session.wants_send() {
            let sent = self
                .session
                .send(|slices| Ok(cx.write_slices(sock, slices)?.unwrap_or(0)));
            if sent? == 0 {
                // A handshake's few bytes find room, unless the relay reads nothing at all.
                return Err(ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// Where a stream of records stands.
#[derive(Debug, Default)]
struct Records {
    head: [u8; 5],
    got: usize,
    /// Bytes of the record's body that are still to come.
    left: usize,
}

impl Records {
    /// How much plaintext is in the records that end within these bytes.
    fn walk(&mut self, mut bytes: &[u8]) -> usize {
        let mut plain = 0;
        while !bytes.is_empty() {
            if self.got < self.head.len() {
                let n = bytes.len().min(self.head.len() - self.got);
                self.head[self.got..self.got + n].copy_from_slice(&bytes[..n]);
                self.got += n;
                bytes = &bytes[n..];
                if self.got < self.head.len() {
                    break;
                }
                self.left = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
            }
            let n = bytes.len().min(self.left);
            self.left -= n;
            bytes = &bytes[n..];
            if self.left == 0 {
                let len = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
                if self.head[0] == APPLICATION_DATA {
                    plain += len.saturating_sub(SEAL);
                }
                self.got = 0;
            }
        }
        plain
    }
}

/// RFC 8446 5.1.
const APPLICATION_DATA: u8 = 23;
/// RFC 8446 5.2: the content's type and the tag stand in a record's body too. TLS 1.2 has eight bytes more.
const SEAL: usize = 1 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_however_they_come() {
        let record = |kind: u8, len: u16| {
            let mut bytes = vec![kind, 3, 3];
            bytes.extend(len.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(len), 7);
            bytes
        };
        let stream = [
            record(22, 122),
            record(20, 1),
            record(23, 17),
            record(23, 1041),
            record(23, 16_401),
        ]
        .concat();
        for size in [1, 2, 4, 5, 6, 900, stream.len()] {
            let mut records = Records::default();
            let counted: usize = stream.chunks(size).map(|part| records.walk(part)).sum();
            assert_eq!(counted, 1024 + 16_384, "in pieces of {size}");
        }
    }
}
