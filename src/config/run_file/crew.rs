//! The roles that sections make, each by the same builders as a command line's.

use std::collections::HashMap;
use std::ops::Range;

use super::blame::{blame, listens_alone};
use super::clashes;
use super::section::{Entry, Reader};
use crate::base::endpoint::Endpoint;
use crate::cli::RoleId;
use crate::config::{Member, Run, build};
use crate::roles::relay::config::{RelayConfig, Slow};

/// What stands in a section, and the role that it makes if nothing is wrong.
pub(super) struct Draft {
    pub(super) entry: Entry,
    pub(super) member: Option<Member>,
    /// Where it listens, and where that stands.
    pub(super) listens: Vec<(Endpoint, Range<usize>)>,
}

/// Makes roles of what stands in their sections.
pub(super) fn crew(reader: &mut Reader<'_>, entries: Vec<Entry>) -> Vec<Draft> {
    let env = reader.env;
    let mut crew: Vec<Draft> = Vec::new();
    let mut names = HashMap::new();
    for entry in entries {
        clashes::note_name(reader, &mut names, &entry);
        let words = entry.section.words.iter().map(|(word, _)| *word);
        let missing: Vec<&str> = words.filter(|word| lacks(&entry, word)).collect();
        for word in missing.iter().filter(|word| !entry.lost.may_be(word)) {
            let text = format!("this {} has no {word}", entry.section.name);
            reader.note(entry.header.clone(), text);
        }
        let words = entry.plain_words();
        let built = match missing.is_empty() {
            true => build(entry.section.role, &entry.values, &words, env).map(Some),
            false => {
                blame(reader, &entry, env, None);
                Ok(None)
            }
        };
        let member = match built {
            // What it would be with all that stands there is not known.
            Ok(Some(_)) if !entry.lost.is_nothing() => None,
            Ok(Some((run, certificates))) => {
                let mut member = Member::alone(run, certificates);
                member.sheet = Some(entry.sheet(&member.run));
                quieten(&mut member.run, &entry.slows);
                member.is_enabled = entry.is_enabled;
                Some(member)
            }
            Ok(None) => None,
            Err(error) => {
                blame(reader, &entry, env, Some(&error));
                None
            }
        };
        let listens = match &member {
            Some(member) => clashes::places(&entry, &member.run),
            None => listens_alone(&entry, env),
        };
        crew.push(Draft {
            entry,
            member,
            listens,
        });
    }
    crew
}

/// Whether a word is missing. A service is not needed where there is an echo.
fn lacks(entry: &Entry, word: &str) -> bool {
    let echoes = entry.section.role == RoleId::TunnelExpose && entry.values.given("echo");
    let has = entry.words.iter().any(|own| own.key == word);
    !(has || word == "target" && echoes)
}

/// In a process of many, nobody's address is for stdout; and an output has the policy that it says.
fn quieten(run: &mut Run, slows: &[(usize, String)]) {
    match run {
        Run::Relay(relay) => slows
            .iter()
            .for_each(|(index, word)| set_slow(relay, *index, word)),
        Run::TunnelExpose(expose) => expose.prints = false,
        _ => {}
    }
}

fn set_slow(relay: &mut RelayConfig, index: usize, word: &str) {
    // The first word is SRC.
    let output = index
        .checked_sub(1)
        .and_then(|at| relay.outputs.get_mut(at));
    if let Some(output) = output {
        output.slow = Slow::of(word);
    }
}
