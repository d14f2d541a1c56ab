//! Run files: whatever stands in one, it is read without a panic, and each mistake is shown at a place of the file, in
//! lines that a terminal can take.

use std::path::Path;

use crate::config::{ConfigError, Env, RunFile};

/// Reads `data` as a run file.
///
/// # Panics
/// When a file without mistakes has no role, or mistakes are shown as they must not be.
pub fn run_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    // No file that it may name is there.
    let folder = Path::new("/nonexistent");
    match RunFile::parse(text, folder, &[], &Env::default()) {
        Ok((_, members)) => {
            assert!(!members.is_empty(), "there is nothing to run");
            for (at, member) in members.iter().enumerate() {
                let same = members[..at].iter().any(|other| other.name == member.name);
                assert!(!same, "{} is there twice", member.name);
            }
        }
        Err(mistakes) => {
            assert!(
                !mistakes.is_empty(),
                "it is wrong, and nothing is wrong with it"
            );
            let ConfigError::Mistakes(shown) = RunFile::shown("f.toml", text, mistakes.clone())
            else {
                panic!("mistakes are shown as such");
            };
            let most = RunFile::SHOWN_MAX;
            let lines = 3 * mistakes.len().min(most) + usize::from(mistakes.len() > most);
            assert_eq!(shown.lines().count(), lines, "{shown}");
            assert!(
                shown.lines().all(|line| !line.contains(char::is_control)),
                "{shown:?}"
            );
        }
    }
}
