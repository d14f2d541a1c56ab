//! The man page, made of the roles and their option tables: roff with the man macros.

use std::fmt::Write;

use super::VERSION;
use super::help;
use super::roles::{GLOBALS, ROLES};
use crate::base::option::Opt;

/// `hydrant man`.
pub(crate) fn man() -> String {
    let mut text = format!(".TH HYDRANT 1 \"\" \"hydrant {VERSION}\"\n");
    section(&mut text, "NAME");
    text += "hydrant \\- one live byte stream to very many receivers\n";
    section(&mut text, "SYNOPSIS");
    for synopsis in ROLES.iter().flat_map(|role| role.synopsis) {
        let _ = write!(text, ".B {}\n.br\n", escaped(synopsis));
    }
    section(&mut text, "ENDPOINTS");
    for (left, right) in help::ENDPOINTS {
        entry(&mut text, left, right);
    }
    section(&mut text, "VALUES");
    for (left, right) in help::UNITS {
        entry(&mut text, left, right);
    }
    for role in ROLES {
        section(&mut text, &format!("HYDRANT {}", role.name.to_uppercase()));
        let _ = writeln!(text, "{}.", escaped(role.about));
        for (left, right) in role.words {
            entry(&mut text, left, right);
        }
        options(&mut text, role.options);
        for example in role.examples {
            entry(&mut text, example.line, example.what);
        }
    }
    section(&mut text, "EVERYWHERE");
    options(&mut text, GLOBALS);
    let _ = writeln!(text, ".SS {}", escaped(help::NOT_EVERYWHERE));
    for (left, right) in help::exceptions() {
        entry(&mut text, &left, &right);
    }
    section(&mut text, "SIGNALS");
    for (left, right) in SIGNALS {
        entry(&mut text, left, right);
    }
    section(&mut text, "EXIT STATUS");
    for (left, right) in CODES {
        entry(&mut text, left, right);
    }
    text
}

fn section(text: &mut String, name: &str) {
    let _ = writeln!(text, ".SH {}", escaped(name));
}

fn options(text: &mut String, table: &[Opt]) {
    let mut group = "";
    for opt in table {
        if opt.group != group {
            group = opt.group;
            let _ = writeln!(text, ".SS {}", escaped(group));
        }
        entry(text, &help::left_of(opt), &help::right_of(opt));
    }
}

fn entry(text: &mut String, left: &str, right: &str) {
    let _ = write!(text, ".TP\n.B {}\n{}\n", escaped(left), escaped(right));
}

/// Plain text as roff takes it: a dash stays one that can be copied, and nothing at a line's beginning is a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "stop: flush what clients can take within --drain, and end; a second one ends at once",
    ),
    (
        "SIGHUP",
        "on a terminal as SIGTERM; else read the run file, certificates and tokens again, and reopen --log-file",
    ),
    ("SIGUSR1", "log one status report"),
];

const CODES: &[(&str, &str)] = &[
    ("0", "it has ended as it should"),
    ("1", "it could not go on, or could not begin"),
    ("2", "the command line is wrong"),
    ("128 + N", "a second signal N has ended it at once"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_in_it_and_no_text_is_a_request() {
        let man = man();
        for opt in ROLES.iter().flat_map(|role| role.options).chain(GLOBALS) {
            assert!(man.contains(&escaped(opt.flag)), "{}", opt.flag);
        }
        for line in man.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap_or_default();
            let known = [".TH", ".SH", ".SS", ".TP", ".B", ".br"];
            assert!(known.contains(&request), "{line}");
        }
        assert_eq!(escaped(".a-b\\"), "\\&.a\\-b\\e");
    }
}
