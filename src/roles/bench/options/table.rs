//! The table of options: flags, defaults, limits and help.

use std::time::Duration;

use crate::base::option::{Kind, Opt, Preset};

/// All options of the bench.
pub static OPTIONS: &[Opt] = &[
    Opt {
        flag: "--relay",
        kind: Kind::Text { max: 4096 },
        unit: "COMMAND",
        preset: Preset::Said(
            "hydrant itself: {hydrant} {src} {dst} -q, with --slow block for throughput and latency; with \
             tls://{dst} for tls, beside two loops that only encrypt; both its ends for tunnel; relay, host and \
             client for ws; hydrant hub serve for hub",
        ),
        many: true,
        group: WHAT,
        help: "the relay to measure, with places for the addresses: {src}, {dst}, {src_port}, {dst_port}; without \
               {src} the source connects to {dst} too; for tls, {cert} is a file with a certificate and its key; ' ; ' \
               between commands that belong together, which meet at {link} or {link_port}; given again: relays are \
               measured in turns and compared with the first",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--speak",
        kind: Kind::Choice(&["plain", "redis", "nats"]),
        preset: Preset::Said(
            "redis for redis-server and valkey-server, nats for nats-server, else plain",
        ),
        many: true,
        group: WHAT,
        help: "what the relay speaks: plain streams, or the protocol of redis or NATS, in which the source publishes \
               its messages and the clients subscribe to them; given as often as --relay: one for each",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--clients",
        kind: Kind::Text { max: LIST_MAX },
        unit: "N,...",
        preset: Preset::Said(
            "1,10,100,1000; slow and churn 100; idle 1000; tls 1,10,100; tunnel and ws 1,32, their -echo 32; hub 1,100 \
             pairs",
        ),
        group: WHAT,
        help: "how many clients, each number in a run of its own",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--size",
        kind: Kind::Text { max: LIST_MAX },
        unit: "SIZE,...",
        preset: Preset::Said(
            "64K; latency, idle and churn 256; tunnel-echo and ws-echo 1024; hub 128",
        ),
        group: WHAT,
        help: "how long a message is, each size in a run of its own",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--rate",
        kind: Kind::Count {
            min: 1,
            max: 1_000_000,
            off: false,
        },
        unit: "N",
        preset: Preset::Said(
            "latency 100, slow 160, churn 1000; throughput, tls: as many as are taken",
        ),
        group: WHAT,
        help: "how many messages a second the source sends",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--check",
        group: WHAT,
        help: "compare every byte that arrives with what was sent",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--time",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_secs(86_400),
            off: false,
        },
        unit: "TIME",
        preset: Preset::Said("3s; source: until it is stopped"),
        group: HOW,
        help: "how long one measurement takes",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--warm-up",
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_secs(3600),
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("500ms"),
        group: HOW,
        help: "how long everything goes on before it counts; twice as long for churn",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--patience",
        kind: Kind::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_secs(3600),
            off: false,
        },
        unit: "TIME",
        preset: Preset::Value("10s"),
        group: HOW,
        help: "how long clients may take to connect or to get their first byte, beside 2 ms for each, and a fifth of \
               it, to get the last ones",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--repeat",
        kind: Kind::Count {
            min: 1,
            max: 1000,
            off: false,
        },
        unit: "N",
        preset: Preset::Value("1"),
        group: HOW,
        help: "how often each measurement is made; tables show medians",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--together",
        group: HOW,
        help: "measure all relays at the same time, with messages to them in turns, and compare them within each \
               repeat; of latency: where others use the machine too, only this tells relays apart that are close",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--unpinned",
        group: HOW,
        help: "do not give the relay a core to itself",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--tolerate",
        group: HOW,
        help: "exit with 0 though the machine was too busy, or the source too late, for a run to count; it is still \
               said",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--json",
        group: HOW,
        help: "one JSON object a run on stdout, in place of tables",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--svg",
        kind: Kind::Path { max: 4095 },
        unit: "FILE",
        preset: Preset::Said("none"),
        group: HOW,
        help: "draw the results into FILE too",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--tls-cert",
        kind: Kind::Path { max: 4095 },
        unit: "FILE",
        preset: Preset::Said("none"),
        group: LOOP,
        help: "the certificate to show to clients, and its key, in PEM",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--once",
        group: LOOP,
        help: "send the first bytes of SRC again and again, rather than read on",
        ..Opt::SWITCH
    },
];

/// One number of `--clients`.
pub(super) static CLIENTS: Opt = Opt {
    flag: "--clients",
    kind: Kind::Count {
        min: 1,
        max: 100_000,
        off: false,
    },
    ..Opt::SWITCH
};

/// One size of `--size`.
pub(super) static SIZE: Opt = Opt {
    flag: "--size",
    kind: Kind::Size {
        min: 64,
        max: 16 << 20,
        off: false,
    },
    ..Opt::SWITCH
};

const LIST_MAX: usize = 256;
const WHAT: &str = "What is measured";
const HOW: &str = "How";
const LOOP: &str = "The loop of tls-loop";
