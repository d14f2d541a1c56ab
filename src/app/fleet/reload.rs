//! The run file, or the files that a command line names, read again: in a thread, since files take as long as they
//! like, and then applied as the difference to what runs. What has not changed is not touched.
//!
//! ```text
//!   SIGHUP ──> read in a thread ──mistakes──> said, nothing changes
//!                   └──> names of new places are looked up
//!                   └──> new places are listened at, some each turn ──can't──> said, nothing changes
//!                             └──> those that are gone or other are told to stop; new ones begin; options change
//! ```

use std::path::Path;
use std::sync::{Arc, Weak};

use super::applying::{Applying, SLICE};
use super::plan::places_to_take;
use super::scribe::Scribe;
use super::scribe::unsaved::Meant;
use super::{Fleet, Origin};
use crate::app::RoleSet;
use crate::app::errand::{Errand, Hosts, Known, LATE, Limit};
use crate::app::notify::Readings;
use crate::app::posts::TOKENS_KEPT;
use crate::app::posts::change::{Change, change};
use crate::app::posts::panel::STOPS;
use crate::app::saving::lock::{RunLock, give_back, lock_run_file};
use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::config::{ConfigError, Globals, Member, RunFile};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::Wake;
use crate::reactor::tabs::TabReply;
use crate::reactor::{End, Reactor, RoleId};

/// Files that are being read, and then the names at which roles are to begin. `E`: why they may not be.
pub(super) struct Reading<E = ConfigError> {
    errand: Errand<Result<Read, E>>,
    read: Option<Read>,
    hosts: Hosts,
    /// What was read, since it is being applied.
    applying: Option<Box<(Applying, Aftermath)>>,
}

/// What is to be said and done once what was read has been applied.
struct Aftermath {
    kept: Option<String>,
    dropped: Option<String>,
    lock: Option<Arc<RunLock>>,
}

impl<E: From<ConfigError> + Send + 'static> Reading<E> {
    pub(super) fn of(errand: Errand<Result<Read, E>>) -> Self {
        Self {
            errand,
            read: None,
            hosts: Hosts::default(),
            applying: None,
        }
    }

    /// Whether files that were to be read have not been, for so long that nobody is to wait for them any more. To be
    /// asked where there is no outcome yet.
    pub(super) fn is_late(&mut self, now: Time) -> bool {
        self.read.is_none() && self.errand.is_late(now)
    }

    /// A role is over that may have begun meanwhile.
    pub(super) fn note_end(&mut self, role: RoleId, end: &End) {
        if let Some(applying) = &mut self.applying {
            applying.0.note_end(role, end);
        }
    }

    /// What files say, once all is known that it takes to apply that. `taken`: where the roles that they make are to
    /// begin to listen, as things are now.
    pub(super) fn outcome(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        taken: impl FnOnce(&[Member]) -> Vec<Endpoint>,
    ) -> Option<Result<Read, E>> {
        if self.read.is_none() {
            match self.errand.outcome()? {
                Ok(Ok(read)) => self.read = Some(read),
                Ok(Err(error)) => return Some(Err(error)),
                Err(broken) => {
                    let text = format!("reading it {broken}\n");
                    return Some(Err(ConfigError::Mistakes(text).into()));
                }
            }
        }
        if !self.hosts.are_known() {
            return None;
        }
        // Meanwhile one may have come to its end that begins anew by this.
        let places = taken(&self.read.as_ref()?.members);
        self.hosts.want(reactor, &places);
        if !self.hosts.are_known() {
            return None;
        }
        let mut read = self.read.take()?;
        read.hosts = self.hosts.take();
        Some(Ok(read))
    }
}

/// What files say now.
pub(super) struct Read {
    pub(super) members: Vec<Member>,
    pub(super) globals: Globals,
    /// The run file, where there is one.
    pub(super) file: Option<Box<RunFile>>,
    /// The addresses of names at which roles begin to listen.
    pub(super) hosts: Vec<Known>,
    /// Whether each role was to run, by what its file said when it was last looked at before.
    pub(super) said: Vec<(String, bool)>,
    /// The destinations whose sections go out of the file.
    pub(super) gone: Vec<String>,
    /// What was changed on the page, and does not stand in the file.
    pub(super) kept: Option<String>,
    /// What was changed on the page, and stands nowhere any more.
    pub(super) dropped: Option<String>,
    /// The run file is kept from now on, by this process alone.
    pub(super) lock: Option<Arc<RunLock>>,
}

impl Read {
    /// What a run file says.
    pub(super) fn of(mut file: RunFile) -> Self {
        Self {
            hosts: Vec::new(),
            members: std::mem::take(&mut file.members),
            globals: file.globals.clone(),
            file: Some(Box::new(file)),
            said: Vec::new(),
            gone: Vec::new(),
            kept: None,
            dropped: None,
            lock: None,
        }
    }
}

impl Origin {
    /// Reads all files again. What is still `meant` to be written is read as if it was. A run file that is to be kept
    /// from now on is locked; `lock` is where that may be so still.
    fn read_again(
        &self,
        limit: &Limit,
        wake: Wake,
        meant: Option<Meant>,
        lock: Option<Weak<RunLock>>,
    ) -> Result<Errand<Result<Read, ConfigError>>, String> {
        match self {
            Self::File(file) => {
                let origin = file.origin();
                Errand::begin(limit, "run file", wake, move || match meant {
                    Some(meant) => meant.read(&origin),
                    None => {
                        let file = origin.load()?;
                        let lock = match lock {
                            Some(lock) if file.saves => lock_again(&file.path, &lock)?,
                            _ => None,
                        };
                        Ok(Read {
                            lock,
                            ..Read::of(file)
                        })
                    }
                })
            }
            Self::Line(origin) => {
                let origin = origin.clone();
                Errand::begin(limit, "files", wake, move || {
                    let config = origin.load()?;
                    Ok(Read {
                        members: vec![Member::alone(config.run, config.certificates)],
                        globals: config.globals,
                        file: None,
                        hosts: Vec::new(),
                        said: Vec::new(),
                        gone: Vec::new(),
                        kept: None,
                        dropped: None,
                        lock: None,
                    })
                })
            }
        }
    }
}

impl Fleet {
    /// Reads all files again. `asked`: who waits for what comes of it.
    #[inline(never)]
    pub(super) fn begin_reload(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        asked: Option<(RoleId, Ticket)>,
    ) {
        if self.reading.is_some() {
            // What has been read by now may be older than what is asked for.
            let next = self.next_reading.get_or_insert_default();
            match asked {
                Some(by) if next.len() >= WAITING_MAX => {
                    answer_all(reactor, vec![by], &TabReply::Refused(CROWDED.to_owned()));
                }
                asked => next.extend(asked),
            }
            return;
        }
        // Their thread says how it goes, and one that is wrong keeps nothing else from being read.
        if self.is_alone {
            self.posts.renew_certificates();
        }
        let waiting: Vec<_> = asked.into_iter().collect();
        let meant = self.scribe.as_ref().map(Scribe::meant);
        let has_page = self.console().is_some();
        let lock = has_page.then(|| Weak::clone(&self.lock));
        let wake = reactor.waker();
        match self.origin.read_again(&self.readers, wake, meant, lock) {
            Ok(reading) => {
                self.readings += 1;
                self.reading = Some((Reading::of(reading), waiting));
            }
            Err(text) => {
                log::warn!("hydrant: {text}; nothing changes");
                answer_all(reactor, waiting, &TabReply::Refused(text));
            }
        }
    }

    /// Applies what files say once they have been read.
    pub(super) fn end_reload(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some((reading, waiting)) = &mut self.reading else {
            return;
        };
        if let Some(applying) = reading.applying.take() {
            return self.reload_some(reactor, *applying);
        }
        let taken = |members: &[Member]| match self.is_alone {
            // It goes on listening where it does.
            true => Vec::new(),
            false => places_to_take(&self.posts, members, None, true),
        };
        let read = match reading.outcome(reactor, taken) {
            Some(read) => read,
            None if reading.is_late(reactor.now()) => {
                // The next reading would be known only when nobody waits for it any more.
                waiting.extend(self.next_reading.take().unwrap_or_default());
                Err(ConfigError::Mistakes(LATE.to_owned()))
            }
            None => return,
        };
        match read {
            Ok(read) if !self.is_alone => self.reload(reactor, read),
            Err(error) if !self.is_alone => self.say_reloaded(reactor, Err(error.to_string())),
            read => {
                let reply = self.renew(reactor, read);
                self.conclude_reload(reactor, &reply);
            }
        }
    }

    /// How the reading of its files goes.
    pub(in crate::app) fn readings(&self) -> Readings {
        Readings {
            begun: self.readings,
            under_way: self.reading.is_some(),
        }
    }

    /// Whether what was read is being applied.
    pub(super) fn is_applying(&self) -> bool {
        let reading = self.reading.as_ref();
        reading.is_some_and(|(reading, _)| reading.applying.is_some())
    }

    /// Whether files are being read, which may take too long.
    pub(super) fn is_reading(&self) -> bool {
        let is_making = self.scribe.as_ref().is_some_and(Scribe::is_making);
        is_making || self.reading.is_some() && !self.is_applying()
    }

    /// The process stops: what is being applied is taken back, and what is being read never is.
    pub(super) fn give_up_reload(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some((reading, mut waiting)) = self.reading.take() else {
            return;
        };
        if let Some(applying) = reading.applying {
            applying.0.take_back(reactor);
        }
        waiting.extend(self.next_reading.take().unwrap_or_default());
        answer_all(reactor, waiting, &TabReply::Refused(STOPS.to_owned()));
    }

    fn conclude_reload(&mut self, reactor: &mut Reactor<RoleSet>, reply: &TabReply) {
        let (_, waiting) = self.reading.take().expect("it has just been read");
        answer_all(reactor, waiting, reply);
        if let Some(asked) = self.next_reading.take() {
            self.begin_reload(reactor, None);
            if let Some((_, waiting)) = &mut self.reading {
                waiting.extend(asked);
            } else {
                let text = "the files could not be read again".to_owned();
                answer_all(reactor, asked, &TabReply::Refused(text));
            }
        }
    }

    /// A run file has been read: what runs is to be what it says.
    fn reload(&mut self, reactor: &mut Reactor<RoleSet>, mut read: Read) {
        let aftermath = Aftermath {
            kept: read.kept.take(),
            dropped: read.dropped.take(),
            lock: read.lock.take(),
        };
        self.forget_unsaid(std::mem::take(&mut read.said));
        let applying = self.begin_applying(reactor, read, true);
        self.reload_some(reactor, (applying, aftermath));
    }

    /// Applies some more of it.
    fn reload_some(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        (applying, aftermath): (Applying, Aftermath),
    ) {
        let applied = match self.apply_some(reactor, applying, SLICE) {
            Ok(applying) => {
                if let Some((reading, _)) = &mut self.reading {
                    reading.applying = Some(Box::new((applying, aftermath)));
                }
                return;
            }
            Err(applied) => applied,
        };
        let Aftermath {
            lock,
            dropped,
            kept,
        } = aftermath;
        let lock = match &applied {
            Ok(_) => lock,
            Err(_) => {
                give_back(lock);
                None
            }
        };
        let applied = applied.map(|done| {
            self.keep_file(reactor, lock);
            if let Some(dropped) = dropped {
                log::warn!("hydrant: {DROPPED}: {dropped}");
            }
            match kept {
                Some(kept) => format!("{done}; {KEPT}: {kept}"),
                None => done,
            }
        });
        self.say_reloaded(reactor, applied);
    }

    fn say_reloaded(&mut self, reactor: &mut Reactor<RoleSet>, applied: Result<String, String>) {
        reactor.know_hosts([]);
        let reply = match applied {
            Ok(text) => {
                self.reloads.0 += 1;
                log::info!("hydrant: run file read again: {text}");
                TabReply::Done
            }
            Err(text) => {
                self.reloads.1 += 1;
                for line in text.lines() {
                    log::warn!("hydrant: {line}");
                }
                log::warn!("hydrant: the run file was not applied; nothing has changed");
                TabReply::Refused(text)
            }
        };
        self.conclude_reload(reactor, &reply);
    }

    /// The files of a role that runs alone have been read: it goes on with what they say.
    fn renew(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Result<Read, ConfigError>,
    ) -> TabReply {
        let Some(mut post) = self.posts.pop() else {
            return TabReply::Done;
        };
        let (post, reply) = match read.map(|read| read.members.into_iter().next()) {
            Ok(Some(mut member)) => match change(&post.member, &mut member) {
                // Nothing of it that a file does not say can be another.
                Change::None | Change::Anew | Change::Stop | Change::Rest => (post, TabReply::Done),
                how => {
                    post.change(reactor, how, member);
                    (post, TabReply::Done)
                }
            },
            Ok(None) => (post, TabReply::Done),
            // The thread that watches certificates has said so.
            Err(error @ ConfigError::Certificates(_)) => {
                (post, TabReply::Refused(error.to_string()))
            }
            Err(error) => {
                let kept = match error.is_about_tokens() {
                    true => TOKENS_KEPT,
                    false => "what was read before stays in use",
                };
                log::warn!("{}: {error}; {kept}", post.member.label());
                (post, TabReply::Refused(error.to_string()))
            }
        };
        self.posts.push(post);
        reply
    }
}

/// Locks a run file that was not kept until now; or keeps the lock that there still is, since the last text is being
/// written.
fn lock_again(path: &Path, lock: &Weak<RunLock>) -> Result<Option<Arc<RunLock>>, ConfigError> {
    if let Some(lock) = lock.upgrade() {
        return Ok(Some(lock));
    }
    let lock = lock_run_file(path).map_err(ConfigError::Mistakes)?;
    Ok(lock.map(Arc::new))
}

fn answer_all(reactor: &mut Reactor<RoleSet>, waiting: Vec<(RoleId, Ticket)>, reply: &TabReply) {
    for (by, ticket) in waiting {
        reactor.answer(by, ticket, Reply::Tab(reply.clone()));
    }
}

/// Who may wait for the next reading.
const WAITING_MAX: usize = 256;
const CROWDED: &str = "too many wait for the run file to be read again: try again";
const KEPT: &str = "what was changed on the page and could not be saved is kept";
const DROPPED: &str = "somebody else has changed the run file, so that \
    changes on the page which could not be saved are gone";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::app::errand::FEW;
    use crate::app::errand::tests::held_within;
    use crate::app::fleet::tests::{Rig, relay};
    use crate::app::tests::DEADLINE;
    use crate::reactor::Turn;

    /// Where a disk hangs whoever waits is told so, and what is asked for later is read, until too many hang.
    #[test]
    fn files_that_are_never_read_hold_up_nobody_for_ever() {
        let mut rig = Rig::new(&relay("a", ""));
        let page = rig.fleet.console().expect("there is a page");
        let refused = |rig: &Rig| -> Vec<String> {
            let all = rig.reactor.answers().filter_map(|reply| match reply {
                Reply::Tab(TabReply::Refused(text)) => Some(text.clone()),
                _ => None,
            });
            all.collect()
        };
        let mut gates = Vec::new();
        for times in 1..=FEW as u64 {
            let Origin::File(file) = &rig.fleet.origin else {
                panic!("it is a file");
            };
            let (origin, text) = (file.origin(), rig.saved());
            let (errand, go, over) =
                held_within(&rig.fleet.readers, move || origin.with(text).map(Read::of));
            gates.push((go, over));
            let mut reading = Reading::of(errand);
            rig.reactor.turn(&mut Vec::new()).expect("it can wait");
            reading.errand.patience = Duration::ZERO;
            rig.fleet.reading = Some((reading, vec![(page, Ticket(7))]));
            rig.fleet
                .begin_reload(&mut rig.reactor, Some((page, Ticket(8))));
            rig.between(&Turn::Going);
            assert!(rig.fleet.reading.is_none());
            assert_eq!(rig.fleet.reloads, (0, times));
            assert_eq!(refused(&rig), [LATE, LATE], "those behind it, too");
        }
        rig.reactor.turn(&mut Vec::new()).expect("it can wait");
        rig.fleet
            .begin_reload(&mut rig.reactor, Some((page, Ticket(9))));
        assert!(rig.fleet.reading.is_none());
        let refused = refused(&rig).pop().expect("it is refused");
        assert!(refused.contains(" are not over yet: "), "{refused}");
        // What comes late is not looked at, and makes room.
        for (go, over) in gates {
            go.send(()).expect("it waits");
            over.recv_timeout(DEADLINE).expect("it ends");
        }
        fs::write(rig.path(), rig.saved() + &relay("b", "")).expect("it can be written");
        rig.between(&Turn::Reloading);
        rig.until("read", |rig| rig.is_idle());
        assert_eq!(
            (rig.fleet.reloads, rig.fleet.posts.len()),
            ((1, FEW as u64), 2)
        );
    }

    #[test]
    fn no_more_than_so_many_wait_for_the_next_reading() {
        let mut rig = Rig::new(&relay("a", ""));
        let page = rig.fleet.console().expect("there is a page");
        for ticket in 0..300 {
            let by = (page, Ticket(ticket));
            rig.fleet.begin_reload(&mut rig.reactor, Some(by));
        }
        let next = rig.fleet.next_reading.as_ref().map(Vec::len);
        assert_eq!(next, Some(WAITING_MAX));
        assert_eq!(rig.reactor.answers().count(), 300 - 1 - WAITING_MAX);
        rig.until("read twice", |rig| rig.is_idle());
        assert_eq!(rig.fleet.reloads, (2, 0));
    }
}
