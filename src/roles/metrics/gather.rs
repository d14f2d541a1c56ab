//! One round of questions to the owner of the loop, for all who wait for what it brings: the process, and all roles in
//! pages; then the text, written a few roles a visit.

use std::rc::Rc;

use super::exposition::Text;
use crate::proto::http1::{Answer, Status};
use crate::reactor::Cx;
use crate::reactor::command::{Command, Process, Reply, RoleRow, RoleState, Ticket};
use crate::reactor::view::View;
use crate::roles::http::{ConnId, Content};

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Metrics,
    Ready,
}

/// A round under way.
pub(super) struct Gather {
    waiting: Vec<(ConnId, What)>,
    process: Process,
    rows: Vec<RoleRow>,
    /// The answers that are still to come.
    asked: Vec<Ticket>,
    text: Text,
}

impl Gather {
    pub(super) fn begin(cx: &mut Cx<'_>) -> Self {
        Self {
            waiting: Vec::new(),
            process: Process::default(),
            rows: Vec::new(),
            asked: vec![cx.ask(Command::Process), cx.ask(Command::Roles { from: 0 })],
            text: Text::default(),
        }
    }

    /// One more waits for it.
    pub(super) fn wait(&mut self, conn: ConnId, what: What) {
        self.waiting.push((conn, what));
    }

    /// Whether all has been answered.
    pub(super) fn is_whole(&self) -> bool {
        self.asked.is_empty()
    }

    /// An answer came. Whether it was the last one.
    pub(super) fn take_in(&mut self, cx: &mut Cx<'_>, ticket: Ticket, reply: Reply) -> bool {
        let Some(at) = self.asked.iter().position(|asked| *asked == ticket) else {
            return false;
        };
        self.asked.swap_remove(at);
        match reply {
            Reply::Process(process) => self.process = *process,
            Reply::Roles { rows, next } => {
                self.rows.extend(rows);
                let more = next.map(|from| cx.ask(Command::Roles { from }));
                self.asked.extend(more);
            }
            Reply::Tab(_) => {}
        }
        self.asked.is_empty()
    }

    /// Writes a piece of the text, if somebody waits for it. Whether all is written.
    pub(super) fn write_some(&mut self) -> bool {
        let is_wanted = self.waiting.iter().any(|(_, what)| *what == What::Metrics);
        !is_wanted || self.text.write_some(&self.process, &self.rows)
    }

    /// What each gets.
    pub(super) fn answers(self) -> Vec<(ConnId, Content)> {
        let body: Rc<[u8]> = self.text.into_bytes().into();
        let ready = readiness(&self.rows);
        let answer = |what| match what {
            What::Metrics => Content::new(Status::OK, TEXT, Rc::clone(&body)),
            What::Ready => ready.clone().into(),
        };
        let waiting = self.waiting.into_iter();
        waiting.map(|(conn, what)| (conn, answer(what))).collect()
    }
}

/// 200 while each role can do what it is for, else 503 and why not.
fn readiness(rows: &[RoleRow]) -> Answer {
    let wrong = rows.iter().filter_map(|row| {
        let why = match &row.state {
            RoleState::Running(view) if view.is_ready() => return None,
            RoleState::Running(view) => unready(view),
            RoleState::Stopped => return None,
            RoleState::Failed(text) => text.clone(),
        };
        Some(format!("{}: {why}", row.name))
    });
    let wrong: Vec<String> = wrong.collect();
    match wrong.len() {
        0 => Answer::new(Status::OK, "ready"),
        all if all > SHOWN => {
            let more = all - SHOWN;
            let shown = wrong[..SHOWN].join("\n");
            Answer::new(Status::UNAVAILABLE, &format!("{shown}\nand {more} more"))
        }
        _ => Answer::new(Status::UNAVAILABLE, &wrong.join("\n")),
    }
}

fn unready(view: &View) -> String {
    match &view.upstream {
        _ if view.is_ending => "it ends".to_owned(),
        Some(upstream) if upstream.is_overdue => format!("upstream {} is silent", upstream.who),
        Some(upstream) => format!("upstream {} is down", upstream.who),
        None => "not ready".to_owned(),
    }
}

/// The type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Roles that an answer names.
const SHOWN: usize = 16;
