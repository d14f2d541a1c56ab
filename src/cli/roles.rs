//! The roles that a command line can name, and the options that all of them have.

mod hub;
mod run;
mod tunnel;
mod ws;

use crate::base::option::{Kind, Opt, Preset};
use crate::roles::bench::options as bench;
use crate::roles::console::options as console;
use crate::roles::relay::options as relay;

/// What can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleId {
    /// The one-way relay.
    Relay,
    /// The relay, shown at work.
    Demo,
    /// The hub.
    HubServe,
    /// A client of a hub, at a terminal.
    HubClient,
    /// A client of a hub that sends, for scripts.
    HubSend,
    /// A client of a hub that receives, for scripts.
    HubRecv,
    /// One end of a tunnel through a hub.
    HubTunnel,
    /// The reverse tunnel's server.
    TunnelServe,
    /// The reverse tunnel's backend.
    TunnelExpose,
    /// TCP over WebSocket: where both ends connect.
    WsRelay,
    /// The end that has the service.
    WsHost,
    /// The end that programs connect to.
    WsClient,
    /// Relays in a browser.
    Console,
    /// Many roles, out of a file.
    Run,
    /// What runs, asked how it goes.
    Status,
    /// The mistakes of such a file.
    Check,
    /// Completions for a shell.
    Completions,
    /// The man page.
    Man,
    /// A unit for systemd.
    SystemdUnit,
    /// Measurements of any relay.
    Bench,
}

/// A role, as the command line and the help know it.
#[derive(Debug)]
pub struct Role {
    /// Which one.
    pub id: RoleId,
    /// The word that asks for it, or two: those of roles that share the first one are told apart by the second.
    pub name: &'static str,
    /// The lines behind `usage:`.
    pub synopsis: &'static [&'static str],
    /// What it is, in one line.
    pub about: &'static str,
    /// What its words mean, in the help.
    pub words: &'static [(&'static str, &'static str)],
    /// The most words that it takes.
    pub words_max: usize,
    /// Its own options; with them go its [`Role::globals`].
    pub options: &'static [Opt],
    /// At least two.
    pub examples: &'static [Example],
}

impl Role {
    /// The first word of its name.
    pub(crate) fn family(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }

    /// Those of the [`GLOBALS`] that it takes: what ends by itself serves no metrics, and what only prints has no log
    /// either. Of what is for a run file, they are those that this is run with.
    pub fn globals(&self) -> &'static [Opt] {
        let first = match self.id {
            RoleId::Completions | RoleId::Man => "--help",
            RoleId::Demo | RoleId::Status | RoleId::Bench => "--verbose",
            _ => "--metrics",
        };
        let from = GLOBALS.iter().position(|opt| opt.flag == first);
        &GLOBALS[from.expect("they are in the table")..]
    }
}

/// A command line that works, and what it does.
#[derive(Debug)]
pub struct Example {
    /// The command line.
    pub line: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// All roles. The first one is meant where a command line begins with SRC.
pub static ROLES: &[Role] = &[
    Role {
        id: RoleId::Relay,
        name: "relay",
        synopsis: &[
            "hydrant SRC DST [DST2 ...] [FLAGS]",
            "hydrant relay SRC DST [DST2 ...] [FLAGS]",
        ],
        about: "one upstream byte stream to any number of receivers",
        words: &[
            (
                "SRC",
                "where bytes come from: an endpoint (HOST:PORT, tls://HOST:PORT, unix:PATH), or - for stdin; of \
                 several to dial, a:5000,b:5000, the next is tried when one fails",
            ),
            (
                "DST",
                "where they go: an endpoint, or - for stdout; listen:ENDPOINT and connect:ENDPOINT say for one DST \
                 what --mode says for all; ws://ENDPOINT listens for browsers",
            ),
        ],
        words_max: usize::MAX,
        options: relay::OPTIONS,
        examples: &[
            Example {
                line: "hydrant 10.0.0.5:5000 :6000",
                what: "connect to the feed, and serve any number of clients on port 6000",
            },
            Example {
                line: "hydrant :5000 192.168.1.100:6000 --mode listen-connect --retry 1..30",
                what: "let the feed connect to port 5000, and pass it on to one server",
            },
            Example {
                line: "hydrant a:5000,b:5000 :6000 --idle-timeout 10 --framing line --backlog 64K",
                what: "two feeds of lines, one at a time; newcomers get the latest 64 KiB first",
            },
            Example {
                line: "hydrant tls://a:5000 tls://:6000 :7000 --tls-cert a.pem --tls-key k.pem",
                what: "decrypt a feed, and serve it by TLS on port 6000 and plain on port 7000",
            },
            Example {
                line: "hydrant 10.0.0.5:5000 :6000 connect:10.0.0.9:7000 --stats",
                what: "serve clients and feed a second relay at once, with live figures",
            },
        ],
    },
    Role {
        id: RoleId::Console,
        name: "console",
        synopsis: &["hydrant console [FLAGS]"],
        about: "relays side by side in a browser; keeps its settings",
        words: &[],
        words_max: 0,
        options: console::OPTIONS,
        examples: &[
            Example {
                line: "hydrant console",
                what: "open the console; what it is told is there at its next start",
            },
            Example {
                line: "hydrant console --bind :7700 --token-file token --no-browser",
                what: "for others too, if they have the token",
            },
        ],
    },
    Role {
        id: RoleId::Demo,
        name: "demo",
        synopsis: &["hydrant demo [FLAGS]"],
        about: "a timed feed, its relay and some clients, to watch on this machine",
        words: &[],
        words_max: 0,
        options: &[],
        examples: &[
            Example {
                line: "hydrant demo",
                what: "watch it until Ctrl-C; off a terminal it ends after 10 s",
            },
            Example {
                line: "hydrant demo -v",
                what: "the same, and show what the relay logs",
            },
        ],
    },
    hub::SERVE,
    hub::CLIENT,
    hub::SEND,
    hub::RECV,
    hub::TUNNEL,
    tunnel::SERVE,
    tunnel::EXPOSE,
    ws::RELAY,
    ws::HOST,
    ws::CLIENT,
    run::RUN,
    run::CHECK,
    run::STATUS,
    run::COMPLETIONS,
    run::MAN,
    run::SYSTEMD_UNIT,
    Role {
        id: RoleId::Bench,
        name: "bench",
        synopsis: &[
            "hydrant bench [SCENARIO ...] [FLAGS]",
            "hydrant bench source ADDR [--size SIZE] [--rate N] [--time TIME]",
            "hydrant bench sink ADDR [--clients N] [--time TIME] [--check] [--json]",
            "hydrant bench tls-loop SRC DST --tls-cert FILE [--once]",
        ],
        about: "measure a relay, this one or any other: pace, delay, cost",
        words: &[
            (
                "SCENARIO",
                "what is measured; several, one after the other; without any: throughput latency",
            ),
            (
                "throughput",
                "a source that is never at a loss: MB/s, and CPU seconds for each GB delivered",
            ),
            (
                "tls",
                "the same over TLS, beside a loop that only encrypts: once the source's bytes, once its own",
            ),
            (
                "latency",
                "a source that keeps a schedule: how long after its time each message arrives",
            ),
            (
                "slow",
                "one client stops reading: the pace of the others before and after, and what becomes of it",
            ),
            ("idle", "clients that get nothing: memory for each, CPU"),
            (
                "churn",
                "clients that come, get a message and go: how many a second, and what is left behind",
            ),
            (
                "tunnel",
                "clients of a service behind hydrant tunnel serve and expose: tunnel-up, tunnel-down and tunnel-echo",
            ),
            (
                "tunnel-up",
                "the clients send as much as is taken: MB/s, and the memory of both processes",
            ),
            ("tunnel-down", "the service sends as much as is taken"),
            (
                "tunnel-echo",
                "each client sends 1 KiB and waits for its answer: answers a second, and how long each one takes",
            ),
            (
                "ws",
                "the same behind hydrant ws relay, host and client: ws-up, ws-down and ws-echo, each as with tunnel",
            ),
            (
                "hub",
                "pairs who pass messages through a hub, or the nats-server of --relay: hub-many, hub-one",
            ),
            (
                "hub-many",
                "many messages of each pair under way: messages a second, and CPU time for each",
            ),
            (
                "hub-one",
                "one message of each pair under way: how long each one takes",
            ),
            (
                "source ADDR",
                "only the source, for a relay on another machine: listens at ADDR, or connects to it as connect:ADDR",
            ),
            (
                "sink ADDR",
                "only the clients, of a relay that listens at ADDR",
            ),
            (
                "tls-loop SRC DST",
                "only that loop: it encrypts the bytes of SRC for all who connect to DST, waits for the slowest, and \
                 does nothing else",
            ),
        ],
        words_max: usize::MAX,
        options: bench::OPTIONS,
        examples: &[
            Example {
                line: "hydrant bench",
                what: "throughput and latency with 1, 10, 100 and 1000 clients, in about a minute",
            },
            Example {
                line: "hydrant bench latency --clients 100 --repeat 5 --svg report.svg",
                what: "the same measurement five times, medians, and a picture",
            },
            Example {
                line: "hydrant bench sink 10.0.0.7:6379 --clients 500 --speak redis",
                what: "500 subscribers of a redis elsewhere",
            },
            Example {
                line: "hydrant bench sink 10.0.0.7:6000 --clients 500 --check",
                what: "500 clients of a relay elsewhere that hydrant bench source feeds",
            },
        ],
    },
];

/// The options of all roles that take as much: each has them [from one on](Role::globals).
pub static GLOBALS: &[Opt] = &[
    Opt {
        flag: "--metrics",
        kind: Kind::Text { max: 4095 },
        unit: "ADDR",
        preset: Preset::Said("none"),
        group: EVERYWHERE,
        help: "serve /metrics for Prometheus, /healthz and /readyz there: an endpoint",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--verbose",
        short: Some("-v"),
        group: EVERYWHERE,
        help: "log debug lines too; -vv: and every event",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--quiet",
        short: Some("-q"),
        group: EVERYWHERE,
        help: "log warnings and errors only",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--log-file",
        kind: Kind::Path { max: 4095 }, // PATH_MAX, without the zero at the end
        unit: "FILE",
        preset: Preset::Said("stderr"),
        group: EVERYWHERE,
        help: "where the log goes; reopened on SIGHUP",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--help",
        short: Some("-h"),
        group: EVERYWHERE,
        help: "show this",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--version",
        short: Some("-V"),
        group: EVERYWHERE,
        help: "show the version",
        ..Opt::SWITCH
    },
];

/// The role that the first words name, and how many of them do: two before one.
pub(crate) fn named(words: &[String]) -> Option<(&'static Role, usize)> {
    let role = |name: &str| ROLES.iter().find(|role| role.name == name);
    let two = words.get(..2).and_then(|two| role(&two.join(" ")));
    two.map(|role| (role, 2))
        .or_else(|| Some((role(words.first()?)?, 1)))
}

/// A word that stands first in the names of several roles and asks for none of them alone.
pub(crate) fn family(word: &str) -> Option<&'static str> {
    let mut families = ROLES.iter().map(Role::family);
    families.find(|family| *family == word)
}

/// The second words of a family's roles.
pub(crate) fn verbs(family: &str) -> impl Iterator<Item = &'static str> {
    let second = move |role: &'static Role| match role.name.split_once(' ') {
        Some((first, second)) if first == family => Some(second),
        _ => None,
    };
    ROLES.iter().filter_map(second)
}

/// Every option of every role, each flag once.
pub(crate) fn all_options() -> Vec<&'static Opt> {
    let mut all: Vec<&'static Opt> = GLOBALS.iter().collect();
    for opt in ROLES.iter().flat_map(|role| role.options) {
        if !all.iter().any(|other| other.flag == opt.flag) {
            all.push(opt);
        }
    }
    all
}

const EVERYWHERE: &str = "Everywhere";

#[cfg(test)]
mod tests {
    use super::*;

    /// Each table that has the option, so that a flag that two roles share is there twice.
    fn every_option() -> impl Iterator<Item = &'static Opt> {
        GLOBALS
            .iter()
            .chain(ROLES.iter().flat_map(|role| role.options))
    }

    #[test]
    fn the_tables_are_sound() {
        for opt in every_option() {
            let name = opt.flag.strip_prefix("--").expect("a flag has two dashes");
            assert_eq!(opt.name(), name);
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
            assert!(
                !opt.help.is_empty() && !opt.group.is_empty() && !opt.help.ends_with('.'),
                "{name}"
            );
            if let Preset::Value(preset) = opt.preset {
                assert!(opt.read(preset).is_ok(), "the preset of {name}");
            }
            if let Some(short) = opt.short {
                assert!(
                    opt.is_switch() && short.len() == 2 && short.starts_with('-'),
                    "{name}"
                );
            }
            let has_unit = !opt.unit.is_empty() || matches!(opt.kind, Kind::Choice(_));
            assert_eq!(
                opt.is_switch(),
                !has_unit,
                "{name} needs a unit if it takes a value"
            );
            assert!(
                opt.is_switch() || opt.preset != Preset::None,
                "{name} does not say its default"
            );
        }
    }

    #[test]
    fn a_role_lists_what_it_takes() {
        let has = |name: &str, flag: &str| {
            let role = ROLES.iter().find(|role| role.name == name).expect(name);
            role.globals().iter().any(|opt| opt.flag == flag)
        };
        for role in ROLES {
            assert!(
                has(role.name, "--help") && has(role.name, "--version"),
                "{}",
                role.name
            );
        }
        for name in [
            "relay",
            "console",
            "run",
            "check",
            "systemd-unit",
            "hub recv",
        ] {
            assert!(has(name, "--metrics") && has(name, "--quiet"), "{name}");
        }
        for name in ["demo", "status", "bench"] {
            assert!(!has(name, "--metrics") && has(name, "--log-file"), "{name}");
        }
        for name in ["completions", "man"] {
            assert!(!has(name, "--metrics") && !has(name, "--verbose"), "{name}");
            assert!(!has(name, "--quiet") && !has(name, "--log-file"), "{name}");
        }
    }

    #[test]
    fn flags_do_not_collide() {
        for role in ROLES {
            let opts: Vec<&Opt> = role.globals().iter().chain(role.options).collect();
            for (at, opt) in opts.iter().enumerate() {
                for other in &opts[at + 1..] {
                    assert_ne!(opt.flag, other.flag);
                    assert!(
                        opt.short.is_none() || opt.short != other.short,
                        "{} {}",
                        opt.flag,
                        other.flag
                    );
                }
            }
        }
        // Words are told from values before the role is known.
        let all = all_options();
        for opt in every_option() {
            let first = all
                .iter()
                .find(|other| other.flag == opt.flag)
                .expect("it is one of all");
            assert_eq!(first.is_switch(), opt.is_switch(), "{}", opt.flag);
        }
    }
}
