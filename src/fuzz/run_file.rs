//! Run files, and a console's own: whatever stands in one, it is read without a panic, each mistake is shown at a place
//! of the file, in lines that a terminal can take, and what a page changes of it is all that changes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::run_file::{Edit, Mistake};
use crate::config::settings::{Document, fresh};
use crate::config::{ConfigError, Env, Globals, Member, Run, RunFile};

/// Reads `data` as a run file, and as a console's, and changes it.
///
/// # Panics
/// When a file without mistakes has no role, mistakes are shown as they must not be, or a change changes more than it
/// should.
pub fn run_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    document(text);
    match parse(text) {
        Ok((globals, members)) => {
            assert!(!members.is_empty(), "there is nothing to run");
            for (at, member) in members.iter().enumerate() {
                let same = members[..at].iter().any(|other| other.name == member.name);
                assert!(!same, "{} is there twice", member.name);
            }
            for at in 0..members.len().min(EDITED_MAX) {
                edit(text, &globals, &members, at);
            }
        }
        Err(mistakes) => {
            assert!(
                !mistakes.is_empty(),
                "it is wrong, and nothing is wrong with it"
            );
            for Mistake { at, .. } in &mistakes {
                assert!(text.get(at.clone()).is_some(), "{at:?}: {text}");
            }
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

fn parse(text: &str) -> Result<(Globals, Vec<Member>), Vec<Mistake>> {
    // No file that it may name is there.
    let file = RunFile::parse(text, Path::new("/nonexistent"), &[], &Env::default());
    file.map(|file| (file.globals, file.members))
}

/// Changes one role of a file that is right in every way that a page knows.
fn edit(text: &str, globals: &Globals, members: &[Member], at: usize) {
    let name = members[at].name.clone();
    let after = |edit: &Edit| edit.apply(text).ok().map(|text| (parse(&text), text));
    for on in [true, false] {
        let enable = Edit::Enable {
            name: name.clone(),
            on,
        };
        // One that does not stand in a section of its own can't be found.
        let Some((now, text)) = after(&enable) else {
            return;
        };
        let mut expected = members.to_vec();
        expected[at].is_enabled = on;
        let (_, now) = now.unwrap_or_else(|mistakes| panic!("{mistakes:?}: {text}"));
        assert_eq!(now, expected, "{text}");
    }
    let others = |all: &[Member], name: &str| -> Vec<Member> {
        let others = all.iter().filter(|member| member.name != name);
        others.cloned().collect()
    };
    let left = others(members, &name);
    if let (Run::Relay(_), Some((Ok((_, now)), text))) = (
        &members[at].run,
        after(&set(&name, &[("max-lag", "3s"), ("dst", "127.0.0.1:1 :2")])),
    ) {
        assert_eq!(others(&now, &name), left, "{text}");
        let fields = &now[at].sheet.as_ref().expect("it came from a file").fields;
        let of = |key: &str| fields.iter().find(|(own, _)| own == key).expect(key);
        assert_eq!(of("max-lag").1, "3s", "{text}");
        assert_eq!(in_order(&of("dst").1), ["127.0.0.1:1", ":2"], "{text}");
    }
    let taken = Vec::new();
    if let Some((now, text)) = after(&Edit::Remove { name, taken })
        && !left.is_empty()
    {
        let (_, now) = now.unwrap_or_else(|mistakes| panic!("{mistakes:?}: {text}"));
        assert_eq!(now, left, "{text}");
    }
    let names: BTreeSet<String> = members.iter().map(|member| member.name.clone()).collect();
    let mut taken: Vec<_> = members
        .iter()
        .flat_map(|it| it.run.listens())
        .cloned()
        .collect();
    taken.extend(globals.console.as_ref().map(|console| console.bind.clone()));
    taken.extend(globals.metrics.clone());
    if let Some((Ok((_, now)), text)) = after(&Edit::chain(None, &names, &taken)) {
        let old: Vec<&Member> = now.iter().filter(|it| names.contains(&it.name)).collect();
        assert!(old.into_iter().eq(members), "{text}");
        assert!(now.len() == members.len() + 1, "{text}");
    }
}

fn set(name: &str, fields: &[(&str, &str)]) -> Edit {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Edit::Set {
        name: name.to_owned(),
        fields: fields.iter().map(owned).collect(),
    }
}

/// What a console writes is what it reads, and what it has not changed stays as it was.
fn document(text: &str) {
    let Ok((mut document, all)) = Document::parse(text) else {
        return;
    };
    let read = |text: &str| {
        let read = Document::parse(text);
        read.unwrap_or_else(|error| panic!("{error}: {text}")).1
    };
    for (place, settings) in all.iter().enumerate() {
        let _ = (settings.check(), settings.command());
        document.set(place, settings);
    }
    let written = document.text();
    assert_eq!(read(&written), all, "{text}");
    for (place, settings) in all.iter().enumerate() {
        document.set(place, settings);
    }
    assert_eq!(document.text(), written, "nothing has changed");
    let mut expected = all.clone();
    for (place, settings) in expected.iter_mut().enumerate() {
        settings.set("src", "a:1,b:2");
        settings.set("dst", ":1 :2");
        settings.set("origin", "https://a,https://b");
        settings.slows.clear();
        document.set(place, settings);
    }
    let now = read(&document.text());
    assert_eq!(now.len(), expected.len());
    for now in &now {
        assert_eq!(
            ["src", "origin"].map(|key| now.get(key)),
            ["a:1,b:2", "https://a,https://b"]
        );
        assert_eq!(in_order(now.get("dst")), [":1", ":2"]);
    }
    let names = all.iter().map(|settings| settings.name.clone()).collect();
    document.push(&fresh(&names));
    assert_eq!(read(&document.text()).len(), all.len() + 1);
    (0..=all.len()).for_each(|_| document.remove(0));
    assert_eq!(read(&document.text()), []);
}

/// Destinations by themselves: one that has a section of its own keeps it, and is behind the others then.
fn in_order(dst: &str) -> Vec<&str> {
    let mut all: Vec<&str> = dst.split(' ').collect();
    all.sort();
    all
}

/// How many roles of a file are changed.
const EDITED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::config::run_file::example;

    /// Lines of a relay's section, right and wrong, as people and pages write them.
    const LINES: &[&str] = &[
        "src = \"a:1\"",
        "src = [\"a:1\", \"b:2\"] # two",
        "src = \"-\"",
        "dst = \":0\"",
        "dst = [\":0\", \"connect:b:7\"]",
        "dst = \"ws://127.0.0.1:0\"",
        "dst = []",
        "allow = \"10.0.0.0/8, ::1\"",
        "allow = [ \"10.0.0.0/8\",\n  \"::1\" ]",
        "origin = [\"https://a\", \"https://b\"]",
        "origin = \"https://a\"",
        "framing = \"line\"",
        "framing = \"delim:0a 0a\"",
        "max-lag = \"5s\"",
        "retry = 5",
        "retry = \"1..30\"",
        "tls-insecure = true",
        "enabled = false # for now",
        "enabled = true",
        "dump = true",
        "\"slow\" = \"skip\"",
        "ring = 1.5",
        "max-clients = 7",
        "# a comment",
        "",
    ];
    const ENDS: &[&str] = &[
        "[[relay.output]]\ndst = \":0\"\nslow = \"block\"",
        "[[relay.output]] # far\ndst = \"connect:c:9\"",
        "[[hub]]\nlisten = \"127.0.0.1:0\"",
        "# ours\n[[tunnel.serve]]\nname = \"public\"\nlisten = \"127.0.0.1:0\"",
        "[metrics]\nlisten = \"127.0.0.1:0\"",
        "[console]\nsave = true",
        "# behind",
    ];

    fn generated(seed: u64) -> String {
        let mut rng = Rng::new(seed);
        let mut pick = |all: usize| (rng.next() % all as u64) as usize;
        let mut text = String::new();
        for number in 0..1 + pick(3) {
            text += "[[relay]]\n";
            let mut keys = BTreeSet::new();
            if pick(4) > 0 {
                text += &format!("name = \"r{number}\"\n");
            }
            // Most have what a relay needs.
            let needed = [LINES[pick(2)], LINES[3 + pick(2)]];
            let more: Vec<&str> = (0..pick(6)).map(|_| LINES[pick(LINES.len())]).collect();
            let needed = &needed[..if pick(8) > 0 { 2 } else { 0 }];
            for line in needed.iter().chain(&more) {
                let key = line.split([' ', '"']).find(|word| !word.is_empty());
                if key.is_none_or(|key| key == "#" || keys.insert(key)) {
                    text += line;
                    text.push('\n');
                }
            }
            if pick(3) == 0 {
                text += ENDS[pick(2)];
                text.push('\n');
            }
        }
        let mut ends = BTreeSet::new();
        for _ in 0..pick(3) {
            let end = 2 + pick(ENDS.len() - 2);
            if ends.insert(end) {
                text += ENDS[end];
                text.push('\n');
            }
        }
        text
    }

    /// Letters of several bytes, wherever something is wrong.
    #[test]
    fn mistakes_stand_at_whole_letters() {
        let mut rng = Rng::new(1);
        for at in 0..256 {
            let mut text = generated(at);
            for _ in 0..3 {
                let mut place = (rng.next() % text.len() as u64) as usize;
                place = text.floor_char_boundary(place);
                let signs = ["\u{fc}", "\u{1f600}", "\"", "[", "=\u{fc}", "\u{201c}"];
                text.insert_str(place, signs[(rng.next() % 6) as usize]);
            }
            run_file(text.as_bytes());
        }
    }

    /// Files that are right, or nearly so, each to be spoiled.
    fn kept() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/run_file");
        let entries = std::fs::read_dir(folder).expect("there are kept files");
        let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        let texts = paths.into_iter().filter_map(|path| {
            let bytes = std::fs::read(path).expect("a kept file can be read");
            String::from_utf8(bytes).ok()
        });
        let mut all: Vec<String> = texts.collect();
        all.push(example());
        all
    }

    /// A file as a slip of the hand leaves it: lines and keys, quotes and brackets gone, twice, or in another place.
    fn spoiled(text: &str, other: &str, rng: &mut Rng) -> String {
        let mut pick = |all: usize| (rng.next() % all.max(1) as u64) as usize;
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        for _ in 0..1 + pick(4) {
            if lines.is_empty() {
                break;
            }
            let (at, to) = (pick(lines.len()), pick(lines.len()));
            let line = &mut lines[at];
            // The first or the last of them, or neither, wherever they stand.
            let sign = ["\"", "[", "]", "=", ",", "#", ".", "'"][pick(8)];
            let place = line.floor_char_boundary(pick(line.len() + 1));
            match pick(11) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(to, lines[at].clone()),
                2 => lines.swap(at, to),
                3 => {
                    let theirs: Vec<&str> = other.split('\n').collect();
                    lines.insert(at, theirs[pick(theirs.len())].to_owned());
                }
                4 => *line = line.replacen(sign, "", 1),
                5 => line.insert_str(place, sign),
                6 => line.truncate(place),
                7 => {
                    let (key, value) = line.split_once('=').unwrap_or((line, ""));
                    let mut key: Vec<char> = key.trim().chars().collect();
                    let turned = pick(key.len());
                    key.rotate_left(turned);
                    *line = format!("{} ={value}", key.iter().collect::<String>());
                }
                8 => {
                    let (key, _) = line.split_once('=').unwrap_or((line, ""));
                    let values = [
                        "\"\"",
                        "[]",
                        "0",
                        "true",
                        "{}",
                        "[\"x\", 1]",
                        "\"-\"",
                        "\"unix:\"",
                    ];
                    *line = format!("{key}= {}", values[pick(8)]);
                }
                9 => *line = line.replace("[[", "[").replace("]]", "]"),
                _ => *line = format!("# {line}"),
            }
        }
        lines.join("\n")
    }

    #[test]
    fn no_slip_of_the_hand_is_too_much() {
        let kept = kept();
        for seed in 0..SPOILED {
            let mut rng = Rng::new(seed);
            let mut any = |seed: u64| match rng.next() % 3 {
                0 => generated(seed),
                other => kept[(rng.next() / 3 + other) as usize % kept.len()].clone(),
            };
            let (text, other) = (any(seed), any(seed + 1));
            let text = spoiled(&text, &other, &mut rng);
            let outcome = std::panic::catch_unwind(|| run_file(text.as_bytes()));
            assert!(outcome.is_ok(), "seed {seed}:\n{text}");
        }
    }

    /// How many files are spoiled.
    const SPOILED: u64 = 1000;

    #[test]
    fn a_page_changes_generated_files() {
        let (mut right, mut read) = (0, 0);
        for seed in 0..512 {
            let text = generated(seed);
            let outcome = std::panic::catch_unwind(|| run_file(text.as_bytes()));
            assert!(outcome.is_ok(), "seed {seed}:\n{text}");
            right += u32::from(parse(&text).is_ok());
            read += u32::from(Document::parse(&text).is_ok());
        }
        assert!(right > 100 && read > 200, "{right} right, {read} read");
    }
}
