//! The house rules that a program can check: who may import whom, which words belong in which file, how long things
//! may grow. Each complaint says where, and what to do. The rules of taste are not here.

#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::Source;

/// A module at the crate's top, and what it may name besides itself; `*` stands for any one name.
const IMPORTS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("proto", &["base"]),
    ("reactor", &["base"]),
    ("roles", &["base", "proto", "reactor"]),
    ("cli", &["base", "roles::*::options"]),
    ("config", &["base", "cli", "proto::tls", "roles"]),
    ("logger", &["base"]),
    ("sim", &["base", "reactor::net"]),
    ("app", &["base", "config", "logger", "reactor", "roles"]),
    ("fuzz", &["*"]),
    ("main", &["*"]),
    ("build", &[]),
];

/// What stands beside the roles and may be named by all of them.
const SHARED_BY_ROLES: &[&str] = &[
    "callers",
    "http",
    "journal",
    "link",
    "listening",
    "pump",
    "tags",
    "tls",
];

/// The folders of `src/app`, and which of the others each may name.
const APP_FOLDERS: &[(&str, &[&str])] = &[
    ("posts", &[]),
    ("saving", &[]),
    ("fleet", &["posts", "saving"]),
    ("desk", &["posts", "saving"]),
];

/// Words, the files in `src` that may use them, and what everyone else does instead.
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (
        &["mio", "signal_hook", "signal_hook_mio", "socket2"],
        &["src/reactor/mio_net/"],
        "go through the trait Net",
    ),
    (
        &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
        ],
        &["src/reactor/mio_net/"],
        "go through the trait Net",
    ),
    (
        &["Instant", "SystemTime"],
        &["src/reactor/mio_net/"],
        "take the time from Net::now",
    ),
    (
        &["getrandom"],
        &["src/reactor/mio_net/"],
        "take randomness from Net::random",
    ),
    (&["rustls"], &["src/proto/tls"], "go through proto::tls"),
    (
        &["unsafe", "unsafe_code"],
        &["src/reactor/sys.rs"],
        "put it behind a function there",
    ),
];

const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "fuzz",
    "src",
    "target",
    "tests",
];

const BODY_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_WIDTH_MAX: usize = 120;
const BANNER_WIDTH: usize = "// ---".len();

/// Looks at one file and adds its complaints.
type Rule = fn(&Source) -> Vec<String>;

fn imports(file: &Source) -> Vec<String> {
    let module = file.module();
    let Some(own) = module.first() else {
        return Vec::new();
    };
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| name == own) else {
        return vec![format!(
            "{}: `{own}` is a new module; give it a line in IMPORTS, in tests/tidy.rs",
            file.path
        )];
    };
    let mut wrong = Vec::new();
    for named in file.named() {
        let is_own = named.segments.first() == Some(own);
        let matches = |pattern: &str| {
            let mut segments = named.segments.iter();
            pattern.split("::").all(|part| {
                segments
                    .next()
                    .is_some_and(|name| part == "*" || part == name)
            })
        };
        if !is_own && !named.segments.is_empty() && !allowed.iter().any(|pattern| matches(pattern))
        {
            let path = named.segments.join("::");
            let at = format!("{}:{}", file.path, named.line);
            wrong.push(format!("{at}: `{own}` may not name `{path}`; imports go down only, move what is shared down"));
        }
    }
    wrong
}

fn roles_apart(file: &Source) -> Vec<String> {
    let module = file.module();
    let [top, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    if top != "roles" {
        return Vec::new();
    }
    let named = file
        .named()
        .into_iter()
        .filter(|named| named.segments.first() == Some(top));
    let others = named.filter(|named| {
        let role = named.segments.get(1);
        role.is_none_or(|role| role != own && !SHARED_BY_ROLES.contains(&role.as_str()))
    });
    others
        .map(|named| {
            let path = named.segments.join("::");
            let at = format!("{}:{}", file.path, named.line);
            format!(
                "{at}: the role `{own}` names `{path}`; hand the context a Command, app routes it"
            )
        })
        .collect()
}

fn app_one_way(file: &Source) -> Vec<String> {
    let module = file.module();
    let [top, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    let known = |name: &str| APP_FOLDERS.iter().find(|(folder, _)| *folder == name);
    if top != "app" {
        return Vec::new();
    }
    let Some((_, allowed)) = known(own) else {
        let is_in_folder = file.path.starts_with(&format!("src/app/{own}/"));
        let new = is_in_folder.then(|| {
            format!(
                "{}: `app::{own}` is a new folder; give it a line in APP_FOLDERS, in tests/tidy.rs",
                file.path
            )
        });
        return new.into_iter().collect();
    };
    let named = file.named().into_iter();
    let others = named.filter(|named| match named.segments.as_slice() {
        [first, folder, ..] if first == top && folder != own => {
            known(folder).is_some() && !allowed.contains(&folder.as_str())
        }
        _ => false,
    });
    others
        .map(|named| {
            let path = named.segments.join("::");
            let at = format!("{}:{}", file.path, named.line);
            format!("{at}: `app::{own}` may not name `{path}`; move what both need down")
        })
        .collect()
}

fn reserved_words(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (words, files, instead) in RESERVED {
        if files.iter().any(|allowed| file.path.starts_with(allowed)) {
            continue;
        }
        for token in file
            .tokens
            .iter()
            .filter(|token| words.contains(&token.text.as_str()))
        {
            let at = format!("{}:{}", file.path, token.line);
            wrong.push(format!(
                "{at}: only {} may name `{}`; {instead}",
                files.join(", "),
                token.text
            ));
        }
    }
    wrong
}

fn leftovers(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for three in file.tokens.windows(3) {
        let [first, second, third] =
            [&three[0].text, &three[1].text, &three[2].text].map(String::as_str);
        let at = format!("{}:{}", file.path, three[0].line);
        if second == "!" && matches!(first, "todo" | "unimplemented" | "dbg") {
            wrong.push(format!(
                "{at}: `{first}!` is not for what is committed; finish it or take it out"
            ));
        }
        if (first, second, third) == ("#", "[", "ignore") {
            wrong.push(format!(
                "{at}: an ignored test checks nothing; mend it or take it out"
            ));
        }
    }
    wrong
}

fn no_sleep(file: &Source) -> Vec<String> {
    let sleeps = file.tokens.iter().filter(|token| token.text == "sleep");
    let complaint = "waits by the clock; wait for the event itself, with a deadline";
    sleeps
        .map(|token| format!("{}:{}: `sleep` {complaint}", file.path, token.line))
        .collect()
}

fn body_length(file: &Source) -> Vec<String> {
    let lines = file.lines_before_tests;
    let too_long = lines > BODY_LINES_MAX && !file.path.ends_with("/tests.rs");
    let complaint = format!(
        "{}: {lines} lines before the tests, of {BODY_LINES_MAX}; look for the part that has a name of its own",
        file.path
    );
    too_long.then_some(complaint).into_iter().collect()
}

fn function_length(file: &Source) -> Vec<String> {
    let long = file
        .functions()
        .into_iter()
        .filter(|(_, lines)| lines.len() > FUNCTION_LINES_MAX);
    long.map(|(name, lines)| {
        let at = format!("{}:{}", file.path, lines.start);
        format!(
            "{at}: `{name}` takes {} lines, of {FUNCTION_LINES_MAX}; give a part of it a name",
            lines.len()
        )
    })
    .collect()
}

fn line_width(file: &Source) -> Vec<String> {
    let wide = (1..)
        .zip(file.text.lines())
        .filter(|(_, line)| line.chars().count() > LINE_WIDTH_MAX);
    wide.map(|(number, line)| {
        let width = line.chars().count();
        format!(
            "{}:{number}: {width} characters wide, of {LINE_WIDTH_MAX}; break the line",
            file.path
        )
    })
    .collect()
}

fn header(file: &Source) -> Vec<String> {
    let says = file.text.starts_with("//! ");
    let complaint = format!(
        "{}: begin with a `//!` line that says what the file owns and refuses to know",
        file.path
    );
    (!says).then_some(complaint).into_iter().collect()
}

fn comments(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(file.comments.lines()) {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        let at = format!("{}:{number}", file.path);
        if words.any(|word| matches!(word, "TODO" | "FIXME" | "XXX" | "HACK")) {
            wrong.push(format!(
                "{at}: a note to do something; do it, or say what is not supported"
            ));
        }
        let mut references = line.split(".rs:").skip(1);
        if references.any(|after| after.starts_with(|c: char| c.is_ascii_digit())) {
            wrong.push(format!("{at}: a line number goes stale; name the function"));
        }
        let is_rule = line.chars().all(|c| " /!*-=#~".contains(c));
        if is_rule && line.trim().len() >= BANNER_WIDTH {
            wrong.push(format!(
                "{at}: a banner; let a name or a file of its own set the part off"
            ));
        }
    }
    wrong
}

/// What lies at the top of the repository and has no place there. Dotfiles may.
fn strays(names: &[String]) -> Vec<String> {
    let known = |name: &String| name.starts_with('.') || TOP_LEVEL.contains(&name.as_str());
    let strays = names.iter().filter(|name| !known(name));
    strays
        .map(|name| format!("{name}: has no place at the top; move it into src, tests or fuzz"))
        .collect()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| entry.expect("a folder can be listed").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every Rust file below a folder.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for name in names(&top().join(folder)) {
        let path = format!("{folder}/{name}");
        if top().join(&path).is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(top().join(&path)).expect("a source file is text");
            found.push(Source::new(&path, &text));
        }
    }
    found
}

const SRC: &[&str] = &["src"];
const ALL: &[&str] = &["src", "tests", "fuzz/fuzz_targets"];

fn hold(rule: Rule, folders: &[&str]) {
    let files: Vec<_> = folders.iter().flat_map(|folder| sources(folder)).collect();
    assert!(files.len() > 1, "the files were not found");
    let wrong: Vec<_> = files.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn imports_go_downward_only() {
    hold(imports, SRC);
}

#[test]
fn a_role_names_no_other_role() {
    hold(roles_apart, SRC);
}

#[test]
fn the_folders_of_app_go_one_way() {
    hold(app_one_way, SRC);
}

#[test]
fn reserved_words_stay_in_their_files() {
    hold(reserved_words, SRC);
}

#[test]
fn nothing_is_left_unfinished_or_ignored() {
    hold(leftovers, ALL);
}

#[test]
fn nobody_sleeps() {
    hold(no_sleep, ALL);
}

#[test]
fn a_file_is_read_in_a_sitting() {
    hold(body_length, SRC);
}

#[test]
fn a_function_fits_on_a_screen() {
    hold(function_length, SRC);
}

#[test]
fn lines_are_not_too_wide() {
    hold(line_width, ALL);
}

#[test]
fn a_file_begins_by_saying_what_it_is() {
    hold(header, ALL);
}

#[test]
fn comments_say_why_and_nothing_else() {
    hold(comments, ALL);
}

#[test]
fn the_top_of_the_repository_stays_small() {
    let wrong = strays(&names(top()));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_layout_names_what_there_is() {
    let layout = fs::read_to_string(top().join("src/build.rs")).expect("a source file is text");
    let paths = layout
        .split('"')
        .filter_map(|text| text.strip_prefix("hydrant::"));
    let (right, wrong): (Vec<_>, Vec<_>) = paths.partition(|path| is_there(path));
    assert!(
        wrong.is_empty(),
        "nothing of ours has these names: {wrong:?}"
    );
    assert!(!right.is_empty(), "the layout was not understood");
}

/// Whether something of ours has this path. What is no module is declared in the text of the last module before it.
fn is_there(path: &str) -> bool {
    let mut folder = top().join("src");
    let mut file = folder.join("lib.rs");
    for (at, name) in path.split("::").enumerate() {
        let module = [
            folder.join(format!("{name}.rs")),
            folder.join(name).join("mod.rs"),
        ];
        let Some(found) = module.into_iter().find(|module| module.is_file()) else {
            let text = fs::read_to_string(&file).expect("a source file is text");
            let source = Source::new("", &text);
            let declared = |name: &str| {
                let mut pairs = source.tokens.windows(2);
                pairs.any(|pair| DECLARES.contains(&&pair[0].text[..]) && pair[1].text == *name)
            };
            return path.split("::").skip(at).all(declared);
        };
        file = found;
        folder.push(name);
    }
    true
}

/// Words before the name of something new.
const DECLARES: [&str; 6] = ["fn", "struct", "enum", "trait", "mod", "impl"];

/// That the rules themselves can fail.
mod the_rules {
    use super::*;

    #[track_caller]
    fn refuses(rule: Rule, path: &str, text: &str) {
        let wrong = rule(&Source::new(path, text));
        assert_eq!(wrong.len(), 1, "{text:?}: {wrong:?}");
        assert!(wrong[0].starts_with(path), "{wrong:?}");
    }

    #[track_caller]
    fn accepts(rule: Rule, path: &str, text: &str) {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "{text:?}");
    }

    #[test]
    fn know_who_may_import_whom() {
        accepts(
            imports,
            "src/base/ring.rs",
            "use crate::base::time::Time; use super::units;",
        );
        refuses(imports, "src/base/ring.rs", "use crate::reactor::Cx;");
        refuses(imports, "src/base/mod.rs", "use super::reactor::Cx;");
        refuses(imports, "src/base/ring.rs", "fn f() { crate::sim::run() }");
        refuses(
            imports,
            "src/reactor/net.rs",
            "use crate::{base::time::Time, roles::relay};",
        );
        accepts(imports, "src/sim/mod.rs", "use crate::reactor::net::Net;");
        refuses(imports, "src/sim/mod.rs", "use crate::reactor::Cx;");
        refuses(imports, "src/sim/mod.rs", "use crate::reactor;");
        accepts(
            imports,
            "src/cli/mod.rs",
            "use crate::roles::relay::options::TABLE;",
        );
        refuses(
            imports,
            "src/cli/mod.rs",
            "use crate::roles::relay::config::Config;",
        );
        refuses(imports, "src/app.rs", "use crate::*;");
        accepts(
            imports,
            "src/fuzz/relay.rs",
            "use crate::{roles::relay, sim};",
        );
        accepts(imports, "src/lib.rs", "pub use crate::app::run;");
        accepts(
            imports,
            "src/reactor/mod.rs",
            "\n#[cfg(test)]\nmod tests { use crate::sim::SimNet; }",
        );
        refuses(imports, "src/newcomer.rs", "");
    }

    #[test]
    fn keep_the_folders_of_app_one_way() {
        let rule = app_one_way;
        accepts(
            rule,
            "src/app/fleet/plan.rs",
            "use crate::app::posts::Post; use super::Fleet;",
        );
        accepts(
            rule,
            "src/app/posts/mod.rs",
            "use self::begin::put; use super::errand::Errand;",
        );
        accepts(rule, "src/app/mod.rs", "use self::fleet::Fleet;");
        refuses(rule, "src/app/posts/mod.rs", "use super::fleet::Fleet;");
        refuses(
            rule,
            "src/app/saving/waiters.rs",
            "use crate::app::posts::panel::By;",
        );
        refuses(
            rule,
            "src/app/desk/tabs.rs",
            "fn f() { super::super::fleet::f() }",
        );
        accepts(rule, "src/app/newcomer.rs", "use super::fleet::Fleet;");
        refuses(rule, "src/app/newcomer/mod.rs", "");
        refuses(rule, "src/app/newcomer/deep/part.rs", "");
    }

    #[test]
    fn keep_roles_apart() {
        accepts(
            roles_apart,
            "src/roles/hub/mod.rs",
            "use super::link::Link; use crate::roles::hub::x;",
        );
        refuses(
            roles_apart,
            "src/roles/hub/mod.rs",
            "use super::relay::Relay;",
        );
        refuses(
            roles_apart,
            "src/roles/hub/mod.rs",
            "use crate::roles::{pump, relay::Relay};",
        );
        refuses(roles_apart, "src/roles/hub/mod.rs", "use crate::roles;");
        refuses(roles_apart, "src/roles/link.rs", "use crate::roles::hub;");
        accepts(roles_apart, "src/app.rs", "use crate::roles::hub;");
    }

    #[test]
    fn know_whose_words_are_whose() {
        for text in [
            "use mio::Poll;",
            "Instant::now()",
            "unsafe {}",
            "rustls::X",
            "getrandom::fill(b)",
        ] {
            refuses(reserved_words, "src/app.rs", text);
        }
        refuses(
            reserved_words,
            "src/reactor/mio_net/mod.rs",
            "#![allow(unsafe_code)]",
        );
        accepts(
            reserved_words,
            "src/reactor/mio_net/mod.rs",
            "use mio::Poll; Instant::now()",
        );
        accepts(
            reserved_words,
            "src/reactor/sys.rs",
            "#![allow(unsafe_code)] unsafe {}",
        );
        accepts(
            reserved_words,
            "src/app.rs",
            "mod mio_net; /* mio */ \"Instant\"",
        );
    }

    #[test]
    fn see_what_was_left() {
        for text in [
            "todo!()",
            "x; unimplemented!(1)",
            "dbg!(x)",
            "#[ignore]",
            "# [ignore = \"slow\"]",
        ] {
            refuses(leftovers, "src/app.rs", text);
        }
        accepts(leftovers, "src/app.rs", "let todo = a != b; // todo!()");
        refuses(no_sleep, "tests/e2e.rs", "std::thread::sleep(x)");
        refuses(no_sleep, "tests/e2e.rs", "use std::thread::{spawn, sleep};");
        accepts(no_sleep, "tests/e2e.rs", "// to sleep\n\"sleep\"; asleep");
    }

    #[test]
    fn measure_files_functions_and_lines() {
        accepts(body_length, "src/app.rs", &"x;\n".repeat(500));
        refuses(body_length, "src/app.rs", &"x;\n".repeat(501));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x;\n".repeat(501));
        accepts(body_length, "src/app.rs", &tests);
        let function = |lines| format!("fn f() {{\n{}}}\n", "x;\n".repeat(lines));
        accepts(function_length, "src/app.rs", &function(68));
        refuses(function_length, "src/app.rs", &function(69));
        accepts(line_width, "src/app.rs", &"\u{fc}".repeat(120));
        refuses(line_width, "src/app.rs", &"x".repeat(121));
    }

    #[test]
    fn read_comments() {
        accepts(header, "src/app.rs", "//! Starts and stops roles.\n");
        refuses(header, "src/app.rs", "use std::io;\n//! Late.\n");
        for text in [
            "// TODO: later",
            "/* FIXME */",
            "// see relay.rs:188",
            "// -----",
            "/// ======",
            "/******/",
        ] {
            refuses(comments, "src/app.rs", text);
        }
        accepts(
            comments,
            "src/app.rs",
            "//! a --- b, see relay.rs: there\n//!\nlet x = \"TODO\";",
        );
    }

    #[test]
    fn keep_the_top_small() {
        let names = ["src", ".github", "docs", "README.md", "build.rs"].map(String::from);
        assert_eq!(strays(&names).len(), 2);
    }
}
