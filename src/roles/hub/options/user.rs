//! `hub client`, `hub send` and `hub recv`; and what all who connect to a hub have in common.

use std::time::Duration;

use super::error::OrderError;
use crate::base::endpoint::Endpoint;
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::proto::mailbox::check_name;
use crate::roles::hub::config::{Account, TaskConfig, UserConfig};
use crate::roles::tls::{Tls, options as tls};

/// Makes the orders of `hub client ADDR NAME`. The token and what `--tls-...` names is left to the
/// caller to read, for this and the others.
pub fn build_client(values: &Values, words: &[String]) -> Result<UserConfig, OrderError> {
    user(
        values,
        words,
        "hydrant hub client ADDR NAME",
        TaskConfig::Prompt,
    )
}

/// Makes the orders of `hub send ADDR NAME DEST [DATA]`.
pub fn build_send(values: &Values, words: &[String]) -> Result<UserConfig, OrderError> {
    const USAGE: &str = "hydrant hub send ADDR NAME DEST [DATA]";
    let dest = match words {
        [_, _, dest, ..] => name("DEST", dest)?,
        _ => Vec::new(),
    };
    let task = TaskConfig::Send {
        dest,
        data: words.get(3).map(|data| data.clone().into_bytes()),
        max_message: values.amount("max-message")?.expect(PRESET),
    };
    let config = user(values, words, USAGE, task)?;
    match words.len() {
        2 => Err(OrderError::Missing {
            word: "DEST",
            usage: USAGE,
        }),
        _ => Ok(config),
    }
}

/// Makes the orders of `hub recv ADDR NAME`.
pub fn build_recv(values: &Values, words: &[String]) -> Result<UserConfig, OrderError> {
    let task = TaskConfig::Recv {
        count: values.amount("count")?.map(|count| count as u64),
        newline: values.given("newline"),
    };
    user(values, words, "hydrant hub recv ADDR NAME", task)
}

fn user(
    values: &Values,
    words: &[String],
    usage: &'static str,
    task: TaskConfig,
) -> Result<UserConfig, OrderError> {
    let account = account(values, words, usage)?;
    Ok(UserConfig { account, task })
}

/// Who connects, and where to: `ADDR NAME`.
pub(super) fn account(
    values: &Values,
    words: &[String],
    usage: &'static str,
) -> Result<Account, OrderError> {
    let missing = |word| OrderError::Missing { word, usage };
    Ok(Account {
        hub: dialled(words.first().ok_or(missing("ADDR"))?.parse()?)?,
        name: name("NAME", words.get(1).ok_or(missing("NAME"))?)?,
        token: None,
        timeout: values.duration("connect-timeout")?.expect(PRESET),
        tls: Tls::default(),
    })
}

/// Where somebody can be reached.
pub(super) fn dialled(endpoint: Endpoint) -> Result<Endpoint, OrderError> {
    match endpoint {
        Endpoint::Tcp { port: 0, .. } => Err(OrderError::DialPortZero { endpoint }),
        _ => Ok(endpoint),
    }
}

pub(super) fn name(word: &'static str, given: &str) -> Result<Vec<u8>, OrderError> {
    match check_name(given.as_bytes()) {
        Ok(()) => Ok(given.as_bytes().to_vec()),
        Err(fault) => Err(OrderError::Name {
            word,
            given: given.to_owned(),
            fault,
        }),
    }
}

/// Every option that `hub client` has.
pub static CLIENT: &[Opt] = &[
    TOKEN_FILE,
    CONNECT_TIMEOUT,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
];

/// Every option that `hub send` has.
pub static SEND: &[Opt] = &[
    TOKEN_FILE,
    CONNECT_TIMEOUT,
    Opt {
        flag: "--max-message",
        kind: Kind::Size {
            min: 1,
            max: 1 << 30,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("1M"),
        group: MESSAGES,
        help: "the longest message; what stdin brings beyond it are further ones",
        ..Opt::SWITCH
    },
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
];

/// Every option that `hub recv` has.
pub static RECV: &[Opt] = &[
    TOKEN_FILE,
    CONNECT_TIMEOUT,
    Opt {
        flag: "--count",
        kind: Kind::Count {
            min: 1,
            max: u64::MAX >> 1,
            off: true,
        },
        unit: "N",
        preset: Preset::Value("off"),
        group: MESSAGES,
        help: "end after so many messages; what has come behind them by then is lost",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--newline",
        preset: Preset::Said("off"),
        group: MESSAGES,
        help: "write a newline behind each message",
        ..Opt::SWITCH
    },
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
];

pub(super) const TOKEN_FILE: Opt = Opt {
    flag: "--token-file",
    kind: Kind::Path { max: 4095 }, // PATH_MAX, without the zero at the end
    unit: "FILE",
    preset: Preset::Said("HYDRANT_TOKEN in the environment"),
    group: HUB,
    help: "FILE, which nobody else may read, holds the token that proves the name, and nothing else",
    ..Opt::SWITCH
};

pub(super) const CONNECT_TIMEOUT: Opt = Opt {
    flag: "--connect-timeout",
    kind: Kind::Duration {
        min: Duration::from_millis(10),
        max: Duration::from_secs(3_600),
        off: false,
    },
    unit: "TIME",
    preset: Preset::Value("10s"),
    group: HUB,
    help: "give up where the hub has not let us in, or answered, after this time",
    ..Opt::SWITCH
};

pub(super) const PRESET: &str = "it has a preset";
pub(super) const HUB: &str = "The hub";
const MESSAGES: &str = "Messages";
