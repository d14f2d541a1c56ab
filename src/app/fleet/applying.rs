//! What a file says is applied a few roles at a time, each few between two turns of the loop: those that did not change
//! are served all the while, however many others begin. It holds as a whole, or nothing of it does.
//!
//! ```text
//!   Reserving ──all can be listened at──> Beginning ──all have begun──> Changing ──> what runs is what it says
//!       └──one can't: all are given back      └──one can't: those that did end          └──> those that go are told
//! ```

use std::collections::BTreeSet;

use super::plan::{Step, begin_next, change_next, give_back, plan, reserve_next, summary};
use super::reload::Read;
use super::{Fleet, Origin};
use crate::app::RoleSet;
use crate::app::control::set_tokens;
use crate::app::posts::change::Change;
use crate::app::posts::{Post, Standing};
use crate::config::{Globals, Member, Run, RunFile};
use crate::reactor::net::Signal;
use crate::reactor::{End, Event, Reactor, RoleId};
use crate::roles::relay::config::DumpFormat;

/// What is being applied, and how far that is.
pub(super) struct Applying {
    steps: Vec<Step>,
    globals: Globals,
    file: Option<Box<RunFile>>,
    /// The file has been read again, for no change of the page's.
    is_reread: bool,
    /// The places of those that are gone.
    gone: Vec<usize>,
    /// The role of each that was there.
    before: Vec<Option<RoleId>>,
    /// Those that go, or stop: what they listen at can be had.
    leaving: Vec<RoleId>,
    stage: Stage,
    /// The next step.
    at: usize,
}

enum Stage {
    Reserving,
    Beginning {
        begun: Vec<Post>,
        /// Whose stdout was given up for those that begin.
        lent: Vec<(RoleId, DumpFormat)>,
    },
    /// Those that go on take over what is other of their orders. Nothing can fail any more that would have to be taken
    /// back.
    Changing {
        begun: Vec<Post>,
    },
}

impl Applying {
    /// One that has begun by now is over.
    pub(super) fn note_end(&mut self, role: RoleId, end: &End) {
        if let Stage::Beginning { begun, .. } | Stage::Changing { begun } = &mut self.stage
            && let Some(post) = begun.iter_mut().find(|post| post.role() == Some(role))
        {
            post.note_end(end.clone());
        }
    }

    /// Nothing of it is to hold.
    pub(super) fn take_back(mut self, reactor: &mut Reactor<RoleSet>) {
        give_back(reactor, &mut self.steps);
        let (begun, lent) = match self.stage {
            Stage::Reserving => return,
            Stage::Beginning { begun, lent } => (begun, lent),
            Stage::Changing { begun } => (begun, Vec::new()),
        };
        for role in begun.iter().filter_map(Post::role) {
            reactor.with(role, |_, cx| cx.finish(End::Done));
        }
        for (role, format) in lent {
            reactor.with(role, |role, cx| role.dump(cx, Some(format)));
        }
    }
}

impl Fleet {
    /// Makes what runs what the file says, in one go: "2 begun, 1 changed, 0 stopped, 4 untouched". Those that go are
    /// still to be told so.
    pub(super) fn apply(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Read,
        is_reread: bool,
    ) -> Result<String, String> {
        let mut applying = self.begin_applying(reactor, read, is_reread);
        loop {
            match self.apply_some(reactor, applying, usize::MAX) {
                Ok(more) => applying = more,
                Err(applied) => return applied,
            }
        }
    }

    /// Finds out what is to be done. Nothing is by then.
    pub(super) fn begin_applying(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        read: Read,
        is_reread: bool,
    ) -> Applying {
        reactor.know_hosts(read.hosts);
        let steps = plan(&self.posts, read.members, is_reread);
        let goes_on = self.marked(&steps, |_| true);
        let gone: Vec<usize> = (0..goes_on.len()).filter(|at| !goes_on[*at]).collect();
        let roles = gone.iter().filter_map(|at| self.posts[*at].role());
        let stops = steps.iter().filter(|step| step.change == Change::Stop);
        let stopped = stops.filter_map(|step| self.posts[step.old?].role());
        Applying {
            leaving: roles.chain(stopped).collect(),
            before: self.posts.iter().map(Post::role).collect(),
            steps,
            globals: read.globals,
            file: read.file,
            is_reread,
            gone,
            stage: Stage::Reserving,
            at: 0,
        }
    }

    /// Does the next of it, for so many roles at most. What is left of it; or, as an error, what has come of it.
    pub(super) fn apply_some(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        mut applying: Applying,
        most: usize,
    ) -> Result<Applying, Result<String, String>> {
        let Applying {
            steps,
            before,
            leaving,
            at,
            stage,
            ..
        } = &mut applying;
        let done = match stage {
            Stage::Reserving => reserve_next(reactor, steps, at, most, before, leaving),
            Stage::Beginning { begun, .. } => begin_next(reactor, steps, at, most, begun),
            Stage::Changing { .. } => {
                change_next(reactor, steps, at, most, &mut self.posts);
                Ok(())
            }
        };
        if let Err(text) = done {
            applying.take_back(reactor);
            return Err(Err(text));
        }
        if applying.at < applying.steps.len() {
            return Ok(applying);
        }
        applying.at = 0;
        applying.stage = match applying.stage {
            Stage::Reserving => {
                let lent = self.give_up_stdout(reactor, &applying.steps);
                let begun = Vec::new();
                Stage::Beginning { begun, lent }
            }
            Stage::Beginning { begun, .. } => Stage::Changing { begun },
            Stage::Changing { begun } => {
                applying.stage = Stage::Reserving;
                return Err(Ok(self.conclude(reactor, applying, begun)));
            }
        };
        Ok(applying)
    }

    fn conclude(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        applying: Applying,
        begun: Vec<Post>,
    ) -> String {
        // Those who were told already go on going.
        let is_told = |post: &&Post| matches!(post.standing, Standing::Told(_));
        let told: BTreeSet<RoleId> = self
            .posts
            .iter()
            .filter(is_told)
            .filter_map(Post::role)
            .collect();
        let leaving = applying.leaving.into_iter();
        self.to_tell
            .extend(leaving.filter(|role| !told.contains(role)));
        let roles = applying.gone.iter().filter_map(|at| applying.before[*at]);
        let gone: Vec<RoleId> = roles.collect();
        let text = summary(&applying.steps, gone.len());
        // One may have come to its end meanwhile.
        let is_there = |role: &RoleId| reactor.role(*role).is_some();
        self.leaving.extend(gone.into_iter().filter(is_there));
        self.settle(applying.steps, begun);
        if applying.is_reread {
            self.posts.renew_certificates();
        }
        self.take_over(reactor, applying.globals, applying.file);
        text
    }

    /// Tells so many of those that go at most to do so.
    pub(super) fn tell_some(&mut self, reactor: &mut Reactor<RoleSet>, most: usize) {
        let most = most.min(self.to_tell.len());
        for role in self.to_tell.drain(..most) {
            reactor.tell(role, Event::Drain(Signal::Reload));
        }
    }

    /// What runs is what was planned.
    fn settle(&mut self, steps: Vec<Step>, begun: Vec<Post>) {
        let mut old: Vec<Option<Post>> = self.posts.drain(..).map(Some).collect();
        let mut begun = begun.into_iter();
        for step in steps {
            let kept = step.old.and_then(|at| old[at].take());
            let post = match (step.change, kept) {
                (Change::Anew, before) => {
                    let post = begun.next().expect("each was begun");
                    post.after(before.as_ref(), &mut self.posts.next_id)
                }
                (Change::None, Some(post)) if step.is_same => post,
                (Change::Rest | Change::Stop, Some(post)) => post.rests(step.member),
                // It may have taken them over as it runs.
                (_, Some(mut post)) => {
                    post.take(step.member);
                    post
                }
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

    /// Of each that is there, whether it goes on as it is and is such a one then.
    fn marked(&self, steps: &[Step], is_such: impl Fn(&Member) -> bool) -> Vec<bool> {
        let mut marked = vec![false; self.posts.len()];
        let goes_on = |step: &&Step| step.change != Change::Anew && is_such(&step.member);
        for at in steps.iter().filter(goes_on).filter_map(|step| step.old) {
            marked[at] = true;
        }
        marked
    }

    /// Stdout can be had once: a dump that ends, or goes on elsewhere, ends before another begins. Whose it was.
    fn give_up_stdout(
        &self,
        reactor: &mut Reactor<RoleSet>,
        steps: &[Step],
    ) -> Vec<(RoleId, DumpFormat)> {
        let dumps =
            |member: &Member| matches!(&member.run, Run::Relay(relay) if relay.dump.is_some());
        let goes_on = self.marked(steps, dumps);
        let all = self.posts.iter().enumerate();
        let lent: Vec<(RoleId, DumpFormat)> = all
            .filter(|(at, _)| !goes_on[*at])
            .filter_map(|(_, post)| post.dumps(reactor))
            .collect();
        for (role, _) in &lent {
            reactor.with(*role, |role, cx| role.dump(cx, None));
        }
        lent
    }
}

/// Roles that begin, change or are told to go between two turns: what that takes of the time of those beside them is a
/// few milliseconds.
pub(super) const SLICE: usize = 8;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::app::fleet::tests::{Rig, relay};
    use crate::reactor::Turn;
    use crate::reactor::command::{Command, RoleState};
    use crate::reactor::view::{Effort, Upstream, UpstreamState};

    /// Whatever a file says newly, what it leaves alone is served between any few of the others: each turn opens and
    /// closes a few sockets only. It holds as a whole, or nothing of it does.
    #[test]
    fn many_begin_and_go_a_few_each_turn() {
        let mut rig = Rig::new(&relay("a", ""));
        let head = rig.saved();
        let with = |count: usize, last: &str| {
            let more: String = (0..count).map(|at| relay(&format!("r{at}"), "")).collect();
            format!("{head}{more}{last}")
        };
        let mut left = rig.reactor.sockets_left();
        let mut reload = |rig: &mut Rig, text: String| {
            fs::write(rig.path(), text).expect("it can be written");
            rig.between(&Turn::Reloading);
            let mut worst = 0;
            rig.until("applied", |rig| {
                worst = worst.max(rig.reactor.sockets_left().abs_diff(left));
                left = rig.reactor.sockets_left();
                rig.is_idle() && rig.fleet.to_tell.is_empty() && rig.fleet.leaving.is_empty()
            });
            worst
        };
        let runs = |rig: &Rig| {
            let posts = rig.fleet.posts.iter();
            posts
                .filter(|post| matches!(post.standing, Standing::Running(_)))
                .count()
        };
        // A relay has a listener, and an upstream that is refused at once.
        let few = 2 * SLICE;
        let worst = reload(&mut rig, with(100, ""));
        assert!(worst <= few && runs(&rig) == 101, "{worst} {}", runs(&rig));
        // The last one can't listen at an address that is nobody's (RFC 5737).
        let last = relay("last", "").replace("127.0.0.1:0", "192.0.2.1:6000");
        let before = rig.reactor.sockets().count();
        reload(&mut rig, with(150, &last));
        assert_eq!((rig.fleet.reloads, runs(&rig)), ((1, 1), 101));
        let worst = reload(&mut rig, with(0, ""));
        assert!(worst <= few && runs(&rig) == 1, "{worst} {}", runs(&rig));
        assert!(rig.reactor.sockets().count() < before);
    }

    /// However many are to dial somebody else, those that are served meanwhile wait for a few of them only.
    #[test]
    fn many_that_go_on_change_a_few_each_turn() {
        const RELAYS: u64 = 40;
        let all: String = (0..RELAYS)
            .map(|at| relay(&format!("r{at}"), "retry = \"600\""))
            .collect();
        let source = relay("source", "").replace("127.0.0.1:9", "127.0.0.1:1");
        let mut rig = Rig::new(&(all + &source));
        let RoleState::Running(view) = rig.tab(RELAYS + 1).row.state else {
            panic!("it runs");
        };
        let at = view.listens[0].0.to_string();
        let is_in = |rig: &mut Rig, is_such: fn(&Upstream) -> bool| {
            (1..=RELAYS).all(|id| match rig.tab(id).row.state {
                RoleState::Running(view) => view.upstream.as_ref().is_some_and(is_such),
                _ => false,
            })
        };
        rig.until("refused", |rig| {
            is_in(rig, |upstream| {
                matches!(upstream.effort, Effort::Waiting(_))
            })
        });
        fs::write(rig.path(), rig.saved().replace("127.0.0.1:9", &at)).expect("it can be written");
        rig.between(&Turn::Reloading);
        let (mut left, mut worst) = (rig.reactor.sockets_left(), 0);
        rig.until("changed", |rig| {
            worst = worst.max(rig.reactor.sockets_left().abs_diff(left));
            left = rig.reactor.sockets_left();
            rig.is_idle() && is_in(rig, |upstream| upstream.state != UpstreamState::Down)
        });
        assert_eq!(rig.fleet.reloads, (1, 0));
        // Each that dials is let in, too.
        assert!(worst <= 3 * SLICE, "{worst}");
    }

    /// What is asked in the midst of it is answered right after it: nothing else may happen for long then.
    #[test]
    fn what_is_asked_in_the_midst_of_a_reload_waits_for_nothing_else() {
        let mut rig = Rig::new(&relay("a", ""));
        let more: String = (0..40).map(|at| relay(&format!("r{at}"), "")).collect();
        fs::write(rig.path(), rig.saved() + &more).expect("it can be written");
        rig.between(&Turn::Reloading);
        rig.until("in the midst", |rig| rig.fleet.is_applying());
        let page = rig.fleet.console().expect("there is a page");
        rig.reactor.with(page, |_, cx| cx.ask(Command::Process));
        rig.until("over", |rig| {
            assert!(rig.fleet.is_applying() || !rig.reactor.has_asked() || rig.reactor.hurries());
            !rig.fleet.is_applying()
        });
    }

    /// A process that is to stop in the midst of it stops, and nothing of what has begun is left.
    #[test]
    fn a_stop_in_the_midst_of_a_reload_ends_all_that_has_begun() {
        let mut rig = Rig::new(&relay("a", ""));
        let more: String = (0..40).map(|at| relay(&format!("r{at}"), "")).collect();
        fs::write(rig.path(), rig.saved() + &more).expect("it can be written");
        rig.between(&Turn::Reloading);
        rig.until("in the midst", |rig| rig.fleet.is_applying());
        rig.reactor.stop();
        rig.until("over", |rig| {
            !rig.fleet.is_applying() && rig.reactor.sockets().count() == 0
        });
    }
}
