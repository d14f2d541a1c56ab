//! What is changed on the page of a run file goes into that file, where it says `save = true`: the text is changed as a
//! person would have changed it, checked as a whole, applied as any other reading of it, and then written.
//!
//! ```text
//!   page ──Edit──> text ──thread: checked──> applied ──can't──> said, nothing changes
//!                                               └──> Keeper ──> the file
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::Receiver;

use super::errand::look_up;
use super::fleet::{Fleet, Origin, Post};
use super::keeper::{Keeper, lock};
use super::reload::{Read, Reading};
use super::{RoleSet, errand::Errand};
use crate::config::run_file::Edit;
use crate::config::settings::{FIELD_MAX, Settings, is_live, names_socket};
use crate::config::{ConfigError, Run};
use crate::reactor::Reactor;
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::tabs::{Faults, TabReply};
use crate::reactor::{RoleId, net::Wake};

/// What keeps a run file.
pub(super) struct Scribe {
    keeper: Keeper,
    /// What the file is to hold.
    text: String,
    /// What is to be changed behind what is being changed.
    waiting: VecDeque<Job>,
    under_way: Option<(Job, Reading, String)>,
    /// Somebody else has changed the file, and it has not been read since.
    is_stale: bool,
}

/// A change, and who waits for what comes of it.
struct Job {
    edit: Edit,
    asked: Option<(RoleId, Ticket)>,
}

impl Scribe {
    pub(super) fn start(path: std::path::PathBuf, text: String) -> Result<Self, String> {
        Ok(Self {
            keeper: Keeper::start(path, Some(text.clone()))?,
            text,
            waiting: VecDeque::new(),
            under_way: None,
            is_stale: false,
        })
    }

    /// The file has been read again.
    pub(super) fn found(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.is_stale = false;
        // What was being changed of the text before is to be changed of this one.
        if let Some((job, ..)) = self.under_way.take() {
            self.waiting.push_front(job);
        }
        self.keeper.found(text.to_owned());
    }

    /// Ends once what was changed on the page stands in the file, or can't.
    pub(super) fn tried(&self) -> Receiver<()> {
        self.keeper.tried()
    }

    /// Why what was changed last is not in the file.
    pub(super) fn fault(&self) -> Option<String> {
        let stale = self.is_stale.then(|| CHANGED.to_owned());
        stale.or_else(|| self.keeper.fault())
    }

    /// All is over: waits for the file. What was begun or stopped by hand and does not stand there yet is to.
    pub(super) fn finish(&mut self) {
        let under_way = self.under_way.take().map(|(job, ..)| job);
        let jobs: Vec<Job> = under_way
            .into_iter()
            .chain(self.waiting.drain(..))
            .collect();
        let known = self.text.clone();
        for job in jobs {
            if let (Edit::Enable { .. }, Ok(text)) = (&job.edit, job.edit.apply(&self.text)) {
                self.text = text;
            }
        }
        if self.text != known {
            self.keeper.keep(self.text.clone());
        }
        self.keeper.finish();
    }
}

impl Fleet {
    /// Changes fields of a relay on the page.
    pub(super) fn change(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        place: usize,
        fields: Vec<(String, String)>,
    ) -> Option<TabReply> {
        let post = &mut self.posts[place];
        if !matches!(post.member.run, Run::Relay(_)) {
            return Some(TabReply::Refused(
                "only relays are changed on the page: change it in the run file".to_owned(),
            ));
        }
        let mut changed = Vec::new();
        let mut faults = Faults::new();
        let mut settings = settings_of(post);
        for (key, value) in fields {
            let value = value.trim().to_owned();
            match key.as_str() {
                "dump" => post.shows = value == "true",
                "name" if value == post.member.name => {}
                _ => match fault_of(post, &settings, &key, &value) {
                    Some(text) => faults.push((key, text.to_owned())),
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
        faults.extend(settings.check().err().unwrap_or_default());
        if !faults.is_empty() || changed.is_empty() {
            return Some(TabReply::Faults(faults));
        }
        let edit = Edit::Set {
            name: post.member.name.clone(),
            fields: changed,
        };
        self.edit(reactor, edit, Some(by));
        None
    }

    /// One more relay, chained from another or from the last.
    pub(super) fn add(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        after: Option<u64>,
    ) {
        let names: BTreeSet<String> = self
            .posts
            .iter()
            .map(|post| post.member.name.clone())
            .collect();
        let is_relay = |post: &&Post| matches!(post.member.run, Run::Relay(_));
        let mut relays = self.posts.iter().filter(is_relay);
        let asked = relays.clone().find(|post| Some(post.id) == after);
        let before = asked.or_else(|| relays.next_back()).map(settings_of);
        let places = self.posts.iter().flat_map(|post| post.member.run.listens());
        let taken: Vec<_> = places.cloned().collect();
        let edit = Edit::chain(before.as_ref(), &names, &taken);
        self.edit(reactor, edit, Some(by));
    }

    /// A role leaves the file.
    pub(super) fn remove(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        place: usize,
    ) {
        let name = self.posts[place].member.name.clone();
        self.edit(reactor, Edit::Remove { name }, Some(by));
    }

    /// It runs now, or does not: the file is to say so, if it is kept.
    pub(super) fn note_enabled(&mut self, reactor: &mut Reactor<RoleSet>, place: usize, on: bool) {
        if self.scribe.is_some() {
            let name = self.posts[place].member.name.clone();
            self.edit(reactor, Edit::Enable { name, on }, None);
        }
    }

    fn edit(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        edit: Edit,
        asked: Option<(RoleId, Ticket)>,
    ) {
        if let Some(scribe) = &mut self.scribe {
            scribe.waiting.push_back(Job { edit, asked });
        }
        self.begin_edit(reactor);
    }

    /// Begins the next change, unless one is under way or the file is being read.
    pub(super) fn begin_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
        while self.reading.is_none()
            && let Origin::File(file) = &self.origin
            && let Some(scribe) = &mut self.scribe
            && scribe.under_way.is_none()
            && let Some(job) = scribe.waiting.pop_front()
        {
            let text = match job.edit.apply(&scribe.text) {
                Ok(text) => text,
                Err(faults) => {
                    answer(reactor, job.asked, TabReply::Faults(faults));
                    continue;
                }
            };
            match check(scribe, file.origin(), text.clone(), reactor.waker()) {
                Ok(reading) => scribe.under_way = Some((job, reading, text)),
                Err(text) => answer(reactor, job.asked, TabReply::Refused(text)),
            }
        }
    }

    /// Applies a change that has been checked.
    pub(super) fn end_edit(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        let outcome = scribe
            .under_way
            .as_ref()
            .and_then(|(_, it, _)| it.outcome());
        let Some(outcome) = outcome else { return };
        let (job, _, text) = scribe.under_way.take().expect("it was just asked");
        let applied = match outcome {
            Ok(Ok(read)) => self.apply_edit(reactor, &job.edit, read),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("checking it broke off".to_owned()),
        };
        reactor.know_hosts([]);
        if let Some(scribe) = &mut self.scribe {
            scribe.is_stale = applied.as_ref().is_err_and(|text| text == CHANGED);
        }
        let reply = match applied {
            Ok(said) => {
                log::info!("hydrant: run file changed on the page: {said}");
                if let Some(scribe) = &mut self.scribe {
                    scribe.keeper.keep(text.clone());
                    scribe.text = text;
                }
                self.done(&job.edit)
            }
            // Mistakes are shown in several lines, of which the first says what is wrong.
            Err(text) => TabReply::Refused(text.lines().next().unwrap_or_default().to_owned()),
        };
        if let (TabReply::Refused(why), Edit::Enable { name, on }) = (&reply, &job.edit) {
            let what = if *on { "started" } else { "stopped" };
            log::warn!("hydrant: the run file does not say that {name} was {what}: {why}");
        }
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

    fn rename(&mut self, old: &str, new: &str) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.member.name == old) {
            new.clone_into(&mut post.member.name);
        }
    }

    fn done(&self, edit: &Edit) -> TabReply {
        match edit {
            Edit::Set { .. } => TabReply::Faults(Faults::new()),
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

/// Why a field can't be changed on the page.
fn fault_of(post: &Post, settings: &Settings, key: &str, value: &str) -> Option<&'static str> {
    let is_running = post.role().is_some();
    if value.len() > FIELD_MAX {
        return Some("it is too long");
    }
    // Who reaches the page is not always who may reach every program of this machine, or read its files.
    if names_socket(key, value) || !(key == "name" || settings.has(key)) {
        return Some("this is set in the run file");
    }
    (is_running && !is_live(key) && settings.get(key) != value)
        .then_some("it runs: stop it to change this")
}

/// A relay as a form has it.
fn settings_of(post: &Post) -> Settings {
    let mut settings = Settings {
        name: post.member.name.clone(),
        enabled: post.member.is_enabled,
        ..Settings::default()
    };
    let fields = post.member.sheet.iter().flat_map(|sheet| &sheet.fields);
    for (key, value) in
        fields.filter(|(key, _)| !["name", "dump", "dump-format"].contains(&key.as_str()))
    {
        settings.set(key, value);
    }
    settings
}

/// Checks what the file would be, in a thread.
fn check(
    scribe: &Scribe,
    origin: crate::config::run_file::Origin,
    text: String,
    wake: Wake,
) -> Result<Reading, String> {
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
        let file = origin.with(text)?;
        let places = file.members.iter().flat_map(|member| member.run.listens());
        Ok(Read {
            hosts: look_up(places),
            members: file.members.clone(),
            globals: file.globals.clone(),
            file: Some(Box::new(file)),
        })
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
