//! An answer before it is known how its connection goes on.

use std::rc::Rc;

use crate::proto::http1::{Answer, Status};

/// A head without its last fields, and a body that several may share.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    head: String,
    body: Rc<[u8]>,
}

impl Content {
    /// A status, a type and a body. What is said here is said of this moment, and is kept by nobody.
    pub(crate) fn new(status: Status, kind: &str, body: impl Into<Rc<[u8]>>) -> Self {
        Self {
            head: format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
                 X-Content-Type-Options: nosniff\r\n"
            ),
            body: body.into(),
        }
    }

    /// One more field. The value is one line.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        assert!(!value.contains(['\r', '\n']), "a value is one line");
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// As it is written: to a `HEAD` without its body, whose length it tells all the same (RFC 9110, section 9.3.2).
    pub(crate) fn parts(self, keeps: bool, is_head: bool) -> (Vec<u8>, Rc<[u8]>) {
        let Self { head, body } = self;
        let connection = if keeps { "keep-alive" } else { "close" };
        let length = body.len();
        let head = format!("{head}Content-Length: {length}\r\nConnection: {connection}\r\n\r\n")
            .into_bytes();
        (head, if is_head { [].into() } else { body })
    }

    /// As the beginning of what has no end but its connection's.
    pub(super) fn open(self) -> Vec<u8> {
        let open = format!("{}Connection: close\r\n\r\n", self.head).into_bytes();
        [open, self.body.to_vec()].concat()
    }
}

impl From<Answer> for Content {
    fn from(answer: Answer) -> Self {
        let (head, body) = answer.parts();
        Self {
            head,
            body: body.into_bytes().into(),
        }
    }
}
