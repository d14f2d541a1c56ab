//! How a change of a run file is made: in a thread, which changes the text and checks what the file would be, and then
//! on the loop, where that is applied. One is made at a time, and none while the file is being read again.

use super::{Job, Scribe, Want, answer};
use crate::app::RoleSet;
use crate::app::errand::{Errand, Limit};
use crate::app::fleet::plan::places_to_take;
use crate::app::fleet::reload::{Read, Reading};
use crate::app::fleet::{Fleet, Origin};
use crate::app::posts::begin::text_of;
use crate::app::saving::keeper::{About, Said};
use crate::app::saving::kept_file::hold_text;
use crate::app::saving::waiters::Waiter;
use crate::config::run_file::{self, Edit};
use crate::config::{ConfigError, Member};
use crate::reactor::Reactor;
use crate::reactor::net::Wake;
use crate::reactor::tabs::{Faults, TabReply};

/// A change that is being made and checked.
pub(in crate::app::fleet) struct UnderWay {
    pub(in crate::app::fleet) job: Job,
    pub(in crate::app::fleet) edit: Edit,
    pub(in crate::app::fleet) reading: Reading<Unmade>,
    /// It is not made: whoever waited was told so, or another one says the opposite by now.
    pub(in crate::app::fleet) is_given_up: bool,
}

/// Why there is nothing to apply.
pub(in crate::app::fleet) enum Unmade {
    /// The text would be what it is.
    Same,
    /// What can't be changed there, by the field.
    Faults(Faults),
    /// Somebody else has changed the file.
    Changed,
    /// The file would be wrong.
    Wrong(ConfigError),
    /// It could not be looked at.
    Unread(ConfigError),
    /// Nothing has come of the work.
    Broken(ConfigError),
}

impl From<ConfigError> for Unmade {
    fn from(error: ConfigError) -> Self {
        Self::Broken(error)
    }
}

impl Fleet {
    /// Begins the next change, unless one is under way or the file is being read.
    pub(in crate::app::fleet) fn begin_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
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
            let (limit, wake) = (&self.readers, reactor.waker());
            match make(limit, scribe, file.origin(), edit.clone(), wake) {
                Ok(making) => {
                    scribe.under_way = Some(UnderWay {
                        job,
                        edit,
                        reading: Reading::of(making),
                        is_given_up: false,
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

    /// Whoever has waited too long for a change is told that it is not made: a page would not wait for ever, and would
    /// not know then.
    pub(in crate::app::fleet) fn give_up_late(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        let (now, waiters) = (reactor.now(), &scribe.waiters);
        let is_late = |job: &Job| job.asked.is_some() && waiters.is_late(job.since, now);
        let mut late = Vec::new();
        if let Some(under_way) = &mut scribe.under_way
            && is_late(&under_way.job)
        {
            under_way.is_given_up = true;
            late.push(under_way.job.asked.take());
        }
        let all = scribe.waiting.len();
        for _ in 0..all {
            match scribe.waiting.pop_front() {
                Some(job) if is_late(&job) => late.push(job.asked),
                job => scribe.waiting.extend(job),
            }
        }
        let why = match self.reading {
            Some(_) => READING,
            None => SLOW_FILES,
        };
        for asked in late {
            answer(reactor, asked, TabReply::Refused(why.to_owned()));
        }
    }

    /// Whether somebody waits for a change.
    pub(in crate::app::fleet) fn is_awaited(&self) -> bool {
        let Some(scribe) = &self.scribe else {
            return false;
        };
        let under_way = scribe.under_way.iter().map(|it| &it.job);
        let mut all = under_way.chain(&scribe.waiting);
        scribe.is_awaited() || all.any(|job| job.asked.is_some())
    }

    /// Applies a change that has been checked. While the file is being read again it waits: what that finds may be
    /// another text than the one that it was checked with.
    pub(in crate::app::fleet) fn end_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
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
        let outcome = match reading.outcome(reactor, taken) {
            Some(outcome) => outcome,
            // Whoever waited was told so long ago.
            None if reading.is_late(reactor.now()) => {
                log::warn!("hydrant: {SLOW_FILES}");
                Err(ConfigError::Mistakes(SLOW_FILES.to_owned()).into())
            }
            None => return,
        };
        let under_way = scribe.under_way.take().expect("it was just asked");
        if !under_way.is_given_up {
            self.settle_edit(reactor, under_way.job, &under_way.edit, outcome);
        }
        self.begin_edit(reactor);
    }

    fn settle_edit(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        job: Job,
        edit: &Edit,
        outcome: Result<Read, Unmade>,
    ) {
        if let Some(scribe) = &mut self.scribe {
            match &outcome {
                Err(Unmade::Changed) => scribe.lose(Some(CHANGED)),
                Err(Unmade::Unread(_)) => scribe.lose(None),
                Ok(_) => scribe.find(),
                Err(Unmade::Wrong(_)) => {
                    scribe.find();
                    if matches!(edit, Edit::Enable { .. }) {
                        scribe.by_hand.note_wrong(reactor.now());
                    }
                }
                // The file was not looked at.
                Err(Unmade::Same | Unmade::Faults(_) | Unmade::Broken(_)) => {}
            }
        }
        let applied = match outcome {
            Ok(mut read) => {
                let gone = std::mem::take(&mut read.gone);
                let applied = self.apply_edit(reactor, edit, read);
                applied.map(|said| (said, gone))
            }
            Err(Unmade::Changed) => Err(CHANGED.to_owned()),
            Err(Unmade::Wrong(error) | Unmade::Unread(error) | Unmade::Broken(error)) => {
                Err(error.to_string())
            }
            Err(Unmade::Faults(faults)) => {
                let why = TabReply::Refused(text_of(&faults));
                self.note_said(reactor, edit, &why);
                return answer(reactor, job.asked, TabReply::Faults(faults));
            }
            Err(Unmade::Same) => {
                // As it is where what was to run is begun anew.
                let reply = self.done(edit, job.shows);
                return self.answer_made(reactor, &job, reply);
            }
        };
        reactor.know_hosts([]);
        let reply = match applied {
            Ok((said, gone)) => {
                if !matches!(edit, Edit::Enable { .. }) {
                    log::info!("hydrant: changed on the page: {said}");
                }
                self.keep_edit(&job.want, edit, gone);
                self.done(edit, job.shows)
            }
            // Mistakes are shown in several lines, of which the first says what is wrong.
            Err(text) => TabReply::Refused(text.lines().next().unwrap_or_default().to_owned()),
        };
        self.note_said(reactor, edit, &reply);
        self.answer_made(reactor, &job, reply);
    }

    /// Whoever has asked for a change hears what has come of it: of one that holds, once it is saved.
    fn answer_made(&mut self, reactor: &mut Reactor<RoleSet>, job: &Job, reply: TabReply) {
        match (&mut self.scribe, job.asked) {
            (Some(scribe), Some(by)) if !matches!(reply, TabReply::Refused(_)) => {
                let number = scribe.keeper.given();
                let waiter = Waiter::new(by, reply, job.since, number);
                scribe.waiters.wait(waiter);
            }
            (_, asked) => answer(reactor, asked, reply),
        }
    }

    /// What has been applied is to be in the file, and what that says newly is told once it is. `gone`: destinations
    /// whose sections go out of it.
    fn keep_edit(&mut self, want: &Want, edit: &Edit, gone: Vec<String>) {
        let (Some(scribe), Origin::File(file)) = (&mut self.scribe, &self.origin) else {
            return;
        };
        scribe.text.clone_from(&file.text);
        let mut said: Vec<Said> = gone
            .into_iter()
            .map(|dst| Said {
                line: Some(format!(
                    "hydrant: the section of {dst} has gone out of the run file"
                )),
                about: About::Section(want.role(), dst),
            })
            .collect();
        match (want, edit) {
            (Want::Enable { id, .. }, Edit::Enable { name, on }) => {
                let not = if *on { "" } else { "not " };
                let line = format!("hydrant: the run file says that {name} is {not}to run");
                said.push(Said {
                    about: About::Role(*id),
                    line: Some(line),
                });
            }
            // It is not in the file any more.
            (Want::Remove { id }, _) => said.push(Said {
                about: About::Role(*id),
                line: None,
            }),
            _ => {}
        }
        scribe.keeper.keep(file.text.clone(), said);
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

/// Makes a change of the text and checks what the file would be, in a thread.
fn make(
    limit: &Limit,
    scribe: &Scribe,
    origin: run_file::Origin,
    edit: Edit,
    wake: Wake,
) -> Result<Errand<Result<Read, Unmade>>, String> {
    let (known, meant) = (scribe.keeper.known(), scribe.text.clone());
    Errand::begin(limit, "run file", wake, move || {
        let text = edit.apply(&meant).map_err(Unmade::Faults)?;
        if text == meant {
            return Err(Unmade::Same);
        }
        // What is still to be written may be there, or not yet: it does not come to be while this looks.
        let is_ours = {
            let known = hold_text(&known);
            match origin.text() {
                Ok(now) => now == meant || Some(&now) == known.as_ref(),
                // It was moved away: what is meant takes its place.
                Err(error) if error.is_no_file() => true,
                Err(error) => return Err(Unmade::Unread(error)),
            }
        };
        if !is_ours {
            return Err(Unmade::Changed);
        }
        let gone = edit.drops(&meant);
        let read = origin.with(text).map(Read::of).map_err(Unmade::Wrong)?;
        Ok(Read { gone, ..read })
    })
}

fn renaming(edit: &Edit) -> Option<(&str, &str)> {
    let Edit::Set { name, fields } = edit else {
        return None;
    };
    let new = fields.iter().find(|(key, _)| key == "name");
    new.map(|(_, new)| (name.as_str(), new.as_str()))
}

pub(super) const READING: &str =
    "the run file is being read again, which takes long: nothing was changed; try again";
pub(super) const SLOW_FILES: &str =
    "the files that the run file names take long to read: nothing was changed; try again";
pub(super) const CHANGED: &str = "the run file was changed by somebody else: have it read again first \
     (hydrant status reload), or move it away to have what you see here";
