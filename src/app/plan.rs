//! What is to be done to each role so that what runs is what a run file says, and the places that it takes.

use super::RoleSet;
use super::begin::{reserve, text_of};
use super::change::{Change, change};
use super::posts::{Post, Standing};
use crate::base::endpoint::Endpoint;
use crate::config::Member;
use crate::reactor::{End, Reactor, Reserved, RoleId};

/// What is to be done to one role, and what it will be.
pub(super) struct Step {
    pub(super) member: Member,
    /// Its place among those that run, if it is one of them.
    pub(super) old: Option<usize>,
    pub(super) change: Change,
    /// Its orders are others than they were.
    is_other: bool,
    reserved: Vec<Reserved>,
}

/// What is to be done to `posts`, which are to be `members`. Where the file has been read again, what has come to its
/// end begins anew.
pub(super) fn plan(posts: &[Post], members: &[Member], is_reread: bool) -> Vec<Step> {
    let step = |member: &Member| {
        let mut member = member.clone();
        let old = place_of(posts, &member.name);
        let is_other = old.is_some_and(|at| posts[at].member != member);
        let change = match old.map(|at| &posts[at]) {
            Some(post) => change_of(post, &mut member, is_reread),
            None if member.is_enabled => Change::Anew,
            None => Change::Rest,
        };
        Step {
            member,
            old,
            change,
            is_other,
            reserved: Vec::new(),
        }
    };
    members.iter().map(step).collect()
}

fn place_of(posts: &[Post], name: &str) -> Option<usize> {
    posts.iter().position(|post| post.member.name == name)
}

/// Where those listen that are to begin: as in [`plan`], before one of them has its new name, which `renamed` puts
/// behind its old one.
pub(super) fn places_to_take(
    posts: &[Post],
    members: &[Member],
    renamed: Option<(&str, &str)>,
    is_reread: bool,
) -> Vec<Endpoint> {
    let is_anew = |member: &Member| {
        let old = renamed.filter(|(_, new)| *new == member.name);
        let name = old.map_or(member.name.as_str(), |(old, _)| old);
        match place_of(posts, name) {
            Some(at) => change_of(&posts[at], &mut member.clone(), is_reread) == Change::Anew,
            None => member.is_enabled,
        }
    };
    let begin = members.iter().filter(|member| is_anew(member));
    begin
        .flat_map(|member| member.run.listens())
        .cloned()
        .collect()
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

/// Listens for all that begin, at places of theirs or of those who go.
pub(super) fn reserve_all(
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
            Err(faults) => {
                failed = Some((at, text_of(&faults)));
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
pub(super) fn begin_all(
    reactor: &mut Reactor<RoleSet>,
    steps: &mut [Step],
) -> Result<Vec<Post>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, RunFile};

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
        let role = RoleId(1);
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
            let steps = plan(&[post], &[says(is)], is_reread);
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
        posts[1].standing = Standing::Running(RoleId(1));
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
        (post.standing, post.lacks) = (Standing::Running(RoleId(1)), true);
        let posts = [post];
        let change_of = |is_reread| plan(&posts, &[relay("")], is_reread)[0].change;
        assert_eq!(
            (change_of(true), change_of(false)),
            (Change::Options, Change::None)
        );
    }

    #[test]
    fn newcomers_begin_if_they_are_to() {
        let text = "[[relay]]\nname = \"a\"\nsrc = \"a:1\"\ndst = \":2\"\n\
                    [[relay]]\nname = \"b\"\nsrc = \"a:1\"\ndst = \":3\"\nenabled = false\n";
        let steps = plan(&[], &members(text), true);
        let changes: Vec<Change> = steps.iter().map(|step| step.change).collect();
        assert_eq!(changes, [Change::Anew, Change::Rest]);
        assert_eq!(
            summary(&steps, 1),
            "1 begun, 0 changed, 1 stopped, 0 untouched, 1 added"
        );
        let text = text.replace("a:1", "b:1");
        let posts = members(&text).into_iter().map(Post::resting);
        let posts: Vec<Post> = posts.collect();
        let mut new = members(&text);
        let steps = plan(&posts, &new, false);
        assert_eq!(
            summary(&steps, 0),
            "0 begun, 0 changed, 0 stopped, 2 untouched"
        );
        new.swap(0, 1);
        new[0].sheet = None;
        let steps = plan(&posts, &new, false);
        assert_eq!(
            summary(&steps, 0),
            "0 begun, 1 changed, 0 stopped, 1 untouched"
        );
    }
}
