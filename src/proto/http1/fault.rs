//! The rules that a request can break.

use std::error::Error;
use std::fmt;

use super::answer::Status;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These are the first bytes of TLS.
    Tls,
    /// Something stands where the grammar has no place for it.
    Malformed,
    /// A line does not end in CR and LF.
    LineEnd,
    /// A head of more than [`super::HEAD_MAX`] bytes.
    TooLong,
    /// A head of more than [`super::FIELDS_MAX`] fields.
    TooManyFields,
    /// Another version than 1.0 and 1.1.
    Version,
    /// A field twice that may stand there once.
    Twice {
        /// Which.
        field: &'static str,
    },
    /// A field whose value can't be read.
    BadField {
        /// Which.
        field: &'static str,
    },
    /// No Host, in HTTP/1.1.
    NoHost,
    /// The target and the Host name different hosts.
    OtherHost,
    /// A target that names nothing here: it is neither a path nor a URL.
    Target,
    /// A body whose length only its own chunks would tell.
    TransferEncoding,
    /// A body, and nobody reads one here.
    Body,
}

impl Fault {
    /// The status to answer with.
    pub fn status(self) -> Status {
        match self {
            Self::TooLong | Self::TooManyFields => Status::FIELDS_TOO_LARGE,
            Self::Version => Status::VERSION,
            Self::TransferEncoding => Status::LENGTH_REQUIRED,
            Self::Body => Status::CONTENT_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Tls => "this is TLS, and plain HTTP is spoken here: write ws:// or http://",
            Self::Malformed => "this is not an HTTP request",
            Self::LineEnd => "a line of the request does not end in CR LF",
            Self::TooLong => return write!(f, "the head has more than {} bytes", super::HEAD_MAX),
            Self::TooManyFields => {
                return write!(f, "the head has more than {} fields", super::FIELDS_MAX);
            }
            Self::Version => "only HTTP/1.1 and 1.0 are spoken here",
            Self::Twice { field } => return write!(f, "the request has more than one {field}"),
            Self::BadField { field } => return write!(f, "the request's {field} can't be read"),
            Self::NoHost => "the request has no Host",
            Self::OtherHost => "the request's Host is not the one in its target",
            Self::Target => "the request's target is not a path",
            Self::TransferEncoding => {
                "the request has a Transfer-Encoding; say how long it is by Content-Length"
            }
            Self::Body => "the request has a body, and none is taken here",
        };
        f.write_str(text)
    }
}

impl Error for Fault {}
