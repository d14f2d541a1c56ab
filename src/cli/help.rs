//! The help, made of the roles and their option tables. It fits a terminal of 80 columns.

use std::fmt::Write;

use super::VERSION;
use super::roles::{Example, GLOBALS, ROLES, Role};
use crate::base::option::{Kind, Opt, Preset};

/// `hydrant --help`.
pub(crate) fn overview() -> String {
    let mut text = format!("hydrant {VERSION}: one live byte stream to very many receivers\n\n");
    usage(
        &mut text,
        &[
            "hydrant SRC DST [DST2 ...] [FLAGS]",
            "hydrant ROLE ... [FLAGS]",
            "hydrant ROLE --help",
        ],
    );
    heading(&mut text, "Roles");
    for role in ROLES {
        entry(&mut text, role.name, role.about);
    }
    notes(&mut text, "Endpoints", ENDPOINTS);
    options(&mut text, GLOBALS);
    heading(&mut text, NOT_EVERYWHERE);
    for (left, right) in exceptions() {
        entry(&mut text, &left, &right);
    }
    let firsts: Vec<&Example> = ROLES.iter().map(|role| &role.examples[0]).collect();
    examples(&mut text, &firsts);
    text
}

/// `hydrant FAMILY --help`: the roles that share a first word.
pub(crate) fn family(name: &str) -> String {
    let roles: Vec<&Role> = ROLES.iter().filter(|role| role.family() == name).collect();
    let mut text = String::new();
    let lines: Vec<&str> = roles
        .iter()
        .flat_map(|role| role.synopsis)
        .copied()
        .collect();
    usage(&mut text, &lines);
    heading(&mut text, "Roles");
    for role in &roles {
        entry(&mut text, role.name, role.about);
    }
    let see = format!("hydrant {name} ROLE --help");
    notes(&mut text, "More", &[(&see, "a role's flags and examples")]);
    text
}

/// `hydrant ROLE --help`.
pub(crate) fn role(role: &Role) -> String {
    let mut text = format!("hydrant {}: {}\n\n", role.name, role.about);
    usage(&mut text, role.synopsis);
    if !role.words.is_empty() {
        notes(&mut text, "Words", role.words);
        notes(&mut text, "Endpoints", ENDPOINTS);
    }
    options(&mut text, role.options);
    options(&mut text, role.globals());
    let units: Vec<(&str, &str)> = UNITS
        .iter()
        .filter(|(unit, _)| role.options.iter().any(|opt| opt.unit.contains(unit)))
        .copied()
        .collect();
    if !units.is_empty() {
        notes(&mut text, "Values", &units);
    }
    examples(&mut text, &role.examples.iter().collect::<Vec<_>>());
    text
}

/// Flags that some roles don't take, each with those; flags that the same roles don't take stand together.
pub(super) fn exceptions() -> Vec<(String, String)> {
    let mut told: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for opt in GLOBALS {
        let lacks = |role: &&Role| !role.globals().iter().any(|own| own.flag == opt.flag);
        let roles: Vec<&str> = ROLES.iter().filter(lacks).map(|role| role.name).collect();
        match told.iter_mut().find(|(_, without)| *without == roles) {
            Some((flags, _)) => flags.push(opt.flag),
            None => told.push((vec![opt.flag], roles)),
        }
    }
    told.retain(|(_, roles)| !roles.is_empty());
    let put = |(flags, roles): &(Vec<&str>, Vec<&str>)| {
        (flags.join(", "), format!("not for {}", roles.join(", ")))
    };
    told.iter().map(put).collect()
}

fn usage(text: &mut String, lines: &[&str]) {
    for (at, line) in lines.iter().enumerate() {
        let head = if at == 0 { "usage:" } else { "" };
        push_line(text, format_args!("{head:6} {line}"));
    }
}

fn heading(text: &mut String, words: &str) {
    push_line(text, format_args!("\n{words}"));
}

fn notes(text: &mut String, title: &str, notes: &[(&str, &str)]) {
    heading(text, title);
    for (left, right) in notes {
        entry(text, left, right);
    }
}

fn options(text: &mut String, table: impl IntoIterator<Item = &'static Opt>) {
    let mut group = "";
    for opt in table {
        if opt.group != group {
            group = opt.group;
            heading(text, group);
        }
        entry(text, &left_of(opt), &right_of(opt));
    }
}

fn examples(text: &mut String, examples: &[&Example]) {
    heading(text, "Examples");
    for example in examples {
        push_line(text, format_args!("  {}", example.line));
        push_line(text, format_args!("      {}", example.what));
    }
}

/// `-v, --verbose`, `--retry TIME`, `--slow drop|block`.
pub(super) fn left_of(opt: &Opt) -> String {
    let flag = opt.short.map_or_else(
        || opt.flag.to_owned(),
        |short| format!("{short}, {}", opt.flag),
    );
    match opt.kind {
        Kind::Switch => flag,
        Kind::Choice(words) if opt.unit.is_empty() => format!("{flag} {}", words.join("|")),
        _ => format!("{flag} {}", opt.unit),
    }
}

/// The help, the words of a choice where the left side doesn't show them, and the default.
pub(super) fn right_of(opt: &Opt) -> String {
    let mut right = opt.help.to_owned();
    if let (Kind::Choice(words), false) = (opt.kind, opt.unit.is_empty()) {
        let _ = write!(right, ": {}", words.join(", "));
    }
    let is_off = matches!(opt.preset, Preset::Value("off" | "0"));
    let off = match opt.kind.has_off() && !is_off {
        true => ", or off",
        false => "",
    };
    match opt.preset {
        Preset::None => {}
        Preset::Value(preset) => {
            let _ = write!(right, " [default: {preset}{off}]");
        }
        Preset::Said(words) => {
            let _ = write!(right, " [default: {words}{off}]");
        }
    }
    right
}

/// Two columns. A left side that is too long for its own has a line to itself.
fn entry(text: &mut String, left: &str, right: &str) {
    let mut line = format!("  {left}");
    if line.len() + 2 > RIGHT_FROM {
        push_line(text, format_args!("{line}"));
        line.clear();
    }
    for word in right.split(' ') {
        if line.len() <= RIGHT_FROM {
            line = format!("{line:RIGHT_FROM$}{word}");
        } else if line.len() + 1 + word.len() <= WIDTH {
            line = format!("{line} {word}");
        } else {
            push_line(text, format_args!("{line}"));
            line = format!("{:RIGHT_FROM$}{word}", "");
        }
    }
    push_line(text, format_args!("{line}"));
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

pub(super) const NOT_EVERYWHERE: &str = "Not everywhere";
const WIDTH: usize = 80;
const RIGHT_FROM: usize = 26;

pub(super) const ENDPOINTS: &[(&str, &str)] = &[
    (
        "HOST:PORT, [IPV6]:PORT",
        "an address or a name; port 0 picks a free one to listen on",
    ),
    (
        ":PORT, *:PORT",
        "every interface to listen on, this machine to dial",
    ),
    ("PORT", "the same as 127.0.0.1:PORT"),
    ("unix:PATH", "a Unix socket"),
];

pub(super) const UNITS: &[(&str, &str)] = &[
    (
        "TIME",
        "seconds, or with a unit: 5, 0.2, 250ms, 5s, 2m, 1h, 1d",
    ),
    ("SIZE", "bytes, or in powers of 1024: 4096, 64K, 4M, 1G"),
    (
        "CIDR",
        "10.0.0.0/8, 2001:db8::/32 or one address; several with commas, or by giving the flag again",
    ),
    (
        "FORMAT",
        "raw: none are known; line; fixed:N: N bytes each; len:u16be, len:u16le, len:u32be, len:u32le: a length in \
         front, and +N behind it for N bytes that it doesn't count; delim:HEX: they end with these bytes; mpegts",
    ),
];
