//! `tunnel serve`.

use std::net::IpAddr;
use std::time::Duration;

use super::error::OrderError;
use super::{CONNECTIONS, DRAIN, HOUR, KEEPALIVE, LIMITS, MAX_STREAMS, PATH_MAX, PRESET};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::roles::tls::{Tls, options as tls};
use crate::roles::tunnel::config::{PublicBind, ServeConfig};
use crate::roles::tunnel::tokens::Tokens;

/// Makes a server's orders out of its settings and of the words that are no flags: `ADDR`. What `--tokens` and
/// `--tls-...` name is left to the caller to read.
pub fn build_serve(values: &Values, words: &[String]) -> Result<ServeConfig, OrderError> {
    let [listen] = words else {
        return Err(OrderError::Missing {
            word: "ADDR",
            usage: "hydrant tunnel serve ADDR",
        });
    };
    let listen: Endpoint = listen.parse()?;
    let (with_tokens, no_auth) = (values.given("tokens"), values.given("no-auth"));
    if with_tokens && no_auth {
        return Err(OrderError::TokensAndNoAuth);
    }
    if !with_tokens && !no_auth && !may_be_local(&listen) {
        return Err(OrderError::NoAuth { listen });
    }
    let ports = values.text("ports")?.map(|given| {
        let ports = given.parse();
        ports.map_err(|()| OrderError::Ports { given })
    });
    let public_bind = values.text("public-bind")?.map(public_bind);
    Ok(ServeConfig {
        name: values.text("name")?,
        listen,
        ports: ports.transpose()?,
        public_bind: public_bind.transpose()?,
        public_name: values.text("public-name")?,
        linger: values.duration("linger")?.unwrap_or_default(),
        alive_timeout: values.duration("alive-timeout")?.expect(PRESET),
        allow: values.access("allow")?,
        allow_clients: values.access("allow-clients")?,
        max_backends: values.amount("max-backends")?,
        max_clients: values.amount("max-clients")?,
        max_clients_per_ip: values.amount("max-clients-per-ip")?,
        max_streams: values.amount("max-streams")?.expect(PRESET),
        tokens: with_tokens.then(Tokens::default),
        no_auth,
        keepalive: values.duration("keepalive")?,
        drain: values.duration("drain")?.unwrap_or_default(),
        tls: Tls::default(),
    })
}

fn public_bind(given: String) -> Result<PublicBind, OrderError> {
    let address = given.trim_start_matches('[').trim_end_matches(']');
    match (given.as_str(), address.parse::<IpAddr>()) {
        ("*", _) => Ok(PublicBind::Any),
        (_, Ok(ip)) => Ok(PublicBind::Ip(ip.to_canonical())),
        (_, Err(_)) => Err(OrderError::PublicBind { given }),
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

/// Every option that `tunnel serve` has, in the order of its help.
pub static SERVE: &[Opt] = &[
    Opt {
        flag: "--ports",
        kind: Kind::Text { max: 11 },
        unit: "A-B",
        preset: Preset::Said("the 20 after ADDR's own"),
        group: PUBLIC,
        help: "the public ports, one for each backend",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--public-bind",
        kind: Kind::Text { max: 45 },
        unit: "ADDR",
        preset: Preset::Said("the address of ADDR"),
        group: PUBLIC,
        help: "the address that the public ports are on; * for every interface",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--public-name",
        kind: Kind::Text { max: 253 },
        unit: "HOST",
        preset: Preset::Said("the public address"),
        group: PUBLIC,
        help: "the host that backends are told to be reached at",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--linger",
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("10s"),
        group: PUBLIC,
        help: "how long a client waits whose named backend is away, before it is turned away",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--alive-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_secs(60),
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("3s"),
        group: PUBLIC,
        help: "a backend that shows no sign of life for so long after a client has come is dead",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--tokens",
        kind: Kind::Path { max: PATH_MAX },
        unit: "FILE",
        preset: Preset::Said("none"),
        live: true,
        group: WHO,
        help: "who may publish: lines NAME TOKEN [PORTS], in a file that nobody else can read; read again on SIGHUP",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--no-auth",
        preset: Preset::Said("off"),
        group: WHO,
        help: "let anyone publish without a token, though ADDR is not on the loopback",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        group: WHO,
        help: "who may connect as a backend",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow-clients",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        group: WHO,
        help: "who may connect to the public ports",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-backends",
        kind: Kind::Count {
            min: 1,
            max: CLIENTS_MAX,
            off: true,
        },
        unit: "N",
        preset: Preset::Value("1024"),
        group: LIMITS,
        help: "the most backends at a time",
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
        group: LIMITS,
        help: "the most clients at a time, of all backends together",
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
        group: LIMITS,
        help: "the most clients at a time from one IPv4 address or one IPv6 /64",
        ..Opt::SWITCH
    },
    MAX_STREAMS,
    KEEPALIVE,
    DRAIN,
    tls::CERT,
    tls::KEY,
    tls::CLIENT_CA,
    Opt {
        flag: "--name",
        kind: Kind::Text { max: 64 },
        unit: "NAME",
        preset: Preset::Said("none"),
        group: CONNECTIONS,
        help: "stands in the log lines",
        ..Opt::SWITCH
    },
];

const PUBLIC: &str = "The public side";
const WHO: &str = "Who may";
const CLIENTS_MAX: u64 = 1_000_000; // more descriptors than Linux gives one process by default
