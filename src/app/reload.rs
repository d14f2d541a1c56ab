//! The run file, or the files that a command line names, read again: in a thread, since files take as long as they
//! like, and then applied as the difference to what runs. What has not changed is not touched.
//!
//! ```text
//!   SIGHUP ──> read in a thread ──mistakes──> said, nothing changes
//!                   └──> names of new places are looked up
//!                   └──> new places are listened at ──can't──> said, nothing changes
//!                             └──> those that are gone or other are told to stop; new ones begin; options change
//! ```

use super::RoleSet;
use super::change::{Change, change};
use super::control::set_tokens;
use super::errand::{Broken, Errand, Hosts, Known};
use super::fleet::{Fleet, Origin};
use super::plan::{Step, begin_all, places_to_take, plan, reserve_all, summary};
use super::posts::{Post, Standing};
use super::scribe::Scribe;
use super::unsaved::Meant;
use crate::base::endpoint::Endpoint;
use crate::config::{ConfigError, Globals, Member, Run, RunFile};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::{Signal, Wake};
use crate::reactor::tabs::TabReply;
use crate::reactor::{Event, Reactor, RoleId};
use crate::roles::relay::config::DumpFormat;

/// Files that are being read, and then the names at which roles are to begin.
pub(super) struct Reading {
    errand: Errand<Result<Read, ConfigError>>,
    read: Option<Read>,
    hosts: Hosts,
}

impl Reading {
    pub(super) fn of(errand: Errand<Result<Read, ConfigError>>) -> Self {
        Self {
            errand,
            read: None,
            hosts: Hosts::default(),
        }
    }

    /// What files say, once all is known that it takes to apply that. `taken`: where the roles that they make are to
    /// begin to listen, as things are now.
    pub(super) fn outcome(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        taken: impl FnOnce(&[Member]) -> Vec<Endpoint>,
    ) -> Option<Result<Read, ConfigError>> {
        if self.read.is_none() {
            match self.errand.outcome()? {
                Ok(Ok(read)) => self.read = Some(read),
                Ok(Err(error)) => return Some(Err(error)),
                Err(Broken) => {
                    let text = "reading it broke off\n".to_owned();
                    return Some(Err(ConfigError::Mistakes(text)));
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
    /// What was changed on the page, and stands nowhere any more.
    pub(super) dropped: Option<String>,
}

impl Read {
    /// What a run file says.
    pub(super) fn of(mut file: RunFile) -> Self {
        Self {
            hosts: Vec::new(),
            members: std::mem::take(&mut file.members),
            globals: file.globals.clone(),
            file: Some(Box::new(file)),
            dropped: None,
        }
    }
}

impl Origin {
    /// Reads all files again. What is still `meant` to be written is read as if it was.
    fn read_again(
        &self,
        wake: Wake,
        meant: Option<Meant>,
    ) -> Result<Errand<Result<Read, ConfigError>>, String> {
        match self {
            Self::File(file) => {
                let origin = file.origin();
                Errand::begin("run file", wake, move || match meant {
                    Some(meant) => meant.read(&origin),
                    None => origin.load().map(Read::of),
                })
            }
            Self::Line(origin) => {
                let origin = origin.clone();
                Errand::begin("files", wake, move || {
                    let config = origin.load()?;
                    Ok(Read {
                        members: vec![Member::alone(config.run, config.certificates)],
                        globals: config.globals,
                        file: None,
                        hosts: Vec::new(),
                        dropped: None,
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
            return self.next_reading.get_or_insert_default().extend(asked);
        }
        // Their thread says how it goes, and one that is wrong keeps nothing else from being read.
        if self.is_alone {
            self.posts.renew_certificates();
        }
        let waiting: Vec<_> = asked.into_iter().collect();
        let meant = self.scribe.as_ref().map(Scribe::meant);
        match self.origin.read_again(reactor.waker(), meant) {
            Ok(reading) => self.reading = Some((Reading::of(reading), waiting)),
            Err(text) => {
                log::warn!("hydrant: {text}; nothing changes");
                answer_all(reactor, waiting, &TabReply::Refused(text));
            }
        }
    }

    /// Applies what files say once they have been read.
    pub(super) fn end_reload(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some((reading, _)) = &mut self.reading else {
            return;
        };
        let taken = |members: &[Member]| match self.is_alone {
            // It goes on listening where it does.
            true => Vec::new(),
            false => places_to_take(&self.posts, members, None, true),
        };
        let Some(read) = reading.outcome(reactor, taken) else {
            return;
        };
        let (_, waiting) = self.reading.take().expect("it was just asked");
        let reply = match self.is_alone {
            true => self.renew(reactor, read),
            false => self.reload(reactor, read),
        };
        answer_all(reactor, waiting, &reply);
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
    fn reload(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Result<Read, ConfigError>,
    ) -> TabReply {
        let applied = read.map_err(|error| error.to_string());
        let applied = applied.and_then(|mut read| {
            let dropped = read.dropped.take();
            self.forget_unsaid();
            let said = self.apply(reactor, read, true)?;
            self.keep_file(reactor);
            if let Some(dropped) = dropped {
                log::warn!("hydrant: {DROPPED}: {dropped}");
            }
            Ok(said)
        });
        reactor.know_hosts([]);
        match applied {
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
        }
    }

    /// The files of a role that runs alone have been read: it goes on with what they say.
    fn renew(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Result<Read, ConfigError>,
    ) -> TabReply {
        let Some(post) = self.posts.pop() else {
            return TabReply::Done;
        };
        let (post, reply) = match read.map(|read| read.members.into_iter().next()) {
            Ok(Some(mut member)) => match change(&post.member, &mut member) {
                // Nothing of it that a file does not say can be another.
                Change::None | Change::Anew | Change::Stop | Change::Rest => (post, TabReply::Done),
                how => (post.changed(reactor, how, member), TabReply::Done),
            },
            Ok(None) => (post, TabReply::Done),
            // The thread that watches certificates has said so.
            Err(error @ ConfigError::Certificates(_)) => {
                (post, TabReply::Refused(error.to_string()))
            }
            Err(error) => {
                let kept = match error.is_about_tokens() {
                    true => "the tokens that it had are kept",
                    false => "what was read before stays in use",
                };
                log::warn!("{}: {error}; {kept}", post.member.label());
                (post, TabReply::Refused(error.to_string()))
            }
        };
        self.posts.push(post);
        reply
    }

    /// Makes what runs what the file says: "2 begun, 1 changed, 0 stopped, 4 untouched".
    pub(super) fn apply(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Read,
        is_reread: bool,
    ) -> Result<String, String> {
        let Read {
            members,
            globals,
            file,
            hosts,
            dropped: _,
        } = read;
        reactor.know_hosts(hosts);
        let mut steps = plan(&self.posts, &members, is_reread);
        let goes = |index: &usize| {
            let kept = |step: &Step| step.old == Some(*index) && step.change != Change::Anew;
            !steps.iter().any(kept)
        };
        let gone: Vec<usize> = (0..self.posts.len()).filter(goes).collect();
        let roles = gone.iter().filter_map(|at| self.posts[*at].role());
        let stops = |step: &&Step| step.change == Change::Stop;
        let stopped = steps
            .iter()
            .filter(stops)
            .filter_map(|step| self.posts[step.old?].role());
        // What they listen at can be had.
        let leaving: Vec<RoleId> = roles.chain(stopped).collect();
        // Those who were told already go on going.
        let told = |role: &&RoleId| {
            let is_it =
                |post: &Post| matches!(post.standing, Standing::Told(told) if told == **role);
            self.posts.iter().any(is_it)
        };
        let tell: Vec<RoleId> = leaving.iter().filter(|role| !told(role)).copied().collect();
        let before: Vec<Option<RoleId>> = self.posts.iter().map(Post::role).collect();
        if let Err((at, text)) = reserve_all(reactor, &mut steps, &before, &leaving) {
            return Err(format!("{}: {text}", steps[at].member.label()));
        }
        let lent = self.give_up_stdout(reactor, &steps);
        let begun = match begin_all(reactor, &mut steps) {
            Ok(begun) => begun,
            Err(text) => {
                for (role, format) in lent {
                    reactor.with(role, |role, cx| role.dump(cx, Some(format)));
                }
                return Err(text);
            }
        };
        // From here on nothing can fail that would have to be taken back.
        for role in tell {
            reactor.tell(role, Event::Drain(Signal::Reload));
        }
        let gone: Vec<RoleId> = gone.iter().filter_map(|at| before[*at]).collect();
        let text = summary(&steps, gone.len());
        self.leaving.extend(gone);
        self.settle(reactor, steps, begun);
        if is_reread {
            self.posts.renew_certificates();
        }
        self.take_over(reactor, globals, file);
        Ok(text)
    }

    /// What runs is what was planned.
    fn settle(&mut self, reactor: &mut Reactor<RoleSet>, steps: Vec<Step>, begun: Vec<Post>) {
        let mut old: Vec<Option<Post>> = self.posts.drain(..).map(Some).collect();
        let mut begun = begun.into_iter();
        for step in steps {
            let kept = step.old.and_then(|at| old[at].take());
            let post = match (step.change, kept) {
                (Change::Anew, before) => {
                    let post = begun.next().expect("each was begun");
                    post.after(before.as_ref(), &mut self.posts.next_id)
                }
                (Change::Rest | Change::Stop, Some(post)) => post.rests(step.member),
                (change, Some(post)) => post.changed(reactor, change, step.member),
                (_, None) => Post::resting(step.member).after(None, &mut self.posts.next_id),
            };
            self.posts.push(post);
        }
    }

    /// What holds for the whole process: the tokens of the page, and whether it changes the file, at once; the rest
    /// from the next start on.
    fn take_over(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        globals: Globals,
        file: Option<Box<RunFile>>,
    ) {
        if let (Origin::File(old), Some(new)) = (&mut self.origin, file) {
            if let (Some(now), Some(new)) = (&mut old.globals.console, &globals.console)
                && new.token.is_some()
            {
                now.token.clone_from(&new.token);
                now.view_token.clone_from(&new.view_token);
            }
            if old.globals != globals {
                let text = "[log], [metrics], [console] and busy-poll hold from the next start on";
                log::warn!("hydrant: {text}");
            }
            *old = new;
        }
        if let (Some(console), Some(role)) = (globals.console, self.console()) {
            set_tokens(reactor, role, console);
        }
    }

    /// Stdout can be had once: a dump that ends, or goes on elsewhere, ends before another begins. Whose it was.
    fn give_up_stdout(
        &self,
        reactor: &mut Reactor<RoleSet>,
        steps: &[Step],
    ) -> Vec<(RoleId, DumpFormat)> {
        let goes_on = |at: usize| {
            steps.iter().any(|step| {
                let dumps = matches!(&step.member.run, Run::Relay(relay) if relay.dump.is_some());
                step.old == Some(at) && step.change != Change::Anew && dumps
            })
        };
        let all = self.posts.iter().enumerate();
        let lent: Vec<(RoleId, DumpFormat)> = all
            .filter(|(at, _)| !goes_on(*at))
            .filter_map(|(_, post)| post.dumps(reactor))
            .collect();
        for (role, _) in &lent {
            reactor.with(*role, |role, cx| role.dump(cx, None));
        }
        lent
    }
}

fn answer_all(reactor: &mut Reactor<RoleSet>, waiting: Vec<(RoleId, Ticket)>, reply: &TabReply) {
    for (by, ticket) in waiting {
        reactor.answer(by, ticket, Reply::Tab(reply.clone()));
    }
}

const DROPPED: &str = "somebody else has changed the run file, so that \
    changes on the page which could not be saved are gone";
