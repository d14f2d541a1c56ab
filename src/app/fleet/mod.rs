//! The roles that run beside each other, by name: begun all or none, ended one by one, and shown and moved for those
//! who ask.
//!
//! ```text
//!   start ──all can listen──> Running ──stop──> (draining) ──> Stopped ──start──> Running
//!                                └──can't go on──> Failed
//! ```
//!
//! What a file says is read in `reload`, compared with what runs in `plan`, and brought about in `applying`. Where the
//! file is changed from the page, that goes through `scribe`.

mod applying;
mod plan;
mod reload;
mod scribe;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use self::applying::SLICE;
use self::reload::Reading;
use self::scribe::{Scribe, Want};
use super::RoleSet;
use super::control;
use super::errand::Limit;
use super::posts::begin::{begin_watchers, reserve, text_of};
use super::posts::panel::{By, Panel};
use super::posts::{Post, Posts, Standing};
use super::pulse::Pulse;
use super::saving::lock::{RunLock, lock_run_file};
use super::saving::waiters::Waiter;
use crate::app::saving::keeper::LAST_SAVE;
use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::config::{self, Member, RunFile};
use crate::reactor::command::Ticket;
use crate::reactor::net::Signal;
use crate::reactor::tabs::{TabReply, Tabs};
use crate::reactor::{End, Event, Reactor, RoleId, Turn};
use crate::roles::console::config::ConsoleConfig;

/// What the owner of the loop remembers of the roles that were asked for.
pub(super) struct Fleet {
    posts: Posts,
    /// There is one role, with which the process ends.
    is_alone: bool,
    /// Who only watches: when nobody else is left, they end.
    watchers: Vec<RoleId>,
    console: Option<RoleId>,
    /// Roles of the past that still serve those who are left.
    leaving: Vec<RoleId>,
    /// Those of them that are still to be told to go.
    to_tell: VecDeque<RoleId>,
    /// Where they came from.
    origin: Origin,
    /// That is being read again, and those wait for what comes of it.
    reading: Option<(Reading, Vec<(RoleId, Ticket)>)>,
    /// It is to be read once more after that, for those.
    next_reading: Option<Vec<(RoleId, Ticket)>>,
    /// How many may read those files at a time, for a change of them too.
    readers: Limit,
    /// What is changed on the page goes into the run file through this.
    scribe: Option<Scribe>,
    /// A file was read again with success, and in vain.
    reloads: (u64, u64),
    /// The lock of the run file, as long as somebody holds it.
    lock: Weak<RunLock>,
    pulse: Pulse,
    /// Whether the loop was about to stop when it was last looked whether all is over. Before the first look: nothing.
    looked: Option<bool>,
    /// How often files have begun to be read again.
    readings: u64,
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
        mut file: RunFile,
        watch: Watching,
    ) -> Result<Self, String> {
        let members = std::mem::take(&mut file.members);
        Self::begin_all(reactor, members, Origin::File(Box::new(file)), watch)
    }

    fn begin_all(
        reactor: &mut Reactor<RoleSet>,
        members: Vec<Member>,
        origin: Origin,
        watch: Watching,
    ) -> Result<Self, String> {
        let mut fleet = Self {
            posts: Posts::new(),
            is_alone: matches!(origin, Origin::Line(_)),
            watchers: Vec::new(),
            console: None,
            leaving: Vec::new(),
            origin,
            to_tell: VecDeque::new(),
            reading: None,
            next_reading: None,
            readers: Limit::few(),
            scribe: None,
            reloads: (0, 0),
            lock: Weak::new(),
            pulse: Pulse::default(),
            looked: None,
            readings: 0,
        };
        if let Origin::File(file) = &fleet.origin
            && file.saves
        {
            let lock = lock_run_file(&file.path)?;
            fleet.begin_keeping(reactor, lock.map(Arc::new))?;
        }
        match fleet.begin_members(reactor, members, watch) {
            Ok(()) => Ok(fleet),
            Err(text) => {
                // What it has locked is given back.
                fleet.finish(LAST_SAVE);
                Err(text)
            }
        }
    }

    fn begin_members(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        members: Vec<Member>,
        watch: Watching,
    ) -> Result<(), String> {
        let mut all = Vec::new();
        for member in members.iter().filter(|member| member.is_enabled) {
            match reserve(reactor, member, None, &[]) {
                Ok(reserved) => all.push(reserved),
                Err(faults) => {
                    reactor.cancel(all.into_iter().flatten().collect());
                    return Err(self.named(member, &text_of(&faults)));
                }
            }
        }
        // They come first: where one can't listen, no role has said that it has begun.
        if let Err(text) = self.begin_watching(reactor, watch) {
            reactor.cancel(all.into_iter().flatten().collect());
            return Err(text);
        }
        let mut all = all.into_iter();
        for member in members {
            let post = match member.is_enabled {
                true => {
                    let reserved = all.next().expect("each has its places");
                    Post::begin(reactor, member.clone(), reserved)
                        .map_err(|text| self.named(&member, &text))?
                }
                false => Post::resting(member),
            };
            self.posts.place(post);
        }
        Ok(())
    }

    fn begin_watching(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        watch: Watching,
    ) -> Result<(), String> {
        let begun = begin_watchers(reactor, watch.metrics, watch.console)?;
        self.console = begun.console;
        self.watchers
            .extend(begun.metrics.into_iter().chain(begun.console));
        let control = control::open(reactor, watch.sockets.as_deref());
        self.watchers.extend(control);
        Ok(())
    }

    /// The page in front of them, if there is one.
    pub(super) fn console(&self) -> Option<RoleId> {
        self.console
    }

    /// All is over: waits so long until what was changed on the page is in the run file.
    pub(super) fn finish(&mut self, patience: Duration) {
        if let Some(scribe) = &mut self.scribe {
            scribe.finish(&self.posts, patience);
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
        let is_same = ended.is_empty() && *turn == Turn::Going && !reactor.has_asked();
        if is_same && self.looked == Some(reactor.is_stopping()) && !self.is_changing(reactor.now())
        {
            return Ok(());
        }
        self.look(reactor, turn, ended)
    }

    #[inline(never)]
    fn look(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        turn: &Turn,
        ended: &mut Vec<(RoleId, End)>,
    ) -> Result<(), String> {
        self.looked = Some(reactor.is_stopping());
        for (role, end) in ended.drain(..) {
            self.note_end(role, end)?;
        }
        if *turn == Turn::Reloading {
            self.begin_reload(reactor, None);
        }
        // What is asked or done by hand waits until what the file says holds, or does not.
        if reactor.has_asked() && !self.is_applying() {
            self.answer_asked(reactor);
        }
        if self.is_changing(reactor.now()) {
            self.go_on_changing(reactor);
        }
        // What somebody has stopped may be begun again, as long as there is more than that to the process.
        let may_begin = |post: &Post| {
            !self.is_alone && matches!(post.standing, Standing::Stopped { was_told: true })
        };
        let is_over = |post: &Post| post.role().is_none() && !may_begin(post);
        let is_over = self.posts.iter().all(is_over)
            && self.leaving.is_empty()
            && !self.is_applying()
            && self.posts.beginning.is_empty();
        reactor.stay(!is_over && !reactor.is_stopping());
        if is_over {
            // Whoever waits for an answer gets it.
            for watcher in self.watchers.drain(..) {
                reactor.tell(watcher, Event::Drain(Signal::Command));
            }
        }
        // What had to wait until now would wait for the next event else.
        if reactor.has_asked() {
            reactor.hurry();
        }
        Ok(())
    }

    /// Whether anything but what its roles do may be due: few processes ever change.
    fn is_changing(&self, now: Time) -> bool {
        self.reading.is_some()
            || self
                .scribe
                .as_ref()
                .is_some_and(|scribe| scribe.is_changing(now))
            || self.pulse.waiting.is_some()
            || !self.posts.beginning.is_empty()
            || !self.to_tell.is_empty()
    }

    /// The loop turns so often, though nothing happens in it.
    pub(super) fn turn_within(&mut self, reactor: &mut Reactor<RoleSet>, every: Option<Duration>) {
        self.pulse.set_every(reactor, every);
    }

    #[inline(never)]
    fn go_on_changing(&mut self, reactor: &mut Reactor<RoleSet>) {
        if reactor.is_stopping() {
            // All are told, and what has not come to hold never does.
            self.to_tell.clear();
            self.give_up_reload(reactor);
            self.end_keeping(reactor);
        } else {
            self.end_reload(reactor);
            self.end_edit(reactor);
            self.tell_some(reactor, SLICE);
            self.give_up_late(reactor);
            self.try_again(reactor);
            self.begin_edit(reactor);
            self.answer_saved(reactor);
        }
        let is_awaited = self.is_awaited() || self.is_reading();
        self.pulse.note_waiting(reactor, is_awaited);
        reactor.note_changing(self.is_applying() || !self.to_tell.is_empty());
        if self.is_applying() {
            return reactor.hurry();
        }
        if !self.to_tell.is_empty() {
            reactor.hurry();
        }
        self.begin_prepared(reactor);
    }

    fn note_end(&mut self, role: RoleId, end: End) -> Result<(), String> {
        self.leaving.retain(|leaving| *leaving != role);
        if let Some((reading, _)) = &mut self.reading {
            reading.note_end(role, &end);
        }
        let is_ours = self.posts.iter().any(|post| post.role() == Some(role));
        match end {
            End::Failed(text) if self.is_alone && is_ours => Err(text),
            end => {
                self.posts.note_end(role, end);
                Ok(())
            }
        }
    }

    /// `relay[sports]: ...`, where it would not be clear whom it is about.
    fn named(&self, member: &Member, text: &str) -> String {
        match self.is_alone {
            true => text.to_owned(),
            false => format!("{}: {text}", member.label()),
        }
    }

    fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(file) => Some(&file.path),
            Origin::Line(_) => None,
        }
    }

    /// What is said to those who would change what they are.
    pub(super) fn come_from(&self) -> TabReply {
        TabReply::Refused(match self.file() {
            Some(path) => format!(
                "it comes from {}: change it there and have that read again, or say save = true in its [console]",
                path.display()
            ),
            None => "it comes from a command line, and goes with it".to_owned(),
        })
    }
}

impl Panel for Fleet {
    type Orders = Member;

    fn posts(&mut self) -> &mut Posts {
        &mut self.posts
    }

    fn kept(&self) -> Tabs {
        Tabs {
            file: self.file().map(|path| path.display().to_string()),
            fault: self.fault(),
            note: self.scribe.as_ref().and_then(Scribe::theirs),
            is_kept: self.scribe.is_some(),
            ..Tabs::default()
        }
    }

    fn reloads(&self) -> (u64, u64) {
        self.reloads
    }

    fn reload(&mut self, reactor: &mut Reactor<RoleSet>, by: By) -> Option<TabReply> {
        self.begin_reload(reactor, Some(by));
        None
    }

    fn add(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        after: Option<u64>,
    ) -> Option<TabReply> {
        self.write(reactor, Want::Chain { after }, Some(by))
    }

    fn change(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        place: usize,
        fields: Vec<(String, String)>,
    ) -> Option<TabReply> {
        self.write_fields(reactor, by, place, fields)
    }

    fn remove(&mut self, reactor: &mut Reactor<RoleSet>, by: By, place: usize) -> Option<TabReply> {
        let id = self.posts[place].id;
        self.write(reactor, Want::Remove { id }, Some(by))
    }

    fn show(&mut self, place: usize, on: bool) {
        self.posts[place].shows = on;
    }

    fn note_enabled(&mut self, reactor: &mut Reactor<RoleSet>, place: usize, on: bool) {
        let id = self.posts[place].id;
        // Where the file is not kept it is so all the same.
        self.write(reactor, Want::Enable { id, on }, None);
        if let Some(scribe) = &mut self.scribe {
            scribe.by_hand.change(id);
        }
    }

    fn is_fixed(&self, _: usize) -> Option<&'static str> {
        None
    }

    fn take_changed(&mut self) -> Option<u64> {
        self.scribe.as_mut()?.by_hand.changed.take()
    }

    fn answer_kept(&mut self, reactor: &mut Reactor<RoleSet>, by: By, reply: TabReply, what: u64) {
        let waiter = Waiter {
            role: Some(what),
            ..Waiter::new(by, reply, reactor.now(), 0)
        };
        match &mut self.scribe {
            Some(scribe) => scribe.by_hand.wait(waiter),
            None => return waiter.answer(reactor, None),
        }
        self.pulse.note_waiting(reactor, true);
    }
}
