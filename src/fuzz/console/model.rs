//! Relays as those who may have made them: what is done to them is what somebody who may has asked for, and what they
//! were at each moment is remembered, so that an answer can be held against it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::reactor::command::{RoleRow, RoleState};
use crate::reactor::tabs::{Tab, TabCommand, TabReply, TabSettings};
use crate::reactor::view::{ClientRow, View};

use super::owner::client;

/// All relays.
#[derive(Clone, Debug)]
pub(super) struct Model {
    rows: Vec<Row>,
    next_id: u64,
    /// What somebody who may has asked for, and is still to be done, or never will be.
    permitted: Vec<TabCommand>,
    /// What was done, with the status that its answer has to have.
    done: Vec<(TabCommand, u16)>,
    /// What they looked like, from the beginning on.
    pub(super) past: Vec<Vec<Look>>,
}

/// One of them.
#[derive(Clone, Debug)]
struct Row {
    look: Look,
    clients: BTreeSet<u64>,
}

/// As a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) src: String,
    pub(super) dump: bool,
    pub(super) runs: bool,
    pub(super) clients: usize,
}

impl Model {
    /// Two that run, the first of which stays for ever.
    pub(super) fn new(clients: u64) -> Self {
        let mut model = Self {
            rows: Vec::new(),
            next_id: 1,
            permitted: Vec::new(),
            done: Vec::new(),
            past: Vec::new(),
        };
        for _ in 0..2 {
            model.add();
            let row = model.rows.last_mut().expect("it was just added");
            row.look.runs = true;
            row.clients = (0..clients).collect();
        }
        model.note();
        model
    }

    /// Somebody who may do all asks for this.
    pub(super) fn permit(&mut self, command: TabCommand) {
        self.permitted.push(command);
    }

    /// How much has been done by now.
    pub(super) fn age(&self) -> usize {
        self.done.len()
    }

    /// When this was done since so much had been, and with which status it has to be answered.
    pub(super) fn done(&self, command: &TabCommand, since: usize) -> Vec<(usize, u16)> {
        let done = self.done.iter().enumerate().skip(since);
        done.filter(|(_, (done, _))| done == command)
            .map(|(at, (_, status))| (at, *status))
            .collect()
    }

    /// Does what is asked for.
    ///
    /// # Panics
    /// When nobody who may has asked for it.
    pub(super) fn obey(&mut self, command: TabCommand) -> TabReply {
        let at = self.permitted.iter().position(|known| *known == command);
        let at = at.unwrap_or_else(|| panic!("nobody who may has asked for {command:?}"));
        self.permitted.swap_remove(at);
        let reply = self.does(&command);
        let status = match &reply {
            TabReply::Done | TabReply::Added(_) => 200,
            TabReply::Faults(faults) if faults.is_empty() => 200,
            TabReply::Faults(_) => 422,
            _ => 409,
        };
        self.done.push((command, status));
        self.note();
        reply
    }

    fn does(&mut self, command: &TabCommand) -> TabReply {
        let (tab, is_lasting) = match command {
            TabCommand::Add { .. } => return TabReply::Added(self.add()),
            TabCommand::Reload => return TabReply::Done,
            TabCommand::Change { tab, .. }
            | TabCommand::Start { tab }
            | TabCommand::Stop { tab }
            | TabCommand::Remove { tab }
            | TabCommand::Dump { tab, .. }
            | TabCommand::Kick { tab, .. } => (*tab, *tab == 1),
            other => panic!("{other:?} is no deed"),
        };
        let refused = |why: &str| TabReply::Refused(why.to_owned());
        let Some(at) = self.rows.iter().position(|row| row.look.id == tab) else {
            return refused("there is no such role any more");
        };
        let row = &mut self.rows[at];
        match command {
            TabCommand::Change { fields, .. } => {
                if row.look.runs {
                    return TabReply::Faults(vec![("src".to_owned(), "it runs".to_owned())]);
                }
                for (key, value) in fields {
                    match key.as_str() {
                        "name" => row.look.name.clone_from(value),
                        _ => row.look.src.clone_from(value),
                    }
                }
                TabReply::Faults(Vec::new())
            }
            TabCommand::Start { .. } | TabCommand::Stop { .. } => {
                let starts = matches!(command, TabCommand::Start { .. });
                if row.look.runs == starts {
                    return refused("it is so already");
                }
                row.look.runs = starts;
                row.clients.clear();
                TabReply::Done
            }
            TabCommand::Kick { client, .. } if !row.clients.remove(client) => {
                refused("that client is gone already")
            }
            TabCommand::Dump { on, .. } => {
                row.look.dump = *on;
                TabReply::Done
            }
            TabCommand::Remove { .. } if is_lasting => refused("this one stays"),
            TabCommand::Remove { .. } => {
                self.rows.remove(at);
                TabReply::Done
            }
            _ => TabReply::Done,
        }
    }

    fn add(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.rows.push(Row {
            look: Look {
                id,
                name: format!("relay {id}"),
                src: "x".repeat(10),
                dump: false,
                runs: false,
                clients: 0,
            },
            clients: BTreeSet::new(),
        });
        id
    }

    fn note(&mut self) {
        for row in &mut self.rows {
            row.look.clients = row.clients.len();
        }
        let now = self.rows.iter().map(|row| row.look.clone());
        self.past.push(now.collect());
    }

    pub(super) fn tabs(&self, bytes: u64) -> Vec<Tab> {
        self.rows.iter().map(|row| row.tab(bytes)).collect()
    }

    /// Those who are connected to one of them.
    pub(super) fn clients(&self, tab: u64) -> Option<Vec<ClientRow>> {
        let row = self.rows.iter().find(|row| row.look.id == tab)?;
        Some(row.clients.iter().copied().map(client).collect())
    }
}

impl Row {
    fn tab(&self, bytes: u64) -> Tab {
        let Look {
            id,
            name,
            src,
            dump,
            runs,
            clients,
        } = self.look.clone();
        let view = View {
            bytes_in: bytes,
            clients,
            ..View::new("relay", Duration::from_millis(bytes))
        };
        let command = format!("hydrant {src}");
        Tab {
            id,
            kind: "relay",
            label: format!("relay[{name}]"),
            row: RoleRow {
                name,
                state: match runs {
                    true => RoleState::Running(Box::new(view)),
                    false => RoleState::Stopped,
                },
            },
            run: runs.then_some(0),
            dump,
            settings: Some(TabSettings {
                fields: vec![("src".to_owned(), src)],
                command,
                unsaid: Vec::new(),
                faults: Vec::new(),
                is_fixed: false,
            }),
        }
    }
}
