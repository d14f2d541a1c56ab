//! `ws relay`.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::error::OrderError;
use super::{
    DRAIN, HOUR, KEEPALIVE, LIMITS, MAX_STREAMS, MEMORY, NAME, PATH_MAX, PING, PRESET, WHO,
};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::roles::tls::{Tls, options as tls};
use crate::roles::ws::config::RelayConfig;
use crate::roles::ws::tokens::Tokens;

/// Makes a relay's orders out of its settings and of the words that are no flags: `[ADDR]`. `port` is what the variable
/// `PORT` says. What `--tokens` and `--tls-...` name is left to the caller to read.
pub fn build_relay(
    values: &Values,
    words: &[String],
    port: Option<&str>,
) -> Result<RelayConfig, OrderError> {
    let listen = match (words.first(), port) {
        (Some(word), _) => word.parse()?,
        (None, Some(port)) => on_port(Ipv4Addr::UNSPECIFIED, port)?,
        (None, None) => on_port(Ipv4Addr::LOCALHOST, PORT)?,
    };
    let (with_tokens, no_auth) = (values.given("tokens"), values.given("no-auth"));
    if with_tokens && no_auth {
        return Err(OrderError::TokensAndNoAuth);
    }
    if !with_tokens && !no_auth && !may_be_local(&listen) {
        return Err(OrderError::NoAuth { listen });
    }
    let origins = values.texts("origin")?;
    let origins = origins.iter().map(|given| given.parse());
    Ok(RelayConfig {
        name: values.text("name")?,
        listen,
        tls: Tls::default(),
        tokens: with_tokens.then(Tokens::default),
        no_auth,
        allow: values.access("allow")?,
        trust_proxy: values.access("trust-proxy")?,
        origins: origins
            .collect::<Result<_, _>>()
            .map_err(OrderError::Origin)?,
        pair_timeout: values.duration("pair-timeout")?.expect(PRESET),
        max_connections: values.amount("max-connections")?,
        max_streams: values.amount("max-streams")?.expect(PRESET),
        memory: values.amount("memory")?.expect(PRESET),
        ping: values.duration("ping")?.expect(PRESET),
        keepalive: values.duration("keepalive")?,
        drain: values.duration("drain")?.unwrap_or_default(),
    })
}

fn on_port(ip: Ipv4Addr, given: &str) -> Result<Endpoint, OrderError> {
    let is_decimal = given.bytes().all(|byte| byte.is_ascii_digit());
    let port = given.parse().ok().filter(|_| is_decimal);
    Ok(Endpoint::Tcp {
        host: Host::Ip(ip.into()),
        port: port.ok_or_else(|| OrderError::Port {
            given: given.to_owned(),
        })?,
        tls: false,
    })
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

/// Where neither ADDR nor `PORT` says anything.
const PORT: &str = "8080";

/// Every option that `ws relay` has, in the order of its help.
pub static RELAY: &[Opt] = &[
    Opt {
        flag: "--tokens",
        kind: Kind::Path { max: PATH_MAX },
        unit: "FILE",
        preset: Preset::Said("none"),
        live: true,
        group: WHO,
        help: "who may connect: lines NAME TOKEN [host|client], in a file that nobody else can read; NAME - is the \
               tunnel without a name; read again on SIGHUP",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--no-auth",
        preset: Preset::Said("off"),
        group: WHO,
        help: "let anyone connect without a token, though ADDR is not on the loopback",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        group: WHO,
        help: "who may connect, by address",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--trust-proxy",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("none"),
        many: true,
        group: WHO,
        help: "proxies in front of it: what their X-Forwarded-For says counts as the address",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--origin",
        kind: Kind::Text { max: 253 },
        unit: "ORIGIN",
        preset: Preset::Said(
            "all; where neither --tokens nor --no-auth is given, those of this machine",
        ),
        many: true,
        group: WHO,
        help: "pages that may connect from a browser: https://HOST; programs send no origin and may",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--pair-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("5s"),
        group: LIMITS,
        help: "how long a connection waits for a host that is away, or that has another client",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-connections",
        kind: Kind::Count {
            min: 1,
            max: 1_000_000, // more descriptors than Linux gives one process by default
            off: true,
        },
        unit: "N",
        preset: Preset::Value("10000"),
        group: LIMITS,
        help: "the most WebSockets at a time",
        ..Opt::SWITCH
    },
    tls::CERT,
    tls::KEY,
    tls::CLIENT_CA,
    MAX_STREAMS,
    Opt {
        preset: Preset::Value("256M"),
        help: "what may wait in all WebSockets together for those who read slowly; beyond it, of the connections that \
               hold at least half the average, the one whose bytes have waited for the longest is reset, or a \
               WebSocket closed for which more waits than any of them holds",
        ..MEMORY
    },
    PING,
    KEEPALIVE,
    DRAIN,
    NAME,
];
