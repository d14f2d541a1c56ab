//! The run file, or the files that a command line names, read again: in a thread, since files and names take as long as
//! they like, and then applied as the difference to what runs. What has not changed is not touched.
//!
//! ```text
//!   SIGHUP ──> read in a thread ──mistakes──> said, nothing changes
//!                   └──> new places are listened at ──can't──> said, nothing changes
//!                             └──> those that are gone or other are told to stop; new ones begin; options change
//! ```

use super::RoleSet;
use super::certificates::Watch;
use super::change::{Change, change};
use super::errand::{Broken, Errand, Known, look_up};
use super::fleet::{Fleet, Origin, Post, reserve};
use crate::base::endpoint::Endpoint;
use crate::config::{ConfigError, Globals, Member, Run, RunFile};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::{Signal, Wake};
use crate::reactor::tabs::TabReply;
use crate::reactor::{End, Event, Reactor, Reserved, RoleId};
use crate::roles::relay::config::DumpFormat;

/// Files that are being read.
pub(super) type Reading = Errand<Result<Read, ConfigError>>;

/// What files say now.
pub(super) struct Read {
    members: Vec<Member>,
    globals: Globals,
    /// The run file, where there is one.
    file: Option<Box<RunFile>>,
    /// The addresses of names at which its roles listen.
    hosts: Vec<Known>,
}

impl Origin {
    /// Reads all files again.
    fn read_again(&self, wake: Wake) -> Result<Reading, String> {
        match self {
            Self::File(file) => {
                let origin = file.origin();
                Reading::begin("run file", wake, move || {
                    let mut file = origin.load()?;
                    let members = std::mem::take(&mut file.members);
                    let places = members.iter().flat_map(|member| member.run.listens());
                    Ok(Read {
                        hosts: look_up(places),
                        members,
                        globals: file.globals.clone(),
                        file: Some(Box::new(file)),
                    })
                })
            }
            Self::Line(origin) => {
                let origin = origin.clone();
                Reading::begin("files", wake, move || {
                    let config = origin.load()?;
                    Ok(Read {
                        members: vec![Member::alone(config.run, config.certificates)],
                        globals: config.globals,
                        file: None,
                        // It goes on listening where it does.
                        hosts: Vec::new(),
                    })
                })
            }
        }
    }
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
    /// Reads all files again. `asked`: who waits for what comes of it.
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
            self.renew_certificates();
        }
        let waiting: Vec<_> = asked.into_iter().collect();
        match self.origin.read_again(reactor.waker()) {
            Ok(reading) => self.reading = Some((reading, waiting)),
            Err(text) => {
                log::warn!("hydrant: {text}; nothing changes");
                answer_all(reactor, waiting, &TabReply::Refused(text));
            }
        }
    }

    /// Applies what files say once they have been read.
    pub(super) fn end_reload(&mut self, reactor: &mut Reactor<RoleSet>) {
        let outcome = self.reading.as_ref().and_then(|(it, _)| it.outcome());
        let Some(outcome) = outcome else { return };
        let (_, waiting) = self.reading.take().expect("it was just asked");
        let read = match outcome {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(error),
            Err(Broken) => Err(ConfigError::Mistakes("reading it broke off\n".to_owned())),
        };
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
        let applied = read
            .map_err(|error| error.to_string())
            .and_then(|read| self.apply(reactor, read));
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
                Change::None | Change::Anew => (post, TabReply::Done),
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

    fn renew_certificates(&self) {
        for post in &self.posts {
            post.watch.iter().for_each(Watch::reload);
        }
    }

    /// Makes what runs what the file says: "2 begun, 1 changed, 0 stopped, 4 untouched".
    fn apply(&mut self, reactor: &mut Reactor<RoleSet>, read: Read) -> Result<String, String> {
        let Read {
            members,
            globals,
            file,
            hosts,
        } = read;
        reactor.know_hosts(hosts);
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
        if let Err((at, text)) = reserve_all(reactor, &mut steps, &before, &leaving) {
            return Err(self.why_not(&steps[at].member, &text));
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
        for role in &leaving {
            reactor.tell(*role, Event::Drain(Signal::Reload));
        }
        self.leaving.extend(&leaving);
        let text = summary(&steps, leaving.len());
        let mut old: Vec<Option<Post>> = self.posts.drain(..).map(Some).collect();
        let mut begun = begun.into_iter();
        for step in steps {
            let kept = step.old.and_then(|at| old[at].take());
            let post = match (step.change, kept) {
                (Change::Anew, before) => {
                    let post = begun.next().expect("each was begun");
                    post.after(before.as_ref(), &mut self.next_id)
                }
                (change, Some(post)) => post.changed(reactor, change, step.member),
                (_, None) => unreachable!("what is new is begun anew"),
            };
            self.posts.push(post);
        }
        self.renew_certificates();
        self.take_over(reactor, globals, file);
        Ok(text)
    }

    /// What holds for the whole process: the tokens of the page at once, the rest from the next start on.
    fn take_over(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        globals: Globals,
        file: Option<Box<RunFile>>,
    ) {
        if let (Origin::File(old), Some(new)) = (&mut self.origin, file) {
            if let (Some(now), Some(new)) = (&mut old.globals.console, &globals.console) {
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
            reactor.with(role, |role, cx| {
                if let RoleSet::Console(role) = role {
                    role.set_tokens(cx, console.token, console.view_token);
                }
            });
        }
    }

    /// Why a role can't have a place: for one that is a part of what this very process listens at, or more than that,
    /// nobody else is to blame.
    fn why_not(&self, member: &Member, text: &str) -> String {
        let label = member.label();
        let wanted = member.run.listens();
        let running = self.posts.iter().filter(|post| post.role().is_some());
        let mut ours = running.flat_map(|post| {
            let places = post.member.run.listens().into_iter();
            places.map(|at| (post.member.label(), at))
        });
        let in_the_way =
            |(_, at): &(String, &Endpoint)| wanted.iter().any(|new| new != at && new.overlaps(at));
        match ours.find(in_the_way) {
            Some((own, at)) => {
                format!("{label}: {text}; {own} listens on {at}, which only a restart changes")
            }
            None => format!("{label}: {text}"),
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

    fn plan(&self, members: &[Member]) -> Vec<Step> {
        let step = |member: &Member| {
            let mut member = member.clone();
            let old = self
                .posts
                .iter()
                .position(|post| post.member.name == member.name);
            let change =
                old.map(|at| &self.posts[at])
                    .map_or(Change::Anew, |post| match post.is_over() {
                        true => Change::Anew,
                        false => change(&post.member, &mut member),
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

/// "2 begun, 1 changed, 0 stopped, 4 untouched"
fn summary(steps: &[Step], stopped: usize) -> String {
    let count = |wanted: &[Change]| {
        let steps = steps.iter();
        steps.filter(|step| wanted.contains(&step.change)).count()
    };
    format!(
        "{} begun, {} changed, {stopped} stopped, {} untouched",
        count(&[Change::Anew]),
        count(&[Change::Options, Change::Source]),
        count(&[Change::None])
    )
}

fn answer_all(reactor: &mut Reactor<RoleSet>, waiting: Vec<(RoleId, Ticket)>, reply: &TabReply) {
    for (by, ticket) in waiting {
        reactor.answer(by, ticket, Reply::Tab(reply.clone()));
    }
}

/// Listens for all that begin, at places of theirs or of those who go.
fn reserve_all(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
    before: &[Option<RoleId>],
    leaving: &[RoleId],
) -> Result<(), (usize, String)> {
    let mut failed = None;
    let all = steps.iter_mut().enumerate();
    for (at, step) in all.filter(|(_, step)| step.change == Change::Anew) {
        let own = step.old.and_then(|at| before[at]);
        match reserve(reactor, &step.member, own, leaving) {
            Ok(reserved) => step.reserved = reserved,
            Err(text) => {
                failed = Some((at, text));
                break;
            }
        }
    }
    let Some(failed) = failed else { return Ok(()) };
    let reserved = steps
        .iter_mut()
        .flat_map(|step| std::mem::take(&mut step.reserved));
    reactor.cancel(reserved.collect());
    Err(failed)
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
