//! The roles that run beside each other, by name: begun all or none, ended one by one, and shown and moved for those
//! who ask.
//!
//! ```text
//!   start ──all can listen──> Running ──stop──> (draining) ──> Stopped ──start──> Running
//!                                └──can't go on──> Failed
//! ```

use std::path::PathBuf;

use super::RoleSet;
use super::begin::{put, reserve, text_of};
use super::certificates::Watch;
use super::change::Change;
use super::control;
use super::panel::Beginning;
use super::process;
use super::reload::Reading;
use super::scribe::Scribe;
use crate::base::endpoint::Endpoint;
use crate::config::{self, Member, Run, RunFile};
use crate::reactor::command::{Command, Reply, Ticket};
use crate::reactor::tabs::Faults;
use crate::reactor::view::PAGE_MAX;
use crate::reactor::{End, Reactor, Reserved, RoleId, Turn};
use crate::roles::console::Console;
use crate::roles::console::config::ConsoleConfig;
use crate::roles::metrics::{Metrics, MetricsConfig};
use crate::roles::relay::config::DumpFormat;

/// What the owner of the loop remembers of the roles that were asked for.
pub(super) struct Fleet {
    pub(super) posts: Vec<Post>,
    /// There is one role, with which the process ends.
    pub(super) is_alone: bool,
    /// Who only watches: when nobody else is left, they end.
    watchers: Vec<RoleId>,
    console: Option<RoleId>,
    /// Roles of the past that still serve those who are left.
    pub(super) leaving: Vec<RoleId>,
    /// Where they came from.
    pub(super) origin: Origin,
    /// That is being read again, and those wait for what comes of it.
    pub(super) reading: Option<(Reading, Vec<(RoleId, Ticket)>)>,
    /// It is to be read once more after that, for those.
    pub(super) next_reading: Option<Vec<(RoleId, Ticket)>>,
    /// Those that are about to begin.
    pub(super) beginning: Vec<Beginning>,
    pub(super) next_id: u64,
    /// What is changed on the page goes into the run file through this.
    pub(super) scribe: Option<Scribe>,
    /// A file was read again with success, and in vain.
    pub(super) reloads: (u64, u64),
}

/// Who is to watch them.
#[derive(Debug, Default)]
pub(super) struct Watching {
    /// `--metrics`.
    pub(super) metrics: Option<Endpoint>,
    /// `[console]`.
    pub(super) console: Option<ConsoleConfig>,
    /// Where the process has its socket for `hydrant status`.
    pub(super) sockets: Option<PathBuf>,
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
    /// No other one has it, or has had it, but for the one whose place it has taken.
    pub(super) id: u64,
    pub(super) member: Member,
    pub(super) standing: Standing,
    pub(super) watch: Option<Watch>,
    /// What flows through it is shown to those who look at it.
    pub(super) shows: bool,
    /// What was wrong when it was to begin or to change the last time, by the field.
    pub(super) faults: Faults,
    /// It could not begin when somebody wanted it to, and that is what was wrong.
    pub(super) is_in_vain: bool,
    /// Not all of its orders hold: they are tried again with the next reload.
    pub(super) lacks: bool,
}

pub(super) enum Standing {
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
        let (role, watch) = put(reactor, &member, reserved).map_err(|faults| text_of(&faults))?;
        let standing = Standing::Running(role);
        Ok(Self::of(member, standing, watch))
    }

    /// One that does not run until somebody starts it.
    pub(super) fn resting(member: Member) -> Self {
        Self::of(member, Standing::Stopped { was_told: true }, None)
    }

    fn of(member: Member, standing: Standing, watch: Option<Watch>) -> Self {
        Self {
            id: 0,
            member,
            standing,
            watch,
            shows: false,
            faults: Faults::new(),
            is_in_vain: false,
            lacks: false,
        }
    }

    /// It does not run, or does not any more, and has these orders when it is begun.
    pub(super) fn rests(mut self, member: Member) -> Self {
        if let Standing::Running(role) = self.standing {
            self.standing = Standing::Told(role);
        }
        self.with(member)
    }

    /// Nothing is wrong any more.
    pub(super) fn forgive(&mut self) {
        self.faults.clear();
        self.is_in_vain = false;
    }

    /// It has these orders; what was wrong with others is no more.
    fn with(mut self, member: Member) -> Self {
        if self.member != member {
            self.forgive();
        }
        self.member = member;
        self
    }

    /// It takes the place of another, or is the next.
    pub(super) fn after(mut self, before: Option<&Self>, next_id: &mut u64) -> Self {
        self.shows = before.is_some_and(|before| before.shows);
        self.id = before.map_or(*next_id, |before| before.id);
        *next_id = (*next_id).max(self.id + 1);
        self
    }

    /// The same role with other orders, which it takes over as it runs. What of them can't hold is said, and is tried
    /// again with the next reload; the rest holds.
    pub(super) fn changed(
        mut self,
        reactor: &mut Reactor<RoleSet>,
        change: Change,
        member: Member,
    ) -> Self {
        let run = &member.run;
        let (Some(role), true) = (self.role(), change != Change::None) else {
            return self.with(member);
        };
        let held = reactor.with(role, |role, cx| {
            if change == Change::Source {
                role.set_source(cx, run);
            }
            role.set_options(cx, run)
        });
        self = self.with(member);
        self.lacks = false;
        if let Some(Err(text)) = held {
            log::warn!("{}: {text}", self.member.label());
            self.faults = vec![(String::new(), text)];
            self.lacks = true;
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
        watch: Watching,
    ) -> Result<Self, String> {
        let origin = Origin::Line(Box::new(origin));
        Self::begin_all(reactor, vec![member], origin, watch)
    }

    /// Begins all roles of a run file.
    ///
    /// # Errors
    /// Why one of them can't begin; then the process is to end, and nothing was begun where it is known before.
    pub(super) fn start(
        reactor: &mut Reactor<RoleSet>,
        file: RunFile,
        watch: Watching,
    ) -> Result<Self, String> {
        let members = file.members.clone();
        Self::begin_all(reactor, members, Origin::File(Box::new(file)), watch)
    }

    fn begin_all(
        reactor: &mut Reactor<RoleSet>,
        members: Vec<Member>,
        origin: Origin,
        watch: Watching,
    ) -> Result<Self, String> {
        let saves = watch.console.as_ref().is_some_and(|console| console.saves);
        let mut fleet = Self {
            posts: Vec::new(),
            is_alone: matches!(origin, Origin::Line(_)),
            watchers: Vec::new(),
            console: None,
            leaving: Vec::new(),
            origin,
            reading: None,
            next_reading: None,
            beginning: Vec::new(),
            next_id: 1,
            scribe: None,
            reloads: (0, 0),
        };
        if let (Origin::File(file), true) = (&fleet.origin, saves) {
            fleet.scribe = Some(Scribe::start(file.path.clone(), file.text.clone())?);
        }
        let mut all = Vec::new();
        for member in members.iter().filter(|member| member.is_enabled) {
            match reserve(reactor, member, None, &[]) {
                Ok(reserved) => all.push(reserved),
                Err(faults) => {
                    reactor.cancel(all.into_iter().flatten().collect());
                    return Err(fleet.named(member, &text_of(&faults)));
                }
            }
        }
        // They come first: where one can't listen, no role has said that it has begun.
        if let Err(text) = fleet.begin_watching(reactor, watch) {
            reactor.cancel(all.into_iter().flatten().collect());
            return Err(text);
        }
        let mut all = all.into_iter();
        for member in members {
            let post = match member.is_enabled {
                true => {
                    let reserved = all.next().expect("each has its places");
                    Post::begin(reactor, member.clone(), reserved)
                        .map_err(|text| fleet.named(&member, &text))?
                }
                false => Post::resting(member),
            };
            let post = post.after(None, &mut fleet.next_id);
            fleet.posts.push(post);
        }
        Ok(fleet)
    }

    fn begin_watching(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        watch: Watching,
    ) -> Result<(), String> {
        if let Some(listen) = watch.metrics {
            let role = reactor.add(RoleSet::Metrics(Metrics::new(MetricsConfig { listen })));
            if let Some(text) = reactor.failure(role) {
                return Err(format!("metrics: {text}"));
            }
            self.watchers.push(role);
        }
        if let Some(console) = watch.console {
            let role = reactor.add(RoleSet::Console(Console::new(console)));
            if let Some(text) = reactor.failure(role) {
                return Err(format!("console: {text}"));
            }
            self.console = Some(role);
            self.watchers.push(role);
        }
        let control = control::open(reactor, watch.sockets.as_deref());
        self.watchers.extend(control);
        Ok(())
    }

    /// The page in front of them, if there is one.
    pub(super) fn console(&self) -> Option<RoleId> {
        self.console
    }

    /// Whether files are being read again.
    pub(super) fn is_reloading(&self) -> bool {
        self.reading.is_some()
    }

    /// All is over: waits until what was changed on the page is in the run file.
    pub(super) fn finish(&mut self) {
        if let Some(scribe) = &mut self.scribe {
            scribe.finish();
        }
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
        if reactor.has_asked() {
            self.answer_asked(reactor);
        }
        if reactor.is_stopping() {
            // Nothing begins any more, or it would never end.
            self.beginning.clear();
        } else if self.is_changing() {
            self.go_on_changing(reactor);
        }
        // What somebody has stopped may be begun again, as long as there is more than that to the process.
        let may_begin = |post: &Post| {
            !self.is_alone && matches!(post.standing, Standing::Stopped { was_told: true })
        };
        let is_over = |post: &Post| post.role().is_none() && !may_begin(post);
        let is_over =
            self.posts.iter().all(is_over) && self.leaving.is_empty() && self.beginning.is_empty();
        if is_over {
            for watcher in self.watchers.drain(..) {
                reactor.with(watcher, |_, cx| cx.finish(End::Done));
            }
        }
        Ok(())
    }

    /// Whether anything but what its roles do may be due: few processes ever change.
    fn is_changing(&self) -> bool {
        self.reading.is_some() || self.scribe.is_some() || !self.beginning.is_empty()
    }

    #[inline(never)]
    fn go_on_changing(&mut self, reactor: &mut Reactor<RoleSet>) {
        self.end_reload(reactor);
        self.end_edit(reactor);
        self.begin_edit(reactor);
        self.begin_ready(reactor);
    }

    #[inline(never)]
    fn answer_asked(&mut self, reactor: &mut Reactor<RoleSet>) {
        for (by, ticket, command) in reactor.asked() {
            let reply = match command {
                Command::Roles { from } => Some(self.rows(reactor, from)),
                Command::Process => {
                    let process = process::look(reactor, self.reloads);
                    Some(Reply::Process(Box::new(process)))
                }
                Command::Tab(command) => self.obey(reactor, (by, ticket), command).map(Reply::Tab),
            };
            if let Some(reply) = reply {
                reactor.answer(by, ticket, reply);
            }
        }
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
        post.watch = None;
        Ok(())
    }

    /// `relay[sports]: ...`, where it would not be clear whom it is about.
    fn named(&self, member: &Member, text: &str) -> String {
        match self.is_alone {
            true => text.to_owned(),
            false => format!("{}: {text}", member.label()),
        }
    }

    /// What roles show to those who watch and know of no tabs.
    fn rows(&self, reactor: &Reactor<RoleSet>, from: usize) -> Reply {
        let rest = self.posts.get(from..).unwrap_or_default();
        let rows = rest.iter().take(PAGE_MAX).map(|post| post.row(reactor));
        Reply::Roles {
            rows: rows.collect(),
            next: (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX),
        }
    }
}
