//! What a console, or `hydrant status`, sees of the roles that run beside each other, and what it may do to them. They
//! come from a run file or from a command line, so their settings are shown, and are changed where they came from.

use super::RoleSet;
use super::begin::{begin, text_of};
use super::errand::{Errand, Known, look_up};
use super::fleet::{Fleet, Origin, Post, Standing};
use crate::base::endpoint::Endpoint;
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
    /// Where it is to listen, as far as that was known when they were asked for.
    places: Vec<Endpoint>,
    pub(super) names: Errand<Vec<Known>>,
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

    /// Where it is to listen.
    fn places(&self) -> Vec<Endpoint> {
        self.member.run.listens().into_iter().cloned().collect()
    }

    fn tab(&self, reactor: &Reactor<RoleSet>, is_kept: bool) -> tabs::Tab {
        let mut row = self.row(reactor);
        if let (RoleState::Stopped, true) = (&row.state, self.is_in_vain) {
            row.state = RoleState::Failed(text_of(&self.faults));
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
            fault: self.fault(),
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
        if self.give_up_beginning(reactor, place) {
            return TabReply::Done;
        }
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

    /// One that is about to begin does not. Whether it was.
    fn give_up_beginning(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> bool {
        let id = self.posts[place].id;
        let Some(at) = self.beginning.iter().position(|one| one.id == id) else {
            return false;
        };
        let (by, ticket) = self.beginning.remove(at).asked;
        let reply = refused("it was stopped before it began");
        reactor.answer(by, ticket, Reply::Tab(reply));
        if self.posts[place].member.is_enabled {
            self.note_enabled(reactor, place, false);
        }
        true
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
        let places = post.places();
        let begun = self.look_up(reactor, (id, places), asked);
        begun.err().map(TabReply::Refused)
    }

    fn look_up(
        &mut self,
        reactor: &Reactor<RoleSet>,
        (id, places): (u64, Vec<Endpoint>),
        asked: (RoleId, Ticket),
    ) -> Result<(), String> {
        let meant = places.clone();
        let names = Errand::begin("names", reactor.waker(), move || look_up(&meant))?;
        self.beginning.push(Beginning {
            id,
            places,
            names,
            asked,
        });
        Ok(())
    }

    /// Begins those whose names are known by now.
    pub(super) fn begin_ready(&mut self, reactor: &mut Reactor<RoleSet>) {
        // Each is looked at once: one whose names are looked up anew waits for the next turn.
        let (mut at, mut left) = (0, self.beginning.len());
        while left > 0 {
            left -= 1;
            let Some(names) = self.beginning[at].names.outcome() else {
                at += 1;
                continue;
            };
            let Beginning {
                id, places, asked, ..
            } = self.beginning.remove(at);
            let post = self.posts.iter().find(|post| post.id == id);
            let now = post.map(Post::places).filter(|now| *now != places);
            let reply = match now {
                // It has got other orders meanwhile, whose names are not to be looked up on the loop either.
                Some(now) => match self.look_up(reactor, (id, now), asked) {
                    Ok(()) => continue,
                    Err(text) => TabReply::Refused(text),
                },
                None => {
                    reactor.know_hosts(names.unwrap_or_default());
                    let reply = self.begin_now(reactor, id);
                    reactor.know_hosts([]);
                    reply
                }
            };
            reactor.answer(asked.0, asked.1, Reply::Tab(reply));
        }
    }

    fn begin_now(&mut self, reactor: &mut Reactor<RoleSet>, id: u64) -> TabReply {
        // A reload may have taken it away, or begun it, meanwhile.
        let Some(place) = self.posts.iter().position(|post| post.id == id) else {
            return refused("there is no such role any more");
        };
        let post = &mut self.posts[place];
        if post.role().is_some() {
            return TabReply::Done;
        }
        match begin(reactor, &post.member) {
            Ok((role, watch)) => {
                post.standing = Standing::Running(role);
                (post.watch, post.lacks) = (watch, false);
                post.forgive();
                self.note_enabled(reactor, place, true);
                TabReply::Done
            }
            Err(faults) => {
                log::error!("{}: {}", post.member.label(), text_of(&faults));
                post.faults.clone_from(&faults);
                post.is_in_vain = true;
                TabReply::Faults(faults)
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
