//! `hub tunnel`.

use std::time::Duration;

use super::error::OrderError;
use super::user::{CONNECT_TIMEOUT, HUB, PRESET, TOKEN_FILE, account, dialled, name};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::roles::hub::config::TunnelConfig;
use crate::roles::tls::options as tls;

/// Makes the orders of `hub tunnel ADDR NAME`. The token is left to the caller to read.
pub fn build_tunnel(values: &Values, words: &[String]) -> Result<TunnelConfig, OrderError> {
    const USAGE: &str = "hydrant hub tunnel ADDR NAME --to PEER";
    let account = account(values, words, USAGE)?;
    let Some(to) = values.text("to")? else {
        return Err(OrderError::Missing {
            word: "--to",
            usage: USAGE,
        });
    };
    let peer = name("--to", &to)?;
    if peer == account.name {
        return Err(OrderError::OwnPeer { name: to });
    }
    let listen = values.text("listen")?;
    let listen = listen.map(|at| Endpoint::plain(&at)).transpose()?;
    let forward = values.text("forward")?;
    let forward = forward
        .map(|to| dialled(Endpoint::plain(&to)?))
        .transpose()?;
    if listen.is_none() && forward.is_none() {
        return Err(OrderError::NoEnd);
    }
    Ok(TunnelConfig {
        account,
        peer,
        listen,
        forward,
        allow: values.access("allow")?,
        max_streams: values.amount("max-streams")?.expect(PRESET),
        retry: values.wait("retry")?.expect(PRESET),
        keepalive: values.duration("keepalive")?,
        drain: values.duration("drain")?.unwrap_or_default(),
    })
}

/// Every option that `hub tunnel` has, in the order of its help.
pub static TUNNEL: &[Opt] = &[
    Opt {
        flag: "--to",
        kind: Kind::Text { max: 255 },
        unit: "PEER",
        preset: Preset::Said("has to be given"),
        group: ENDS,
        help: "the name of the other end, which runs with --to NAME",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--listen",
        kind: Kind::Text { max: 512 },
        unit: "ADDR",
        preset: Preset::Said("none"),
        group: ENDS,
        help: "each connection to this endpoint goes to the other end, which forwards it",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--forward",
        kind: Kind::Text { max: 512 },
        unit: "ADDR",
        preset: Preset::Said("none"),
        group: ENDS,
        help: "each connection from the other end goes to this endpoint",
        ..Opt::SWITCH
    },
    Opt {
        live: true,
        ..TOKEN_FILE
    },
    CONNECT_TIMEOUT,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
    Opt {
        flag: "--retry",
        kind: Kind::Wait {
            min: Duration::from_millis(10),
            max: Duration::from_secs(86_400),
        },
        unit: "TIME|MIN..MAX",
        preset: Preset::Value("0.2..30"),
        group: HUB,
        help: "wait between attempts to reach the hub, for ever; a range doubles from MIN to MAX; each wait is \
               spread at random",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        group: LIMITS,
        help: "who may connect to --listen",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-streams",
        kind: Kind::Count {
            min: 1,
            max: 65_536,
            off: false,
        },
        unit: "N",
        preset: Preset::Value("1024"),
        group: LIMITS,
        help: "the most connections at a time, in both directions together",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--keepalive",
        kind: Kind::Duration {
            min: Duration::from_secs(1),
            max: Duration::from_secs(9 * 3600),
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("30s"),
        group: LIMITS,
        help: "notice a dead client or service after about this time, by TCP keepalive",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--drain",
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(3_600),
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("2s"),
        group: LIMITS,
        help: "how long connections may finish when hydrant is stopped",
        ..Opt::SWITCH
    },
];

const ENDS: &str = "The two ends";
const LIMITS: &str = "Limits";
