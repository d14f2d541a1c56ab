//! Answers that hydrant writes: a status, and a line of text that says why. The connection is closed after each.

use std::fmt;
use std::fmt::Write;

use super::fault::Fault;

/// A status of RFC 9110, section 15, or of RFC 6585.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number, of three digits.
    pub code: u16,
    /// What the number is called.
    pub phrase: &'static str,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal $phrase:literal;)*) => {
        $($(#[$doc])* pub const $name: Self = Self { code: $code, phrase: $phrase };)*
    };
}

impl Status {
    statuses! {
        /// It was done.
        OK = 200 "OK";
        /// The request can't be read.
        BAD_REQUEST = 400 "Bad Request";
        /// Nobody knows who asks.
        UNAUTHORIZED = 401 "Unauthorized";
        /// Whoever asks may not.
        FORBIDDEN = 403 "Forbidden";
        /// There is no such path.
        NOT_FOUND = 404 "Not Found";
        /// The path is there, and this can't be done with it.
        METHOD_NOT_ALLOWED = 405 "Method Not Allowed";
        /// The request did not come in time.
        TIMEOUT = 408 "Request Timeout";
        /// Somebody else holds it.
        CONFLICT = 409 "Conflict";
        /// A body's length has to be said before.
        LENGTH_REQUIRED = 411 "Length Required";
        /// What the request was made for is not so any more.
        PRECONDITION_FAILED = 412 "Precondition Failed";
        /// A body that is too long.
        CONTENT_TOO_LARGE = 413 "Content Too Large";
        /// It can be read, and what it says can't be.
        UNPROCESSABLE = 422 "Unprocessable Content";
        /// Only a WebSocket of a version that is spoken here is served on this path.
        UPGRADE_REQUIRED = 426 "Upgrade Required";
        /// Too many requests from one place.
        TOO_MANY = 429 "Too Many Requests";
        /// The head is too long.
        FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large";
        /// Something broke here.
        INTERNAL = 500 "Internal Server Error";
        /// Whoever stands behind us gave no good answer.
        BAD_GATEWAY = 502 "Bad Gateway";
        /// Not now.
        UNAVAILABLE = 503 "Service Unavailable";
        /// Whoever stands behind us gave no answer in time.
        GATEWAY_TIMEOUT = 504 "Gateway Timeout";
        /// A version of HTTP that is not spoken here.
        VERSION = 505 "HTTP Version Not Supported";
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.phrase)
    }
}

/// An answer to be written.
///
/// ```
/// use hydrant::proto::http1::{Answer, Status};
///
/// let bytes = Answer::new(Status::UNAUTHORIZED, "no token").field("WWW-Authenticate", "Bearer").bytes();
/// assert!(bytes.starts_with(b"HTTP/1.1 401 Unauthorized\r\n"));
/// assert!(bytes.ends_with(b"\r\n\r\nno token\n"));
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    head: String,
    body: String,
}

impl Answer {
    /// Text for a person to read, which must not repeat what has to stay secret. One line, ended here.
    pub fn new(status: Status, why: &str) -> Self {
        Self {
            head: format!("HTTP/1.1 {status}\r\n"),
            body: format!("{why}\n"),
        }
    }

    /// Adds a field.
    ///
    /// # Panics
    /// If its value would go over the line's end: values that a peer chose are checked before.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        assert!(!value.contains(['\r', '\n']), "a value is one line");
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    /// As it is written. The connection is closed behind it.
    pub fn bytes(self) -> Vec<u8> {
        let (head, body) = self.parts();
        let length = body.len();
        format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
    }

    /// Its status line and fields, without those that depend on the connection, and its body.
    pub fn parts(self) -> (String, String) {
        let Self { head, body } = self;
        let head = format!(
            "{head}Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n"
        );
        (head, body)
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::new(fault.status(), &fault.to_string())
    }
}
