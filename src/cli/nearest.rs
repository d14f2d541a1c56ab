//! What someone may have meant by a name that does not exist.

/// The candidate that `typed` looks like a slip of, a letter or two of which differ; else all that it is a part of, in
/// order. Dashes in front do not count.
pub(crate) fn nearest(
    typed: &str,
    candidates: impl Iterator<Item = &'static str>,
) -> Vec<&'static str> {
    let typed = typed.trim_start_matches('-');
    if typed.len() > LONGEST {
        return Vec::new();
    }
    let mut close = Vec::new();
    let mut whole = Vec::new();
    for candidate in candidates {
        let name = candidate.trim_start_matches('-');
        let slips = distance(typed, name);
        if slips <= (name.len() / 3).clamp(1, SLIPS_MAX) && slips < typed.len() {
            close.push((slips, candidate));
        }
        let part = typed.len() >= PART_MIN && name.contains(typed);
        if part && !whole.contains(&candidate) {
            whole.push(candidate);
        }
    }
    let closest = close.into_iter().min();
    closest.map_or(whole, |(_, candidate)| vec![candidate])
}

/// "a", "a or b", "a, b or c".
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [.., _, last] => format!("{} or {last}", names[..names.len() - 1].join(", ")),
        _ => names.concat(),
    }
}

/// The fewest letters to insert, leave out, change or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

const LONGEST: usize = 40; // no name is as long, and the work grows with it
const SLIPS_MAX: usize = 2;
const PART_MIN: usize = 3; // shorter parts are in everything

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        let cases = [
            ("", "", 0),
            ("abc", "", 3),
            ("retri", "retry", 1),
            ("rtery", "retry", 1),
            ("rety", "retry", 1),
            ("rettry", "retry", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ];
        for (a, b, slips) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (slips, slips), "{a} {b}");
        }
    }

    #[test]
    fn only_what_looks_like_a_slip_is_suggested() {
        let flags = [
            "--retry",
            "--connect-timeout",
            "--idle-timeout",
            "--max-clients",
            "--wait-clients",
            "--stats",
            "--stats-interval",
        ];
        let cases = [
            ("--retri", "--retry"),
            ("-retry", "--retry"),
            ("--stat", "--stats"),
            ("--timeout", "--connect-timeout or --idle-timeout"),
            ("--interval", "--stats-interval"),
            ("--max-client", "--max-clients"),
            ("--clients", "--max-clients or --wait-clients"),
            ("--wait-client", "--wait-clients"),
            ("--t", ""),
            ("--foo", ""),
            ("-x", ""),
            ("--", ""),
            ("--con", "--connect-timeout"),
        ];
        for (typed, near) in cases {
            assert_eq!(one_of(&nearest(typed, flags.into_iter())), near, "{typed}");
        }
        let long = "x".repeat(1 << 20);
        assert!(nearest(&long, flags.into_iter()).is_empty());
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
