//! `hub recv`: what others send, to stdout.

use crate::roles::hub::user::output::Output;
use crate::roles::hub::user::session::Said;

/// How many messages are still wanted.
#[derive(Debug)]
pub(super) struct Recv {
    left: Option<u64>,
    newline: bool,
}

impl Recv {
    pub(super) fn new(count: Option<u64>, newline: bool) -> Self {
        Self {
            left: count,
            newline,
        }
    }

    pub(super) fn heard(&mut self, said: Said<'_>, stdout: &mut Output) {
        let Said::Bytes { bytes, last } = said else {
            return;
        };
        if self.left == Some(0) {
            return;
        }
        stdout.push(bytes);
        if last {
            if self.newline {
                stdout.push(b"\n");
            }
            self.left = self.left.map(|left| left - 1);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Where messages can't be told apart, they can't be counted.
    pub(super) fn failure(&self, plain: bool) -> Option<String> {
        let flag = match self {
            Self { left: Some(_), .. } => "--count",
            Self { newline: true, .. } => "--newline",
            _ => return None,
        };
        plain.then(|| format!("this hub does not tell messages apart, as {flag} needs it"))
    }
}
