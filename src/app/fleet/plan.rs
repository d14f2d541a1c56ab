//! What is to be done to each role so that what runs is what a run file says, and the places that it takes.

use std::collections::HashMap;

use crate::app::RoleSet;
use crate::app::posts::begin::{reserve, text_of};
use crate::app::posts::change::{Change, change};
use crate::app::posts::{Post, Standing};
use crate::base::endpoint::Endpoint;
use crate::config::Member;
use crate::reactor::{Reactor, Reserved, RoleId};

/// What is to be done to one role, and what it will be.
pub(super) struct Step {
    pub(super) member: Member,
    /// Its place among those that run, if it is one of them.
    pub(super) old: Option<usize>,
    pub(super) change: Change,
    /// Its orders are what they were, in every word.
    pub(super) is_same: bool,
    /// It rests, and would run by others.
    is_other: bool,
    reserved: Vec<Reserved>,
}

impl Step {
    fn is_anew(&self) -> bool {
        self.change == Change::Anew
    }

    /// The role takes it over as it runs.
    fn is_live(&self) -> bool {
        matches!(self.change, Change::Options | Change::Source)
    }
}

/// What is to be done to `posts`, which are to be `members`. Where the file has been read again, what has come to its
/// end begins anew.
pub(super) fn plan(posts: &[Post], members: Vec<Member>, is_reread: bool) -> Vec<Step> {
    let places = places_of(posts);
    let step = |mut member: Member| {
        let old = places.get(member.name.as_str()).copied();
        let before = old.map(|at| &posts[at]);
        let is_same = before.is_some_and(|post| post.member == member);
        let change = match before {
            // So it is with nearly all.
            Some(post) if is_same && goes_on(post, is_reread) => Change::None,
            Some(post) => change_of(post, &mut member, is_reread),
            None if member.is_enabled => Change::Anew,
            None => Change::Rest,
        };
        let rests = change == Change::Rest && !is_same;
        let is_other = rests && before.is_some_and(|post| is_other(&post.member, &member));
        Step {
            member,
            old,
            change,
            is_same,
            is_other,
            reserved: Vec::new(),
        }
    };
    members.into_iter().map(step).collect()
}

/// Whether one that rests would run otherwise if it did. That it does not, who stopped it by hand knows.
fn is_other(old: &Member, new: &Member) -> bool {
    let mut new = new.clone();
    new.is_enabled = old.is_enabled;
    // What was read from the same files is shared by then.
    change(old, &mut new);
    *old != new
}

/// The place of each by its name: there may be more than a thousand, and each is looked for.
fn places_of(posts: &[Post]) -> HashMap<&str, usize> {
    let all = posts.iter().enumerate();
    all.map(|(at, post)| (post.member.name.as_str(), at))
        .collect()
}

/// Where those listen that are to begin: as in [`plan`], before one of them has its new name, which `renamed` puts
/// behind its old one.
pub(super) fn places_to_take(
    posts: &[Post],
    members: &[Member],
    renamed: Option<(&str, &str)>,
    is_reread: bool,
) -> Vec<Endpoint> {
    let places = places_of(posts);
    let is_anew = |member: &Member| {
        let old = renamed.filter(|(_, new)| *new == member.name);
        let name = old.map_or(member.name.as_str(), |(old, _)| old);
        match places.get(name) {
            Some(at) => begins_anew(&posts[*at], member, is_reread),
            None => member.is_enabled,
        }
    };
    let begin = members.iter().filter(|member| is_anew(member));
    begin
        .flat_map(|member| member.run.listens())
        .cloned()
        .collect()
}

/// Whether it runs, and goes on if its orders are what they were.
fn goes_on(post: &Post, is_reread: bool) -> bool {
    matches!(post.standing, Standing::Running(_)) && !(is_reread && post.lacks)
}

fn begins_anew(post: &Post, new: &Member, is_reread: bool) -> bool {
    // So it is with nearly all, and none of those has to be taken apart.
    if goes_on(post, is_reread) && post.member == *new {
        return false;
    }
    change_of(post, &mut new.clone(), is_reread) == Change::Anew
}

/// What the file says of running holds where it says another thing than before: what was stopped by hand, or begun,
/// stays so whatever else is changed of it.
fn change_of(post: &Post, new: &mut Member, is_reread: bool) -> Change {
    let (was, is) = (post.member.is_enabled, new.is_enabled);
    match post.standing {
        Standing::Running(_) if was && !is => Change::Stop,
        Standing::Running(_) => match change(&post.member, new) {
            Change::None if is_reread && post.lacks => Change::Options,
            change => change,
        },
        _ if is_reread && post.is_over() && is => Change::Anew,
        _ if !was && is => Change::Anew,
        _ => Change::Rest,
    }
}

/// "2 begun, 1 changed, 0 stopped, 4 untouched, 1 added"; what is added does not run yet.
pub(super) fn summary(steps: &[Step], gone: usize) -> String {
    let (mut begun, mut changed, mut stopped, mut untouched, mut added) = (0, 0, gone, 0, 0);
    for step in steps {
        *match step.change {
            Change::Anew => &mut begun,
            Change::Options | Change::Source => &mut changed,
            Change::Stop => &mut stopped,
            Change::Rest if step.old.is_none() => &mut added,
            Change::Rest if step.is_other => &mut changed,
            Change::None | Change::Rest => &mut untouched,
        } += 1;
    }
    let added = match added {
        0 => String::new(),
        added => format!(", {added} added"),
    };
    format!("{begun} begun, {changed} changed, {stopped} stopped, {untouched} untouched{added}")
}

/// Listens for the next of those that begin, `most` of them, at places of theirs or of those who go. `at`: the next
/// step.
///
/// # Errors
/// Which of them can't, and why.
pub(super) fn reserve_next(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
    at: &mut usize,
    most: usize,
    before: &[Option<RoleId>],
    leaving: &[RoleId],
) -> Result<(), String> {
    for step in next_of(steps, at, most, Step::is_anew) {
        let own = step.old.and_then(|at| before[at]);
        step.reserved = reserve(reactor, &step.member, own, leaving)
            .map_err(|faults| format!("{}: {}", step.member.label(), text_of(&faults)))?;
    }
    Ok(())
}

/// Begins the next of those that are new or other, `most` of them. `at`: the next step.
///
/// # Errors
/// Which of them can't, and why.
pub(super) fn begin_next(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
    at: &mut usize,
    most: usize,
    begun: &mut Vec<Post>,
) -> Result<(), String> {
    for step in next_of(steps, at, most, Step::is_anew) {
        let reserved = std::mem::take(&mut step.reserved);
        let post = Post::begin(reactor, step.member.clone(), reserved)
            .map_err(|text| format!("{}: {text}", step.member.label()))?;
        begun.push(post);
    }
    Ok(())
}

/// Has the next of those that are other as they run take that over, `most` of them. `at`: the next step.
pub(super) fn change_next(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
    at: &mut usize,
    most: usize,
    posts: &mut [Post],
) {
    for step in next_of(steps, at, most, Step::is_live) {
        if let Some(post) = step.old.and_then(|at| posts.get_mut(at)) {
            post.change(reactor, step.change, step.member.clone());
        }
    }
}

/// Nobody is to listen any more where nobody has begun.
pub(super) fn give_back(reactor: &mut Reactor<RoleSet>, steps: &mut [Step]) {
    let reserved = steps
        .iter_mut()
        .flat_map(|step| std::mem::take(&mut step.reserved));
    reactor.cancel(reserved.collect());
}

/// The next of such steps, and where the one behind them stands. The others take no time.
fn next_of<'a>(
    steps: &'a mut [Step],
    at: &mut usize,
    most: usize,
    is_such: fn(&Step) -> bool,
) -> impl Iterator<Item = &'a mut Step> {
    let from = *at;
    let all = steps[from..]
        .iter()
        .enumerate()
        .filter(|(_, step)| is_such(step));
    *at = all
        .skip(most)
        .map(|(place, _)| from + place)
        .next()
        .unwrap_or(steps.len());
    steps[from..*at]
        .iter_mut()
        .filter(move |step| is_such(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, RunFile};

    const ROLE: RoleId = RoleId {
        key: 1,
        generation: 1,
    };

    fn members(text: &str) -> Vec<Member> {
        let folder = std::path::Path::new("/nonexistent");
        let file = RunFile::parse(text, folder, &[], &Env::default());
        file.expect("it is right").members
    }

    fn relay(more: &str) -> Member {
        let text = format!("[[relay]]\nname = \"a\"\nsrc = \"a:1\"\ndst = \":2\"\n{more}\n");
        members(&text).remove(0)
    }

    #[test]
    fn a_role_becomes_another_in_the_mildest_way() {
        let hub = |more: &str| {
            let text = format!("[[hub]]\nlisten = \"127.0.0.1:1\"\n{more}\n");
            members(&text).remove(0)
        };
        let other_source = {
            let text = "[[relay]]\nname = \"a\"\nsrc = \"b:1\"\ndst = \":2\"\n";
            members(text).remove(0)
        };
        for (old, mut new, expected) in [
            (relay(""), relay("# a comment"), Change::None),
            (relay(""), relay("max-lag = \"3s\""), Change::Options),
            (relay("dump = true"), relay(""), Change::Options),
            (relay(""), relay("ring = \"1M\""), Change::Anew),
            (relay(""), other_source.clone(), Change::Source),
            (
                relay("max-lag = \"3s\""),
                other_source.clone(),
                Change::Source,
            ),
            (relay("ring = \"1M\""), other_source, Change::Anew),
            (relay(""), hub(""), Change::Anew),
            (hub(""), hub("idle-timeout = \"7\""), Change::Options),
            (hub(""), hub("max-message = \"2M\""), Change::Anew),
        ] {
            assert_eq!(change(&old, &mut new), expected, "{old:?} -> {new:?}");
        }
    }

    /// What was moved by hand stays so, until the file says something new of it, or what is over is read again.
    #[test]
    fn the_file_has_its_say_where_it_says_something_new() {
        let role = ROLE;
        let running = || Standing::Running(role);
        let told = || Standing::Told(role);
        let stopped = |was_told| Standing::Stopped { was_told };
        let failed = || Standing::Failed("why".to_owned());
        for (standing, was, is, is_reread, expected) in [
            (running(), true, true, true, Change::None),
            (running(), true, false, false, Change::Stop),
            (running(), false, false, true, Change::None),
            (running(), false, true, false, Change::None),
            (told(), true, true, true, Change::Rest),
            (told(), false, true, true, Change::Anew),
            (stopped(true), true, true, true, Change::Rest),
            (stopped(true), false, true, false, Change::Anew),
            (stopped(false), true, true, true, Change::Anew),
            (stopped(false), true, true, false, Change::Rest),
            (failed(), true, true, true, Change::Anew),
            (failed(), true, false, true, Change::Rest),
        ] {
            let says = |is_enabled| relay(if is_enabled { "" } else { "enabled = false" });
            let mut post = Post::resting(says(was));
            post.standing = standing;
            let steps = plan(&[post], vec![says(is)], is_reread);
            assert_eq!(
                (steps[0].change, steps[0].old),
                (expected, Some(0)),
                "{was} {is} {is_reread}"
            );
        }
    }

    /// A dead name server holds up those alone that need it.
    #[test]
    fn only_names_of_those_that_begin_are_looked_up() {
        let of = |name: &str, place: &str, more: &str| {
            format!("[[relay]]\nname = \"{name}\"\nsrc = \"a:1\"\ndst = \"{place}\"\n{more}\n")
        };
        let text = |first: &str, ring: &str| {
            let off = "enabled = false";
            of(first, "a.test:1", "")
                + &of("b", "b.test:2", ring)
                + &of("c", "c.test:3", "")
                + &of("d", "d.test:4", off)
        };
        let posts = members(&text("a", "")).into_iter().map(Post::resting);
        let mut posts: Vec<Post> = posts.collect();
        // It has failed, and another name is no reason to begin it.
        posts[0].standing = Standing::Failed("why".to_owned());
        posts[1].standing = Standing::Running(ROLE);
        let new = members(&text("x", "ring = \"1M\""));
        let names = |posts: &[Post], is_reread| -> Vec<String> {
            let taken = places_to_take(posts, &new, Some(("a", "x")), is_reread);
            taken.iter().map(Endpoint::to_string).collect()
        };
        assert_eq!(names(&posts, false), ["b.test:2"]);
        assert_eq!(names(&posts, true), ["a.test:1", "b.test:2"]);
        assert_eq!(names(&[], true).len(), 3);
    }

    #[test]
    fn what_could_not_hold_is_tried_again_by_a_reload() {
        let mut post = Post::resting(relay(""));
        (post.standing, post.lacks) = (Standing::Running(ROLE), true);
        let posts = [post];
        let change_of = |is_reread| plan(&posts, vec![relay("")], is_reread)[0].change;
        assert_eq!(
            (change_of(true), change_of(false)),
            (Change::Options, Change::None)
        );
    }

    #[test]
    fn newcomers_begin_if_they_are_to() {
        let text = "[[relay]]\nname = \"a\"\nsrc = \"a:1\"\ndst = \":2\"\n\
                    [[relay]]\nname = \"b\"\nsrc = \"a:1\"\ndst = \":3\"\nenabled = false\n";
        let steps = plan(&[], members(text), true);
        let changes: Vec<Change> = steps.iter().map(|step| step.change).collect();
        assert_eq!(changes, [Change::Anew, Change::Rest]);
        assert_eq!(
            summary(&steps, 1),
            "1 begun, 0 changed, 1 stopped, 0 untouched, 1 added"
        );
        // What is read anew for TLS is no change either.
        let text = text.replace("a:1", "tls://b:1");
        let posts = members(&text).into_iter().map(Post::resting);
        let posts: Vec<Post> = posts.collect();
        let mut new = members(&text);
        let steps = plan(&posts, new.clone(), false);
        assert_eq!(
            summary(&steps, 0),
            "0 begun, 0 changed, 0 stopped, 2 untouched"
        );
        new.swap(0, 1);
        new[0].sheet = None;
        // It was stopped by hand, and the file does not say so: that is no change of it.
        new[1].is_enabled = !new[1].is_enabled;
        let steps = plan(&posts, new, false);
        assert_eq!(
            summary(&steps, 0),
            "0 begun, 1 changed, 0 stopped, 1 untouched"
        );
    }
}
