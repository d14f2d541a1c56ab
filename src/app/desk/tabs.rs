//! The tabs: what each is made of, whether it runs, and what is done when somebody asks.

use std::collections::BTreeSet;

use super::{Desk, RoleSet};
use crate::app::certificates::Watch;
use crate::app::panel::{log_after, of_role};
use crate::config::Member;
use crate::config::settings::{FIELD_MAX, Settings, chained, fresh, names_socket, option_rows};
use crate::reactor::command::{Reply, RoleRow, RoleState, Ticket};
use crate::reactor::net::Signal;
use crate::reactor::tabs::{Faults, TabCommand, TabReply, TabSettings, Tabs};
use crate::reactor::view::PAGE_MAX;
use crate::reactor::{Event, Reactor, RoleId, tabs};

/// A tab.
pub(super) struct Tab {
    pub(super) id: u64,
    pub(super) settings: Settings,
    /// What is wrong with the settings, by the field.
    pub(super) faults: Faults,
    pub(super) standing: Standing,
    pub(super) watch: Option<Watch>,
    /// What runs is made of this.
    pub(super) member: Option<Member>,
    /// Its relay belongs to somebody else, who ends it.
    is_lent: bool,
}

pub(super) enum Standing {
    Running(RoleId),
    Stopped,
    Failed(String),
}

impl Tab {
    pub(super) fn role(&self) -> Option<RoleId> {
        match self.standing {
            Standing::Running(role) => Some(role),
            Standing::Stopped | Standing::Failed(_) => None,
        }
    }

    /// It shows a relay that somebody else has begun.
    pub(super) fn lend(&mut self, role: RoleId) {
        self.standing = Standing::Running(role);
        self.is_lent = true;
    }

    pub(super) fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// Certificates may be others.
    pub(super) fn reload(&self) {
        self.watch.iter().for_each(Watch::reload);
    }

    fn row(&self, reactor: &Reactor<RoleSet>) -> tabs::Tab {
        let view = |role| reactor.role(role)?.view(reactor.clock());
        let state = match &self.standing {
            Standing::Stopped => RoleState::Stopped,
            Standing::Failed(text) => RoleState::Failed(text.clone()),
            Standing::Running(role) => match view(*role) {
                Some(view) => RoleState::Running(Box::new(view)),
                None => RoleState::Stopped,
            },
        };
        let (command, unsaid) = self.settings.command();
        tabs::Tab {
            id: self.id,
            kind: "relay",
            label: match self.is_lent {
                // It was begun without a name.
                true => "relay".to_owned(),
                false => format!("relay[{}]", self.settings.name),
            },
            row: RoleRow {
                name: self.settings.name.clone(),
                state,
            },
            dump: self.settings.dump,
            settings: Some(TabSettings {
                fields: self.settings.shown(),
                command,
                unsaid,
                faults: self.faults.clone(),
                is_fixed: false,
            }),
        }
    }
}

impl Desk {
    /// Puts a tab behind all others. The document has it already.
    pub(super) fn place(&mut self, settings: Settings) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.tabs.push(Tab {
            id,
            settings,
            faults: Vec::new(),
            standing: Standing::Stopped,
            watch: None,
            member: None,
            is_lent: false,
        });
        id
    }

    /// Does what a page has asked for. `None`: the answer comes later.
    pub(super) fn obey(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        command: TabCommand,
    ) -> Option<TabReply> {
        if let TabCommand::Start { tab } = command
            && let Some(place) = self.tabs.iter().position(|known| known.id == tab)
        {
            return self.start_tab(reactor, by, place);
        }
        Some(self.obey_now(reactor, command))
    }

    fn obey_now(&mut self, reactor: &mut Reactor<RoleSet>, command: TabCommand) -> TabReply {
        match command {
            TabCommand::List { from } => self.list(reactor, from),
            TabCommand::Options => TabReply::Options(option_rows()),
            TabCommand::Log { after } => TabReply::Log(log_after(after)),
            TabCommand::Reload => {
                TabReply::Refused("there is no run file: hydrant run FILE has one".to_owned())
            }
            TabCommand::Add { after } => self.add(after),
            TabCommand::Payload { tab, .. }
            | TabCommand::Clients { tab, .. }
            | TabCommand::Change { tab, .. }
            | TabCommand::Start { tab }
            | TabCommand::Stop { tab }
            | TabCommand::Remove { tab }
            | TabCommand::Dump { tab, .. }
            | TabCommand::Kick { tab, .. } => {
                match self.tabs.iter().position(|known| known.id == tab) {
                    Some(place) => self.obey_at(reactor, place, command),
                    None => TabReply::Refused("there is no such relay any more".to_owned()),
                }
            }
        }
    }

    fn obey_at(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        command: TabCommand,
    ) -> TabReply {
        let role = self.tabs[place].role();
        if let Some(reply) = of_role(reactor, role, &command) {
            return reply;
        }
        match command {
            TabCommand::Stop { .. } | TabCommand::Remove { .. } | TabCommand::Change { .. }
                if self.tabs[place].is_lent =>
            {
                TabReply::Refused(
                    "the demo needs it as it is: Ctrl-C in its terminal ends both".to_owned(),
                )
            }
            TabCommand::Change { fields, .. } => match role {
                Some(role) => self.change_running(reactor, place, role, &fields),
                None => self.change(place, &fields),
            },
            TabCommand::Dump { on, .. } => {
                self.tabs[place].settings.dump = on;
                self.changed(place);
                TabReply::Done
            }
            TabCommand::Stop { .. } if self.give_up_start(reactor, place) => TabReply::Done,
            TabCommand::Stop { .. } => match role {
                Some(role) => {
                    reactor.tell(role, Event::Drain(Signal::Command));
                    self.tabs[place].settings.enabled = false;
                    self.changed(place);
                    TabReply::Done
                }
                None => TabReply::Refused("it does not run".to_owned()),
            },
            TabCommand::Remove { .. } => self.remove(reactor, place),
            TabCommand::List { .. }
            | TabCommand::Options
            | TabCommand::Log { .. }
            | TabCommand::Start { .. }
            | TabCommand::Reload
            | TabCommand::Add { .. }
            | TabCommand::Payload { .. }
            | TabCommand::Clients { .. }
            | TabCommand::Kick { .. } => {
                unreachable!("they are about no tab, or its relay has answered")
            }
        }
    }

    fn list(&self, reactor: &Reactor<RoleSet>, from: usize) -> TabReply {
        let rest = self.tabs.get(from..).unwrap_or_default();
        TabReply::List(Tabs {
            rows: rest
                .iter()
                .take(PAGE_MAX)
                .map(|tab| tab.row(reactor))
                .collect(),
            next: (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX),
            file: self
                .keeper
                .as_ref()
                .map(|keeper| keeper.path().display().to_string()),
            fault: self.keeper.as_ref().and_then(|keeper| keeper.fault()),
            is_kept: true,
        })
    }

    /// As for those who watch and know of no tabs.
    pub(super) fn roles(&self, reactor: &Reactor<RoleSet>, from: usize) -> Reply {
        let rest = self.tabs.get(from..).unwrap_or_default();
        let rows = rest.iter().take(PAGE_MAX).map(|tab| tab.row(reactor).row);
        Reply::Roles {
            rows: rows.collect(),
            next: (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX),
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.tabs
            .iter()
            .map(|tab| tab.settings.name.clone())
            .collect()
    }

    fn add(&mut self, after: Option<u64>) -> TabReply {
        if self.tabs.len() >= TABS_MAX {
            return TabReply::Refused(format!("{TABS_MAX} tabs are the most"));
        }
        let names = self.names();
        let asked = self.tabs.iter().find(|tab| Some(tab.id) == after);
        let settings = match asked.or(self.tabs.last()) {
            Some(before) => chained(&before.settings, &names),
            None => fresh(&names),
        };
        self.document.push(&settings);
        let id = self.place(settings);
        self.save();
        TabReply::Added(id)
    }

    fn remove(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> TabReply {
        self.give_up_start(reactor, place);
        let tab = self.tabs.remove(place);
        if let Some(role) = tab.role() {
            reactor.tell(role, Event::Drain(Signal::Command));
        }
        self.document.remove(place);
        if self.tabs.is_empty() {
            return self.add(None);
        }
        self.save();
        TabReply::Done
    }

    fn change(&mut self, place: usize, fields: &[(String, String)]) -> TabReply {
        if self.is_starting(place) {
            return TabReply::Refused("it is starting".to_owned());
        }
        let mut faults = Vec::new();
        for (key, value) in fields {
            let value = value.trim();
            let tab = &mut self.tabs[place];
            match key.as_str() {
                "name" if tab.settings.name == value => {}
                "name" => {
                    if let Some(fault) = self.rename(place, value) {
                        faults.push(("name".to_owned(), fault));
                    }
                }
                "dump" => tab.settings.dump = value == "true",
                key if value.len() > FIELD_MAX => {
                    faults.push((key.to_owned(), format!("at most {FIELD_MAX} bytes")));
                }
                // Who reaches the page is not always who may reach every program of this machine.
                key if names_socket(key, value) => faults.push((
                    key.to_owned(),
                    "a Unix socket is set in the settings file".to_owned(),
                )),
                key if tab.settings.has(key) => tab.settings.set(key, value),
                key => faults.push((
                    key.to_owned(),
                    "this is set in the settings file".to_owned(),
                )),
            }
        }
        let tab = &mut self.tabs[place];
        if !matches!(tab.standing, Standing::Stopped) {
            tab.standing = Standing::Stopped;
        }
        faults.extend(tab.settings.check().err().unwrap_or_default());
        tab.faults.clone_from(&faults);
        self.changed(place);
        TabReply::Faults(faults)
    }

    /// Calls a tab something else, or says why not.
    fn rename(&mut self, place: usize, name: &str) -> Option<String> {
        if self.names().contains(name) {
            return Some("another relay has this name".to_owned());
        }
        let renamed = Settings {
            name: name.to_owned(),
            ..self.tabs[place].settings.clone()
        };
        let faults = renamed.check().err().unwrap_or_default();
        let fault = faults.into_iter().find(|(field, _)| field == "name");
        if fault.is_none() {
            self.tabs[place].settings = renamed;
        }
        fault.map(|(_, text)| text)
    }

    /// A tab's settings are others: the file is to say so.
    pub(super) fn changed(&mut self, place: usize) {
        let settings = &self.tabs[place].settings;
        for dst in self.document.set(place, settings) {
            let name = &settings.name;
            log::info!("relay[{name}]: the section of {dst} goes out of the settings file");
        }
        self.save();
    }
}

/// Gives settings a name that none of `all` has.
pub(super) fn rename(settings: &mut Settings, all: &[Settings]) {
    let names: BTreeSet<String> = all.iter().map(|settings| settings.name.clone()).collect();
    if names.contains(&settings.name) {
        settings.name = fresh(&names).name;
    }
}

/// The most tabs: more than anybody can look at.
pub(super) const TABS_MAX: usize = 200;
