//! The roles that were asked for, each with what it is made of and whether it runs: one table, whether that comes from
//! a run file, a command line or the fields of a page.
//!
//! ```text
//!   Stopped ──start──> (names, files) ──can listen──> Running ──stop──> Told ──drained──> Stopped
//!                           └──can't──> as it was, in vain  └──can't go on──> Failed
//! ```
//!
//! Beside the table is what is done to one of them, whoever has it done: `begin` and its `certificates`, `post` (what
//! becomes of it as it runs), `change` (what it takes to make it another), `fields` (it as a form has it), and `panel`,
//! by which a page does all that.

pub(super) mod begin;
pub(super) mod certificates;
pub(super) mod change;
pub(super) mod fields;
pub(super) mod panel;
mod post;

use std::ops::{Deref, DerefMut};

use self::begin::text_of;
use self::certificates::Watch;
use super::RoleSet;
use super::errand::{Errand, Hosts, Known, LATE, Limit};
use crate::base::time::Time;
use crate::config::{Member, Sheet};
use crate::reactor::command::{RoleRow, RoleState, Ticket};
use crate::reactor::tabs::{Faults, Tab, TabSettings};
use crate::reactor::view::{PAGE_MAX, View};
use crate::reactor::{End, Reactor, RoleId};

/// What a role is made of: right as it is, or as somebody has typed it.
pub(super) trait Orders: Clone + PartialEq + Send + 'static {
    /// No other role has it.
    fn name(&self) -> &str;
    /// How its lines in the log begin: `relay[sports]`.
    fn label(&self) -> String;
    /// What it is: `relay`, `hub serve`, ...
    fn kind(&self) -> &'static str;
    /// They say that it is to run.
    fn is_enabled(&self) -> bool;
    /// They say that what flows is shown.
    fn shows(&self) -> bool;
    /// As a form has them.
    fn sheet(&self) -> Option<Sheet>;
    /// The role that they make, but for what files hold, and whether they name any; or what is wrong, by the field.
    fn check(&self) -> Result<(Member, bool), Faults>;
    /// The role that they make. Takes as long as a disk likes.
    fn member(&self) -> Result<Member, Faults>;
    /// This is what runs.
    fn made(&mut self, member: Member);
}

/// A role that was asked for, whether it runs or not. Its orders are a [`Member`], or what was typed into a page of its
/// own, and may become others while it stays the same post. What a page is told of it is a [`Tab`].
pub(super) struct Post<O = Member> {
    /// No other one has it, or has had it, but for the one whose place it has taken.
    pub(super) id: u64,
    /// What it is made of.
    pub(super) member: O,
    pub(super) standing: Standing,
    pub(super) watch: Option<Watch>,
    /// What flows through it is shown to those who look at it, whatever its orders say.
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

impl<O> Post<O> {
    pub(super) fn new(member: O, standing: Standing, watch: Option<Watch>) -> Self {
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

    /// One that does not run until somebody starts it.
    pub(super) fn resting(member: O) -> Self {
        Self::new(member, Standing::Stopped { was_told: true }, None)
    }

    /// Nothing is wrong any more.
    pub(super) fn forgive(&mut self) {
        self.faults.clear();
        self.is_in_vain = false;
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

impl<O: Orders> Post<O> {
    /// As those see it who look at all roles. Somebody wanted one to run that could not begin: it has failed, for the
    /// page as for whoever asks whether all is ready.
    pub(super) fn row(&self, reactor: &Reactor<RoleSet>) -> RoleRow {
        let now = reactor.clock();
        RoleRow {
            name: self.member.name().to_owned(),
            state: match &self.standing {
                Standing::Stopped { .. } if self.is_in_vain => {
                    RoleState::Failed(text_of(&self.faults))
                }
                Standing::Stopped { .. } => RoleState::Stopped,
                Standing::Failed(text) => RoleState::Failed(text.clone()),
                Standing::Running(role) | Standing::Told(role) => {
                    let view = reactor.role(*role).and_then(|role| role.view(now));
                    // A client of a hub runs, and has nothing to show.
                    let plain = || View::new(self.member.kind(), now.since(Time::ZERO));
                    RoleState::Running(Box::new(view.unwrap_or_else(plain)))
                }
            },
        }
    }

    /// It is over.
    pub(super) fn note_end(&mut self, end: End) {
        let was_told = matches!(self.standing, Standing::Told(_));
        self.standing = match end {
            End::Done => Standing::Stopped { was_told },
            End::Failed(text) => {
                log::error!("{}: {text}", self.member.label());
                Standing::Failed(text)
            }
        };
        self.watch = None;
    }

    /// As a page has it.
    pub(super) fn tab(&self, reactor: &Reactor<RoleSet>, is_kept: bool, is_brief: bool) -> Tab {
        let row = self.row(reactor);
        let dumps = matches!(&row.state, RoleState::Running(view) if view.dump.is_some());
        let kind = self.member.kind();
        let sheet = (!is_brief).then(|| self.member.sheet()).flatten();
        Tab {
            id: self.id,
            kind,
            label: self.member.label(),
            row,
            run: self.role().map(|role| role.generation),
            dump: self.shows || self.member.shows() || dumps,
            settings: sheet.map(|sheet| TabSettings {
                fields: sheet.fields,
                command: sheet.command,
                unsaid: sheet.unsaid,
                faults: self.faults.clone(),
                is_fixed: !(is_kept && kind == "relay"),
            }),
        }
    }
}

/// All of them, in the order in which somebody put them, and those of them that are about to begin.
pub(super) struct Posts<O = Member> {
    all: Vec<Post<O>>,
    pub(super) next_id: u64,
    pub(super) beginning: Vec<Beginning<O>>,
    /// How many may have their files read at a time.
    readers: Limit,
}

/// A role that is to begin as soon as its files have been read and the names at which it listens looked up.
pub(super) struct Beginning<O> {
    id: u64,
    /// What it was to be made of when that was asked for.
    of: O,
    /// That, but for what its files hold as long as they are being read.
    member: Member,
    pub(super) files: Option<Errand<Result<Member, Faults>>>,
    pub(super) hosts: Hosts,
    /// Who waits for what comes of it.
    asked: Option<(RoleId, Ticket)>,
}

impl<O> Beginning<O> {
    /// What it is to begin with, once all of that is known.
    fn outcome(&mut self, now: Time) -> Option<Ready> {
        if let Some(files) = &mut self.files {
            let failed = |text| Some(Err(vec![(String::new(), text)]));
            match files.outcome() {
                Some(Ok(Ok(member))) => self.member = member,
                Some(Ok(Err(faults))) => return Some(Err(faults)),
                Some(Err(broken)) => return failed(format!("reading its files {broken}")),
                None if files.is_late(now) => return failed(LATE.to_owned()),
                None => return None,
            }
            self.files = None;
        }
        let is_known = self.hosts.are_known();
        is_known.then(|| Ok((self.member.clone(), self.hosts.take())))
    }
}

/// What a role is to begin with: what it is, and the names at which it listens.
pub(super) type Ready = Result<(Member, Vec<Known>), Faults>;

/// One whose files and names are known.
pub(super) struct Prepared {
    /// Its place, if it is still there.
    pub(super) place: Option<usize>,
    pub(super) made: Ready,
    pub(super) asked: Option<(RoleId, Ticket)>,
}

/// The list that it is.
impl<O> Deref for Posts<O> {
    type Target = Vec<Post<O>>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl<O> DerefMut for Posts<O> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.all
    }
}

impl<O: Orders> Posts<O> {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            next_id: 1,
            beginning: Vec::new(),
            readers: Limit::new(READERS_MAX),
        }
    }

    /// Puts one behind all others. Its id.
    pub(super) fn place(&mut self, mut post: Post<O>) -> u64 {
        post.id = self.next_id;
        self.next_id += 1;
        self.all.push(post);
        self.next_id - 1
    }

    pub(super) fn place_of(&self, id: u64) -> Option<usize> {
        self.all.iter().position(|post| post.id == id)
    }

    /// Some of them, beginning with one by its place; and where the next ones begin.
    pub(super) fn page<T>(
        &self,
        from: usize,
        shown: impl Fn(&Post<O>) -> T,
    ) -> (Vec<T>, Option<usize>) {
        let rest = self.all.get(from..).unwrap_or_default();
        let rows = rest.iter().take(PAGE_MAX).map(shown).collect();
        (rows, (rest.len() > PAGE_MAX).then_some(from + PAGE_MAX))
    }

    /// A role is over. Whether it was one of these.
    pub(super) fn note_end(&mut self, role: RoleId, end: End) -> bool {
        let mut all = self.all.iter_mut();
        let Some(post) = all.find(|post| post.role() == Some(role)) else {
            return false;
        };
        post.note_end(end);
        true
    }

    /// Certificates may be others.
    pub(super) fn renew_certificates(&self) {
        let watches = self.all.iter().filter_map(|post| post.watch.as_ref());
        watches.for_each(Watch::reload);
    }

    pub(super) fn is_beginning(&self, place: usize) -> bool {
        let id = self.all[place].id;
        self.beginning.iter().any(|one| one.id == id)
    }

    /// Has what it takes to begin read and looked up: no dead name server and no slow disk holds up the roles beside
    /// it. Where nothing has to be, it can begin at once: what is known of it.
    pub(super) fn prepare(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        asked: Option<(RoleId, Ticket)>,
    ) -> Option<Ready> {
        let post = &self.all[place];
        let (member, has_files) = match post.member.check() {
            Ok(checked) => checked,
            Err(faults) => return Some(Err(faults)),
        };
        let read = || {
            let orders = post.member.clone();
            let work = move || orders.member();
            Errand::begin(&self.readers, "start", reactor.waker(), work)
        };
        let files = has_files.then(read).transpose();
        let files = match files {
            Ok(files) => files,
            Err(text) => return Some(Err(vec![(String::new(), text)])),
        };
        let mut hosts = Hosts::default();
        hosts.want(reactor, member.run.listens());
        let mut one = Beginning {
            id: post.id,
            of: post.member.clone(),
            member,
            files,
            hosts,
            asked,
        };
        let ready = one.outcome(reactor.now());
        if ready.is_none() {
            self.beginning.push(one);
        }
        ready
    }

    /// Those that are prepared by now. One that has got other orders meanwhile is prepared anew.
    pub(super) fn prepared(&mut self, reactor: &mut Reactor<RoleSet>) -> Vec<Prepared> {
        let mut all = Vec::new();
        // Each is looked at once: one that is prepared anew waits for the next turn.
        let (mut at, mut left) = (0, self.beginning.len());
        while left > 0 {
            left -= 1;
            let Some(outcome) = self.beginning[at].outcome(reactor.now()) else {
                at += 1;
                continue;
            };
            let Beginning { id, of, asked, .. } = self.beginning.remove(at);
            let place = self.place_of(id);
            let changed = place.filter(|place| self.all[*place].member != of);
            let made = match changed {
                Some(place) => match self.prepare(reactor, place, asked) {
                    Some(made) => made,
                    None => continue,
                },
                None => outcome,
            };
            all.push(Prepared { place, made, asked });
        }
        all
    }

    /// None of those that are about to begin does. Who waited for them.
    pub(super) fn give_up_all(&mut self) -> Vec<(RoleId, Ticket)> {
        let all = self.beginning.drain(..);
        all.filter_map(|one| one.asked).collect()
    }

    /// One that is about to begin does not. Who waited for it, if it was.
    pub(super) fn give_up(&mut self, place: usize) -> Option<Option<(RoleId, Ticket)>> {
        let id = self.all[place].id;
        let at = self.beginning.iter().position(|one| one.id == id)?;
        Some(self.beginning.remove(at).asked)
    }
}

impl Orders for Member {
    fn name(&self) -> &str {
        &self.name
    }

    fn label(&self) -> String {
        self.label()
    }

    fn kind(&self) -> &'static str {
        self.run.kind()
    }

    fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    fn shows(&self) -> bool {
        false
    }

    fn sheet(&self) -> Option<Sheet> {
        self.sheet.clone()
    }

    fn check(&self) -> Result<(Member, bool), Faults> {
        // Its files were read when the run file was.
        Ok((self.clone(), false))
    }

    fn member(&self) -> Result<Member, Faults> {
        Ok(self.clone())
    }

    fn made(&mut self, _: Member) {}
}

/// More roles than a console begins at a time.
const READERS_MAX: usize = 1_024;
/// The most roles to which a page adds one: more than anybody can look at.
pub(super) const TABS_MAX: usize = 200;
/// What becomes of the tokens where new ones could not be read.
pub(super) const TOKENS_KEPT: &str = "the tokens that it had are kept";
