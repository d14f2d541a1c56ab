//! What was answered: the head of a response.

use std::error::Error;
use std::fmt;
use std::str;

use super::fields::Fields;
use super::head::{FIELDS_MAX, HeadBuf};

/// A response's head.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// Three digits.
    pub status: u16,
    /// What the server calls it. It may say anything, or nothing.
    pub phrase: &'a str,
    /// All its fields.
    pub fields: Fields<'a>,
}

/// The head can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFault;

impl fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not an HTTP/1.1 response")
    }
}

impl Error for ResponseFault {}

impl<'a> Response<'a> {
    /// Takes a complete head apart.
    ///
    /// # Panics
    /// If the head is not complete.
    pub fn parse(head: &'a HeadBuf) -> Result<Self, ResponseFault> {
        assert!(
            head.is_complete(),
            "a head is parsed once, when it is whole"
        );
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(head.bytes()) {
            Ok(httparse::Status::Complete(len)) if len == head.bytes().len() => {}
            _ => return Err(ResponseFault),
        }
        let status = parsed.code.filter(|code| (100..1000).contains(code));
        Ok(Self {
            status: status.ok_or(ResponseFault)?,
            phrase: parsed.reason.unwrap_or_default(),
            fields: Fields(parsed.headers.to_vec()),
        })
    }

    /// Whether another head follows, which is the answer: 100 Continue, 103 Early Hints (RFC 9110, section 15.2).
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// How long the text is that follows, as far as that is said: it may explain a refusal.
    pub fn content_length(&self) -> Option<u64> {
        let value = self.fields.only("Content-Length").ok()??;
        str::from_utf8(value).ok()?.parse().ok()
    }
}
