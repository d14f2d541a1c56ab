//! The options of the three roles, and how settings and words become orders.

mod adapter;
mod error;
mod relay;

pub use adapter::{CLIENT, HOST, Proxies, build_client, build_host};
pub use error::OrderError;
pub(crate) use error::no_auth;
pub use relay::{RELAY, build_relay};

use std::time::Duration;

use crate::base::option::{Kind, Opt, Preset};

/// How often the other ends are pinged.
const PING: Opt = Opt {
    flag: "--ping",
    kind: Kind::Duration {
        min: Duration::from_millis(100),
        max: HOUR,
        off: false,
    },
    unit: "TIME",
    preset: Preset::Value("25s"),
    group: CONNECTIONS,
    help: "ping the other end of each WebSocket so often; one that misses two pings is dead",
    ..Opt::SWITCH
};

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
    help: "how long connections may finish when hydrant is stopped",
    ..Opt::SWITCH
};

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
    help: "the most connections at a time over one WebSocket",
    ..Opt::SWITCH
};

/// What waits for those who read slowly.
const MEMORY: Opt = Opt {
    flag: "--memory",
    kind: Kind::Size {
        min: 1 << 20,
        max: 64 << 30,
        off: false,
    },
    unit: "SIZE",
    preset: Preset::Value("16M"),
    group: LIMITS,
    help: "what may wait for TARGET, or for programs, that read slowly; beyond it, of the connections that hold at \
           least half the average, the one whose bytes have waited for the longest is reset",
    ..Opt::SWITCH
};

const NAME: Opt = Opt {
    flag: "--name",
    kind: Kind::Text { max: 64 },
    unit: "NAME",
    preset: Preset::Said("none"),
    group: CONNECTIONS,
    help: "stands in the log lines",
    ..Opt::SWITCH
};

const CONNECTIONS: &str = "Connections";
const LIMITS: &str = "Limits";
const WHO: &str = "Who may";
const HOUR: Duration = Duration::from_secs(3_600);
const PATH_MAX: usize = 4095; // of Linux, without the zero at the end
const PRESET: &str = "it has a preset";
