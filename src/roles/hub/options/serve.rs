//! `hub serve`.

use std::time::Duration;

use super::error::OrderError;
use crate::base::endpoint::{Endpoint, Host};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::base::tokens::Tokens;
use crate::proto::mailbox::HEAD_MAX;
use crate::roles::hub::config::{Auth, ServeConfig};
use crate::roles::tls::{Tls, options as tls};

/// Makes a hub's orders out of its settings and of the words that are no flags: `ADDR`. What `--tokens` and
/// `--tls-...` name is left to the caller to read.
pub fn build_serve(values: &Values, words: &[String]) -> Result<ServeConfig, OrderError> {
    let [listen] = words else {
        return Err(OrderError::Missing {
            word: "ADDR",
            usage: "hydrant hub serve ADDR",
        });
    };
    let listen: Endpoint = listen.parse()?;
    let config = ServeConfig {
        name: values.text("name")?,
        auth: auth(values, &listen)?,
        listen,
        name_timeout: values.duration("name-timeout")?.expect(PRESET),
        idle_timeout: values.duration("idle-timeout")?,
        max_message: values.amount("max-message")?.expect(PRESET),
        queue: values.amount("queue")?.expect(PRESET),
        memory: values.amount("memory")?.expect(PRESET),
        max_clients: values.amount("max-clients")?,
        max_clients_per_ip: values.amount("max-clients-per-ip")?,
        allow: values.access("allow")?,
        drain: values.duration("drain")?.unwrap_or_default(),
        tls: Tls::default(),
    };
    let (max_message, queue, memory) = (config.max_message, config.queue, config.memory);
    if queue < max_message + HEAD_MAX {
        return Err(OrderError::QueueTooSmall { queue, max_message });
    }
    if memory < queue {
        return Err(OrderError::MemoryTooSmall { memory, queue });
    }
    Ok(config)
}

fn auth(values: &Values, listen: &Endpoint) -> Result<Auth, OrderError> {
    match (values.path("tokens")?, values.given("no-auth")) {
        (Some(_), true) => Err(OrderError::TokensAndNoAuth),
        (Some(_), false) => Ok(Auth::Tokens(Tokens::default())),
        (None, true) => Ok(Auth::Anyone),
        (None, false) if may_be_local(listen) => Ok(Auth::Local),
        (None, false) => Err(OrderError::NoAuth {
            listen: listen.clone(),
        }),
    }
}

/// Whether only this machine may be able to reach it. What a name stands for is seen when it is listened at.
fn may_be_local(listen: &Endpoint) -> bool {
    match listen {
        Endpoint::Unix(_) => true,
        Endpoint::Tcp { host, .. } => match host {
            Host::Any => false,
            Host::Ip(ip) => ip.to_canonical().is_loopback(),
            Host::Name(_) => true,
        },
    }
}

/// Every option that `hub serve` has, in the order of its help.
pub static SERVE: &[Opt] = &[
    Opt {
        flag: "--tokens",
        kind: Kind::Path { max: PATH_MAX },
        unit: "FILE",
        preset: Preset::Said("none"),
        live: true,
        group: WHO,
        help: "who may be who: lines NAME TOKEN, in a file that nobody else can read; read again on SIGHUP",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--no-auth",
        preset: Preset::Said("off"),
        group: WHO,
        help: "let anyone in without a token, though ADDR is not on the loopback",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        live: true,
        group: WHO,
        help: "who may connect",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-clients",
        kind: Kind::Count {
            min: 1,
            max: CLIENTS_MAX,
            off: true,
        },
        unit: "N",
        preset: Preset::Value("10000"),
        live: true,
        group: WHO,
        help: "the most registered clients at a time",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-clients-per-ip",
        kind: Kind::Count {
            min: 1,
            max: CLIENTS_MAX,
            off: true,
        },
        unit: "N",
        preset: Preset::Value("off"),
        live: true,
        group: WHO,
        help: "the most connections at a time from one IPv4 address or one IPv6 /64",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--name-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: HOUR,
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("3s"),
        live: true,
        group: CLIENTS,
        help: "how soon a connection must have said its name, and proven it where there are tokens",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--idle-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("30s"),
        live: true,
        group: CLIENTS,
        help: "a client that has sent no byte for so long is dropped",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--drain",
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("2s"),
        live: true,
        group: CLIENTS,
        help: "how long clients may still take what is theirs when they or hydrant end",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-message",
        kind: Kind::Size {
            min: 1 << 10,
            max: SIZE_MAX,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("1M"),
        group: MEMORY,
        help: "the longest message; who sends a longer one is dropped",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--queue",
        kind: Kind::Size {
            min: 2 << 10,
            max: SIZE_MAX,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("4M"),
        group: MEMORY,
        help: "what may wait for one client; beyond it the client is dropped, and its senders go on",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--memory",
        kind: Kind::Size {
            min: 2 << 10,
            max: MEMORY_MAX,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("256M"),
        group: MEMORY,
        help: "what all queues and unfinished messages may take together; beyond it the largest one is dropped",
        ..Opt::SWITCH
    },
    tls::CERT,
    tls::KEY,
    tls::CLIENT_CA,
    Opt {
        flag: "--name",
        kind: Kind::Text { max: 64 },
        unit: "NAME",
        preset: Preset::Said("none"),
        group: WATCHING,
        help: "stands in this hub's log lines",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--busy-poll",
        preset: Preset::Said("off"),
        group: WATCHING,
        help: "spin instead of sleeping, for the lowest latency; takes a whole core",
        ..Opt::SWITCH
    },
];

const PRESET: &str = "it has a preset";
const WHO: &str = "Who may come in";
const CLIENTS: &str = "Clients";
const MEMORY: &str = "Messages and memory";
const WATCHING: &str = "Watching and latency";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const CLIENTS_MAX: u64 = 1_000_000; // more descriptors than Linux gives one process by default
const SIZE_MAX: u64 = 1 << 30;
const MEMORY_MAX: u64 = 64 << 30;
const PATH_MAX: usize = 4095; // of Linux, without the zero at the end

#[cfg(test)]
mod tests {
    use super::*;

    fn build(line: &str) -> Result<ServeConfig, String> {
        let mut values = Values::new(vec![SERVE]);
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((flag, value)) => {
                    values.put(values.find(flag).expect(flag), value.to_owned());
                }
                None if word.starts_with("--") => {
                    values.put(values.find(word).expect(word), String::new());
                }
                None => words.push(word.to_owned()),
            }
        }
        build_serve(&values, &words).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_enough_on_this_machine() {
        let config = build("7000").unwrap();
        assert_eq!(config, ServeConfig::new("127.0.0.1:7000".parse().unwrap()));
        for local in [
            "localhost:0",
            "[::1]:0",
            "127.9.9.9:0",
            "[::ffff:127.0.0.1]:0",
            "unix:/a",
        ] {
            assert_eq!(build(local).unwrap().auth, Auth::Local, "{local}");
        }
    }

    #[test]
    fn an_open_door_is_asked_for() {
        for open in ["0.0.0.0:7000", ":7000", "10.0.0.1:7000", "[::]:7000"] {
            let shown = open.replace(":7000", "");
            let text = build(open).unwrap_err();
            let expected = format!(
                "refusing {open} without authentication: add --tokens FILE, or --no-auth to let anyone in"
            );
            assert_eq!(text, expected, "{shown}");
            let config = build(&format!("{open} --no-auth")).unwrap();
            assert_eq!(config.auth, Auth::Anyone);
            let config = build(&format!("{open} --tokens=FILE")).unwrap();
            assert_eq!(config.auth, Auth::Tokens(Tokens::default()));
        }
        let both = build("7000 --no-auth --tokens=FILE").unwrap_err();
        assert_eq!(
            both,
            "--tokens and --no-auth contradict each other: leave one of them out"
        );
    }

    #[test]
    fn sizes_fit_into_each_other() {
        assert_eq!(
            build("7000 --max-message=4M").unwrap_err(),
            "--queue 4M is too small for --max-message 4M and its head: raise it to 4194581 or more"
        );
        assert!(build("7000 --max-message=4M --queue=4194581").is_ok());
        assert_eq!(
            build("7000 --memory=1M").unwrap_err(),
            "--memory 1M is less than --queue 4M: raise it to 4M or more"
        );
        assert!(build("7000 --memory=4M").is_ok());
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(
            build("").unwrap_err(),
            "ADDR is missing: hydrant hub serve ADDR"
        );
        assert_eq!(
            build("localhost").unwrap_err(),
            "localhost has no port: write localhost:PORT"
        );
    }
}
