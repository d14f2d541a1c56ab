//! `ws host` and `ws client`.

use std::time::Duration;

use super::error::OrderError;
use super::{
    CONNECTIONS, DRAIN, HOUR, KEEPALIVE, MAX_STREAMS, MEMORY, NAME, PATH_MAX, PING, PRESET, WHO,
};
use crate::base::access::Access;
use crate::base::endpoint::{Endpoint, Host};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::base::secret::Secret;
use crate::roles::tls::{Tls, options as tls};
use crate::roles::ws::config::{AdapterConfig, LocalEnd};
use crate::roles::ws::url::{Proxy, Url};

/// What the environment says of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HYDRANT_PROXY`: for every relay.
    pub own: Option<Secret>,
    /// `HTTPS_PROXY`, or else `https_proxy`: for a relay at `wss://`.
    pub https: Option<Secret>,
    /// `NO_PROXY`, or else `no_proxy`: hosts and domains that are reached without, or `*`.
    pub not_for: Option<String>,
}

/// Makes a host's orders out of its settings and of the words that are no flags: `URL TARGET`. The token is what
/// `--token-file` holds, or the environment.
pub fn build_host(
    values: &Values,
    words: &[String],
    token: Option<Secret>,
    proxies: &Proxies,
) -> Result<AdapterConfig, OrderError> {
    let [url, target] = two(words, ["URL", "TARGET"], "hydrant ws host URL TARGET")?;
    let url = checked_url(url, "host", "/host", "/client")?;
    let target = Endpoint::plain(target)?;
    if let Endpoint::Tcp { port: 0, .. } = target {
        return Err(OrderError::DialPortZero { endpoint: target });
    }
    build(values, url, LocalEnd::Target(target), token, proxies)
}

/// As [`build_host`], for a client: `URL LISTEN`.
pub fn build_client(
    values: &Values,
    words: &[String],
    token: Option<Secret>,
    proxies: &Proxies,
) -> Result<AdapterConfig, OrderError> {
    let [url, at] = two(words, ["URL", "LISTEN"], "hydrant ws client URL LISTEN")?;
    let url = checked_url(url, "client", "/client", "/host")?;
    let at = Endpoint::plain(at)?;
    let allow: Access = values.access("allow")?;
    build(values, url, LocalEnd::Listen { at, allow }, token, proxies)
}

fn two<'a>(
    words: &'a [String],
    names: [&'static str; 2],
    usage: &'static str,
) -> Result<[&'a str; 2], OrderError> {
    match words {
        [first, second] => Ok([first, second]),
        [] => Err(OrderError::Missing {
            word: names[0],
            usage,
        }),
        _ => Err(OrderError::Missing {
            word: names[1],
            usage,
        }),
    }
}

fn checked_url(
    word: &str,
    part: &'static str,
    own: &'static str,
    other: &str,
) -> Result<Url, OrderError> {
    let url: Url = word.parse()?;
    if let Endpoint::Tcp { port: 0, .. } = url.endpoint {
        return Err(OrderError::DialPortZero {
            endpoint: url.endpoint,
        });
    }
    let path = url.path.split('?').next().unwrap_or_default();
    let is_other = path == other || path.starts_with(&format!("{other}/"));
    match is_other {
        true => Err(OrderError::OtherPart { part, path: own }),
        false => Ok(url),
    }
}

fn build(
    values: &Values,
    url: Url,
    end: LocalEnd,
    token: Option<Secret>,
    proxies: &Proxies,
) -> Result<AdapterConfig, OrderError> {
    Ok(AdapterConfig {
        name: values.text("name")?,
        proxy: proxy(values, &url, proxies)?,
        url,
        tls: Tls::default(),
        end,
        token,
        retry: values.wait("retry")?.expect(PRESET),
        connect_timeout: values.duration("connect-timeout")?.expect(PRESET),
        max_streams: values.amount("max-streams")?.expect(PRESET),
        memory: values.amount("memory")?.expect(PRESET),
        ping: values.duration("ping")?.expect(PRESET),
        keepalive: values.duration("keepalive")?,
        drain: values.duration("drain")?.unwrap_or_default(),
    })
}

/// The proxy on the way: the flag's, else our own variable's, else that for `wss://`.
fn proxy(values: &Values, url: &Url, proxies: &Proxies) -> Result<Option<Proxy>, OrderError> {
    let read = |of, text: &str| {
        let proxy: Result<Proxy, _> = text.parse();
        proxy.map_err(|error| OrderError::Proxy { of, error })
    };
    if let Some(given) = values.text("proxy")? {
        if given == "off" {
            return Ok(None);
        }
        let proxy = read("--proxy", &given)?;
        return match proxy.user {
            Some(_) => Err(OrderError::ProxyPassword),
            None => Ok(Some(proxy)),
        };
    }
    let text = |secret: &Secret| String::from_utf8_lossy(secret).into_owned();
    if let Some(own) = proxies.own.as_ref().filter(|own| !own.is_empty()) {
        return read("HYDRANT_PROXY", &text(own)).map(Some);
    }
    let spared = proxies
        .not_for
        .as_deref()
        .is_some_and(|list| spares(list, url));
    match proxies.https.as_ref().filter(|https| !https.is_empty()) {
        Some(https) if url.is_tls() && !spared => read("HTTPS_PROXY", &text(https)).map(Some),
        _ => Ok(None),
    }
}

/// Whether a list of hosts and domains has this one in it, as curl reads `NO_PROXY`.
fn spares(list: &str, url: &Url) -> bool {
    let Endpoint::Tcp { host, .. } = &url.endpoint else {
        return true;
    };
    let host = match host {
        Host::Name(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ip(ip) => ip.to_string(),
        Host::Any => "localhost".to_owned(),
    };
    list.split([',', ' ']).any(|member| {
        let member = member.trim_start_matches('.').to_ascii_lowercase();
        let is_domain = |rest: &str| rest.is_empty() || rest.ends_with('.');
        match member.as_str() {
            "" => false,
            "*" => true,
            member => host.strip_suffix(member).is_some_and(is_domain),
        }
    })
}

/// Every option that `ws host` has, in the order of its help.
pub static HOST: &[Opt] = &[
    TOKEN_FILE,
    PROXY,
    RETRY,
    CONNECT_TIMEOUT,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
    MAX_STREAMS,
    MEMORY,
    PING,
    KEEPALIVE,
    DRAIN,
    NAME,
];

/// Every option that `ws client` has, in the order of its help.
pub static CLIENT: &[Opt] = &[
    TOKEN_FILE,
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        group: WHO,
        help: "who may connect to LISTEN",
        ..Opt::SWITCH
    },
    PROXY,
    RETRY,
    CONNECT_TIMEOUT,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
    MAX_STREAMS,
    MEMORY,
    PING,
    KEEPALIVE,
    DRAIN,
    NAME,
];

const TOKEN_FILE: Opt = Opt {
    flag: "--token-file",
    live: true,
    kind: Kind::Path { max: PATH_MAX },
    unit: "FILE",
    preset: Preset::Said("$HYDRANT_TOKEN"),
    group: WHO,
    help: "FILE, which nobody else may read, holds the token that the relay asks for, in one line",
    ..Opt::SWITCH
};

const PROXY: Opt = Opt {
    flag: "--proxy",
    kind: Kind::Text { max: 2048 },
    unit: "URL",
    preset: Preset::Said("$HYDRANT_PROXY; for wss:// $HTTPS_PROXY"),
    group: CONNECTIONS,
    help: "the HTTP proxy on the way to the relay, http://HOST:PORT, or off",
    ..Opt::SWITCH
};

const RETRY: Opt = Opt {
    flag: "--retry",
    kind: Kind::Wait {
        min: Duration::from_millis(10),
        max: Duration::from_secs(86_400),
    },
    unit: "TIME|MIN..MAX",
    preset: Preset::Value("0.2..30"),
    group: CONNECTIONS,
    help: "wait between attempts to connect, for ever; a range doubles from MIN to MAX; each wait is spread at random",
    ..Opt::SWITCH
};

const CONNECT_TIMEOUT: Opt = Opt {
    flag: "--connect-timeout",
    kind: Kind::Duration {
        min: Duration::from_millis(10),
        max: HOUR,
        off: false,
    },
    unit: "TIME",
    preset: Preset::Value("10s"),
    group: CONNECTIONS,
    help: "give up one attempt to connect after this time, and turn away a program that has waited so long",
    ..Opt::SWITCH
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_spared_as_curl_does() {
        let url: Url = "wss://relay.example.com/host".parse().unwrap();
        for list in [
            "relay.example.com",
            ".example.com",
            "x, example.com",
            "*",
            "COM",
        ] {
            assert!(spares(list, &url), "{list}");
        }
        for list in [
            "",
            "ample.com",
            "relay.example",
            "example.com.org",
            "10.0.0.1",
        ] {
            assert!(!spares(list, &url), "{list}");
        }
        let url: Url = "wss://10.0.0.1/host".parse().unwrap();
        assert!(spares("10.0.0.1", &url) && !spares("0.0.1", &"wss://x/".parse().unwrap()));
    }
}
