//! The console's options, and what of them fits together. Files are named here, and read elsewhere.

use std::error::Error;
use std::fmt;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::option::{Kind, Opt, OptionError, Preset, Values};
use crate::base::secret::Secret;
use crate::roles::console::config::ConsoleConfig;

/// Every option that the console has, in the order of its help.
pub static OPTIONS: &[Opt] = &[
    Opt {
        flag: "--bind",
        kind: Kind::Text { max: 255 },
        unit: "ADDR",
        preset: Preset::Value("127.0.0.1:7700"),
        group: OPENING,
        help: "where browsers connect; an address that others reach needs --token-file",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--no-browser",
        preset: Preset::Said("off"),
        group: OPENING,
        help: "open no browser; its address is printed in any case",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--import",
        kind: Kind::Path { max: 4095 },
        unit: "FILE",
        preset: Preset::Said("none"),
        group: OPENING,
        help: "take over the tabs of relay_gui_config.json, behind those that are there",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--token-file",
        kind: Kind::Path { max: 4095 },
        unit: "FILE",
        preset: Preset::Said("HYDRANT_TOKEN, or none"),
        group: ACCESS,
        help: "FILE, which nobody else may read, holds the token that opens the console; the page asks for it once",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--view-token-file",
        kind: Kind::Path { max: 4095 },
        unit: "FILE",
        preset: Preset::Said("none"),
        group: ACCESS,
        help: "FILE, which nobody else may read, holds a token for looking only, for the screen on the wall (/wall)",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow-host",
        kind: Kind::Text { max: 255 },
        unit: "HOST",
        preset: Preset::Said("none"),
        many: true,
        group: ACCESS,
        help: "a name that browsers reach it by, besides its addresses and localhost",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--trust-proxy",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("none"),
        many: true,
        group: ACCESS,
        help: "proxies in front of it: wrong tokens count for the address that their X-Forwarded-For says",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-connections",
        kind: Kind::Count {
            min: 8,
            max: 10_000,
            off: false,
        },
        unit: "N",
        preset: Preset::Value("64"),
        group: ACCESS,
        help: "the most connections of browsers at a time; a page that is open takes up to six",
        ..Opt::SWITCH
    },
];

const OPENING: &str = "Opening";
const ACCESS: &str = "Who may";

/// A rule that the orders for a console break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// `--bind` is no endpoint.
    Endpoint(EndpointError),
    /// `--bind` is a Unix socket, which no browser reaches.
    UnixBind,
    /// Others could reach it, and nothing asks who they are.
    NoToken {
        /// `--bind`.
        bind: Endpoint,
    },
    /// `--view-token-file` without another token, and so with nothing to keep from anybody.
    ViewTokenAlone,
    /// Both tokens are the same.
    SameTokens,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::UnixBind => {
                f.write_str("--bind takes HOST:PORT: no browser reaches a Unix socket")
            }
            Self::NoToken { bind } => write!(
                f,
                "refusing {bind} without authentication: add --token-file FILE, or --bind 127.0.0.1:7700"
            ),
            Self::ViewTokenAlone => f.write_str(
                "--view-token-file needs --token-file: without one everybody may do everything",
            ),
            Self::SameTokens => f.write_str(
                "--view-token-file and --token-file hold the same token: make one of them another",
            ),
        }
    }
}

impl Error for OrderError {}

impl From<OptionError> for OrderError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

/// Makes a console's orders out of its settings and its tokens, which the caller has read.
pub fn build(
    values: &Values,
    token: Option<Secret>,
    view_token: Option<Secret>,
) -> Result<ConsoleConfig, OrderError> {
    let bind = values.text("bind")?.expect(PRESET);
    let bind = Endpoint::plain(&bind).map_err(OrderError::Endpoint)?;
    if matches!(bind, Endpoint::Unix(_)) {
        return Err(OrderError::UnixBind);
    }
    if token.is_none() && !is_loopback(&bind) {
        return Err(OrderError::NoToken { bind });
    }
    if view_token.is_some() && token.is_none() {
        return Err(OrderError::ViewTokenAlone);
    }
    if view_token.is_some() && view_token == token {
        return Err(OrderError::SameTokens);
    }
    Ok(ConsoleConfig {
        bind,
        hosts: values.texts("allow-host")?,
        token,
        view_token,
        trust_proxy: values.access("trust-proxy")?,
        max_connections: values.amount("max-connections")?.expect(PRESET),
        is_private: false,
    })
}

/// Whether nobody on another machine can reach it.
fn is_loopback(bind: &Endpoint) -> bool {
    match bind {
        Endpoint::Tcp { host, .. } => {
            *host != crate::base::endpoint::Host::Any && bind.is_this_machine()
        }
        Endpoint::Unix(_) => true,
    }
}

const PRESET: &str = "it has a preset";

#[cfg(test)]
mod tests {
    use super::*;

    fn made(
        bind: &str,
        token: Option<&str>,
        view: Option<&str>,
    ) -> Result<ConsoleConfig, OrderError> {
        let mut values = Values::new(vec![OPTIONS]);
        let opt = values.find("--bind").expect("it is in the table");
        values.put(opt, bind.to_owned());
        let secret = |text: &str| Secret::from(text.as_bytes().to_vec());
        build(&values, token.map(secret), view.map(secret))
    }

    #[test]
    fn others_need_a_token() {
        for bind in [
            "127.0.0.1:7700",
            "7700",
            "localhost:0",
            "[::1]:1",
            "127.0.0.2:1",
        ] {
            assert!(made(bind, None, None).is_ok(), "{bind}");
        }
        for bind in [
            ":7700",
            "*:7700",
            "0.0.0.0:7700",
            "[::]:7700",
            "10.0.0.5:7700",
            "ops.example:7700",
        ] {
            let error = made(bind, None, None).expect_err(bind);
            assert!(
                matches!(error, OrderError::NoToken { .. }),
                "{bind}: {error}"
            );
            assert!(made(bind, Some("t"), None).is_ok(), "{bind}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(made("unix:/x", None, None), Err(OrderError::UnixBind));
        assert!(matches!(
            made("tls://7700", None, None),
            Err(OrderError::Endpoint(_))
        ));
        assert_eq!(
            made("7700", None, Some("v")),
            Err(OrderError::ViewTokenAlone)
        );
        assert_eq!(
            made("7700", Some("v"), Some("v")),
            Err(OrderError::SameTokens)
        );
        assert!(made("7700", Some("t"), Some("v")).is_ok());
    }
}
