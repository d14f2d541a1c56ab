//! The bytes of one head, as they trickle in.

use super::fault::Fault;

/// Collects a head, to the empty line that ends it. Each byte is looked at once, whatever pieces they come in.
#[derive(Clone, Default)]
pub struct HeadBuf {
    bytes: Vec<u8>,
    /// Empty lines before the head.
    blank: usize,
    complete: bool,
}

impl HeadBuf {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the head, as far as it goes, and tells how many: those behind its end belong to what follows it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        for (taken, byte) in bytes.iter().enumerate() {
            if self.complete {
                return Ok(taken);
            }
            self.push(*byte)?;
        }
        Ok(bytes.len())
    }

    /// Whether its end has come.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether not a byte of it has come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the next head, on the same connection.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.blank = 0;
        self.complete = false;
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        if self.blank + self.bytes.len() == HEAD_MAX {
            return Err(Fault::TooLong);
        }
        match (byte, self.bytes.last()) {
            (TLS_HANDSHAKE | TLS_ALERT, None) => return Err(Fault::Tls),
            (b'\n', Some(b'\r')) => {}
            // A line feed alone may end a line for one reader and not for the next (RFC 9112, section 2.2).
            (b'\n', _) | (_, Some(b'\r')) => return Err(Fault::LineEnd),
            (b'\r' | b'\t' | b' '..=0x7e | 0x80.., _) => {}
            _ => return Err(Fault::Malformed),
        }
        self.bytes.push(byte);
        if self.bytes == b"\r\n" {
            // Some clients send an empty line after the request before (RFC 9112, section 2.2).
            self.bytes.clear();
            self.blank += 2;
        }
        self.complete = byte == b'\n' && self.bytes.ends_with(b"\r\n\r\n");
        Ok(())
    }
}

/// The longest head that is taken, in bytes.
pub const HEAD_MAX: usize = 8 << 10;
/// The most fields of a head.
pub const FIELDS_MAX: usize = 64;

/// The first byte of TLS, or of its answer to what is not TLS: nothing of HTTP begins with either.
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_ALERT: u8 = 0x15;
