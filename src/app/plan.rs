//! What is to be done to each role so that what runs is what a run file says, and the places that it takes.

use super::RoleSet;
use super::change::{Change, change};
use super::fleet::{Post, Standing, reserve};
use crate::config::Member;
use crate::reactor::{End, Reactor, Reserved, RoleId};

/// What is to be done to one role, and what it will be.
pub(super) struct Step {
    pub(super) member: Member,
    /// Its place among those that run, if it is one of them.
    pub(super) old: Option<usize>,
    pub(super) change: Change,
    reserved: Vec<Reserved>,
}

/// What is to be done to `posts`, which are to be `members`. Where the file has been read again, what has come to its
/// end begins anew.
pub(super) fn plan(posts: &[Post], members: &[Member], is_reread: bool) -> Vec<Step> {
    let step = |member: &Member| {
        let mut member = member.clone();
        let old = posts
            .iter()
            .position(|post| post.member.name == member.name);
        let change = match old.map(|at| &posts[at]) {
            Some(post) => change_of(post, &mut member, is_reread),
            None if member.is_enabled => Change::Anew,
            None => Change::Rest,
        };
        Step {
            member,
            old,
            change,
            reserved: Vec::new(),
        }
    };
    members.iter().map(step).collect()
}

/// What the file says of running holds where it says another thing than before: what was stopped by hand, or begun,
/// stays so whatever else is changed of it.
fn change_of(post: &Post, new: &mut Member, is_reread: bool) -> Change {
    let (was, is) = (post.member.is_enabled, new.is_enabled);
    match post.standing {
        Standing::Running(_) if was && !is => Change::Stop,
        Standing::Running(_) => change(&post.member, new),
        _ if is_reread && post.is_over() && is => Change::Anew,
        _ if !was && is => Change::Anew,
        _ => Change::Rest,
    }
}

/// "2 begun, 1 changed, 0 stopped, 4 untouched"
pub(super) fn summary(steps: &[Step], gone: usize) -> String {
    let count = |wanted: &[Change]| {
        let steps = steps.iter();
        steps.filter(|step| wanted.contains(&step.change)).count()
    };
    format!(
        "{} begun, {} changed, {} stopped, {} untouched",
        count(&[Change::Anew]),
        count(&[Change::Options, Change::Source]),
        gone + count(&[Change::Stop]),
        count(&[Change::None, Change::Rest])
    )
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
            Err((_, text)) => {
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
