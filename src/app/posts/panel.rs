//! What a console, or `hydrant status`, sees of the roles that run beside each other, and what it may do to them: the
//! same wherever they come from. What is particular to a run file, a command line or a page's own settings is asked of
//! whoever keeps that.

use super::begin::{begin, text_of};
use super::{Orders, Posts, Prepared, Ready, Standing};
use crate::app::{RoleSet, process};
use crate::config::settings::option_rows;
use crate::logger;
use crate::reactor::command::{Command, Reply, Ticket};
use crate::reactor::net::Signal;
use crate::reactor::tabs::{LogLine, PAYLOAD_MAX, TabCommand, TabReply, Tabs};
use crate::reactor::{Event, Reactor, RoleId};
use crate::roles::relay::config::DumpFormat;

/// Who asks, and for what the answer is.
pub(in crate::app) type By = (RoleId, Ticket);

/// Whoever has roles that are looked at and moved. Where an answer is `None`, it comes later.
pub(in crate::app) trait Panel {
    /// What they are made of.
    type Orders: Orders;

    fn posts(&mut self) -> &mut Posts<Self::Orders>;
    /// Where their settings are kept, without the roles themselves.
    fn kept(&self) -> Tabs;
    /// How often files were read again with success, and in vain.
    fn reloads(&self) -> (u64, u64);
    /// Reads the run file again.
    fn reload(&mut self, reactor: &mut Reactor<RoleSet>, by: By) -> Option<TabReply>;
    /// One more, chained from another or from the last.
    fn add(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        after: Option<u64>,
    ) -> Option<TabReply>;
    fn change(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        place: usize,
        fields: Vec<(String, String)>,
    ) -> Option<TabReply>;
    fn remove(&mut self, reactor: &mut Reactor<RoleSet>, by: By, place: usize) -> Option<TabReply>;
    /// What flows through it is shown to those who look at it, or is not.
    fn show(&mut self, place: usize, on: bool);
    /// Somebody has begun it, or stopped it: what it is made of is to say so.
    fn note_enabled(&mut self, reactor: &mut Reactor<RoleSet>, place: usize, on: bool);
    /// Why it can't be moved at all.
    fn is_fixed(&self, place: usize) -> Option<&'static str>;
    /// What has been changed since the last call and is to be kept, by a number that whoever keeps it knows.
    fn take_changed(&mut self) -> Option<u64>;
    /// Answers once that is kept, or can't be.
    fn answer_kept(&mut self, reactor: &mut Reactor<RoleSet>, by: By, reply: TabReply, what: u64);

    /// Answers what roles have asked.
    #[inline(never)]
    fn answer_asked(&mut self, reactor: &mut Reactor<RoleSet>) {
        for (by, ticket, command) in reactor.asked() {
            let reply = match command {
                Command::Roles { from } => Some(self.rows(reactor, from)),
                Command::Process => {
                    let process = process::look(reactor, self.reloads());
                    Some(Reply::Process(Box::new(process)))
                }
                // What would begin now nobody would tell to end.
                Command::Tab(command) if reactor.is_stopping() && command.changes() => {
                    Some(Reply::Tab(refused(STOPS)))
                }
                Command::Tab(command) => {
                    self.take_changed();
                    if let Some(reply) = self.obey(reactor, (by, ticket), command) {
                        self.answer(reactor, (by, ticket), reply);
                    }
                    None
                }
            };
            if let Some(reply) = reply {
                reactor.answer(by, ticket, reply);
            }
        }
    }

    /// Answers, once all that was changed for that is kept.
    fn answer(&mut self, reactor: &mut Reactor<RoleSet>, by: By, reply: TabReply) {
        match self.take_changed() {
            Some(what) => self.answer_kept(reactor, by, reply, what),
            None => reactor.answer(by.0, by.1, Reply::Tab(reply)),
        }
    }

    /// What roles show to those who watch and know of no tabs.
    fn rows(&mut self, reactor: &Reactor<RoleSet>, from: usize) -> Reply {
        let (rows, next) = self.posts().page(from, |post| post.row(reactor));
        Reply::Roles { rows, next }
    }

    /// Does what somebody asks who looks at all roles.
    fn obey(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        command: TabCommand,
    ) -> Option<TabReply> {
        let wanted = match command {
            TabCommand::List { from, is_brief } => {
                return Some(self.list(reactor, from, is_brief));
            }
            TabCommand::Options => return Some(TabReply::Options(option_rows())),
            TabCommand::Log { after } => return Some(TabReply::Log(log_after(after))),
            TabCommand::Reload => return self.reload(reactor, by),
            TabCommand::Add { after } => return self.add(reactor, by, after),
            TabCommand::Payload { tab, .. }
            | TabCommand::Clients { tab, .. }
            | TabCommand::Change { tab, .. }
            | TabCommand::Start { tab }
            | TabCommand::Stop { tab }
            | TabCommand::Remove { tab }
            | TabCommand::Dump { tab, .. }
            | TabCommand::Kick { tab, .. } => tab,
        };
        match self.posts().place_of(wanted) {
            Some(place) => self.obey_at(reactor, by, place, command),
            None => Some(refused("there is no such role any more")),
        }
    }

    fn obey_at(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: By,
        place: usize,
        command: TabCommand,
    ) -> Option<TabReply> {
        let role = self.posts()[place].role();
        if let Some(reply) = of_role(reactor, role, &command) {
            return Some(reply);
        }
        if let TabCommand::Dump { on, .. } = command {
            self.show(place, on);
            return Some(TabReply::Done);
        }
        if let Some(why) = self.is_fixed(place) {
            return Some(refused(why));
        }
        match command {
            TabCommand::Start { .. } => self.begin(reactor, place, Some(by)),
            TabCommand::Stop { .. } => Some(self.stop(reactor, place)),
            TabCommand::Change { fields, .. } => self.change(reactor, by, place, fields),
            TabCommand::Remove { .. } => self.remove(reactor, by, place),
            TabCommand::List { .. }
            | TabCommand::Options
            | TabCommand::Log { .. }
            | TabCommand::Reload
            | TabCommand::Add { .. }
            | TabCommand::Payload { .. }
            | TabCommand::Clients { .. }
            | TabCommand::Dump { .. }
            | TabCommand::Kick { .. } => {
                unreachable!("they are about no role, or have been answered")
            }
        }
    }

    fn list(&mut self, reactor: &Reactor<RoleSet>, from: usize, is_brief: bool) -> TabReply {
        let kept = self.kept();
        let (rows, next) = self
            .posts()
            .page(from, |post| post.tab(reactor, kept.is_kept, is_brief));
        TabReply::List(Tabs { rows, next, ..kept })
    }

    fn stop(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> TabReply {
        if self.give_up_beginning(reactor, place) {
            return TabReply::Done;
        }
        let post = &mut self.posts()[place];
        match post.role() {
            Some(role) => {
                post.standing = Standing::Told(role);
                reactor.tell(role, Event::Drain(Signal::Command));
                self.note_enabled(reactor, place, false);
                TabReply::Done
            }
            // Nobody wants it to run any more, so that it has not failed, whether somebody began it or it was to run
            // from the start.
            None if post.is_in_vain => {
                post.forgive();
                post.standing = Standing::Stopped { was_told: true };
                if post.member.is_enabled() {
                    self.note_enabled(reactor, place, false);
                }
                TabReply::Done
            }
            None => refused("it does not run"),
        }
    }

    /// One that is about to begin does not. Whether it was.
    fn give_up_beginning(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> bool {
        let Some(asked) = self.posts().give_up(place) else {
            return false;
        };
        if let Some((by, ticket)) = asked {
            let reply = refused("it was stopped before it began");
            reactor.answer(by, ticket, Reply::Tab(reply));
        }
        if self.posts()[place].member.is_enabled() {
            self.note_enabled(reactor, place, false);
        }
        true
    }

    /// Begins a role once its files and the names at which it listens are known.
    fn begin(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        asked: Option<By>,
    ) -> Option<TabReply> {
        let posts = self.posts();
        if posts[place].role().is_some() || posts.is_beginning(place) {
            return Some(refused("it runs already, or is still stopping"));
        }
        let made = posts.prepare(reactor, place, asked)?;
        Some(self.begin_now(reactor, place, made, asked.is_some()))
    }

    /// Begins those that are prepared by now, or none any more where all is to end: or it never would.
    fn begin_prepared(&mut self, reactor: &mut Reactor<RoleSet>) {
        if reactor.is_stopping() {
            for (by, ticket) in self.posts().give_up_all() {
                reactor.answer(by, ticket, Reply::Tab(refused(STOPS)));
            }
            return;
        }
        for Prepared { place, made, asked } in self.posts().prepared(reactor) {
            self.take_changed();
            let reply = match place {
                // A reload may have begun it meanwhile, or taken it away.
                Some(place) if self.posts()[place].role().is_some() => TabReply::Done,
                Some(place) => self.begin_now(reactor, place, made, asked.is_some()),
                None => refused("there is no such role any more"),
            };
            if let Some(by) = asked {
                self.answer(reactor, by, reply);
            }
        }
    }

    /// `is_asked`: somebody has begun it, and it was not to run from the start.
    fn begin_now(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        made: Ready,
        is_asked: bool,
    ) -> TabReply {
        let begun = made.and_then(|(member, names)| {
            reactor.know_hosts(names);
            let begun = begin(reactor, &member);
            reactor.know_hosts([]);
            begun.map(|(role, watch)| (role, watch, member))
        });
        let post = &mut self.posts()[place];
        match begun {
            Ok((role, watch, member)) => {
                post.standing = Standing::Running(role);
                (post.watch, post.lacks) = (watch, false);
                post.member.made(member);
                post.forgive();
                if is_asked {
                    self.note_enabled(reactor, place, true);
                }
                TabReply::Done
            }
            Err(faults) => {
                let text = text_of(&faults);
                log::error!("{}: {text}", post.member.label());
                if !is_asked || matches!(post.standing, Standing::Failed(_)) {
                    // It is to run, and that is why it doesn't.
                    post.standing = Standing::Failed(text);
                }
                post.faults.clone_from(&faults);
                post.is_in_vain = true;
                TabReply::Faults(faults)
            }
        }
    }
}

/// Does what a role itself is asked, wherever it came from. `None`: that is about more than the role.
fn of_role(
    reactor: &mut Reactor<RoleSet>,
    role: Option<RoleId>,
    command: &TabCommand,
) -> Option<TabReply> {
    let reply = match *command {
        TabCommand::Payload { from, .. } => match role.and_then(|role| reactor.role(role)) {
            Some(RoleSet::Relay(relay)) => TabReply::Payload(relay.payload(from, PAYLOAD_MAX)),
            _ => refused("it does not run"),
        },
        TabCommand::Clients { from, .. } => {
            let now = reactor.clock();
            let page = |role| reactor.with(role, |role, cx| role.client_page(cx, now, from));
            TabReply::Clients(role.and_then(page).unwrap_or_default())
        }
        TabCommand::Kick { client, .. } => {
            let kick = |role| reactor.with(role, |role, cx| role.kick(cx, client));
            match role.and_then(kick) {
                Some(true) => TabReply::Done,
                Some(false) => refused("that client is gone already"),
                None => refused("it does not run"),
            }
        }
        TabCommand::Dump {
            on,
            to_stdout: true,
            ..
        } => dump_to_stdout(reactor, role, on),
        _ => return None,
    };
    Some(reply)
}

/// Shows a role's payload on stdout, or ends that.
fn dump_to_stdout(reactor: &mut Reactor<RoleSet>, role: Option<RoleId>, on: bool) -> TabReply {
    let format = on.then_some(DumpFormat::Text);
    match role.and_then(|role| reactor.with(role, |role, cx| role.dump(cx, format))) {
        Some(Ok(())) => TabReply::Done,
        Some(Err(text)) => TabReply::Refused(text),
        None => refused("it does not run"),
    }
}

/// Lines of the log behind the one of this number.
fn log_after(after: u64) -> Vec<LogLine> {
    let lines = logger::tail(after).into_iter();
    lines.map(|(seq, text)| LogLine { seq, text }).collect()
}

pub(in crate::app) fn refused(why: &str) -> TabReply {
    TabReply::Refused(why.to_owned())
}

/// What is said of a change that does not hold when the process stops.
pub(in crate::app) const STOPS: &str = "hydrant stops";
