//! The `slow` that one destination among several has of its own. A file says it in a section, and a page in a field of
//! its own; a command line has one `--slow` for all.

use crate::roles::relay::config::{RelayConfig, Slow};

/// The field of a destination's own `slow`: `slow of :6000`.
pub(crate) fn slow_key(dst: &str) -> String {
    format!("{SLOW_OF}{dst}")
}

/// The destination that a field is about, if it is one of those.
pub(crate) fn slow_of(key: &str) -> Option<&str> {
    key.strip_prefix(SLOW_OF)
}

/// Whether the one at this place of `new` is that of `old` with another word: where as many come as go, each takes the
/// place of the one before.
pub(super) fn is_moved(old: &[&str], new: &[&str], at: usize) -> bool {
    old.len() == new.len() && !new.contains(&old[at]) && !old.contains(&new[at])
}

/// How a command line says what destinations have of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// They have what they would have in any case.
    AsItIs,
    /// All have this one, so that it is `--slow`.
    ByFlag(Slow),
    /// It can't: these differ from the rest, each by its field and what stands there.
    Not(Vec<String>),
}

/// How the command line that makes `plain` says that outputs, each by its place and as it was typed, have a policy of
/// their own.
pub(super) fn said(plain: &RelayConfig, own: &[(usize, &str, Slow)]) -> Said {
    let meant: Vec<Slow> = (0..plain.outputs.len())
        .map(|at| {
            let of_own = own.iter().find(|(place, ..)| *place == at);
            of_own.map_or(plain.outputs[at].slow, |(.., slow)| *slow)
        })
        .collect();
    let differs = |(at, ..): &&(usize, &str, Slow)| meant[*at] != plain.outputs[*at].slow;
    let mut other = own
        .iter()
        .filter(|(at, ..)| *at < meant.len())
        .filter(differs)
        .peekable();
    match (other.peek(), meant.first()) {
        (None, _) | (_, None) => Said::AsItIs,
        (_, Some(first)) if meant.iter().all(|slow| slow == first) => Said::ByFlag(*first),
        _ => Said::Not(
            other
                .map(|(_, dst, slow)| format!("{} = {}", slow_key(dst), slow.word()))
                .collect(),
        ),
    }
}

const SLOW_OF: &str = "slow of ";
