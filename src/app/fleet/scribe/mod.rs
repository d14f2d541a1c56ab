//! What is changed on the page of a run file goes into that file, where it says `save = true`: the text is changed as a
//! person would have changed it, checked as a whole, applied as any other reading of it, and then written.
//!
//! ```text
//!   page ──Edit──> thread: changed, checked ──> applied ──can't──> said, nothing changes
//!                                                  └──> Keeper ──> the file
//! ```
//!
//! A text may be long, and so the loop never takes it apart.
//!
//! `wants`: what somebody wants, as a change of the text. `making`: how that is made. `by_hand`: what was begun and
//! stopped, which the file is to say, too. `unsaved`: what is not there yet when somebody else has it read again.

mod by_hand;
#[cfg(test)]
mod ending_tests;
pub(super) mod making;
#[cfg(test)]
mod saved_tests;
#[cfg(test)]
mod tests;
pub(super) mod unsaved;
mod wants;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::by_hand::ByHand;
use self::making::UnderWay;
use self::unsaved::Meant;
use super::{Fleet, Origin};
use crate::app::RoleSet;
use crate::app::posts::Posts;
use crate::app::posts::fields::{Sent, fault_of, settings_of, take_fields};
use crate::app::posts::panel::STOPS;
use crate::app::saving::keeper::{Keeper, Writer};
use crate::app::saving::kept_file::Kept;
use crate::app::saving::lock::{Lock, RunLock};
use crate::app::saving::waiters::{Waiter, Waiters};
use crate::base::time::Time;
use crate::config::Run;
use crate::config::settings::Settings;
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::Wake;
use crate::reactor::tabs::TabReply;
use crate::reactor::{Reactor, RoleId};

/// What keeps a run file.
pub(super) struct Scribe {
    pub(super) keeper: Keeper,
    /// What the file is to hold.
    pub(super) text: String,
    /// What is to be changed behind what is being changed.
    pub(super) waiting: VecDeque<Job>,
    pub(super) under_way: Option<UnderWay>,
    /// The file can't be changed for now.
    lost: Option<Lost>,
    /// What the file is to say of what was begun and stopped.
    pub(super) by_hand: ByHand,
    /// Who waits for what has been changed to be in the file.
    pub(super) waiters: Waiters,
}

/// Somebody else has changed the file, and it has not been read since; or it can't be looked at.
struct Lost {
    /// How often it had been written by then.
    written: u64,
    /// What the page says of it.
    why: Option<&'static str>,
}

/// What is to be changed, and who waits for what comes of it.
pub(super) struct Job {
    pub(super) want: Want,
    /// When it was asked for.
    pub(super) since: Time,
    pub(super) asked: Option<(RoleId, Ticket)>,
    /// What else is to hold once it is changed: whether a role, by its id, shows what flows.
    pub(super) shows: Option<(u64, bool)>,
}

/// Roles stand here by their ids: by the time that it is made a role may have another name.
pub(super) enum Want {
    /// Other fields of a relay.
    Set {
        id: u64,
        fields: Vec<(String, String)>,
    },
    /// It is to run, or is not to.
    Enable { id: u64, on: bool },
    /// It goes.
    Remove { id: u64 },
    /// One more relay, that goes on where another ends: where that is, and what it can be called, is seen when it is
    /// made.
    Chain { after: Option<u64> },
}

impl Want {
    /// The role that it is about, where that is there already.
    pub(super) fn role(&self) -> Option<u64> {
        match self {
            Self::Set { id, .. } | Self::Enable { id, .. } | Self::Remove { id } => Some(*id),
            Self::Chain { .. } => None,
        }
    }
}

impl Job {
    /// Whether it says of this role that it is to run, or is not to.
    fn enables(&self, role: u64) -> bool {
        matches!(self.want, Want::Enable { id, .. } if id == role)
    }
}

impl Scribe {
    /// `lock` is given back when the last text has been written.
    pub(super) fn start(
        path: PathBuf,
        text: String,
        wake: Wake,
        lock: Option<Arc<RunLock>>,
    ) -> Result<Self, String> {
        let known = Some(text.clone());
        let run = move |writer: Writer| writer.run_locked(lock.map(Lock::Run));
        Ok(Self {
            keeper: Keeper::start_with(path, known, Kept::RunFile, wake, run)?,
            text,
            waiting: VecDeque::new(),
            under_way: None,
            lost: None,
            by_hand: ByHand::default(),
            waiters: Waiters::default(),
        })
    }

    /// The file has been read again, with what is still to be written. Whose change may not be in it any more.
    fn found(&mut self, reactor: &mut Reactor<RoleSet>, text: &str) -> Vec<Waiter> {
        self.lost = None;
        // What was being changed of the text before is to be changed of this one.
        if let Some(under_way) = self.under_way.take().filter(|it| !it.is_given_up) {
            self.waiting.push_front(under_way.job);
        }
        if self.text == text {
            return Vec::new();
        }
        let unsaved = self.waiters.take_unsaved(reactor, &self.keeper);
        text.clone_into(&mut self.text);
        self.keeper.found(text.to_owned());
        unsaved
    }

    /// What is to be in the file, for whoever reads that again.
    pub(super) fn meant(&self) -> Meant {
        Meant {
            tried: self.keeper.tried(),
            known: self.keeper.known(),
            text: self.text.clone(),
        }
    }

    /// Why what was changed last is not in the file.
    pub(super) fn fault(&self) -> Option<String> {
        let why = self.lost.as_ref().and_then(|lost| lost.why);
        why.map(str::to_owned).or_else(|| self.keeper.fault())
    }

    /// The file can't be changed, until it is read again or what was in it can be written again. `why`: what the page
    /// says of that.
    pub(super) fn lose(&mut self, why: Option<&'static str>) {
        let written = self.keeper.written();
        let why = why.or(self.lost.take().and_then(|lost| lost.why));
        self.lost = Some(Lost { written, why });
        self.keeper.look_after(self.text.clone());
    }

    /// It was found to be ours.
    pub(super) fn find(&mut self) {
        self.lost = None;
    }

    /// Whether it could be written since it was lost: somebody has moved away what was there.
    fn is_found(&self) -> bool {
        let lost = self.lost.as_ref();
        lost.is_some_and(|lost| self.keeper.written() > lost.written)
    }

    /// Forgets that it was lost, if it could be written since. Whether that is so.
    pub(super) fn find_again(&mut self) -> bool {
        let is_found = self.is_found();
        if is_found {
            self.find();
        }
        is_found
    }

    /// Where something stands that somebody else wrote, and a save met.
    pub(super) fn theirs(&self) -> Option<String> {
        self.keeper.theirs()
    }

    /// All is over: waits for the file.
    pub(super) fn finish(&mut self, posts: &Posts, patience: Duration) {
        self.keep_said(posts);
        self.keeper.finish(patience);
    }

    /// What was begun or stopped by hand and does not stand in the file yet is to.
    fn keep_said(&mut self, posts: &Posts) {
        let said = self.by_hand.said_in(&self.text, posts);
        if self.text != said {
            self.keeper.keep(said.clone(), Vec::new());
            self.text = said;
        }
    }

    /// The file is about to say of this role whether it is to run.
    pub(super) fn will_enable(&self, role: u64) -> bool {
        let under_way = self.under_way.iter().filter(|it| !it.is_given_up);
        let mut all = under_way.map(|it| &it.job).chain(&self.waiting);
        all.any(|job| job.enables(role))
    }

    /// Somebody waits for what comes of a change.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiters.is_empty() || self.by_hand.is_awaited()
    }

    /// A change is being made and checked.
    pub(super) fn is_making(&self) -> bool {
        self.under_way.is_some()
    }

    /// Nothing is being changed, or waits for that.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    /// Something may become of it between these two turns.
    pub(super) fn is_changing(&self, now: Time) -> bool {
        !self.is_idle() || self.is_found() || self.by_hand.is_due(now)
    }

    fn take_jobs(&mut self) -> Vec<Job> {
        let under_way = self.under_way.take().filter(|it| !it.is_given_up);
        let under_way = under_way.map(|under_way| under_way.job);
        under_way
            .into_iter()
            .chain(self.waiting.drain(..))
            .collect()
    }

    /// What is said last of whether a role runs holds: what was said before may not come true any more. Its thread is
    /// waited for all the same: on a disk that hangs there would be one more with each word.
    fn forget_enabling(&mut self, role: u64) {
        self.waiting.retain(|job| !job.enables(role));
        if let Some(under_way) = &mut self.under_way {
            under_way.is_given_up |= under_way.job.enables(role);
        }
    }
}

impl Fleet {
    /// Changes fields of a relay on the page.
    pub(super) fn write_fields(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        place: usize,
        fields: Vec<(String, String)>,
    ) -> Option<TabReply> {
        if self.scribe.is_none() {
            return Some(self.come_from());
        }
        let post = &mut self.posts[place];
        if !matches!(post.member.run, Run::Relay(_)) {
            return Some(TabReply::Refused(
                "only relays are changed on the page: change it in the run file".to_owned(),
            ));
        }
        let mut settings = settings_of(post);
        // A console takes less than a run file: what stands there is no mistake of whoever changes another field.
        let known = settings.check().err().unwrap_or_default();
        let is_running = post.role().is_some();
        let name_fault =
            |settings: &Settings, name: &str| fault_of(settings, is_running, "name", name, FILE);
        let Sent {
            changed,
            shows,
            mut faults,
        } = take_fields(&mut settings, &fields, is_running, FILE, name_fault);
        let found = settings.check().err().unwrap_or_default();
        faults.extend(found.into_iter().filter(|fault| !known.contains(fault)));
        // What is refused is not there: whoever asked is told, and nothing is wrong with what is.
        if !faults.is_empty() {
            return Some(TabReply::Faults(faults));
        }
        if changed.is_empty() {
            post.shows = shows.unwrap_or(post.shows);
            return Some(TabReply::Faults(faults));
        }
        let want = Want::Set {
            id: post.id,
            fields: changed,
        };
        let job = Job {
            want,
            since: reactor.now(),
            asked: Some(by),
            shows: shows.map(|shows| (post.id, shows)),
        };
        self.queue(reactor, job)
    }

    /// Has the run file changed, if it is kept.
    pub(super) fn write(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        want: Want,
        asked: Option<(RoleId, Ticket)>,
    ) -> Option<TabReply> {
        let job = Job {
            want,
            since: reactor.now(),
            asked,
            shows: None,
        };
        self.queue(reactor, job)
    }

    fn queue(&mut self, reactor: &mut Reactor<RoleSet>, job: Job) -> Option<TabReply> {
        let Some(scribe) = &mut self.scribe else {
            return Some(self.come_from());
        };
        if let Want::Enable { id, on } = job.want {
            scribe.forget_enabling(id);
            scribe.by_hand.note(id, on);
        }
        scribe.waiting.push_back(job);
        self.begin_edit(reactor);
        None
    }

    /// The process stops: what is not made by now never is, but for what was done by hand, which is only to be said.
    /// Whoever waits hears of it.
    pub(super) fn end_keeping(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        for job in scribe.take_jobs() {
            answer(reactor, job.asked, TabReply::Refused(STOPS.to_owned()));
        }
        // That takes the text apart, which is long enough for one turn: what nobody waits for is said at the end.
        let waiting = scribe.by_hand.take_waiting();
        if !waiting.is_empty() {
            scribe.keep_said(&self.posts);
        }
        let number = scribe.keeper.given();
        for waiter in waiting {
            scribe.waiters.wait(Waiter { number, ..waiter });
        }
        scribe.waiters.end(reactor.now(), &scribe.keeper);
        scribe.waiters.answer_known(reactor, &scribe.keeper);
    }

    /// The run file is kept from now on. `lock`: by this process alone.
    pub(super) fn begin_keeping(
        &mut self,
        reactor: &Reactor<RoleSet>,
        lock: Option<Arc<RunLock>>,
    ) -> Result<(), String> {
        if let Origin::File(file) = &self.origin {
            self.lock = lock.as_ref().map(Arc::downgrade).unwrap_or_default();
            let (path, text) = (file.path.clone(), file.text.clone());
            self.scribe = Some(Scribe::start(path, text, reactor.waker(), lock)?);
        }
        Ok(())
    }

    /// The run file is kept from now on, or is not any more, as it says.
    pub(super) fn keep_file(&mut self, reactor: &mut Reactor<RoleSet>, lock: Option<Arc<RunLock>>) {
        let has_page = self.console().is_some();
        let Origin::File(file) = &self.origin else {
            return;
        };
        let text = &file.text;
        match &mut self.scribe {
            Some(scribe) if file.saves => {
                for waiter in scribe.found(reactor, text) {
                    match waiter.role {
                        // That is said again.
                        Some(_) => scribe.by_hand.wait(waiter),
                        None => waiter.refuse(reactor, CHANGE_IS_GONE),
                    }
                }
                self.say_again(reactor);
            }
            Some(scribe) => {
                // What was to be written before counts no more.
                let why = "the run file does not say save = true any more";
                let unsaved = scribe.found(reactor, text).into_iter();
                for waiter in unsaved.chain(scribe.by_hand.take_waiting()) {
                    match waiter.role {
                        Some(_) => waiter.answer(reactor, Some(why.to_owned())),
                        None => waiter.refuse(reactor, CHANGE_IS_GONE),
                    }
                }
                for job in scribe.take_jobs() {
                    answer(reactor, job.asked, TabReply::Refused(why.to_owned()));
                }
                self.scribe = None;
                log::info!("hydrant: {why}: it is left alone");
            }
            None if file.saves && has_page => {
                if let Err(text) = self.begin_keeping(reactor, lock) {
                    log::warn!("hydrant: {text}");
                }
            }
            None => {}
        }
    }
}

/// Tells whoever waits for a change what came of it.
pub(super) fn answer(
    reactor: &mut Reactor<RoleSet>,
    asked: Option<(RoleId, Ticket)>,
    reply: TabReply,
) {
    if let Some((by, ticket)) = asked {
        reactor.answer(by, ticket, Reply::Tab(reply));
    }
}

/// What a field that no page changes is set in.
const FILE: &str = "run file";
pub(super) const CHANGE_IS_GONE: &str =
    "somebody else has changed the run file, which has been read again: this change is gone";
