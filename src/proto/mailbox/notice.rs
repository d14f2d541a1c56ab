//! What a client and the hub itself say to each other, once the envelope has been asked for: the bodies of messages to
//! and from the empty name.

use memchr::memchr;

use super::proof::{NONCE_LEN, Nonce, PROOF_LEN};

/// What a client says to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `who`: the names of all clients, please.
    Who,
    /// `proof HEX64`: the answer to a nonce.
    Proof([u8; PROOF_LEN]),
}

impl Request {
    /// The longest request.
    pub const LEN_MAX: usize = b"proof ".len() + 2 * PROOF_LEN;

    /// Reads a message to the hub. `None`: it means nothing.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes == b"who" {
            return Some(Self::Who);
        }
        let hex = bytes.strip_prefix(b"proof ")?;
        Some(Self::Proof(unhex(hex)?))
    }

    /// Adds the message's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Who => out.extend_from_slice(b"who"),
            Self::Proof(proof) => {
                out.extend_from_slice(b"proof ");
                hex(proof, out);
            }
        }
    }
}

/// What the hub says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// `ok`: the name is registered.
    Ok,
    /// `refused REASON`, before it closes. The reasons that this hub has are [`Refused`].
    Refused(&'a [u8]),
    /// `nonce HEX32`: to be answered by a proof.
    Nonce(Nonce),
    /// `who`, and the names: all of them, or the next ones of many.
    Who(Names<'a>),
}

impl<'a> Notice<'a> {
    /// Reads a message of the hub's. `None`: it is none that is known here.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        if bytes == b"ok" {
            return Some(Self::Ok);
        }
        if let Some(reason) = bytes.strip_prefix(b"refused ") {
            return Some(Self::Refused(reason));
        }
        if let Some(hex) = bytes.strip_prefix(b"nonce ") {
            return Some(Self::Nonce(Nonce(unhex::<NONCE_LEN>(hex)?)));
        }
        let lines = bytes.strip_prefix(b"who")?;
        matches!(lines.first(), None | Some(b'\n')).then_some(Self::Who(Names { lines }))
    }

    /// Adds the message's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => out.extend_from_slice(b"ok"),
            Self::Refused(reason) => {
                out.extend_from_slice(b"refused ");
                out.extend_from_slice(reason);
            }
            Self::Nonce(nonce) => {
                out.extend_from_slice(b"nonce ");
                nonce.write_hex(out);
            }
            Self::Who(names) => {
                out.extend_from_slice(b"who");
                out.extend_from_slice(names.lines);
            }
        }
    }
}

/// The names of an answer to `who`, in order. An empty line, which ends the last of several messages, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// Each line begins with its newline.
    lines: &'a [u8],
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.lines.strip_prefix(b"\n")?;
            let (line, rest) = rest.split_at(memchr(b'\n', rest).unwrap_or(rest.len()));
            self.lines = rest;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

/// Why the hub does not register a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another client has the name.
    NameInUse,
    /// It is no name.
    BadName,
    /// The client has not proven that the name is its own.
    Proof,
    /// As many clients as may be are registered.
    Full,
}

impl Refused {
    /// The word that a client is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::NameInUse => "name-in-use",
            Self::BadName => "bad-name",
            Self::Proof => "proof",
            Self::Full => "full",
        }
    }
}

/// Adds bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Reads lower-case hexadecimal of exactly `N` bytes.
fn unhex<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if hex.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
