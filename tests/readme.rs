//! The README says what is so: its command lines work, its table has every flag with its default, its links lead
//! somewhere.

use std::ffi::OsString;
use std::fs;

use hydrant::base::option::Preset;
use hydrant::cli::{GLOBALS, ROLES, RoleId};
use hydrant::config::{Config, Env};

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    fs::read_to_string(path).expect("there is a README")
}

/// Every command line of hydrant's own: in blocks for a shell, and between backticks.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_shell = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_shell = language == "sh";
        } else if is_shell {
            lines.extend(line.split('|').map(str::to_owned));
        } else {
            lines.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let ours = lines
        .iter()
        .filter_map(|line| line.trim().strip_prefix("hydrant "));
    ours.map(|line| line.split(['<', '>']).next().unwrap_or_default().to_owned())
        .collect()
}

/// Splits a line as a shell does, as far as quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in line.split('\'').enumerate() {
        let mut pieces = if at % 2 == 0 {
            part.split(' ').collect()
        } else {
            vec![part]
        };
        let last = words.last_mut().expect("there is one");
        last.push_str(pieces.remove(0));
        words.extend(pieces.into_iter().map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn its_command_lines_work() {
    let lines = command_lines(&readme());
    assert!(lines.len() > 30, "{lines:?}");
    for line in lines {
        let words = words(&line).into_iter().map(OsString::from);
        if let Err(exit) = Config::from_command_line(words, Env::default()) {
            // A file that it names need not be there.
            assert!(exit.code != 2, "hydrant {line}: {}", exit.stderr);
        }
    }
}

#[test]
fn its_table_has_every_flag_with_its_default() {
    let text = readme();
    for opt in ROLES.iter().flat_map(|role| role.options) {
        let flag = format!("| `{}", opt.flag);
        let is_it = |line: &&str| {
            let rest = line.strip_prefix(&flag);
            rest.is_some_and(|rest| rest.starts_with([' ', '`']))
        };
        let rows: Vec<&str> = text.lines().filter(is_it).collect();
        let default = match opt.preset {
            Preset::Value(preset) => format!("| `{preset}` |"),
            Preset::Said("off") => "| `off` |".to_owned(),
            Preset::Said(words) => format!("| {words} |"),
            Preset::None => continue,
        };
        let has_it = rows.iter().any(|row| row.contains(&default));
        assert!(has_it, "{}: {default} is not in {rows:?}", opt.flag);
    }
    for opt in GLOBALS {
        assert!(text.contains(&format!("`{}", opt.flag)), "{}", opt.flag);
    }
}

#[test]
fn its_list_of_what_may_change_is_the_table_s() {
    let text = readme();
    let row = text
        .split_once("| options that may change: for a relay ")
        .and_then(|(_, rest)| rest.split_once(';'));
    let (listed, _) = row.expect("it has the list");
    let mut listed: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    let relay = ROLES.iter().find(|role| role.id == RoleId::Relay);
    let options = relay.expect("it is a role").options.iter();
    // Certificates are read again whatever the role.
    let live = options.filter(|opt| opt.live && !opt.flag.starts_with("--tls-"));
    let mut live: Vec<&str> = live.map(|opt| opt.flag).collect();
    listed.sort_unstable();
    live.sort_unstable();
    assert_eq!(listed, live);
}

/// The name that a heading has as a link's target.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

#[test]
fn its_links_lead_somewhere() {
    let text = readme();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<String> = headings
        .map(|line| anchor(line.trim_start_matches(['#', ' '])))
        .collect();
    let links: Vec<&str> = text
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        assert!(
            anchors.iter().any(|anchor| anchor == link),
            "#{link} is none of {anchors:?}"
        );
    }
}
