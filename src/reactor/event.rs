//! What a role is told, and the contract between a role and the loop.

use std::fmt;
use std::io;

use crate::base::wheel::TimerKey;
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::context::Cx;
use crate::reactor::net::{Addr, Peer, Signal, SockId};

/// A role on the loop. What comes late for one that is gone finds nobody, whoever stands in its place by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleId {
    /// Its place on the loop. Places are reused, the most recently freed one first.
    pub key: u32,
    /// Which tenant of that place.
    pub generation: u32,
}

/// An attempt to resolve a name and connect to it, from [`Cx::dial`] until its one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialId {
    pub(super) key: u32,
    pub(super) generation: u32,
}

/// Something happened. The `Debug` output of the events that a role got is the trace of its run.
#[derive(Debug)]
pub enum Event {
    /// The role has been put on the loop; always its first event.
    Start,
    /// A connection came in. The role has it from now on.
    Accepted {
        /// Where it came in.
        listener: SockId,
        /// The new stream. Nothing is wanted of it yet.
        sock: SockId,
        /// Who it is.
        peer: Peer,
    },
    /// A dial succeeded. The role has the stream from now on; nothing is wanted of it yet.
    Connected {
        /// Which dial.
        dial: DialId,
        /// The new stream.
        sock: SockId,
        /// Whom it reached.
        peer: Peer,
    },
    /// A dial failed, all of its addresses considered.
    ConnectFailed {
        /// Which dial.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// Reading is wanted, and may succeed or tell of an end or an error. One bounded read answers it; the loop visits
    /// again by itself while there may be more.
    Readable(SockId),
    /// Writing is wanted, and may succeed. One bounded write answers it.
    Writable(SockId),
    /// A timer ran out.
    Timer {
        /// Which.
        key: TimerKey,
        /// What the role called it.
        tag: u32,
    },
    /// The visit that the role asked for with [`Cx::again`].
    Again,
    /// What the role has asked of the owner of the loop with [`Cx::ask`] is answered.
    Reply {
        /// Which question.
        ticket: Ticket,
        /// The answer; in a box, since every event is as long as the longest.
        reply: Box<Reply>,
    },
    /// Files that the role has read may have changed (SIGHUP).
    Reload,
    /// One status report to the log, please (SIGUSR1).
    Report,
    /// Stop: accept nobody, flush what can be flushed in time, close all and [`Cx::finish`].
    Drain(Signal),
}

const _: () = assert!(size_of::<Event>() <= 64);

/// Why a dial failed.
#[derive(Debug)]
pub enum DialError {
    /// The name has no address, or its look-up failed.
    Resolve(io::Error),
    /// Every address was tried; this is what the last one said.
    Connect(Addr, io::Error),
    /// Neither success nor failure in the time given.
    Timeout,
    /// Somebody was reached, and what is to be spoken over the connection could not be agreed on. No dial of the loop's
    /// own ends so: it is for roles.
    Layer(io::Error),
}

impl DialError {
    /// Whether somebody was there and said no: the port is closed.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Connect(_, error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// What a person may look after, as a sentence; empty where the error says it all.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "Is the name spelled right?",
            Self::Connect(Addr::Unix(_), error) => match error.kind() {
                io::ErrorKind::PermissionDenied => "May hydrant's user get at that socket?",
                _ => "Does the program run that listens there?",
            },
            Self::Connect(..) if self.is_refused() => "Does it run, and is that its port?",
            Self::Connect(..) | Self::Timeout => {
                "Is it switched on, and does a firewall let hydrant through?"
            }
            Self::Layer(_) => "",
        }
    }
}

impl fmt::Display for DialError {
    /// A clause whose subject is the endpoint: "... refused the connection".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "can't be resolved ({})", plain(error)),
            Self::Connect(..) if self.is_refused() => f.write_str("refused the connection"),
            Self::Connect(_, error) => write!(f, "can't be reached ({})", plain(error)),
            Self::Timeout => f.write_str("did not answer in time"),
            Self::Layer(error) => write!(f, "can't be used ({})", plain(error)),
        }
    }
}

/// An error's text in lower case and without the number that std puts behind it.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// How a role ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// It could not go on; one line that says what is wrong and what to do.
    Failed(String),
}

/// What can be put on the loop. All that a role does, it does from here, at once, through the context; it never blocks.
pub trait Role {
    /// Something happened.
    fn on(&mut self, cx: &mut Cx<'_>, event: Event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_about_what_was_dialled() {
        let of = |at, kind: io::ErrorKind| DialError::Connect(at, kind.into()).advice();
        let tcp = || Addr::Tcp(([127, 0, 0, 1], 5).into());
        let unix = || Addr::Unix("/nope/x.sock".into());
        let (refused, none) = (io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound);
        assert!(of(tcp(), refused).contains("port") && of(tcp(), none).contains("firewall"));
        for kind in [refused, none] {
            assert_eq!(of(unix(), kind), "Does the program run that listens there?");
        }
        let denied = of(unix(), io::ErrorKind::PermissionDenied);
        assert_eq!(denied, "May hydrant's user get at that socket?");
    }

    #[test]
    fn errors_read_as_part_of_a_sentence() {
        let refused = DialError::Connect(
            Addr::Tcp(([127, 0, 0, 1], 5).into()),
            io::Error::from_raw_os_error(libc::ECONNREFUSED),
        );
        assert_eq!(refused.to_string(), "refused the connection");
        assert_eq!(
            plain(&io::Error::from_raw_os_error(libc::ENETUNREACH)),
            "network is unreachable"
        );
        assert_eq!(
            plain(&io::Error::other("TLS alert")),
            "TLS alert",
            "an abbreviation keeps its capitals"
        );
    }
}
