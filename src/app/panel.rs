//! What a console, or `hydrant status`, sees of the roles that run beside each other, and what it may do to them. They
//! come from a run file or from a command line, so their settings are shown, and are changed where they came from.

use super::RoleSet;
use super::errand::{Errand, Known, look_up};
use super::fleet::{Fleet, Origin, Post, Standing, reserve};
use super::scribe::Scribe;
use crate::base::time::Time;
use crate::config::settings::option_rows;
use crate::logger;
use crate::reactor::command::{Reply, RoleRow, RoleState, Ticket};
use crate::reactor::net::Signal;
use crate::reactor::tabs::{self, PAYLOAD_MAX, TabCommand, TabReply, TabSettings, Tabs};
use crate::reactor::view::{ClientPage, PAGE_MAX, View};
use crate::reactor::{Event, Reactor, RoleId};
use crate::roles::relay::config::DumpFormat;

/// A role that is to begin as soon as the names at which it listens have been looked up.
pub(super) struct Beginning {
    id: u64,
    names: Errand<Vec<Known>>,
    asked: (RoleId, Ticket),
}

impl Post {
    /// As those see it who look at all roles.
    pub(super) fn row(&self, reactor: &Reactor<RoleSet>) -> RoleRow {
        let now = reactor.clock();
        RoleRow {
            name: self.member.name.clone(),
            state: match &self.standing {
                Standing::Stopped { .. } => RoleState::Stopped,
                Standing::Failed(text) => RoleState::Failed(text.clone()),
                Standing::Running(role) | Standing::Told(role) => {
                    let view = reactor.role(*role).and_then(|role| role.view(now));
                    // A client of a hub runs, and has nothing to show.
                    let plain = || View::new(self.member.run.kind(), now.since(Time::ZERO));
                    RoleState::Running(Box::new(view.unwrap_or_else(plain)))
                }
            },
        }
    }

    fn tab(&self, reactor: &Reactor<RoleSet>, is_kept: bool) -> tabs::Tab {
        let mut row = self.row(reactor);
        if let (RoleState::Stopped, false) = (&row.state, self.faults.is_empty()) {
            let texts: Vec<&str> = self.faults.iter().map(|(_, text)| text.as_str()).collect();
            row.state = RoleState::Failed(texts.join("; "));
        }
        let dumps = matches!(&row.state, RoleState::Running(view) if view.dump.is_some());
        tabs::Tab {
            id: self.id,
            kind: self.member.run.kind(),
            label: self.member.label(),
            row,
            dump: self.shows || dumps,
            settings: self.member.sheet.clone().map(|sheet| TabSettings {
                fields: sheet.fields,
                command: sheet.command,
                unsaid: sheet.unsaid,
                faults: self.faults.clone(),
                is_fixed: !(is_kept && self.member.run.kind() == "relay"),
            }),
        }
    }
}

impl Fleet {
    /// Does what somebody asks who looks at all roles. `None`: the answer comes later.
    pub(super) fn obey(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        command: TabCommand,
    ) -> Option<TabReply> {
        let wanted = match command {
            TabCommand::List { from } => return Some(self.list(reactor, from)),
            TabCommand::Options => return Some(TabReply::Options(option_rows())),
            TabCommand::Log { after } => return Some(TabReply::Log(log_after(after))),
            TabCommand::Reload => {
                self.begin_reload(reactor, Some(by));
                return None;
            }
            TabCommand::Add { after } if self.scribe.is_some() => {
                self.add(reactor, by, after);
                return None;
            }
            TabCommand::Add { .. } => return Some(TabReply::Refused(self.come_from())),
            TabCommand::Payload { tab, .. }
            | TabCommand::Clients { tab, .. }
            | TabCommand::Change { tab, .. }
            | TabCommand::Start { tab }
            | TabCommand::Stop { tab }
            | TabCommand::Remove { tab }
            | TabCommand::Dump { tab, .. }
            | TabCommand::Kick { tab, .. } => tab,
        };
        let Some(place) = self.posts.iter().position(|post| post.id == wanted) else {
            return Some(refused("there is no such role any more"));
        };
        match command {
            TabCommand::Start { .. } => self.begin(reactor, by, place),
            TabCommand::Change { fields, .. } if self.scribe.is_some() => {
                self.change(reactor, by, place, fields)
            }
            TabCommand::Remove { .. } if self.scribe.is_some() => {
                self.remove(reactor, by, place);
                None
            }
            command => Some(self.obey_at(reactor, place, command)),
        }
    }

    fn obey_at(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        command: TabCommand,
    ) -> TabReply {
        if let Some(reply) = of_role(reactor, self.posts[place].role(), &command) {
            return reply;
        }
        match command {
            TabCommand::Dump { on, .. } => {
                self.posts[place].shows = on;
                TabReply::Done
            }
            TabCommand::Stop { .. } => self.stop(reactor, place),
            _ => TabReply::Refused(self.come_from()),
        }
    }

    fn list(&self, reactor: &Reactor<RoleSet>, from: usize) -> TabReply {
        let rest = self.posts.get(from..).unwrap_or_default();
        let is_kept = self.scribe.is_some();
        let rows = rest.iter().take(PAGE_MAX);
        let rows = rows.map(|post| post.tab(reactor, is_kept));
        TabReply::List(Tabs {
            rows: rows.collect(),
            next: (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX),
            file: self.file().map(|path| path.display().to_string()),
            fault: self.scribe.as_ref().and_then(Scribe::fault),
            is_kept,
        })
    }

    /// What is said to those who would change what they are.
    fn come_from(&self) -> String {
        match self.file() {
            Some(path) => format!(
                "it comes from {}: change it there and have that read again, or say save = true in its [console]",
                path.display()
            ),
            None => "it comes from a command line, and goes with it".to_owned(),
        }
    }

    fn file(&self) -> Option<&std::path::Path> {
        match &self.origin {
            Origin::File(file) => Some(&file.path),
            Origin::Line(_) => None,
        }
    }

    fn stop(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> TabReply {
        let post = &mut self.posts[place];
        match post.role() {
            Some(role) => {
                post.standing = Standing::Told(role);
                reactor.tell(role, Event::Drain(Signal::Command));
                self.note_enabled(reactor, place, false);
                TabReply::Done
            }
            None => refused("it does not run"),
        }
    }

    /// Begins a role once the names at which it listens are known.
    fn begin(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        asked: (RoleId, Ticket),
        place: usize,
    ) -> Option<TabReply> {
        let post = &self.posts[place];
        let id = post.id;
        if post.role().is_some() || self.beginning.iter().any(|one| one.id == id) {
            return Some(refused("it runs already, or is still stopping"));
        }
        let places: Vec<_> = post.member.run.listens().into_iter().cloned().collect();
        let names = move || look_up(&places);
        match Errand::begin("names", reactor.waker(), names) {
            Ok(names) => self.beginning.push(Beginning { id, names, asked }),
            Err(text) => return Some(TabReply::Refused(text)),
        }
        None
    }

    /// Begins those whose names are known by now.
    pub(super) fn begin_ready(&mut self, reactor: &mut Reactor<RoleSet>) {
        let mut at = 0;
        while at < self.beginning.len() {
            let Some(names) = self.beginning[at].names.outcome() else {
                at += 1;
                continue;
            };
            let Beginning { id, asked, .. } = self.beginning.remove(at);
            reactor.know_hosts(names.unwrap_or_default());
            let begun = self.begin_now(reactor, id);
            reactor.know_hosts([]);
            let reply = begun.unwrap_or_else(|text| TabReply::Refused(text.to_owned()));
            reactor.answer(asked.0, asked.1, Reply::Tab(reply));
        }
    }

    /// Begins a role. What of it can't be is noted beside its fields.
    fn begin_now(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        id: u64,
    ) -> Result<TabReply, &'static str> {
        let place = self.posts.iter().position(|post| post.id == id);
        // A reload may have taken it away, or begun it, meanwhile.
        let place = place.ok_or("there is no such role any more")?;
        let post = &mut self.posts[place];
        if post.role().is_some() {
            return Ok(TabReply::Done);
        }
        let begun = reserve(reactor, &post.member, None, &[]).and_then(|reserved| {
            let begun = Post::begin(reactor, post.member.clone(), reserved);
            begun.map_err(|text| ("", text))
        });
        match begun {
            Ok(mut begun) => {
                begun.id = id;
                begun.shows = post.shows;
                self.posts[place] = begun;
                self.note_enabled(reactor, place, true);
                Ok(TabReply::Done)
            }
            Err((field, text)) => {
                post.faults = vec![(field.to_owned(), text)];
                Ok(TabReply::Faults(post.faults.clone()))
            }
        }
    }
}

/// Does what a role itself is asked, wherever it came from. `None`: that is about more than the role.
pub(super) fn of_role(
    reactor: &mut Reactor<RoleSet>,
    role: Option<RoleId>,
    command: &TabCommand,
) -> Option<TabReply> {
    let reply = match *command {
        TabCommand::Payload { from, .. } => match role.and_then(|role| reactor.role(role)) {
            Some(RoleSet::Relay(relay)) => TabReply::Payload(relay.payload(from, PAYLOAD_MAX)),
            _ => refused("it does not run"),
        },
        TabCommand::Clients { from, .. } => {
            let role = role.and_then(|role| reactor.role(role));
            let now = reactor.clock();
            let page = |role: &RoleSet| role.client_page(now, from);
            TabReply::Clients(role.map_or_else(ClientPage::default, page))
        }
        TabCommand::Kick { client, .. } => {
            let kick = |role| reactor.with(role, |role, cx| role.kick(cx, client));
            match role.and_then(kick) {
                Some(true) => TabReply::Done,
                _ => refused("that client is gone already"),
            }
        }
        TabCommand::Dump {
            on,
            to_stdout: true,
            ..
        } => dump_to_stdout(reactor, role, on),
        _ => return None,
    };
    Some(reply)
}

/// Shows a role's payload on stdout, or ends that.
fn dump_to_stdout(reactor: &mut Reactor<RoleSet>, role: Option<RoleId>, on: bool) -> TabReply {
    let format = on.then_some(DumpFormat::Text);
    match role.and_then(|role| reactor.with(role, |role, cx| role.dump(cx, format))) {
        Some(Ok(())) => TabReply::Done,
        Some(Err(text)) => TabReply::Refused(text),
        None => refused("it does not run"),
    }
}

/// Lines of the log behind the one of this number.
pub(super) fn log_after(after: u64) -> Vec<tabs::LogLine> {
    let lines = logger::tail(after).into_iter();
    lines
        .map(|(seq, text)| tabs::LogLine { seq, text })
        .collect()
}

fn refused(why: &str) -> TabReply {
    TabReply::Refused(why.to_owned())
}
