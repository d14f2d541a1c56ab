//! The options of the tunnel's two ends, and how settings and words become orders.

mod error;
mod expose;
mod serve;

pub use error::OrderError;
pub(crate) use error::no_auth;
pub use expose::{EXPOSE, build_expose};
pub use serve::{SERVE, build_serve};

use std::time::Duration;

use crate::base::option::{Kind, Opt, Preset};

/// TCP keepalive, which both ends have.
const KEEPALIVE: Opt = Opt {
    flag: "--keepalive",
    kind: Kind::Duration {
        min: Duration::from_secs(1),
        max: Duration::from_secs(9 * 3600),
        off: true,
    },
    unit: "TIME",
    preset: Preset::Value("30s"),
    group: CONNECTIONS,
    help: "notice a dead peer after about this time, by TCP keepalive",
    ..Opt::SWITCH
};

/// How long what is under way may finish, which both ends have.
const DRAIN: Opt = Opt {
    flag: "--drain",
    kind: Kind::Duration {
        min: Duration::from_millis(1),
        max: HOUR,
        off: true,
    },
    unit: "TIME",
    preset: Preset::Value("2s"),
    group: CONNECTIONS,
    help: "how long clients may finish when hydrant is stopped",
    ..Opt::SWITCH
};

/// Clients at a time, which both ends have.
const MAX_STREAMS: Opt = Opt {
    flag: "--max-streams",
    kind: Kind::Count {
        min: 1,
        max: 65_536,
        off: false,
    },
    unit: "N",
    preset: Preset::Value("1024"),
    group: LIMITS,
    help: "the most clients at a time of one backend",
    ..Opt::SWITCH
};

const CONNECTIONS: &str = "Connections";
const LIMITS: &str = "Limits";
const HOUR: Duration = Duration::from_secs(3_600);
const PATH_MAX: usize = 4095; // of Linux, without the zero at the end
const PRESET: &str = "it has a preset";
