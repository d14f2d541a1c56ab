//! What is changed on the page of a run file goes into that file, where it says `save = true`: the text is changed as a
//! person would have changed it, checked as a whole, applied as any other reading of it, and then written.
//!
//! ```text
//!   page ──Edit──> text ──thread: checked──> applied ──can't──> said, nothing changes
//!                                               └──> Keeper ──> the file
//! ```

use std::collections::VecDeque;

use super::begin::text_of;
use super::by_hand::ByHand;
use super::fields::{fault_of, settings_of};
use super::fleet::{Fleet, Origin};
use super::keeper::Keeper;
use super::plan::places_to_take;
use super::posts::Posts;
use super::reload::{Read, Reading};
use super::settings_file::lock;
use super::unsaved::Meant;
use super::{RoleSet, errand::Errand};
use crate::config::run_file::{self, Edit};
use crate::config::{ConfigError, Member, Run};
use crate::reactor::Reactor;
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::tabs::{Faults, TabReply};
use crate::reactor::{RoleId, net::Wake};

/// What keeps a run file.
pub(super) struct Scribe {
    keeper: Keeper,
    /// What the file is to hold.
    pub(super) text: String,
    /// What is to be changed behind what is being changed.
    waiting: VecDeque<Job>,
    pub(super) under_way: Option<UnderWay>,
    /// Somebody else has changed the file, and it has not been read since.
    is_stale: bool,
    /// What the file is to say of what was begun and stopped.
    pub(super) by_hand: ByHand,
}

/// What is to be changed, and who waits for what comes of it.
pub(super) struct Job {
    pub(super) want: Want,
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

/// A change that is being checked.
pub(super) struct UnderWay {
    pub(super) job: Job,
    pub(super) edit: Edit,
    pub(super) reading: Reading,
    /// What the file would hold.
    pub(super) text: String,
}

impl Job {
    /// Whether it says of this role that it is to run, or is not to.
    fn enables(&self, role: u64) -> bool {
        matches!(self.want, Want::Enable { id, .. } if id == role)
    }
}

impl Scribe {
    pub(super) fn start(path: std::path::PathBuf, text: String) -> Result<Self, String> {
        Ok(Self {
            keeper: Keeper::start(path, Some(text.clone()), "hydrant: run file")?,
            text,
            waiting: VecDeque::new(),
            under_way: None,
            is_stale: false,
            by_hand: ByHand::default(),
        })
    }

    /// The file has been read again, with what is still to be written.
    fn found(&mut self, text: &str) {
        self.is_stale = false;
        // What was being changed of the text before is to be changed of this one.
        if let Some(under_way) = self.under_way.take() {
            self.waiting.push_front(under_way.job);
        }
        if self.text != text {
            text.clone_into(&mut self.text);
            self.keeper.found(text.to_owned());
        }
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
        let stale = self.is_stale.then(|| CHANGED.to_owned());
        stale.or_else(|| self.keeper.fault())
    }

    /// What the file said when it was last looked at. The disk is not waited for.
    pub(super) fn said(&self) -> Option<String> {
        self.keeper.said()
    }

    /// All is over: waits for the file. What was begun or stopped by hand and does not stand there yet is to.
    pub(super) fn finish(&mut self, posts: &Posts) {
        let said = self.by_hand.said_in(&self.text, posts);
        if self.text != said {
            self.keeper.keep(said.clone());
            self.text = said;
        }
        self.keeper.finish();
    }

    /// The file is about to say of this role whether it is to run.
    pub(super) fn will_enable(&self, role: u64) -> bool {
        let under_way = self.under_way.iter().map(|it| &it.job);
        let mut all = under_way.chain(&self.waiting);
        all.any(|job| job.enables(role))
    }

    /// Nothing is being changed, or waits for that.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    fn take_jobs(&mut self) -> Vec<Job> {
        let under_way = self.under_way.take().map(|under_way| under_way.job);
        under_way
            .into_iter()
            .chain(self.waiting.drain(..))
            .collect()
    }

    /// What is said last of whether a role runs holds: what was said before may not come true any more.
    fn forget_enabling(&mut self, role: u64) {
        self.waiting.retain(|job| !job.enables(role));
        self.under_way.take_if(|it| it.job.enables(role));
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
        let mut changed = Vec::new();
        let mut shows = None;
        let mut faults = Faults::new();
        let mut settings = settings_of(post);
        // A console takes less than a run file: what stands there is no mistake of whoever changes another field.
        let known = settings.check().err().unwrap_or_default();
        let is_running = post.role().is_some();
        for (key, value) in fields {
            let value = value.trim().to_owned();
            match key.as_str() {
                "dump" => shows = Some(value == "true"),
                "name" if value == post.member.name => {}
                _ => match fault_of(&settings, is_running, &key, &value, "run file") {
                    Some(text) => faults.push((key, text)),
                    None => {
                        match key.as_str() {
                            "name" => settings.name.clone_from(&value),
                            key => settings.set(key, &value),
                        }
                        changed.push((key, value));
                    }
                },
            }
        }
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

    /// The run file is kept from now on, or is not any more, as it says.
    pub(super) fn keep_file(&mut self, reactor: &mut Reactor<RoleSet>) {
        let has_page = self.console().is_some();
        let Origin::File(file) = &self.origin else {
            return;
        };
        let text = &file.text;
        match &mut self.scribe {
            Some(scribe) if file.saves => {
                scribe.found(text);
                self.say_again(reactor);
            }
            Some(scribe) => {
                // What was to be written before counts no more.
                scribe.found(text);
                let why = "the run file does not say save = true any more";
                for job in scribe.take_jobs() {
                    answer(reactor, job.asked, TabReply::Refused(why.to_owned()));
                }
                self.scribe = None;
                log::info!("hydrant: {why}: it is left alone");
            }
            None if file.saves && has_page => {
                match Scribe::start(file.path.clone(), text.clone()) {
                    Ok(scribe) => self.scribe = Some(scribe),
                    Err(text) => log::warn!("hydrant: {text}"),
                }
            }
            None => {}
        }
    }

    /// Begins the next change, unless one is under way or the file is being read.
    pub(super) fn begin_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
        while self.reading.is_none()
            && let Some(scribe) = &mut self.scribe
            && scribe.under_way.is_none()
            && let Some(job) = scribe.waiting.pop_front()
        {
            let edit = match self.edit_of(&job.want) {
                Ok(edit) => edit,
                Err(why) => {
                    answer(reactor, job.asked, TabReply::Refused(why));
                    continue;
                }
            };
            let (Some(scribe), Origin::File(file)) = (&mut self.scribe, &self.origin) else {
                return;
            };
            let text = match edit.apply(&scribe.text) {
                Ok(text) => text,
                Err(faults) => {
                    let why = TabReply::Refused(text_of(&faults));
                    self.note_said(reactor, &edit, &why);
                    answer(reactor, job.asked, TabReply::Faults(faults));
                    continue;
                }
            };
            if text == scribe.text {
                // As it is where what was to run is begun anew.
                let reply = self.done(&edit, job.shows);
                answer(reactor, job.asked, reply);
                continue;
            }
            match check(scribe, file.origin(), text.clone(), reactor.waker()) {
                Ok(reading) => {
                    scribe.under_way = Some(UnderWay {
                        job,
                        edit,
                        reading: Reading::of(reading),
                        text,
                    });
                }
                Err(why) => {
                    let reply = TabReply::Refused(why);
                    self.note_said(reactor, &edit, &reply);
                    answer(reactor, job.asked, reply);
                }
            }
        }
    }

    /// Applies a change that has been checked. While the file is being read again it waits: what that finds may be
    /// another text than the one that it was checked with.
    pub(super) fn end_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        if self.reading.is_some() {
            return;
        }
        let Some(UnderWay { edit, reading, .. }) = &mut scribe.under_way else {
            return;
        };
        let taken =
            |members: &[Member]| places_to_take(&self.posts, members, renaming(edit), false);
        let Some(outcome) = reading.outcome(reactor, taken) else {
            return;
        };
        let under_way = scribe.under_way.take().expect("it was just asked");
        let UnderWay {
            job, edit, text, ..
        } = under_way;
        let applied = match outcome {
            Ok(read) => self.apply_edit(reactor, &edit, read),
            Err(error) => Err(error.to_string()),
        };
        reactor.know_hosts([]);
        if let Some(scribe) = &mut self.scribe {
            scribe.is_stale = applied.as_ref().is_err_and(|text| text == CHANGED);
        }
        let reply = match applied {
            Ok(said) => {
                match &edit {
                    Edit::Enable { name, on: true } => {
                        log::info!("hydrant: the run file says that {name} is to run");
                    }
                    Edit::Enable { name, on: false } => {
                        log::info!("hydrant: the run file says that {name} is not to run");
                    }
                    _ => log::info!("hydrant: run file changed on the page: {said}"),
                }
                self.say_dropped(&edit);
                if let Some(scribe) = &mut self.scribe {
                    scribe.keeper.keep(text.clone());
                    scribe.text = text;
                }
                self.done(&edit, job.shows)
            }
            // Mistakes are shown in several lines, of which the first says what is wrong.
            Err(text) => TabReply::Refused(text.lines().next().unwrap_or_default().to_owned()),
        };
        self.note_said(reactor, &edit, &reply);
        answer(reactor, job.asked, reply);
        self.begin_edit(reactor);
    }

    fn apply_edit(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        edit: &Edit,
        read: Read,
    ) -> Result<String, String> {
        let Some((old, new)) = renaming(edit) else {
            return self.apply(reactor, read, false);
        };
        // It is the same one by another name.
        self.rename(old, new);
        let applied = self.apply(reactor, read, false);
        if applied.is_err() {
            self.rename(new, old);
        }
        applied
    }

    /// What goes out of the file is not to go unseen.
    fn say_dropped(&self, edit: &Edit) {
        let before = self.scribe.as_ref().map(|scribe| edit.drops(&scribe.text));
        for dst in before.unwrap_or_default() {
            log::info!("hydrant: the section of {dst} goes out of the run file");
        }
    }

    fn rename(&mut self, old: &str, new: &str) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.member.name == old) {
            new.clone_into(&mut post.member.name);
        }
    }

    fn done(&mut self, edit: &Edit, shows: Option<(u64, bool)>) -> TabReply {
        if let Some((id, shows)) = shows
            && let Some(post) = self.posts.iter_mut().find(|post| post.id == id)
        {
            post.shows = shows;
        }
        match edit {
            Edit::Set { name, .. } => {
                let name = renaming(edit).map_or(name.as_str(), |(_, new)| new);
                let mut posts = self.posts.iter_mut();
                if let Some(post) = posts.find(|post| post.member.name == name && !post.lacks) {
                    post.forgive();
                }
                TabReply::Faults(Faults::new())
            }
            Edit::Enable { .. } | Edit::Remove { .. } => TabReply::Done,
            Edit::Push(settings) => {
                let made = self
                    .posts
                    .iter()
                    .find(|post| post.member.name == settings.name);
                made.map_or(TabReply::Done, |post| TabReply::Added(post.id))
            }
        }
    }
}

/// Checks what the file would be, in a thread.
fn check(
    scribe: &Scribe,
    origin: run_file::Origin,
    text: String,
    wake: Wake,
) -> Result<Errand<Result<Read, ConfigError>>, String> {
    let (known, meant) = (scribe.keeper.known(), scribe.text.clone());
    Errand::begin("run file", wake, move || {
        // What is still to be written may be there, or not yet: it does not come to be while this looks.
        let is_ours = {
            let known = lock(&known);
            let now = origin.text()?;
            now == meant || Some(&now) == known.as_ref()
        };
        if !is_ours {
            return Err(ConfigError::Mistakes(CHANGED.to_owned()));
        }
        origin.with(text).map(Read::of)
    })
}

fn renaming(edit: &Edit) -> Option<(&str, &str)> {
    let Edit::Set { name, fields } = edit else {
        return None;
    };
    let new = fields.iter().find(|(key, _)| key == "name");
    new.map(|(_, new)| (name.as_str(), new.as_str()))
}

fn answer(reactor: &mut Reactor<RoleSet>, asked: Option<(RoleId, Ticket)>, reply: TabReply) {
    if let Some((by, ticket)) = asked {
        reactor.answer(by, ticket, Reply::Tab(reply));
    }
}

const CHANGED: &str =
    "the run file was changed by somebody else: have it read again first (hydrant status reload)";
