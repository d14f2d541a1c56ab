//! `hub client`: somebody who types, as in the seed.
//!
//! ```text
//!   Command > send ──> Dest name > ──> Data > ──┐
//!      ^  └── recv: messages are shown, until Enter
//!      └──────────────┴─────────────────────────┘
//! ```

use crate::base::byte_queue::ByteQueue;
use crate::proto::mailbox::check_name;
use crate::roles::hub::serve::Shown;
use crate::roles::hub::user::output::Output;
use crate::roles::hub::user::repr::write_repr;
use crate::roles::hub::user::session::{Said, Session};

/// What was typed so far, and what is to be shown later.
#[derive(Debug)]
pub(super) struct Prompt {
    terminal: bool,
    stage: Stage,
    line: Vec<u8>,
    /// The line is longer than can be sent.
    too_long: bool,
    /// The message that is coming in, or its latest part.
    message: Vec<u8>,
    /// Messages that came while something else was going on, as they will be shown.
    kept: ByteQueue,
    ended: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Not let in yet.
    Waiting,
    Command,
    Receiving,
    Dest,
    Data(Vec<u8>),
}

impl Prompt {
    pub(super) fn new(terminal: bool) -> Self {
        Self {
            terminal,
            stage: Stage::Waiting,
            line: Vec::new(),
            too_long: false,
            message: Vec::new(),
            kept: ByteQueue::new(),
            ended: false,
        }
    }

    pub(super) fn reads_stdin(&self) -> bool {
        !self.ended
    }

    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// At the end of stdin nothing is left to do, but for one thing: a script that asks for messages gets them.
    pub(super) fn has_said_all(&self) -> bool {
        self.ended && (self.terminal || self.stage != Stage::Receiving)
    }

    /// Leaves no prompt behind.
    pub(super) fn leave(&self, stdout: &mut Output) {
        let at_prompt = !matches!(self.stage, Stage::Waiting | Stage::Receiving);
        if at_prompt {
            stdout.push(b"\n");
        }
    }

    pub(super) fn heard(&mut self, said: Said<'_>, stdout: &mut Output) {
        match said {
            Said::Ready => self.ask(Stage::Command, stdout),
            Said::Names(_) | Said::From(_) => {}
            Said::Bytes { bytes, last } => {
                let mut rest = bytes;
                while self.message.len() + rest.len() > SHOWN_MAX {
                    let (part, more) = rest.split_at(SHOWN_MAX - self.message.len());
                    self.message.extend_from_slice(part);
                    self.show(stdout);
                    rest = more;
                }
                self.message.extend_from_slice(rest);
                if last {
                    self.show(stdout);
                }
            }
        }
    }

    fn show(&mut self, stdout: &mut Output) {
        let mut shown = Vec::new();
        write_repr(&self.message, &mut shown);
        shown.push(b'\n');
        self.message.clear();
        match self.stage {
            Stage::Receiving => stdout.push(&shown),
            _ => self.kept.push_owned(shown),
        }
    }

    /// Bytes of stdin; none at its end.
    pub(super) fn typed(&mut self, bytes: &[u8], session: &mut Session, stdout: &mut Output) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    let too_long = std::mem::take(&mut self.too_long);
                    let line = line.strip_suffix(b"\r").unwrap_or(&line);
                    match too_long {
                        true => self.complain("the line is longer than 1 MiB", stdout),
                        false => self.on_line(line, session, stdout),
                    }
                }
                _ if self.line.len() == LINE_MAX => self.too_long = true,
                byte => self.line.push(*byte),
            }
        }
        if bytes.is_empty() {
            let line = std::mem::take(&mut self.line);
            if !line.is_empty() && !self.too_long {
                self.on_line(&line, session, stdout);
            }
            self.ended = true;
        }
    }

    fn on_line(&mut self, line: &[u8], session: &mut Session, stdout: &mut Output) {
        match std::mem::replace(&mut self.stage, Stage::Command) {
            Stage::Waiting | Stage::Command => match line.trim_ascii() {
                b"recv" => self.receive(stdout),
                b"send" => self.ask(Stage::Dest, stdout),
                b"" => self.ask(Stage::Command, stdout),
                _ => self.complain("send or recv", stdout),
            },
            Stage::Receiving => self.ask(Stage::Command, stdout),
            Stage::Dest => match check_name(line) {
                Ok(()) => self.ask(Stage::Data(line.to_vec()), stdout),
                Err(fault) => {
                    let text = format!("the name {} {fault}", Shown(line));
                    self.complain(&text, stdout);
                }
            },
            Stage::Data(dest) => {
                session.send(&dest, line);
                self.ask(Stage::Command, stdout);
            }
        }
    }

    fn receive(&mut self, stdout: &mut Output) {
        self.stage = Stage::Receiving;
        while !self.kept.is_empty() {
            let [first, _] = self.kept.front();
            stdout.push(first);
            let count = first.len();
            self.kept.consume(count);
        }
    }

    fn complain(&mut self, text: &str, stdout: &mut Output) {
        stdout.push(text.as_bytes());
        stdout.push(b"\n");
        self.ask(Stage::Command, stdout);
    }

    fn ask(&mut self, stage: Stage, stdout: &mut Output) {
        stdout.push(match stage {
            Stage::Dest => b"Dest name > ",
            Stage::Data(_) => b"Data > ",
            Stage::Waiting | Stage::Command | Stage::Receiving => b"Command > ",
        });
        self.stage = stage;
    }
}

/// The longest line that can be typed: the longest message that a hub takes by default.
const LINE_MAX: usize = 1 << 20;
/// A longer message is shown in several lines.
const SHOWN_MAX: usize = 64 << 10;
