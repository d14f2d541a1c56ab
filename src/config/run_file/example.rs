//! `hydrant run --example`: a run file with every section, in which all that is optional is a comment, made of the
//! tables of options.

use std::fmt::Write;
use std::path::Path;

use super::RunFile;
use super::section::{SECTIONS, Section, in_file};
use crate::base::option::{Kind, Opt, Preset};
use crate::config::Env;

/// The file. As it is, it is a run file without mistakes.
pub fn example() -> String {
    let mut text = String::from(HEAD);
    for section in SECTIONS {
        let _ = write!(text, "\n{}", head_of(section));
        let mut group = "";
        for opt in section.options().iter().filter(|opt| opt.name() != "name") {
            if opt.group != group {
                group = opt.group;
                let _ = writeln!(text, "# {group}:");
            }
            let _ = writeln!(text, "{}", line(section, opt));
        }
    }
    text
}

/// A section's first lines: the first section is one that runs, the others are comments.
fn head_of(section: &Section) -> &'static str {
    match section.name {
        "relay" => RELAY,
        "hub" => HUB,
        "tunnel.serve" => TUNNEL_SERVE,
        "tunnel.expose" => TUNNEL_EXPOSE,
        "ws.relay" => WS_RELAY,
        "ws.host" => WS_HOST,
        _ => WS_CLIENT,
    }
}

/// `# retry = "5s"                 # wait between ...`
fn line(section: &Section, opt: &Opt) -> String {
    let name = opt.name();
    let (value, is_default) = match (opt.kind, opt.preset) {
        (Kind::Switch, _) => ("true".to_owned(), true),
        (Kind::Count { .. }, Preset::Value(preset)) if preset != "off" => (preset.to_owned(), true),
        (_, Preset::Value(preset)) => (format!("\"{preset}\""), true),
        (Kind::Path { .. }, _) => ("\"FILE\"".to_owned(), true),
        _ => (sample(opt), false),
    };
    let setting = format!("{name} = {value}");
    let example = if is_default { "" } else { "for example: " };
    let default = match opt.preset {
        Preset::Said(words) => format!(" (default: {})", in_file(words)),
        Preset::None if !is_default => " (default: none)".to_owned(),
        Preset::None | Preset::Value(_) => String::new(),
    };
    let needs = needs(section, &setting).map_or(String::new(), |needs| format!("; {needs}"));
    let help = in_file(opt.help);
    let setting = format!("# {setting}");
    format!("{setting:<34} # {example}{help}{default}{needs}")
}

/// A value for an option that has none by default.
fn sample(opt: &Opt) -> String {
    let text = match (opt.kind, opt.name()) {
        (Kind::Choice(words), _) => words[0],
        (Kind::Networks, _) => return "[\"10.0.0.0/8\", \"::1\"]".to_owned(),
        (Kind::Count { min, .. }, _) => return min.max(1).to_string(),
        (Kind::Duration { .. }, _) => "10s",
        (_, "origin") => "https://ops.example",
        (_, "ports") => "9000-9099",
        (_, "public-bind") => "127.0.0.1",
        (_, "public-name") => "relay.example",
        (_, "proxy") => "http://proxy.example:3128",
        _ => opt.unit,
    };
    format!("\"{text}\"")
}

/// What a setting needs besides, as whoever takes it in alone is told.
fn needs(section: &Section, setting: &str) -> Option<String> {
    let text = alone(section, setting);
    let env = Env {
        is_dry: true,
        ..Env::default()
    };
    let mistakes = RunFile::parse(&text, Path::new("/"), &[], &env).err()?;
    Some(mistakes.into_iter().next()?.text)
}

/// The section with nothing but that.
fn alone(section: &Section, setting: &str) -> String {
    let head = head_of(section).lines();
    let head = head.map(|line| line.strip_prefix("# ").unwrap_or(line));
    let head: Vec<&str> = head.collect();
    format!("{}\n{setting}\n", head.join("\n"))
}

const HEAD: &str = "\
# A run file of hydrant: hydrant check FILE finds mistakes, hydrant run FILE runs it, SIGHUP applies what has changed.
# Keys are the names of the flags; hydrant relay --help says more about each. Paths start from this file's folder.
# A value in a comment is the default, but for what is \"for example\" and for a FILE; a switch is off by default.
# A section with enabled=false is not begun until somebody starts it.

# [log]
# log-file = \"hydrant.log\"
# quiet = true

# [console]
# bind = \"127.0.0.1:7700\"           # a page in front of all of them; others than this machine need a token-file
# token-file = \"console.token\"
# save = true                        # what is changed on the page is written to this file

# [metrics]
# listen = \"127.0.0.1:9100\"         # /metrics for Prometheus, /healthz, /readyz
";

const RELAY: &str = "\
[[relay]]
name = \"sports\"                     # stands in its log lines and in its metrics; no two roles have the same
src = \"127.0.0.1:5000\"              # or several to dial: [\"a:5000\", \"b:5000\"]
dst = \":6000\"                       # or several: [\":6000\", \"connect:b:7000\", \"ws://:8000\"]
";

const HUB: &str = "\
# [[hub]]
# name = \"mail\"
# listen = \"127.0.0.1:8080\"
";

const TUNNEL_SERVE: &str = "\
# [[tunnel.serve]]
# name = \"public\"
# listen = \"127.0.0.1:7000\"
";

const TUNNEL_EXPOSE: &str = "\
# [[tunnel.expose]]
# name = \"web\"                      # the name to publish under, too
# server = \"relay.example:7000\"
# target = \"127.0.0.1:80\"
";

const WS_RELAY: &str = "\
# [[ws.relay]]
# name = \"meet\"
# listen = \"127.0.0.1:8080\"
";

const WS_HOST: &str = "\
# [[ws.host]]
# name = \"game\"
# url = \"ws://relay.example:8080/host\"
# target = \"127.0.0.1:25565\"
";

const WS_CLIENT: &str = "\
# [[ws.client]]
# name = \"play\"
# url = \"ws://relay.example:8080/client\"
# listen = \"127.0.0.1:25565\"
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of its lines taken in alone is right, or says what it needs.
    #[test]
    fn each_setting_holds_alone_or_says_what_it_needs() {
        let text = example();
        let lines = text.lines();
        let lines = lines.map(|line| line.strip_prefix("# ").unwrap_or(line));
        let mut section = None;
        let mut count = 0;
        for line in lines {
            let is_head = |section: &&Section| line == format!("[[{}]]", section.name);
            let (Some((setting, said)), Some(own)) = (line.split_once(" # "), section) else {
                section = SECTIONS.iter().find(is_head).or(section);
                continue;
            };
            let (key, value) = setting.split_once(" = ").expect("a key and a value");
            let opt = own.options().iter().find(|opt| opt.name() == key);
            let Some(opt) = opt.filter(|_| key != "name") else {
                // One of its words.
                continue;
            };
            count += 1;
            let wrong = RunFile::parse(&alone(own, setting), Path::new("/"), &[], &Env::default());
            for mistake in wrong.err().into_iter().flatten() {
                let is_file = value.trim() == "\"FILE\"" && mistake.text.contains("can't read");
                assert!(
                    is_file || said.ends_with(&mistake.text),
                    "{line}: {mistake:?}"
                );
            }
            let preset = match opt.preset {
                Preset::Value(preset) => value.trim().trim_matches('"') == preset,
                _ => said.starts_with("for example: ") || opt.is_switch() || value.contains("FILE"),
            };
            assert!(preset, "{line}");
        }
        assert!(count > 100, "{count}");
    }
}
