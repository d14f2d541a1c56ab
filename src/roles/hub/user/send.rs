//! `hub send`: one message, or what stdin brings, and whether its receiver is there.

use crate::proto::mailbox::Names;
use crate::reactor::Cx;
use crate::roles::hub::serve::Shown;
use crate::roles::hub::user::session::{Said, Session};

/// What is to be sent, and how far that has come.
#[derive(Debug)]
pub(super) struct Send {
    name: Vec<u8>,
    dest: Vec<u8>,
    max_message: usize,
    /// What the next message will be.
    pending: Vec<u8>,
    stage: Stage,
    sent: u64,
    /// How often our own name has stood in an answer.
    seen_self: u32,
    seen_dest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What is to be sent has still to come from stdin.
    Gathering,
    /// It is all there.
    Complete,
    /// It is all queued, and the hub has been asked who is there.
    Asked,
    /// It is all queued for a hub that answers nothing.
    Said,
}

impl Send {
    pub(super) fn new(name: &[u8], dest: &[u8], data: Option<&[u8]>, max_message: usize) -> Self {
        Self {
            name: name.to_vec(),
            dest: dest.to_vec(),
            max_message,
            pending: data.unwrap_or_default().to_vec(),
            stage: match data {
                Some(_) => Stage::Complete,
                None => Stage::Gathering,
            },
            sent: 0,
            seen_self: 0,
            seen_dest: false,
        }
    }

    pub(super) fn reads_stdin(&self) -> bool {
        self.stage == Stage::Gathering
    }

    pub(super) fn heard(&mut self, said: Said<'_>) {
        match said {
            Said::Names(names) if self.stage == Stage::Asked => self.look_for(names),
            // What others send is not for us to show.
            _ => {}
        }
    }

    /// An answer may come in several messages, and only the first one of the next answer tells that the last one was
    /// complete. So two were asked for, and our own name is in both.
    fn look_for(&mut self, names: Names<'_>) {
        for name in names {
            self.seen_self += u32::from(name == self.name);
            self.seen_dest |= name == self.dest;
        }
    }

    /// Bytes of stdin; none at its end.
    pub(super) fn typed(&mut self, bytes: &[u8], session: &mut Session) {
        if bytes.is_empty() {
            self.stage = Stage::Complete;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.pending.len() == self.max_message {
                self.send(session);
            }
            let room = self.max_message - self.pending.len();
            let (fits, more) = rest.split_at(room.min(rest.len()));
            self.pending.extend_from_slice(fits);
            rest = more;
        }
    }

    fn send(&mut self, session: &mut Session) {
        session.send(&self.dest, &self.pending);
        self.pending.clear();
        self.sent += 1;
    }

    /// Sends what is complete, and asks.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>, session: &mut Session) {
        if self.stage != Stage::Complete || !session.is_ready() {
            return;
        }
        let data = std::mem::take(&mut self.pending);
        for piece in data.chunks(self.max_message) {
            self.pending.extend_from_slice(piece);
            self.send(session);
        }
        if self.sent == 0 {
            self.send(session);
        }
        if session.is_plain() {
            self.stage = Stage::Said;
        } else {
            session.request(b"who");
            session.request(b"who");
            session.expect_answer(cx);
            self.stage = Stage::Asked;
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Asked && self.seen_dest
    }

    pub(super) fn has_said_all(&self) -> bool {
        self.stage == Stage::Said
    }

    pub(super) fn failure(&self) -> Option<String> {
        let is_missing = self.stage == Stage::Asked && self.seen_self > 1 && !self.seen_dest;
        is_missing.then(|| format!("{} is not registered at the hub", Shown(&self.dest)))
    }
}
