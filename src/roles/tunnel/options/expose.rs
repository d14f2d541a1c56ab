//! `tunnel expose`.

use std::time::Duration;

use super::error::OrderError;
use super::{CONNECTIONS, DRAIN, HOUR, KEEPALIVE, MAX_STREAMS, PATH_MAX, PRESET};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::base::secret::Secret;
use crate::proto::hello::Name;
use crate::roles::tls::{Tls, options as tls};
use crate::roles::tunnel::config::{ExposeConfig, ProxyProtocol, Target};

/// Makes a backend's orders out of its settings and of the words that are no flags: `SERVER [TARGET]`. The token is
/// what `--token-file` holds, or the environment; what `--tls-...` names is left to the caller to read.
pub fn build_expose(
    values: &Values,
    words: &[String],
    token: Option<Secret>,
) -> Result<ExposeConfig, OrderError> {
    let missing = |word| OrderError::Missing {
        word,
        usage: "hydrant tunnel expose SERVER TARGET",
    };
    let (server, target) = match words {
        [] => return Err(missing("SERVER")),
        [server, target @ ..] => (server, target.first()),
    };
    let target = match (target, values.given("echo")) {
        (Some(_), true) => return Err(OrderError::TargetAndEcho),
        (Some(target), false) => Target::Service(dialled(Endpoint::plain(target)?)?),
        (None, true) => Target::Echo,
        (None, false) => return Err(missing("TARGET")),
    };
    let proxy_protocol = values
        .choice("proxy-protocol")?
        .and_then(|word| match word {
            "v1" => Some(ProxyProtocol::V1),
            "v2" => Some(ProxyProtocol::V2),
            _ => None,
        });
    if target == Target::Echo && proxy_protocol.is_some() {
        return Err(OrderError::ProxyToEcho);
    }
    let name = values.text("name")?.map(|given| {
        let name = given.parse::<Name>();
        name.map_err(|error| OrderError::Name { given, error })
    });
    let name = name.transpose()?;
    if token.is_some() && name.is_none() {
        return Err(OrderError::TokenWithoutName);
    }
    let port = values.amount("port")?;
    Ok(ExposeConfig {
        server: dialled(server.parse()?)?,
        target,
        name,
        port: port.map(|port| u16::try_from(port).expect("the option's limit is a port")),
        token,
        proxy_protocol,
        retry: values.wait("retry")?.expect(PRESET),
        connect_timeout: values.duration("connect-timeout")?.expect(PRESET),
        max_streams: values.amount("max-streams")?.expect(PRESET),
        keepalive: values.duration("keepalive")?,
        drain: values.duration("drain")?.unwrap_or_default(),
        prints: true,
        tls: Tls::default(),
    })
}

fn dialled(endpoint: Endpoint) -> Result<Endpoint, OrderError> {
    match endpoint {
        Endpoint::Tcp { port: 0, .. } => Err(OrderError::DialPortZero { endpoint }),
        _ => Ok(endpoint),
    }
}

/// Every option that `tunnel expose` has, in the order of its help.
pub static EXPOSE: &[Opt] = &[
    Opt {
        flag: "--name",
        kind: Kind::Text { max: 63 },
        unit: "NAME",
        preset: Preset::Said("none"),
        group: PUBLISHING,
        help: "publish under this name, which keeps its port; it also stands in the log lines",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--port",
        kind: Kind::Count {
            min: 1,
            max: 65_535,
            off: false,
        },
        unit: "N",
        preset: Preset::Said("any"),
        group: PUBLISHING,
        help: "the public port to ask for",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--token-file",
        live: true,
        kind: Kind::Path { max: PATH_MAX },
        unit: "FILE",
        preset: Preset::Said("$HYDRANT_TOKEN"),
        group: PUBLISHING,
        help: "FILE, which nobody else may read, holds the token that proves the name, in one line",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--echo",
        preset: Preset::Said("off"),
        group: SERVICE,
        help: "no service: each client hears itself",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--proxy-protocol",
        kind: Kind::Choice(&["v1", "v2"]),
        preset: Preset::Said("none"),
        group: SERVICE,
        help: "tell the service each client's address, by a PROXY header in front of its bytes",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--retry",
        kind: Kind::Wait {
            min: Duration::from_millis(10),
            max: Duration::from_secs(86_400),
        },
        unit: "TIME|MIN..MAX",
        preset: Preset::Value("0.2..30"),
        group: CONNECTIONS,
        help: "wait between attempts to connect, for ever; a range doubles from MIN to MAX; each wait is spread at \
               random",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--connect-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("10s"),
        group: CONNECTIONS,
        help: "give up one attempt to connect, to SERVER or to TARGET, after this time",
        ..Opt::SWITCH
    },
    MAX_STREAMS,
    KEEPALIVE,
    DRAIN,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
];

const PUBLISHING: &str = "Publishing";
const SERVICE: &str = "The service";
