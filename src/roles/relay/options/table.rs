//! The table of the relay's options.

use std::time::Duration;

use crate::base::option::{Kind, Opt, Preset};
use crate::roles::tls::options as tls;

/// Every option that the relay has, in the order of its help.
pub static OPTIONS: &[Opt] = &[
    Opt {
        flag: "--mode",
        kind: Kind::Choice(&[
            "connect-listen",
            "listen-connect",
            "connect-connect",
            "listen-listen",
        ]),
        unit: "MODE",
        preset: Preset::Value("connect-listen"),
        group: CONNECTING,
        help: "who dials: hydrant connects or listens, at SRC first, at DST second",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--retry",
        kind: Kind::Wait {
            min: Duration::from_millis(10),
            max: DAY,
        },
        unit: "TIME|MIN..MAX",
        preset: Preset::Value("5s"),
        live: true,
        group: CONNECTING,
        help: "wait between attempts to connect, for ever; a range doubles from MIN to MAX, then spreads at random",
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
        live: true,
        group: CONNECTING,
        help: "give up one attempt to connect after this time",
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
        group: CONNECTING,
        help: "notice a dead peer after about this time: one that answers neither TCP keepalive nor bytes sent again",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--upstream-send",
        live: true,
        kind: Kind::Path { max: PATH_MAX },
        unit: "FILE",
        preset: Preset::Said("none"),
        group: UPSTREAM,
        help: "what FILE holds, 64K at most, is sent to a dialled SRC after each connect: a login, a subscription",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--upstream-loss",
        kind: Kind::Choice(&["keep", "close", "exit"]),
        preset: Preset::Value("keep"),
        live: true,
        group: UPSTREAM,
        help: "when the upstream ends: clients stay; get what is theirs and then the end; or that and hydrant ends",
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
        preset: Preset::Value("off"),
        live: true,
        group: UPSTREAM,
        help: "an upstream silent for so long is taken for dead, and dialled again",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--failback",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("off"),
        live: true,
        group: UPSTREAM,
        help: "with several SRCs: go back to the first once it has sent bytes for so long on a second connection",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--takeover",
        kind: Kind::Choice(&["replace", "refuse"]),
        preset: Preset::Value("replace"),
        live: true,
        group: UPSTREAM,
        help: "a second upstream, where SRC listens, replaces the first at its first byte, or is turned away",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow-upstream",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        live: true,
        group: UPSTREAM,
        help: "who may connect to a listening SRC",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--framing",
        kind: Kind::Text { max: 64 },
        unit: "FORMAT",
        preset: Preset::Value("raw"),
        group: RECORDS,
        help: "where records end: clients begin, skip and resume at one, and only whole ones are passed on",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--record-max",
        kind: Kind::Size {
            min: 1,
            max: RING_MAX / 2,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("1M"),
        group: RECORDS,
        help: "the longest record; at most half of --ring",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--ring",
        kind: Kind::Size {
            min: 64 << 10,
            max: RING_MAX,
            off: false,
        },
        unit: "SIZE",
        preset: Preset::Value("16M"),
        group: SLOW_CLIENTS,
        help: "size of the buffer that all clients share, which is how far one may lag",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--slow",
        kind: Kind::Choice(&["drop", "skip", "block"]),
        preset: Preset::Said(
            "drop where clients connect, block for a dialled DST and where SRC or DST is -",
        ),
        group: SLOW_CLIENTS,
        help: "a client that the ring would overtake is dropped, by a reset; jumps ahead to the newest record; or \
               holds the upstream back",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--max-lag",
        kind: Kind::TimeOrSize {
            time: (Duration::from_millis(100), DAY),
            size: (4 << 10, RING_MAX),
        },
        unit: "TIME|SIZE",
        preset: Preset::Value("off"),
        live: true,
        group: SLOW_CLIENTS,
        help: "--slow applies already beyond this lag, 10s or 4M: what waits for a client in the ring and the kernel",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--hold",
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("2s"),
        live: true,
        group: SLOW_CLIENTS,
        help: "how long the upstream waits for a leading client that takes nothing, and is then dropped as stalled",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--stall-timeout",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            off: true,
        },
        unit: "TIME",
        preset: Preset::Value("off"),
        live: true,
        group: SLOW_CLIENTS,
        help: "drop any client that has taken nothing for so long while bytes wait for it",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--backlog",
        kind: Kind::Size {
            min: 1,
            max: RING_MAX / 2,
            off: true,
        },
        unit: "SIZE",
        preset: Preset::Value("0"),
        live: true,
        group: CLIENTS,
        help: "a newcomer first gets up to so many of the latest bytes; at most half of --ring",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--resume",
        kind: Kind::Choice(&["acked", "written", "live"]),
        preset: Preset::Said("acked where --slow is block, else live"),
        live: true,
        group: CLIENTS,
        help: "a dialled DST that comes back goes on at the first byte that it had not acknowledged (repeats are \
               possible, gaps are not), after the last one written (the other way round), or at the newest",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--allow",
        kind: Kind::Networks,
        unit: "CIDR",
        preset: Preset::Said("all"),
        many: true,
        live: true,
        group: CLIENTS,
        help: "who may connect to a listening DST",
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
        group: CLIENTS,
        help: "the most clients at a time, on all listening DSTs together",
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
        group: CLIENTS,
        help: "the most clients at a time from one IPv4 address or one IPv6 /64",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--origin",
        kind: Kind::Text { max: 1024 },
        unit: "ORIGIN",
        preset: Preset::Said("all"),
        many: true,
        live: true,
        group: CLIENTS,
        help: "pages of which origins may open the WebSocket of a ws:// or wss:// DST: https://HOST, http://HOST:PORT",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--wait-clients",
        kind: Kind::Count {
            min: 0,
            max: CLIENTS_MAX,
            off: false,
        },
        unit: "N",
        preset: Preset::Said("1 for SRC -, else 0"),
        group: CLIENTS,
        help: "SRC is not read before so many clients are there",
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
        help: "how long clients may still take what is theirs when hydrant is stopped",
        ..Opt::SWITCH
    },
    tls::CERT,
    tls::KEY,
    tls::CLIENT_CA,
    tls::CA,
    tls::CLIENT_CERT,
    tls::CLIENT_KEY,
    tls::INSECURE,
    Opt {
        flag: "--dump",
        preset: Preset::Said("off"),
        live: true,
        group: WATCHING,
        help: "show the payload on stdout; a slow terminal skips and says how much, and slows nobody",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--dump-format",
        kind: Kind::Choice(&["text", "hex", "raw"]),
        preset: Preset::Value("text"),
        live: true,
        group: WATCHING,
        help: "how --dump shows it; text keeps UTF-8 and writes the rest as \\xNN",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--stats",
        preset: Preset::Said("off"),
        live: true,
        group: WATCHING,
        help: "a live line of figures on a terminal's stderr; a log line each interval elsewhere",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--stats-interval",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            off: false,
        },
        unit: "TIME",
        preset: Preset::Said("1s on a terminal, 10s elsewhere"),
        live: true,
        group: WATCHING,
        help: "time between two of them",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--name",
        kind: Kind::Text { max: 64 },
        unit: "NAME",
        preset: Preset::Said("none"),
        group: WATCHING,
        help: "stands in this relay's log lines",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--busy-poll",
        preset: Preset::Said("off"),
        group: LATENCY,
        help: "spin instead of sleeping, for the lowest latency; takes a whole core",
        ..Opt::SWITCH
    },
];

const CONNECTING: &str = "Connecting";
const UPSTREAM: &str = "The upstream";
const RECORDS: &str = "Records";
const SLOW_CLIENTS: &str = "Clients that can't keep up";
const CLIENTS: &str = "Clients";
const WATCHING: &str = "Watching";
const LATENCY: &str = "Latency";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const CLIENTS_MAX: u64 = 1_000_000; // more descriptors than Linux gives one process by default
const RING_MAX: u64 = 4 << 30;
const PATH_MAX: usize = 4095; // of Linux, without the zero at the end
