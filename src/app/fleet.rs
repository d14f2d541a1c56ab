//! The roles that run beside each other, by name: begun all or none, ended one by one, and shown and moved for those
//! who ask.
//!
//! ```text
//!   start ──all can listen──> Running ──stop──> (draining) ──> Stopped ──start──> Running
//!                                └──can't go on──> Failed
//! ```

use std::path::Path;

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

/// What the owner of the loop remembers of the roles that were asked for.
pub(super) struct Fleet {
    pub(super) posts: Vec<Post>,
    /// There is one role, with which the process ends.
    is_alone: bool,
    /// Who only watches: when nobody else is left, it ends.
    watcher: Option<RoleId>,
    /// Roles of the past that still serve those who are left.
    pub(super) leaving: Vec<RoleId>,
    /// The file that they came from, and its reading again, with those who wait for what comes of it.
    pub(super) file: Option<RunFile>,
    pub(super) reading: Option<(Reading, Vec<(RoleId, Ticket)>)>,
    /// A file was read again with success, and in vain.
    pub(super) reloads: (u64, u64),
}

/// A member, and whether it runs.
pub(super) struct Post {
    pub(super) member: Member,
    standing: Standing,
    pub(super) watch: Option<Watch>,
}

enum Standing {
    Running(RoleId),
    Stopped,
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

    /// The same role with other orders, which it takes over as it runs.
    pub(super) fn changed(
        mut self,
        reactor: &mut Reactor<RoleSet>,
        change: Change,
        member: Member,
    ) -> Self {
        self.member = member;
        let run = &self.member.run;
        let (Some(role), true) = (self.role(), change != Change::None) else {
            return self;
        };
        let held = reactor.with(role, |role, cx| {
            if change == Change::Source {
                role.set_source(cx, run);
            }
            role.set_options(cx, run)
        });
        if let Some(Err(text)) = held {
            log::warn!("{}: {text}", self.member.label());
        }
        self
    }

    pub(super) fn role(&self) -> Option<RoleId> {
        match self.standing {
            Standing::Running(role) => Some(role),
            Standing::Stopped | Standing::Failed(_) => None,
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
        metrics: Option<Endpoint>,
    ) -> Result<Self, String> {
        Self::begin_all(reactor, vec![member], true, metrics)
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
        let mut fleet = Self::begin_all(reactor, file.members.clone(), false, metrics)?;
        fleet.file = Some(file);
        Ok(fleet)
    }

    fn begin_all(
        reactor: &mut Reactor<RoleSet>,
        members: Vec<Member>,
        is_alone: bool,
        metrics: Option<Endpoint>,
    ) -> Result<Self, String> {
        let mut fleet = Self {
            posts: Vec::new(),
            is_alone,
            watcher: None,
            leaving: Vec::new(),
            file: None,
            reading: None,
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
            // It has no more to say than where it listens, so it may as well begin before it is known that all can.
            let watcher = reactor.add(RoleSet::Metrics(Metrics::new(MetricsConfig { listen })));
            if let Some(text) = reactor.failure(watcher) {
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

    /// Whether the run file is being read again.
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
            match self.file {
                Some(_) => self.begin_reload(reactor, None),
                None => self.reread_files(reactor),
            }
        }
        for (by, ticket, command) in reactor.asked() {
            if command == Command::Reload && self.file.is_some() {
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
        post.standing = match end {
            End::Done => Standing::Stopped,
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

    /// SIGHUP: certificates and tokens may be others.
    fn reread_files(&self, reactor: &mut Reactor<RoleSet>) {
        for post in &self.posts {
            post.watch.iter().for_each(Watch::reload);
            let Some(role) = post.role() else { continue };
            match &post.member.run {
                Run::HubServe {
                    tokens: Some(path), ..
                } => reread_tokens(reactor, role, path),
                Run::TunnelServe {
                    tokens: Some(path), ..
                } => reread_tunnel_tokens(reactor, role, path),
                Run::WsRelay {
                    tokens: Some(path), ..
                } => reread_ws_tokens(reactor, role, path),
                _ => {}
            }
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
            Command::Reload => {
                Reply::Refused("there is no run file: hydrant run FILE has one".to_owned())
            }
            Command::Tab(_) => Reply::Refused("there is no console here".to_owned()),
        }
    }

    fn rows(&self, reactor: &Reactor<RoleSet>, from: usize) -> Reply {
        let now = reactor.clock();
        let row = |post: &Post| RoleRow {
            name: post.member.name.clone(),
            state: match &post.standing {
                Standing::Stopped => RoleState::Stopped,
                Standing::Failed(text) => RoleState::Failed(text.clone()),
                Standing::Running(role) => match reactor.role(*role).and_then(|it| it.view(now)) {
                    Some(view) => RoleState::Running(Box::new(view)),
                    // A client of a hub runs, and has nothing to show.
                    None => {
                        RoleState::Running(Box::new(View::new("hub client", now.since(Time::ZERO))))
                    }
                },
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
        let done = post
            .role()
            .and_then(|role| reactor.with(role, |role, cx| role.dump(cx, on)));
        match done {
            Some(Ok(())) => Reply::Done,
            Some(Err(text)) => Reply::Refused(text),
            None => Reply::Refused(format!("{name} does not run")),
        }
    }

    fn stop(&self, reactor: &mut Reactor<RoleSet>, name: &str) -> Reply {
        let Some(post) = self.post(name) else {
            return no_such_role(name);
        };
        match post.role() {
            Some(role) => {
                reactor.tell(role, Event::Drain(Signal::Command));
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

/// The hub's tokens may be others. Those that it has stay where the file is not as it should be.
fn reread_tokens(reactor: &mut Reactor<RoleSet>, hub: RoleId, path: &Path) {
    match config::read_tokens(path) {
        Ok(tokens) => {
            reactor.with(hub, |role, _| {
                if let RoleSet::Hub(hub) = role {
                    hub.set_tokens(tokens);
                }
            });
        }
        Err(error) => log::warn!("hub: {error}; the tokens that it had are kept"),
    }
}

/// As above, for a tunnel's server.
fn reread_tunnel_tokens(reactor: &mut Reactor<RoleSet>, serve: RoleId, path: &Path) {
    match config::read_tunnel_tokens(path) {
        Ok(tokens) => {
            reactor.with(serve, |role, cx| {
                if let RoleSet::TunnelServe(serve) = role {
                    serve.set_tokens(cx, tokens);
                }
            });
        }
        Err(error) => log::warn!("tunnel: {error}; the tokens that it had are kept"),
    }
}

/// As above, for a relay of WebSockets.
fn reread_ws_tokens(reactor: &mut Reactor<RoleSet>, relay: RoleId, path: &Path) {
    match config::read_ws_tokens(path) {
        Ok(tokens) => {
            reactor.with(relay, |role, cx| {
                if let RoleSet::WsRelay(relay) = role {
                    relay.set_tokens(cx, tokens);
                }
            });
        }
        Err(error) => log::warn!("ws: {error}; the tokens that it had are kept"),
    }
}
