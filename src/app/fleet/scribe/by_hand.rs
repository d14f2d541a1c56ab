//! What was begun or stopped by hand, and whether the run file says so. It is to be said there until it is, whoever
//! changes the file meanwhile, or until the file itself says something new of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Want;
use super::wants::name_of;
use crate::app::RoleSet;
use crate::app::fleet::Fleet;
use crate::app::posts::{Post, Posts, Standing};
use crate::app::saving::keeper::AGAIN;
use crate::app::saving::waiters::Waiter;
use crate::base::time::Time;
use crate::config::run_file::{Edit, switched};
use crate::reactor::Reactor;
use crate::reactor::tabs::TabReply;

/// The roles that were begun, or stopped, by their ids.
#[derive(Default)]
pub(in crate::app::fleet) struct ByHand {
    all: BTreeMap<u64, bool>,
    /// The last one of them, where nobody waits for that to be said yet.
    pub(in crate::app::fleet) changed: Option<u64>,
    /// Who waits for the file to be made to say so.
    waiting: Vec<Waiter>,
    /// Those for whom that was waited in vain: it takes long.
    late: BTreeSet<u64>,
    /// Why the file could not be made to say so the last time.
    why: Option<String>,
    /// It would have been wrong, which may have been put right by then: it is tried again.
    again: Option<Time>,
    /// Those for whom it is being tried again: until that is known, what was said of them holds.
    tried_again: BTreeSet<u64>,
    /// What the log has said of that.
    told: BTreeSet<String>,
}

impl ByHand {
    /// It runs now, or does not.
    pub(super) fn note(&mut self, role: u64, on: bool) {
        self.all.insert(role, on);
        self.late.remove(&role);
        self.tried_again.remove(&role);
    }

    /// Somebody has just begun or stopped it, and is about to wait for that to be said.
    pub(in crate::app::fleet) fn change(&mut self, role: u64) {
        self.changed = Some(role);
        self.told.clear();
    }

    /// The file would be wrong.
    pub(super) fn note_wrong(&mut self, now: Time) {
        self.again = Some(now + AGAIN);
    }

    /// Whether it is time to try that again.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.again.is_some_and(|again| now >= again)
    }

    /// One more waits for what was done to its role.
    pub(in crate::app::fleet) fn wait(&mut self, waiter: Waiter) {
        self.waiting.push(waiter);
    }

    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn take_waiting(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.waiting)
    }

    /// The text of the file with all of it said, as far as those roles stand there.
    pub(super) fn said_in(&self, text: &str, posts: &Posts) -> String {
        let all = self.all.iter();
        let all = all.filter_map(|(id, on)| Some((name_of(posts, *id)?, *on)));
        switched(text, &all.collect())
    }
}

impl Post {
    fn was_begun(&self) -> bool {
        let was_told = matches!(
            self.standing,
            Standing::Told(_) | Standing::Stopped { was_told: true }
        );
        !was_told
    }
}

impl Fleet {
    /// A change has come to its end.
    pub(super) fn note_said(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        edit: &Edit,
        reply: &TabReply,
    ) {
        match (reply, edit) {
            (TabReply::Refused(why), Edit::Enable { name, on }) => {
                let what = if *on { "started" } else { "stopped" };
                let line = format!("the run file does not say that {name} was {what}: {why}");
                let Some(scribe) = &mut self.scribe else {
                    return;
                };
                scribe.by_hand.why = Some(why.to_owned());
                if !scribe.by_hand.told.contains(&line) {
                    log::warn!("hydrant: {line}");
                    scribe.by_hand.told.insert(line);
                }
            }
            (TabReply::Refused(_), _) => {}
            // What was in the way is not any more.
            _ => self.say_again(reactor),
        }
    }

    /// The file has been read again: it says something new where it says another thing than it did, and not where it
    /// was never made to say what was done by hand. What it was made to say is said.
    ///
    /// `said`: whether each role was to run, by what the file said before.
    pub(in crate::app::fleet) fn forget_unsaid(&mut self, said: Vec<(String, bool)>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        let said: HashMap<String, bool> = said.into_iter().collect();
        for post in self.posts.iter_mut() {
            let Some(on) = said.get(&post.member.name) else {
                continue;
            };
            post.member.is_enabled = *on;
            if scribe.by_hand.all.get(&post.id) == Some(on) {
                scribe.by_hand.all.remove(&post.id);
            }
        }
    }

    /// The file is to say what it does not say yet of what was done by hand. What holds no more is forgotten.
    pub(super) fn say_again(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        let by_hand = &mut scribe.by_hand;
        by_hand.late.retain(|id| self.posts.place_of(*id).is_some());
        (by_hand.why, by_hand.again) = (None, None);
        by_hand.tried_again.clear();
        by_hand.told.clear();
        self.say_unsaid(reactor);
    }

    /// The file would have been wrong, by what it names or by itself: once that is put right nobody has to do more.
    /// The loop turns for that at the latest as often as the console does by which somebody has begun or stopped it.
    pub(in crate::app::fleet) fn try_again(&mut self, reactor: &mut Reactor<RoleSet>) {
        let (now, is_reading) = (reactor.now(), self.reading.is_some());
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        if !scribe.by_hand.is_due(now) || is_reading || !scribe.is_idle() {
            return;
        }
        scribe.by_hand.again = None;
        let ids = self.say_unsaid(reactor);
        if let Some(scribe) = &mut self.scribe {
            scribe.by_hand.tried_again = ids;
        }
    }

    /// Has all said that holds and is not said yet: of which roles.
    fn say_unsaid(&mut self, reactor: &mut Reactor<RoleSet>) -> BTreeSet<u64> {
        let holds = |id: u64, on: bool| {
            let place = self.posts.place_of(id);
            place.is_some_and(|place| self.posts[place].was_begun() == on)
        };
        if let Some(scribe) = &mut self.scribe {
            scribe.by_hand.all.retain(|id, on| holds(*id, *on));
        }
        let unsaid = self.unsaid();
        for (id, on) in &unsaid {
            self.write(reactor, Want::Enable { id: *id, on: *on }, None);
        }
        unsaid.into_iter().map(|(id, _)| id).collect()
    }

    /// Those who have begun or stopped a role wait for the text in which that is said, once there is one.
    pub(in crate::app::fleet) fn answer_saved(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        if scribe.find_again() {
            // What was done by hand meanwhile was refused.
            self.say_again(reactor);
        }
        let Some(scribe) = &mut self.scribe else {
            return;
        };
        let waiting = scribe.by_hand.take_waiting();
        let unsaid = match waiting.is_empty() {
            true => Vec::new(),
            false => self.unsaid(),
        };
        for mut waiter in waiting {
            let Some(scribe) = &mut self.scribe else {
                return;
            };
            let Some(role) = waiter.role else { continue };
            if scribe.will_enable(role) {
                if !scribe.waiters.is_late(waiter.since, reactor.now()) {
                    scribe.by_hand.wait(waiter);
                    continue;
                }
                scribe.by_hand.late.insert(role);
                waiter.answer(reactor, Some(slow(self.reading.is_some()).to_owned()));
            } else if unsaid.iter().any(|(id, _)| *id == role) {
                waiter.answer(reactor, Some(self.fault().unwrap_or_default()));
            } else {
                waiter.number = scribe.keeper.given();
                scribe.waiters.wait(waiter);
            }
        }
        if let Some(scribe) = &mut self.scribe {
            scribe.waiters.answer_known(reactor, &scribe.keeper);
        }
    }

    /// What was done by hand, and is neither in the file nor on its way there; or was not when that was tried before.
    fn unsaid(&self) -> Vec<(u64, bool)> {
        let Some(scribe) = &self.scribe else {
            return Vec::new();
        };
        let is_unsaid = |id: u64, on: bool| {
            let place = self.posts.place_of(id);
            let says = place.is_some_and(|place| self.posts[place].member.is_enabled != on);
            let is_first = !scribe.by_hand.tried_again.contains(&id);
            says && !(is_first && scribe.will_enable(id))
        };
        let all = scribe.by_hand.all.iter();
        let all = all.filter(|(id, on)| is_unsaid(**id, **on));
        all.map(|(id, on)| (*id, *on)).collect()
    }

    /// Why what was done on the page is not in the file.
    pub(in crate::app::fleet) fn fault(&self) -> Option<String> {
        let scribe = self.scribe.as_ref()?;
        let unsaid = self.unsaid();
        let names = |wanted: bool| {
            let all = unsaid.iter().filter(|(_, on)| *on == wanted);
            let names = all.filter_map(|(id, _)| name_of(&self.posts, *id));
            names.collect::<Vec<String>>()
        };
        let why = scribe.fault().or_else(|| scribe.by_hand.why.clone());
        let done = [("stopped", names(false)), ("started", names(true))];
        let done: Vec<String> = done
            .into_iter()
            .filter_map(|(what, names)| clause(what, &names))
            .collect();
        match done.is_empty() {
            true => scribe.fault().or_else(|| self.slowness()),
            false => {
                why.map(|why| format!("{why}; {}, which does not stand there", done.join(", and ")))
            }
        }
    }

    /// Why what was done by hand is still on its way to the file, where somebody has waited for that in vain.
    fn slowness(&self) -> Option<String> {
        let scribe = self.scribe.as_ref()?;
        let mut late = scribe.by_hand.late.iter();
        let is_slow = late.any(|role| scribe.will_enable(*role));
        is_slow.then(|| slow(self.reading.is_some()).to_owned())
    }
}

/// What takes so long.
fn slow(is_reading: bool) -> &'static str {
    match is_reading {
        true => {
            "the run file is being read again, which takes long: what was done is saved after that"
        }
        false => {
            "the files that the run file names take long to read: what was done is saved after that"
        }
    }
}

/// "a, b and c were stopped"
fn clause(what: &str, names: &[String]) -> Option<String> {
    let (last, before) = names.split_last()?;
    Some(match before {
        [] => format!("{last} was {what}"),
        before => format!("{} and {last} were {what}", before.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::app::fleet::tests::{Rig, relay};
    use crate::app::saving::keeper::LAST_SAVE;
    use crate::reactor::tabs::{TabCommand, TabReply};

    /// What was stopped by hand is to stay so at the next start, whoever changed the file meanwhile.
    #[test]
    fn what_is_stopped_by_hand_is_saved_once_the_file_has_been_read() {
        let mut rig = Rig::new(&(relay("a", "") + &relay("b", "") + &relay("c", "")));
        let theirs = format!("# theirs\n{}", rig.saved());
        fs::write(rig.path(), &theirs).expect("the folder can be written");
        for tab in [1, 2] {
            assert_eq!(rig.ask(TabCommand::Stop { tab }), Some(TabReply::Done));
        }
        rig.until("refused", Rig::is_idle);
        let fault = rig.fault().expect("the page says so");
        let said = "a and b were stopped, which does not stand there";
        assert!(
            fault.contains("changed by somebody else")
                && fault.contains(said)
                && !fault.contains("console"),
            "{fault}"
        );
        // Another change says nothing new of that.
        rig.set(3, "max-lag", "3s");
        rig.until("refused", Rig::is_idle);
        assert!(rig.fault().is_some_and(|fault| fault.contains(said)));
        assert_eq!(rig.saved(), theirs);
        // Whoever begins it again wants nothing to be said.
        rig.until("stopped", |rig| rig.fleet.posts[1].role().is_none());
        assert_eq!(rig.ask(TabCommand::Start { tab: 2 }), Some(TabReply::Done));
        rig.until("begun", Rig::is_idle);
        rig.ask(TabCommand::Reload);
        rig.until("read and saved", |rig| {
            rig.is_idle() && rig.saved() != theirs
        });
        let off = relay("a", "").trim_end().to_owned();
        let expected = theirs.replace(&off, &format!("{off}\nenabled = false"));
        assert_eq!(rig.saved(), expected);
        assert!(rig.fault().is_none() && rig.fleet.posts[0].role().is_none());
    }

    /// Nothing else has to happen for that: neither a change nor the end, which one that is killed never comes to.
    #[test]
    fn what_is_stopped_by_hand_is_saved_once_the_file_is_ours_again() {
        let mut rig = Rig::new(&(relay("a", "") + &relay("b", "")));
        let (path, aside) = (rig.path(), rig.path().with_extension("aside"));
        let saved = rig.saved();
        let says = |count| {
            let now = fs::read_to_string(&path).unwrap_or_default();
            now.matches("enabled = false").count() == count
        };
        let stop = |rig: &mut Rig, tab| {
            assert_eq!(rig.ask(TabCommand::Stop { tab }), Some(TabReply::Done));
            rig.until("refused", Rig::is_idle);
            assert!(rig.fault().is_some(), "the page says so");
        };
        let until_said = |rig: &mut Rig, count| {
            rig.until("said", |rig| rig.fault().is_none() && says(count));
        };
        fs::write(&path, format!("# theirs\n{saved}")).expect("the folder can be written");
        stop(&mut rig, 1);
        fs::remove_file(&path).expect("it is there");
        until_said(&mut rig, 1);
        // What is no file can't even be looked at.
        fs::rename(&path, &aside).expect("it is there");
        fs::create_dir(&path).expect("the folder can be written");
        stop(&mut rig, 2);
        fs::remove_dir(&path).expect("it is empty");
        fs::rename(&aside, &path).expect("it is there");
        until_said(&mut rig, 2);
    }

    /// What the file names may be wrong for a while, and nobody has to do more than put it right. Until then the page
    /// says why it is not saved, also while that is looked at.
    #[test]
    fn what_is_stopped_by_hand_is_saved_once_the_file_is_right() {
        let hub = "[[hub]]\nlisten = \"127.0.0.1:0\"\ntokens = \"tokens\"\n";
        let tokens = std::env::temp_dir().join(format!("hydrant-tokens-{}", std::process::id()));
        let put_right = || {
            fs::write(&tokens, "alice 0123456789abcdef\n").expect("the folder can be written");
            fs::set_permissions(&tokens, PermissionsExt::from_mode(0o600)).expect("it is ours");
        };
        put_right();
        let hub = hub.replace("\"tokens\"", &format!("{tokens:?}"));
        let mut rig = Rig::new(&(relay("a", "") + &relay("b", "") + &hub));
        fs::remove_file(&tokens).expect("it is there");
        assert_eq!(rig.ask(TabCommand::Stop { tab: 1 }), Some(TabReply::Done));
        rig.until("refused", Rig::is_idle);
        let said = "a was stopped, which does not stand there";
        let is_said = |rig: &mut Rig| {
            let fault = rig.fault().expect("the page says so");
            assert!(fault.contains("tokens") && fault.contains(said), "{fault}");
        };
        is_said(&mut rig);
        let mut tries = 0;
        rig.until("tried again", |rig| {
            is_said(rig);
            tries += u32::from(!rig.is_idle());
            tries > 0 && rig.is_idle()
        });
        put_right();
        rig.until("saved", |rig| {
            rig.is_idle() && rig.fault().is_none() && rig.saved().contains("enabled = false")
        });
        fs::remove_file(&tokens).expect("it is there");
    }

    /// What could not be said before the end is tried a last time.
    #[test]
    fn what_is_stopped_by_hand_is_tried_at_the_end() {
        let mut rig = Rig::new(&relay("a", ""));
        let saved = rig.saved();
        fs::write(rig.path(), format!("# theirs\n{saved}")).expect("the folder can be written");
        assert_eq!(rig.ask(TabCommand::Stop { tab: 1 }), Some(TabReply::Done));
        rig.until("refused", Rig::is_idle);
        fs::write(rig.path(), &saved).expect("the folder can be written");
        rig.fleet.finish(LAST_SAVE);
        assert!(rig.saved().contains("enabled = false"), "{}", rig.saved());
    }
}
