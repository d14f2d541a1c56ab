//! The roles that run beside each other, by name: begun all or none, ended one by one, and shown and moved for those
//! who ask.
//!
//! ```text
//!   start ──all can listen──> Running ──stop──> (draining) ──> Stopped ──start──> Running
//!                                └──can't go on──> Failed
//! ```

use super::RoleSet;
use super::certificates::Watch;
use super::process;
use super::reload::{Change, Reading};
use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::config::{self, Member, Run, RunFile};
use crate::reactor::command::{Command, Reply, RoleRow, RoleState, Ticket};
use crate::reactor::net::Signal;
use crate::reactor::view::{ClientPage, PAGE_MAX, View};
use crate::reactor::{End, Event, Reactor, Reserved, RoleId, Turn};
use crate::roles::listening::cant_listen;
use crate::roles::metrics::{Metrics, MetricsConfig};
use crate::roles::relay::config::DumpFormat;

/// What the owner of the loop remembers of the roles that were asked for.
pub(super) struct Fleet {
    pub(super) posts: Vec<Post>,
    /// There is one role, with which the process ends.
    pub(super) is_alone: bool,
    /// Who only watches: when nobody else is left, it ends.
    watcher: Option<RoleId>,
    /// Roles of the past that still serve those who are left.
    pub(super) leaving: Vec<RoleId>,
    /// Where they came from.
    pub(super) origin: Origin,
    /// That is being read again, and those wait for what comes of it.
    pub(super) reading: Option<(Reading, Vec<(RoleId, Ticket)>)>,
    /// It is to be read once more after that, for those.
    pub(super) next_reading: Option<Vec<(RoleId, Ticket)>>,
    /// A file was read again with success, and in vain.
    pub(super) reloads: (u64, u64),
}

/// Where roles came from.
pub(super) enum Origin {
    /// A run file.
    File(Box<RunFile>),
    /// A command line.
    Line(Box<config::Origin>),
}

/// A member, and whether it runs.
pub(super) struct Post {
    pub(super) member: Member,
    standing: Standing,
    pub(super) watch: Option<Watch>,
}

enum Standing {
    Running(RoleId),
    /// Somebody has told it to stop.
    Told(RoleId),
    Stopped {
        /// Somebody has told it to, so it stays so; and did not come to an end of its own.
        was_told: bool,
    },
    Failed(String),
}

impl Post {
    /// Begins a role.
    ///
    /// # Errors
    /// Why it can't begin; then it is over with the next turn.
    pub(super) fn begin(
        reactor: &mut Reactor<RoleSet>,
        member: Member,
        reserved: Vec<Reserved>,
    ) -> Result<Self, String> {
        let watch = member.certificates.clone().map(Watch::start).transpose()?;
        let role = reactor.add_with(RoleSet::new(&member.run), reserved);
        match reactor.failure(role) {
            Some(text) => Err(text.to_owned()),
            None => Ok(Self {
                member,
                standing: Standing::Running(role),
                watch,
            }),
        }
    }

    /// The same role with other orders, which it takes over as it runs. Where it can't, they are tried again with the
    /// next reload.
    pub(super) fn changed(
        mut self,
        reactor: &mut Reactor<RoleSet>,
        change: Change,
        member: Member,
    ) -> Self {
        let run = &member.run;
        let (Some(role), true) = (self.role(), change != Change::None) else {
            self.member = member;
            return self;
        };
        let held = reactor.with(role, |role, cx| {
            if change == Change::Source {
                role.set_source(cx, run);
            }
            role.set_options(cx, run)
        });
        match held {
            Some(Err(text)) => log::warn!("{}: {text}", self.member.label()),
            _ => self.member = member,
        }
        self
    }

    /// The relay that shows its payload on stdout, and how, if this is one.
    pub(super) fn dumps(&self, reactor: &Reactor<RoleSet>) -> Option<(RoleId, DumpFormat)> {
        let Run::Relay(config) = &self.member.run else {
            return None;
        };
        let role = self.role()?;
        let view = reactor.role(role)?.view(reactor.clock())?;
        view.dump.and(config.dump).map(|format| (role, format))
    }

    pub(super) fn role(&self) -> Option<RoleId> {
        match self.standing {
            Standing::Running(role) | Standing::Told(role) => Some(role),
            Standing::Stopped { .. } | Standing::Failed(_) => None,
        }
    }

    /// It has come to an end that nobody wanted: a reload begins it anew.
    pub(super) fn is_over(&self) -> bool {
        match self.standing {
            Standing::Stopped { was_told } => !was_told,
            Standing::Failed(_) => true,
            Standing::Running(_) | Standing::Told(_) => false,
        }
    }
}

impl Fleet {
    /// Begins one role, with which the process ends.
    ///
    /// # Errors
    /// Why it can't begin.
    pub(super) fn start_alone(
        reactor: &mut Reactor<RoleSet>,
        member: Member,
        origin: config::Origin,
        metrics: Option<Endpoint>,
    ) -> Result<Self, String> {
        let origin = Origin::Line(Box::new(origin));
        Self::begin_all(reactor, vec![member], origin, metrics)
    }

    /// Begins all roles of a run file.
    ///
    /// # Errors
    /// Why one of them can't begin; then the process is to end, and nothing was begun where it is known before.
    pub(super) fn start(
        reactor: &mut Reactor<RoleSet>,
        file: RunFile,
        metrics: Option<Endpoint>,
    ) -> Result<Self, String> {
        let members = file.members.clone();
        Self::begin_all(reactor, members, Origin::File(Box::new(file)), metrics)
    }

    fn begin_all(
        reactor: &mut Reactor<RoleSet>,
        members: Vec<Member>,
        origin: Origin,
        metrics: Option<Endpoint>,
    ) -> Result<Self, String> {
        let mut fleet = Self {
            posts: Vec::new(),
            is_alone: matches!(origin, Origin::Line(_)),
            watcher: None,
            leaving: Vec::new(),
            origin,
            reading: None,
            next_reading: None,
            reloads: (0, 0),
        };
        let mut all = Vec::new();
        for member in &members {
            match reserve(reactor, member, None, &[]) {
                Ok(reserved) => all.push(reserved),
                Err(text) => {
                    reactor.cancel(all.into_iter().flatten().collect());
                    return Err(fleet.named(member, &text));
                }
            }
        }
        if let Some(listen) = metrics {
            // It comes first: where it can't listen, no role has said that it has begun.
            let watcher = reactor.add(RoleSet::Metrics(Metrics::new(MetricsConfig { listen })));
            if let Some(text) = reactor.failure(watcher).map(str::to_owned) {
                reactor.cancel(all.into_iter().flatten().collect());
                return Err(format!("metrics: {text}"));
            }
            fleet.watcher = Some(watcher);
        }
        for (member, reserved) in members.into_iter().zip(all) {
            let post = Post::begin(reactor, member.clone(), reserved);
            fleet
                .posts
                .push(post.map_err(|text| fleet.named(&member, &text))?);
        }
        Ok(fleet)
    }

    /// Whether files are being read again.
    pub(super) fn is_reloading(&self) -> bool {
        self.reading.is_some()
    }

    /// The exit code of a process whose roles are all over.
    pub(super) fn code(&self) -> u8 {
        let failed = |post: &Post| matches!(post.standing, Standing::Failed(_));
        u8::from(self.posts.iter().any(failed))
    }

    /// To be called after every turn, with what it came to and the roles that ended in it.
    ///
    /// # Errors
    /// With a role that runs alone, why it can't go on.
    pub(super) fn between_turns(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        turn: &Turn,
        ended: &mut Vec<(RoleId, End)>,
    ) -> Result<(), String> {
        for (role, end) in ended.drain(..) {
            self.note_end(role, end)?;
        }
        if *turn == Turn::Reloading {
            self.begin_reload(reactor, None);
        }
        for (by, ticket, command) in reactor.asked() {
            if command == Command::Reload {
                self.begin_reload(reactor, Some((by, ticket)));
                continue;
            }
            let reply = self.obey(reactor, command);
            reactor.answer(by, ticket, reply);
        }
        self.end_reload(reactor);
        if let Some(watcher) = self.watcher
            && self.leaving.is_empty()
            && self.posts.iter().all(|post| post.role().is_none())
        {
            self.watcher = None;
            reactor.with(watcher, |_, cx| cx.finish(End::Done));
        }
        Ok(())
    }

    fn note_end(&mut self, role: RoleId, end: End) -> Result<(), String> {
        let is_alone = self.is_alone;
        self.leaving.retain(|leaving| *leaving != role);
        let Some(post) = self.posts.iter_mut().find(|post| post.role() == Some(role)) else {
            return Ok(());
        };
        let was_told = matches!(post.standing, Standing::Told(_));
        post.standing = match end {
            End::Done => Standing::Stopped { was_told },
            End::Failed(text) if is_alone => return Err(text),
            End::Failed(text) => {
                log::error!("{}: {text}", post.member.label());
                Standing::Failed(text)
            }
        };
        Ok(())
    }

    /// `relay[sports]: ...`, where it would not be clear whom it is about.
    fn named(&self, member: &Member, text: &str) -> String {
        match self.is_alone {
            true => text.to_owned(),
            false => format!("{}: {text}", member.label()),
        }
    }

    /// Does what a role has asked for.
    fn obey(&mut self, reactor: &mut Reactor<RoleSet>, command: Command) -> Reply {
        match command {
            Command::Roles { from } => self.rows(reactor, from),
            Command::Clients { role, from } => self.clients(reactor, &role, from),
            Command::Kick { role, client } => self.kick(reactor, &role, client),
            Command::Stop { role } => self.stop(reactor, &role),
            Command::Start { role } => self.begin(reactor, &role),
            Command::Process => Reply::Process(Box::new(process::look(reactor, self.reloads))),
            Command::Dump { role, on } => self.dump(reactor, &role, on),
            Command::Reload => unreachable!("it is answered later"),
            Command::Tab(_) => Reply::Refused("there is no console here".to_owned()),
        }
    }

    fn rows(&self, reactor: &Reactor<RoleSet>, from: usize) -> Reply {
        let now = reactor.clock();
        let row = |post: &Post| RoleRow {
            name: post.member.name.clone(),
            state: match &post.standing {
                Standing::Stopped { .. } => RoleState::Stopped,
                Standing::Failed(text) => RoleState::Failed(text.clone()),
                Standing::Running(role) | Standing::Told(role) => {
                    match reactor.role(*role).and_then(|it| it.view(now)) {
                        Some(view) => RoleState::Running(Box::new(view)),
                        // A client of a hub runs, and has nothing to show.
                        None => RoleState::Running(Box::new(View::new(
                            "hub client",
                            now.since(Time::ZERO),
                        ))),
                    }
                }
            },
        };
        let rest = self.posts.get(from..).unwrap_or_default();
        Reply::Roles {
            rows: rest.iter().take(PAGE_MAX).map(row).collect(),
            next: (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX),
        }
    }

    fn clients(&self, reactor: &Reactor<RoleSet>, name: &str, from: u64) -> Reply {
        let Some(post) = self.post(name) else {
            return no_such_role(name);
        };
        let role = post.role().and_then(|role| reactor.role(role));
        let now = reactor.clock();
        Reply::Clients(role.map_or_else(ClientPage::default, |role| role.client_page(now, from)))
    }

    fn kick(&self, reactor: &mut Reactor<RoleSet>, name: &str, client: u64) -> Reply {
        let Some(post) = self.post(name) else {
            return no_such_role(name);
        };
        let kicked = post
            .role()
            .and_then(|role| reactor.with(role, |role, cx| role.kick(cx, client)));
        match kicked {
            Some(true) => Reply::Done,
            _ => Reply::Refused(format!("{name} has no such client any more")),
        }
    }

    fn dump(&self, reactor: &mut Reactor<RoleSet>, name: &str, on: bool) -> Reply {
        let Some(post) = self.post(name) else {
            return no_such_role(name);
        };
        let format = on.then_some(DumpFormat::Text);
        let done = post
            .role()
            .and_then(|role| reactor.with(role, |role, cx| role.dump(cx, format)));
        match done {
            Some(Ok(())) => Reply::Done,
            Some(Err(text)) => Reply::Refused(text),
            None => Reply::Refused(format!("{name} does not run")),
        }
    }

    fn stop(&mut self, reactor: &mut Reactor<RoleSet>, name: &str) -> Reply {
        let Some(post) = self.posts.iter_mut().find(|post| post.member.name == name) else {
            return no_such_role(name);
        };
        match post.role() {
            Some(role) => {
                reactor.tell(role, Event::Drain(Signal::Command));
                post.standing = Standing::Told(role);
                Reply::Done
            }
            None => Reply::Refused(format!("{name} does not run")),
        }
    }

    fn begin(&mut self, reactor: &mut Reactor<RoleSet>, name: &str) -> Reply {
        let Some(post) = self.posts.iter_mut().find(|post| post.member.name == name) else {
            return no_such_role(name);
        };
        if post.role().is_some() {
            return Reply::Refused(format!("{name} runs already"));
        }
        let reserved = match reserve(reactor, &post.member, None, &[]) {
            Ok(reserved) => reserved,
            Err(text) => return Reply::Refused(text),
        };
        let role = reactor.add_with(RoleSet::new(&post.member.run), reserved);
        if let Some(text) = reactor.failure(role) {
            return Reply::Refused(text.to_owned());
        }
        post.standing = Standing::Running(role);
        Reply::Done
    }

    fn post(&self, name: &str) -> Option<&Post> {
        self.posts.iter().find(|post| post.member.name == name)
    }
}

/// Listens for a role that is still to come. `leaving` are roles whose places it may take; `before` is the one that it
/// takes the place of, whose free ports, as the system once chose them, it goes on with.
pub(super) fn reserve(
    reactor: &mut Reactor<RoleSet>,
    member: &Member,
    before: Option<RoleId>,
    leaving: &[RoleId],
) -> Result<Vec<Reserved>, String> {
    let mut all = Vec::new();
    let mut seen: Vec<&Endpoint> = Vec::new();
    for at in member.run.listens() {
        let is_any_port = matches!(at, Endpoint::Tcp { port: 0, .. });
        let with = match is_any_port {
            true if seen.contains(&at) => &[],
            true => before.as_slice(),
            false => leaving,
        };
        seen.push(at);
        match reactor.reserve(at, with) {
            Ok(reserved) => all.push(reserved),
            Err(error) => {
                reactor.cancel(all);
                return Err(cant_listen(at, &error));
            }
        }
    }
    Ok(all)
}

fn no_such_role(name: &str) -> Reply {
    Reply::Refused(format!("there is no role {name}"))
}
