//! Tells flags from words. Which flags exist comes from the caller.
//!
//! pico-args takes what it is asked for out of the arguments. First they are brought into a form in which that can't go
//! wrong: it knows no `--`, takes `--flag --other` for a value, and finds all of `--flag V` before any of `--flag=V`,
//! so that the last one would not win.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsString;

use pico_args::Arguments;

use super::error::UsageError;
use crate::base::option::Opt;

/// A command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// Flags that exist, each with its value; those of one flag in the order in which they stand.
    pub(crate) given: Vec<(&'static str, String)>,
    /// All words that are no flags.
    pub(crate) words: Vec<String>,
    /// The first flag that doesn't exist.
    pub(crate) unknown: Option<String>,
}

impl Split {
    /// Whether nothing at all was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.words.is_empty() && self.unknown.is_none()
    }
}

/// Takes a command line apart. `known` has every flag of every role once.
pub(crate) fn split(
    args: impl IntoIterator<Item = OsString>,
    known: &[&'static Opt],
) -> Result<Split, UsageError> {
    let mut args = args
        .into_iter()
        .map(|arg| arg.into_string().map_err(|arg| UsageError::NotUtf8 { arg }))
        .collect::<Result<VecDeque<String>, _>>()?;
    let mut split = Split::default();
    let mut plain: Vec<OsString> = Vec::new();
    while let Some(arg) = args.pop_front() {
        if arg == "--" {
            break;
        }
        if arg.starts_with("--") {
            long(arg, &mut args, known, &mut plain, &mut split.unknown)?;
        } else if arg.len() > 1 && arg.starts_with('-') && !are_switches(&arg, known) {
            split.unknown.get_or_insert(arg);
        } else {
            plain.push(arg.into());
        }
    }
    take(Arguments::from_vec(plain), known, &mut split);
    split.words.extend(args); // what stands behind `--`
    Ok(split)
}

/// Checks one long flag, and puts it into `plain` with its value, if it takes one, behind it.
fn long(
    arg: String,
    args: &mut VecDeque<String>,
    known: &[&'static Opt],
    plain: &mut Vec<OsString>,
    unknown: &mut Option<String>,
) -> Result<(), UsageError> {
    let (flag, value) = match arg.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (arg.as_str(), None),
    };
    let Some(opt) = known.iter().find(|opt| opt.flag == flag) else {
        unknown.get_or_insert(flag.to_owned());
        return Ok(());
    };
    plain.push(opt.flag.into());
    if opt.is_switch() {
        return match value {
            Some(_) => Err(UsageError::TakesNoValue { flag: opt.flag }),
            None => Ok(()),
        };
    }
    match value.or_else(|| args.pop_front()) {
        Some(value) if !value.is_empty() && !value.starts_with("--") => plain.push(value.into()),
        _ => return Err(UsageError::NeedsValue { opt }),
    }
    Ok(())
}

/// Whether `-abc` is made of short switches that exist.
fn are_switches(arg: &str, known: &[&'static Opt]) -> bool {
    let exists = |letter: char| {
        known
            .iter()
            .any(|opt| opt.short.is_some_and(|short| short.ends_with(letter)))
    };
    arg.chars().skip(1).all(exists)
}

/// Options first, with their values, then switches: their combined form would otherwise look into a value such as `-v`.
fn take(mut plain: Arguments, known: &[&'static Opt], split: &mut Split) {
    for opt in known.iter().filter(|opt| !opt.is_switch()) {
        let values = plain.values_from_fn(opt.flag, |value| Ok::<_, Infallible>(value.to_owned()));
        let values = values.expect("every value is there and is UTF-8");
        split
            .given
            .extend(values.into_iter().map(|value| (opt.flag, value)));
    }
    for opt in known.iter().filter(|opt| opt.is_switch()) {
        let mut taken = || match opt.short {
            Some(short) => plain.contains([short, opt.flag]),
            None => plain.contains(opt.flag),
        };
        while taken() {
            split.given.push((opt.flag, String::new()));
        }
    }
    let words = plain.finish().into_iter();
    split
        .words
        .extend(words.map(|word| word.into_string().expect("it was UTF-8 before")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::roles::all_options;
    use proptest::prelude::*;

    fn split_line(line: &str) -> Split {
        split(line.split_whitespace().map(OsString::from), &all_options()).expect(line)
    }

    fn given(line: &str) -> Vec<(&'static str, String)> {
        split_line(line).given
    }

    #[test]
    fn both_spellings_of_a_value_keep_their_order() {
        for line in [
            "--retry 1 --retry 2",
            "--retry=1 --retry 2",
            "--retry 1 --retry=2",
            "--retry=1 --retry=2",
        ] {
            assert_eq!(
                given(line),
                [("--retry", "1".to_owned()), ("--retry", "2".to_owned())],
                "{line}"
            );
        }
        assert_eq!(given("--name=a=b"), [("--name", "a=b".to_owned())]);
        assert_eq!(given("--name=\"a\""), [("--name", "\"a\"".to_owned())]);
    }

    #[test]
    fn a_value_is_no_flag() {
        assert_eq!(given("--name -v"), [("--name", "-v".to_owned())]);
        assert_eq!(
            given("--name=-q -v"),
            [("--name", "-q".to_owned()), ("--verbose", String::new())]
        );
        assert_eq!(given("--retry -1"), [("--retry", "-1".to_owned())]);
        assert_eq!(given("--name a:1"), [("--name", "a:1".to_owned())]);
    }

    #[test]
    fn words_keep_their_order_and_two_dashes_end_flags() {
        let split = split_line("--dump a:1 --retry 5 - :2 -vq -- -v --dump -- :3");
        assert_eq!(split.words, ["a:1", "-", ":2", "-v", "--dump", "--", ":3"]);
        assert_eq!(split.given.len(), 4);
    }

    #[test]
    fn unknown_flags_are_told_as_they_were_given() {
        for (line, flag) in [
            ("--foo a:1", "--foo"),
            ("--foo=5", "--foo"),
            ("-x", "-x"),
            ("-vx", "-vx"),
            ("-verbose", "-verbose"),
            ("-v=1", "-v=1"),
            ("-é", "-é"),
            ("---", "---"),
            ("--foo --bar", "--foo"),
        ] {
            assert_eq!(split_line(line).unknown.as_deref(), Some(flag), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_typed_panics(
            args in proptest::collection::vec("\\PC{0,6}|-{0,3}[vqhV=x-]{0,4}|--(retry|name|dump)=?\\PC{0,3}", 0..8)
        ) {
            let _ = split(args.into_iter().map(OsString::from), &all_options());
        }
    }
}
