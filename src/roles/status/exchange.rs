//! One question and its answer, by HTTP over a process's own socket. It knows bytes, and nothing of what they mean.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::base::endpoint::Endpoint;
use crate::proto::http1::{HeadBuf, Response};
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialId};

/// A question that is on its way.
pub(super) struct Exchange {
    dial: Option<DialId>,
    sock: Option<SockId>,
    request: Vec<u8>,
    sent: usize,
    head: HeadBuf,
    body: Vec<u8>,
    /// Something of an answer has come.
    has_come: bool,
}

/// An answer: its status, and what it says.
pub(super) type Said = (u16, Value);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unsaid {
    /// Nothing has come: the process may just have ended.
    Gone(String),
    /// Something has, and what it says can't be told.
    Unreadable(String),
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) => f.write_str(why),
            Self::Unreadable(why) => write!(f, "its answer can't be read: {why}"),
        }
    }
}

impl Exchange {
    /// Asks at this socket. A body makes it a POST.
    pub(super) fn begin(cx: &mut Cx<'_>, at: &Path, path: &str, body: Option<&Value>) -> Self {
        let (method, body) = match body {
            Some(body) => ("POST", body.to_string()),
            None => ("GET", String::new()),
        };
        let request = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: localhost:0\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            dial: Some(cx.dial(&Endpoint::Unix(at.to_owned()), PATIENCE)),
            sock: None,
            request: request.into_bytes(),
            sent: 0,
            head: HeadBuf::new(),
            body: Vec::new(),
            has_come: false,
        }
    }

    pub(super) fn is_dialled_by(&self, dial: DialId) -> bool {
        self.dial == Some(dial)
    }

    pub(super) fn is_at(&self, sock: SockId) -> bool {
        self.sock == Some(sock)
    }

    pub(super) fn connected(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        self.dial = None;
        self.sock = Some(sock);
        cx.want_write(sock, true);
        cx.want_read(sock, true);
    }

    /// There is room: the question goes out.
    pub(super) fn write(&mut self, cx: &mut Cx<'_>) -> Result<(), Unsaid> {
        let Some(sock) = self.sock else { return Ok(()) };
        let sent = cx.write(sock, [&self.request[self.sent..], &[]]);
        let gone = |error: io::Error| Unsaid::Gone(error.to_string());
        self.sent += sent.map_err(gone)?.unwrap_or(0);
        cx.want_write(sock, self.sent < self.request.len());
        Ok(())
    }

    /// Something has come: the answer, once all of it is there.
    pub(super) fn read(&mut self, cx: &mut Cx<'_>) -> Result<Option<Said>, Unsaid> {
        let Some(sock) = self.sock else {
            return Ok(None);
        };
        let mut buffer = [0; 16 << 10];
        let count = match cx.read(sock, &mut buffer) {
            Ok(None) => return Ok(None),
            Ok(Some(count)) => count,
            Err(error) => return Err(Unsaid::Gone(error.to_string())),
        };
        if count == 0 {
            return self.answer().map(Some);
        }
        let mut bytes = &buffer[..count];
        if !self.head.is_complete() {
            let used = self.head.feed(bytes).map_err(unreadable)?;
            self.has_come = true;
            bytes = &bytes[used..];
        }
        self.body.extend_from_slice(bytes);
        match self.body.len() > ANSWER_MAX {
            true => Err(unreadable("it is too long")),
            false => Ok(None),
        }
    }

    fn answer(&self) -> Result<Said, Unsaid> {
        if !self.head.is_complete() {
            let why = "it closed the connection before it answered";
            return Err(match self.has_come {
                true => unreadable(CUT_SHORT),
                false => Unsaid::Gone(why.to_owned()),
            });
        }
        let response = Response::parse(&self.head).map_err(unreadable)?;
        let said = serde_json::from_slice(&self.body);
        let said = said.map_err(|_| unreadable(CUT_SHORT))?;
        Ok((response.status, said))
    }

    pub(super) fn end(self, cx: &mut Cx<'_>) {
        if let Some(dial) = self.dial {
            cx.cancel_dial(dial);
        }
        if let Some(sock) = self.sock {
            cx.close(sock, Close::Orderly);
        }
    }
}

fn unreadable(why: impl fmt::Display) -> Unsaid {
    Unsaid::Unreadable(why.to_string())
}

const CUT_SHORT: &str = "it is cut short";
/// How long a process may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read: more than ten thousand roles say.
const ANSWER_MAX: usize = 64 << 20;
