//! Whoever owns the loop, as far as roles that answer requests ask: relays, clients and lines of any number.

use std::time::Duration;

use crate::reactor::RoleId;
use crate::reactor::command::{Command, Reply, RoleRow, RoleState, Ticket};
use crate::reactor::tabs::{LogLine, Tab, TabCommand, TabReply, TabSettings, Tabs};
use crate::reactor::view::{ClientPage, ClientRow, PAGE_MAX, View};

use super::model::Model;

/// What there is.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) tabs: usize,
    /// How long a field of each is, in bytes.
    pub(super) field: usize,
    pub(super) clients: u64,
    pub(super) lines: u64,
    /// How long a line is, in bytes.
    pub(super) line: usize,
    /// Nothing is answered.
    pub(super) is_silent: bool,
    /// Bytes that each relay has got by now; a thousand more at each look.
    pub(super) bytes: u64,
    /// How many looks have begun.
    pub(super) looks: usize,
    /// How often somebody has asked for the settings of a tab.
    pub(super) sheets: usize,
    /// What was to be done.
    pub(super) deeds: Vec<TabCommand>,
    /// How many looks had begun when the last of that was done.
    pub(super) looks_before: usize,
    /// Relays that change when they are told to, in the place of all others.
    pub(super) model: Option<Model>,
    /// So many turns after something was done that is answered.
    pub(super) saving: u64,
    /// Why what is done is not saved.
    pub(super) unsaved: Option<&'static str>,
    /// What is to be answered, and in which turn.
    answers: Vec<(u64, By, Reply)>,
}

type By = (RoleId, Ticket);

impl Owner {
    pub(super) fn new() -> Self {
        Self {
            tabs: 2,
            field: 10,
            clients: 300,
            lines: 20,
            line: 80,
            is_silent: false,
            bytes: 0,
            looks: 0,
            sheets: 0,
            deeds: Vec::new(),
            looks_before: 0,
            model: None,
            saving: 0,
            unsaved: None,
            answers: Vec::new(),
        }
    }

    pub(super) fn model(&mut self) -> &mut Model {
        self.model.as_mut().expect("it has one")
    }

    /// Somebody asks, in this turn.
    pub(super) fn hear(&mut self, by: By, command: Command, turn: u64) {
        if !self.is_silent {
            let done = self.done();
            let reply = self.obey(command);
            let is_deed = self.done() > done;
            let (turn, reply) = match reply {
                Reply::Tab(reply) if is_deed => (turn + self.saving, Reply::Tab(self.kept(reply))),
                reply => (turn, reply),
            };
            self.answers.push((turn, by, reply));
        }
    }

    /// What is answered in this turn.
    pub(super) fn due(&mut self, turn: u64) -> Vec<(By, Reply)> {
        let all = std::mem::take(&mut self.answers).into_iter();
        let (due, later): (Vec<_>, _) = all.partition(|(at, ..)| *at <= turn);
        self.answers = later;
        due.into_iter().map(|(_, by, reply)| (by, reply)).collect()
    }

    /// How much has been done.
    fn done(&self) -> usize {
        self.deeds.len() + self.model.as_ref().map_or(0, Model::age)
    }

    fn kept(&self, reply: TabReply) -> TabReply {
        match (self.unsaved, reply) {
            (_, refused @ TabReply::Refused(_)) => refused,
            (Some(why), reply) => TabReply::Unsaved(Box::new(reply), why.to_owned()),
            (None, reply) => reply,
        }
    }

    fn obey(&mut self, command: Command) -> Reply {
        match command {
            Command::Tab(command) => Reply::Tab(self.tab(command)),
            Command::Process => Reply::Process(Box::default()),
            Command::Roles { from } => {
                let rows = (from..self.tabs)
                    .take(PAGE_MAX)
                    .map(|number| self.role(number));
                Reply::Roles {
                    rows: rows.collect(),
                    next: (from + PAGE_MAX < self.tabs).then_some(from + PAGE_MAX),
                }
            }
        }
    }

    fn tab(&mut self, command: TabCommand) -> TabReply {
        match command {
            TabCommand::List { from, is_brief } => {
                self.looks += usize::from(from == 0);
                self.sheets += usize::from(!is_brief);
                // So many a second: it has run for as many milliseconds.
                self.bytes += 1000 * u64::from(from == 0);
                let all: Vec<Tab> = match &self.model {
                    Some(model) => model.tabs(self.bytes),
                    None => (0..self.tabs)
                        .map(|number| self.row(number, is_brief))
                        .collect(),
                };
                TabReply::List(Tabs {
                    rows: all.into_iter().skip(from).take(PAGE_MAX).collect(),
                    next: (from + PAGE_MAX < self.tabs).then_some(from + PAGE_MAX),
                    file: None,
                    fault: None,
                    note: None,
                    is_kept: true,
                })
            }
            TabCommand::Options => TabReply::Options(Vec::new()),
            TabCommand::Log { after } => {
                let line = |seq| LogLine {
                    seq,
                    text: format!(
                        "2026-01-01T12:00:00.123Z [INFO] {seq:0width$}",
                        width = self.line
                    ),
                };
                TabReply::Log((after + 1..=self.lines).map(line).collect())
            }
            TabCommand::Clients { tab, .. } if self.model.is_some() => {
                match self.model().clients(tab) {
                    Some(rows) => TabReply::Clients(ClientPage { rows, next: None }),
                    None => TabReply::Refused("there is no such role any more".to_owned()),
                }
            }
            TabCommand::Clients { tab, .. } if tab > self.tabs as u64 => {
                TabReply::Refused("there is no such role any more".to_owned())
            }
            TabCommand::Clients { from, .. } => {
                let to = self.clients.min(from + PAGE_MAX as u64);
                TabReply::Clients(ClientPage {
                    rows: (from..to).map(client).collect(),
                    next: (to < self.clients).then_some(to),
                })
            }
            TabCommand::Payload { .. } => TabReply::Refused("it does not run".to_owned()),
            deed if self.model.is_some() => self.model().obey(deed),
            deed => {
                self.deeds.push(deed);
                self.looks_before = self.looks;
                TabReply::Done
            }
        }
    }

    fn role(&self, number: usize) -> RoleRow {
        let view = View {
            bytes_in: self.bytes,
            ..View::new("relay", Duration::from_millis(self.bytes))
        };
        RoleRow {
            name: format!("relay {number}"),
            state: RoleState::Running(Box::new(view)),
        }
    }

    fn row(&self, number: usize, is_brief: bool) -> Tab {
        Tab {
            id: number as u64 + 1,
            kind: "relay",
            label: format!("relay[relay {number}]"),
            row: self.role(number),
            run: Some(number as u32),
            dump: false,
            settings: (!is_brief).then(|| TabSettings {
                fields: vec![("src".to_owned(), "x".repeat(self.field))],
                command: format!("hydrant {}", "x".repeat(self.field)),
                unsaid: Vec::new(),
                faults: Vec::new(),
                is_fixed: false,
            }),
        }
    }
}

pub(super) fn client(id: u64) -> ClientRow {
    ClientRow {
        id,
        peer: format!("10.0.{}.{}:4000", id / 250, id % 250),
        label: String::new(),
        age: Duration::from_secs(id),
        bytes_in: None,
        bytes_out: id,
        waiting: 0,
        lag: None,
    }
}
