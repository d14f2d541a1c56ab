//! The run file, read again: in a thread, since files and names take as long as they like, and then applied as the
//! difference to what runs. What has not changed is not touched.
//!
//! ```text
//!   SIGHUP ──> read in a thread ──mistakes──> said, nothing changes
//!                   └──> new places are listened at ──can't──> said, nothing changes
//!                             └──> those that are gone or other are told to stop; new ones begin; options change
//! ```

use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use super::RoleSet;
use super::certificates::Watch;
use super::fleet::{Fleet, Post, reserve};
use crate::base::endpoint::{Endpoint, Host};
use crate::config::{ConfigError, Member, Run, RunFile};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::{Signal, Wake};
use crate::reactor::{End, Event, Reactor, Reserved, RoleId, mio_net};
use crate::roles::relay::config::Source;

/// A file that is being read.
pub(super) struct Reading(Receiver<Result<Read, ConfigError>>);

/// A file that has been read.
pub(super) struct Read {
    pub(super) file: RunFile,
    /// The addresses of names at which its roles listen.
    pub(super) hosts: Vec<(String, Vec<IpAddr>)>,
}

impl Reading {
    /// Reads the file from which these roles came.
    pub(super) fn begin(old: &RunFile, wake: Wake) -> Result<Self, String> {
        let (done, reading) = mpsc::channel();
        let old = old.origin();
        let read = move || {
            let read = old.load().map(|file| Read {
                hosts: hosts(&file),
                file,
            });
            // Whoever asked may have gone.
            let _ = done.send(read);
            wake();
        };
        thread::Builder::new()
            .name("run file".to_owned())
            .spawn(read)
            .map_err(|error| format!("can't read the run file: {error}"))?;
        Ok(Self(reading))
    }

    /// What came of it, once something has.
    pub(super) fn outcome(&self) -> Option<Result<Read, ConfigError>> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ConfigError::Mistakes(
                "reading it broke off\n".to_owned(),
            ))),
        }
    }
}

/// A name that has no address now is looked up again by whoever needs it, and says so.
fn hosts(file: &RunFile) -> Vec<(String, Vec<IpAddr>)> {
    let places = file.members.iter().flat_map(|member| member.run.listens());
    let names = places.filter_map(|at| match at {
        Endpoint::Tcp {
            host: Host::Name(name),
            ..
        } => Some(name.clone()),
        _ => None,
    });
    names
        .filter_map(|name| Some((name.clone(), mio_net::look_up(&name).ok()?)))
        .collect()
}

/// What is to be done to one role, and what it will be.
struct Step {
    member: Member,
    /// Its place among those that run, if it is one of them.
    old: Option<usize>,
    change: Change,
    reserved: Vec<Reserved>,
}

impl Fleet {
    /// Reads the run file again. `asked`: who waits for what comes of it.
    pub(super) fn begin_reload(
        &mut self,
        reactor: &Reactor<RoleSet>,
        asked: Option<(RoleId, Ticket)>,
    ) {
        let Some(file) = &self.file else { return };
        let mut waiting: Vec<_> = asked.into_iter().collect();
        if let Some((_, others)) = self.reading.take() {
            // What was read may be older than what was asked for now.
            waiting.extend(others);
        }
        match Reading::begin(file, reactor.waker()) {
            Ok(reading) => self.reading = Some((reading, waiting)),
            Err(text) => log::warn!("hydrant: {text}; nothing changes"),
        }
    }

    /// Applies the file once it has been read.
    pub(super) fn end_reload(&mut self, reactor: &mut Reactor<RoleSet>) {
        let outcome = self
            .reading
            .as_ref()
            .and_then(|(reading, _)| reading.outcome());
        let Some(outcome) = outcome else { return };
        let waiting = self.reading.take().map(|(_, waiting)| waiting);
        let applied = outcome
            .map_err(|error| error.to_string())
            .and_then(|read| self.apply(reactor, read));
        let reply = match applied {
            Ok(text) => {
                self.reloads.0 += 1;
                log::info!("hydrant: run file read again: {text}");
                Reply::Done
            }
            Err(text) => {
                self.reloads.1 += 1;
                for line in text.lines() {
                    log::warn!("hydrant: {line}");
                }
                log::warn!("hydrant: the run file was not applied; nothing has changed");
                Reply::Refused(text)
            }
        };
        for (by, ticket) in waiting.into_iter().flatten() {
            reactor.answer(by, ticket, reply.clone());
        }
    }

    /// Makes what runs what the file says: "2 begun, 1 changed, 0 stopped, 4 untouched".
    fn apply(&mut self, reactor: &mut Reactor<RoleSet>, read: Read) -> Result<String, String> {
        let Read { mut file, hosts } = read;
        reactor.know_hosts(hosts);
        let members = std::mem::take(&mut file.members);
        let mut steps = self.plan(&members);
        let goes = |index: &usize| {
            let kept = |step: &Step| step.old == Some(*index) && step.change != Change::Anew;
            !steps.iter().any(kept)
        };
        let gone: Vec<usize> = (0..self.posts.len()).filter(goes).collect();
        let leaving: Vec<RoleId> = gone
            .iter()
            .filter_map(|at| self.posts[*at].role())
            .collect();
        let before: Vec<Option<RoleId>> = self.posts.iter().map(Post::role).collect();
        reserve_all(reactor, &mut steps, &before, &leaving)?;
        let begun = begin_all(reactor, &mut steps)?;
        // From here on nothing can fail that would have to be taken back.
        for role in &leaving {
            reactor.tell(*role, Event::Drain(Signal::Reload));
        }
        self.leaving.extend(&leaving);
        let count = |wanted: &[Change]| {
            steps
                .iter()
                .filter(|step| wanted.contains(&step.change))
                .count()
        };
        let text = format!(
            "{} begun, {} changed, {} stopped, {} untouched",
            count(&[Change::Anew]),
            count(&[Change::Options, Change::Source]),
            gone.len(),
            count(&[Change::None])
        );
        let mut old: Vec<Option<Post>> = self.posts.drain(..).map(Some).collect();
        let mut begun = begun.into_iter();
        for step in steps {
            let kept = step.old.and_then(|at| old[at].take());
            let post = match (step.change, kept) {
                (Change::Anew, _) | (_, None) => begun.next().expect("each was begun"),
                (change, Some(post)) => post.changed(reactor, change, step.member),
            };
            self.posts.push(post);
        }
        for post in &self.posts {
            post.watch.iter().for_each(Watch::reload);
        }
        let globals = file.globals.clone();
        if self.file.as_ref().is_some_and(|old| old.globals != globals) {
            log::warn!("hydrant: [log], [metrics] and busy-poll hold from the next start on");
        }
        file.members = members;
        self.file = Some(file);
        Ok(text)
    }

    fn plan(&self, members: &[Member]) -> Vec<Step> {
        let step = |member: &Member| {
            let mut member = member.clone();
            let old = self
                .posts
                .iter()
                .position(|post| post.member.name == member.name);
            let change = old.map_or(Change::Anew, |at| {
                change(&self.posts[at].member, &mut member)
            });
            Step {
                member,
                old,
                change,
                reserved: Vec::new(),
            }
        };
        members.iter().map(step).collect()
    }
}

/// Listens for all that begin, at places of theirs or of those who go.
fn reserve_all(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
    before: &[Option<RoleId>],
    leaving: &[RoleId],
) -> Result<(), String> {
    let mut failed = None;
    for step in steps.iter_mut().filter(|step| step.change == Change::Anew) {
        let own = step.old.and_then(|at| before[at]);
        match reserve(reactor, &step.member, own, leaving) {
            Ok(reserved) => step.reserved = reserved,
            Err(text) => {
                failed = Some(format!("{}: {text}", step.member.label()));
                break;
            }
        }
    }
    let Some(text) = failed else { return Ok(()) };
    let reserved = steps
        .iter_mut()
        .flat_map(|step| std::mem::take(&mut step.reserved));
    reactor.cancel(reserved.collect());
    Err(text)
}

/// Begins all that are new or other. Where one can't, those before it end at once, and nothing has changed.
fn begin_all(reactor: &mut Reactor<RoleSet>, steps: &mut [Step]) -> Result<Vec<Post>, String> {
    let mut begun: Vec<Post> = Vec::new();
    let mut failed = None;
    for step in steps.iter_mut().filter(|step| step.change == Change::Anew) {
        let reserved = std::mem::take(&mut step.reserved);
        if failed.is_some() {
            reactor.cancel(reserved);
            continue;
        }
        match Post::begin(reactor, step.member.clone(), reserved) {
            Ok(post) => begun.push(post),
            Err(text) => failed = Some(format!("{}: {text}", step.member.label())),
        }
    }
    let Some(text) = failed else { return Ok(begun) };
    for role in begun.iter().filter_map(Post::role) {
        reactor.with(role, |_, cx| cx.finish(End::Done));
    }
    Err(text)
}

/// What becomes of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Its options change in place.
    Options,
    /// So do they, and it dials another source while its clients stay.
    Source,
    /// It is begun anew.
    Anew,
}

/// What it takes to make one role out of another of the same name. What `new` shares with `old` is taken over by it:
/// certificates that come from the same files are read again by themselves.
pub(super) fn change(old: &Member, new: &mut Member) -> Change {
    let same_files = match (&old.certificates, &new.certificates) {
        (Some(old), Some(new)) => old.has_files_of(new),
        (None, None) => true,
        _ => false,
    };
    if !same_files {
        return Change::Anew;
    }
    new.certificates = old.certificates.clone();
    match (&old.run, &mut new.run) {
        (Run::Relay(old), Run::Relay(new)) => {
            new.tls = old.tls.clone();
            let mut changed = old.with_live_of(new);
            if *old == *new {
                Change::None
            } else if changed == **new {
                Change::Options
            } else {
                let both_dial = matches!(
                    (&old.source, &new.source),
                    (Source::Dial(_), Source::Dial(_))
                );
                changed.source = new.source.clone();
                match both_dial && changed == **new {
                    true => Change::Source,
                    false => Change::Anew,
                }
            }
        }
        (Run::HubServe { config: old, .. }, Run::HubServe { config: new, .. }) => {
            new.tls = old.tls.clone();
            in_place(&**old, &old.with_live_of(new), &**new)
        }
        (Run::TunnelExpose(old), Run::TunnelExpose(new)) => {
            new.tls = old.tls.clone();
            in_place(old, old, new)
        }
        (Run::TunnelServe { config: old, .. }, Run::TunnelServe { config: new, .. }) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            if changed.tokens.is_some() == new.tokens.is_some() {
                changed.tokens = new.tokens.clone();
            }
            in_place(old, &changed, new)
        }
        (Run::WsRelay { config: old, .. }, Run::WsRelay { config: new, .. }) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            if changed.tokens.is_some() == new.tokens.is_some() {
                changed.tokens = new.tokens.clone();
            }
            in_place(old, &changed, new)
        }
        (Run::WsAdapter(old), Run::WsAdapter(new)) => {
            new.tls = old.tls.clone();
            in_place(old, old, new)
        }
        (old, new) if old == new => Change::None,
        _ => Change::Anew,
    }
}

/// As above, for orders of one kind: `changed` are the old ones, with all of the new that can change in place.
fn in_place<T: PartialEq>(old: &T, changed: &T, new: &T) -> Change {
    if old == new {
        Change::None
    } else if changed == new {
        Change::Options
    } else {
        Change::Anew
    }
}
