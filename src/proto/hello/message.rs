//! Messages and their fields: gathered from the bytes that come, checked, taken apart; and built.

use std::error::Error;
use std::fmt;

use super::MAGIC;

/// The most that the fields of one message may take, in bytes.
pub const MESSAGE_MAX: usize = 1024;

/// Bytes before the fields: magic, type, length.
const HEAD: usize = 7;

/// How a message breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not begin as a hello does.
    NotHello,
    /// A type that there is not, or that is not due here.
    Type(u8),
    /// Longer than any message may be.
    TooLong(usize),
    /// A field is longer than what is left of its message.
    FieldTooLong(u8),
    /// A field that has to be there is not.
    Missing(u8),
    /// A field is there twice.
    Twice(u8),
    /// A field's value is not what its tag asks for.
    Value(u8),
    /// The mac is not the last field.
    BehindMac,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHello => f.write_str("no hello"),
            Self::Type(kind) => write!(f, "a message of type {kind}, which is not due"),
            Self::TooLong(len) => write!(f, "a message of {len} bytes, of {MESSAGE_MAX}"),
            Self::FieldTooLong(tag) => write!(f, "field {tag} passes the end of its message"),
            Self::Missing(tag) => write!(f, "field {tag} is missing"),
            Self::Twice(tag) => write!(f, "field {tag} is there twice"),
            Self::Value(tag) => write!(f, "field {tag} has no value that it may have"),
            Self::BehindMac => f.write_str("a field behind the mac"),
        }
    }
}

impl Error for Malformed {}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Accept = 4,
    Refuse = 5,
}

impl Type {
    fn of(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::Hello,
            2 => Self::Challenge,
            3 => Self::Proof,
            4 => Self::Accept,
            5 => Self::Refuse,
            other => return Err(Malformed::Type(other)),
        })
    }
}

/// Tags of fields.
pub(super) mod tag {
    pub(crate) const VERSION: u8 = 1;
    pub(crate) const NONCE: u8 = 2;
    pub(crate) const NAME: u8 = 3;
    pub(crate) const PORT: u8 = 4;
    pub(crate) const FEATURES: u8 = 5;
    pub(crate) const AUTH: u8 = 6;
    pub(crate) const MAC: u8 = 7;
    pub(crate) const PUBLIC: u8 = 8;
    pub(crate) const LINGER: u8 = 9;
    pub(crate) const CODE: u8 = 11;
    pub(crate) const TEXT: u8 = 12;
}

/// Collects the bytes of one message, and no byte of what follows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Takes bytes off `input` until a message is whole. What can't become one is refused at its first wrong byte.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        loop {
            let wanted = match self.bytes.len() {
                have if have < HEAD => HEAD,
                _ => HEAD + self.declared(),
            };
            let take = (wanted - self.bytes.len()).min(input.len());
            let (taken, rest) = input.split_at(take);
            self.bytes.extend_from_slice(taken);
            *input = rest;
            self.check_head()?;
            if self.bytes.len() < wanted {
                return Ok(None);
            }
            if wanted == HEAD + self.declared() {
                return Ok(Some(std::mem::take(&mut self.bytes)));
            }
        }
    }

    fn declared(&self) -> usize {
        usize::from(u16::from_be_bytes([self.bytes[5], self.bytes[6]]))
    }

    fn check_head(&self) -> Result<(), Malformed> {
        let begun = self.bytes.len().min(MAGIC.len());
        if self.bytes[..begun] != MAGIC[..begun] {
            return Err(Malformed::NotHello);
        }
        if let Some(kind) = self.bytes.get(4) {
            Type::of(*kind)?;
        }
        if self.bytes.len() >= HEAD && self.declared() > MESSAGE_MAX {
            return Err(Malformed::TooLong(self.declared()));
        }
        Ok(())
    }
}

/// A whole message, taken apart.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Type,
    /// Fields in their order: tag, where the field begins in the message, value.
    fields: Vec<(u8, usize, &'a [u8])>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let kind = Type::of(bytes[4])?;
        let mut fields: Vec<(u8, usize, &[u8])> = Vec::new();
        let mut at = HEAD;
        while at < bytes.len() {
            let tag = bytes[at];
            let too_long = Malformed::FieldTooLong(tag);
            let length = bytes.get(at + 1..at + 3).ok_or(too_long)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let value = bytes.get(at + 3..at + 3 + length).ok_or(too_long)?;
            if fields.iter().any(|(other, ..)| *other == tag) {
                return Err(Malformed::Twice(tag));
            }
            if fields.last().is_some_and(|(last, ..)| *last == tag::MAC) {
                return Err(Malformed::BehindMac);
            }
            fields.push((tag, at, value));
            at += 3 + length;
        }
        Ok(Self { kind, fields })
    }

    /// The type that is due, or else the message is none that can be used here.
    pub(super) fn expect(&self, kind: Type) -> Result<(), Malformed> {
        match self.kind == kind {
            true => Ok(()),
            false => Err(Malformed::Type(self.kind as u8)),
        }
    }

    pub(super) fn get(&self, tag: u8) -> Option<&'a [u8]> {
        let field = self.fields.iter().find(|(other, ..)| *other == tag);
        field.map(|(.., value)| *value)
    }

    pub(super) fn need(&self, tag: u8) -> Result<&'a [u8], Malformed> {
        self.get(tag).ok_or(Malformed::Missing(tag))
    }

    pub(super) fn need_array<const N: usize>(&self, tag: u8) -> Result<[u8; N], Malformed> {
        let value = self.need(tag)?;
        value.try_into().map_err(|_| Malformed::Value(tag))
    }

    /// Where the mac's field begins, and its value.
    pub(super) fn mac(&self) -> Result<(usize, &'a [u8]), Malformed> {
        let field = self.fields.last().filter(|(tag, ..)| *tag == tag::MAC);
        let (_, at, value) = field.ok_or(Malformed::Missing(tag::MAC))?;
        Ok((*at, value))
    }
}

/// A message as it grows.
pub(super) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    pub(super) fn new(kind: Type) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([kind as u8, 0, 0]);
        Self { bytes }
    }

    pub(super) fn field(mut self, tag: u8, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).expect("our fields are short");
        self.bytes.push(tag);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.close()
    }

    /// Adds the mac, which `sign` makes of all bytes before it; they hold the message's final length already.
    pub(super) fn mac(mut self, sign: impl FnOnce(&[u8]) -> Vec<u8>, len: usize) -> Vec<u8> {
        self.set_length(self.bytes.len() - HEAD + 3 + len);
        let mac = sign(&self.bytes);
        assert_eq!(mac.len(), len, "the length was declared before");
        self.field(tag::MAC, &mac).done()
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }

    fn close(mut self) -> Self {
        self.set_length(self.bytes.len() - HEAD);
        self
    }

    fn set_length(&mut self, length: usize) {
        assert!(length <= MESSAGE_MAX, "our messages are short");
        self.bytes[5..HEAD].copy_from_slice(&(length as u16).to_be_bytes());
    }
}
