//! `hydrant run --example`: a run file with every section, in which all that is optional is a comment, made of the
//! tables of options.

use std::fmt::Write;

use super::section::{SECTIONS, Section, in_file};
use crate::base::option::{Kind, Opt, Preset};

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
            let _ = writeln!(text, "{}", line(opt));
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
fn line(opt: &Opt) -> String {
    let value = match (opt.kind, opt.preset) {
        (Kind::Switch, _) => "true".to_owned(),
        (Kind::Count { .. }, Preset::Value(preset)) if preset != "off" => preset.to_owned(),
        (_, Preset::Value(preset)) => format!("\"{preset}\""),
        (Kind::Choice(words), _) => format!("\"{}\"", words[0]),
        (Kind::Networks, _) => "[\"10.0.0.0/8\", \"::1\"]".to_owned(),
        (Kind::Count { min, .. }, _) => min.max(1).to_string(),
        (Kind::Path { .. }, _) => "\"FILE\"".to_owned(),
        (Kind::Duration { .. }, _) => "\"10s\"".to_owned(),
        _ => format!("\"{}\"", opt.unit),
    };
    let setting = format!("# {} = {value}", opt.name());
    format!("{setting:<34} # {}", in_file(opt.help))
}

const HEAD: &str = "\
# A run file of hydrant: hydrant check FILE finds mistakes, hydrant run FILE runs it, SIGHUP applies what has changed.
# Keys are the names of the flags; hydrant relay --help says more about each. Paths start from this file's folder.
# A value that is shown in a comment is the default, where there is one; a switch is off by default.
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
