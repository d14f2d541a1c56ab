//! The relay's options, and how settings and words become a `RelayConfig`.
//!
//! Whatever contradicts itself is refused here, so that a running relay never meets it. Nothing is opened or looked up.

mod error;

use std::time::Duration;

pub use error::OrderError;

use super::config::{
    DumpFormat, Output, RelayConfig, Resume, Slow, Source, Stats, Takeover, UpstreamLoss, Way,
};
use crate::base::access::Access;
use crate::base::endpoint::{Endpoint, Host};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::proto::record::Framing;

/// How a relay is asked for, after `hydrant` or `hydrant relay`.
pub const SYNOPSIS: &str = "SRC DST [DST2 ...]";

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
        help: "notice a dead peer after about this time, by TCP keepalive",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--takeover",
        kind: Kind::Choice(&["replace", "refuse"]),
        preset: Preset::Value("replace"),
        live: true,
        group: CONNECTING,
        help: "a second upstream, where SRC listens, replaces the first at its first byte, or is turned away",
        ..Opt::SWITCH
    },
    Opt {
        flag: "--ring",
        kind: Kind::Size {
            min: 64 << 10,
            max: 4 << 30,
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
        kind: Kind::Choice(&["drop", "block"]),
        preset: Preset::Said(
            "drop where clients connect, block for a dialled DST and where SRC or DST is -",
        ),
        group: SLOW_CLIENTS,
        help: "a client that the ring would overtake is dropped, by a reset, or holds the upstream back",
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

/// Makes a relay's orders out of its settings and of the words that are no flags: `SRC DST [DST2 ...]`.
pub fn build(
    values: &Values,
    words: &[String],
    stderr_is_terminal: bool,
) -> Result<RelayConfig, OrderError> {
    let (src, dsts) = match words {
        [] => return Err(OrderError::NoSource),
        [_] => return Err(OrderError::NoDestination),
        [src, dsts @ ..] => (src, dsts),
    };
    let mode = values.choice("mode")?.expect(PRESET);
    let (src_side, dst_side) = mode.split_once('-').expect("a mode is two sides");
    let source = source(src, Side::of(src_side), dst_side)?;
    let slow = values.choice("slow")?.map(|word| {
        if word == "drop" {
            Slow::Drop
        } else {
            Slow::Block
        }
    });
    let outputs = dsts
        .iter()
        .map(|dst| output(dst, Side::of(dst_side), slow, &source))
        .collect::<Result<Vec<_>, _>>()?;
    refuse_clashes(&source, &outputs)?;
    let max_clients = values.amount("max-clients")?;
    Ok(RelayConfig {
        name: values.text("name")?,
        retry: values.wait("retry")?.expect(PRESET),
        connect_timeout: values.duration("connect-timeout")?.expect(PRESET),
        dump: dump(values, &outputs)?,
        ring: values.amount("ring")?.expect(PRESET),
        hold: values.duration("hold")?.unwrap_or_default(),
        keepalive: values.duration("keepalive")?,
        takeover: match values.choice("takeover")?.expect(PRESET) {
            "replace" => Takeover::Replace,
            _ => Takeover::Refuse,
        },
        max_clients,
        wait_clients: wait_clients(values, &source, &outputs, max_clients)?,
        framing: Framing::Raw,
        record_max: 1 << 20,
        backlog: 0,
        resume: Resume::Acked,
        max_lag: None,
        stall_timeout: None,
        idle_timeout: None,
        failback: None,
        upstream_send: Vec::new(),
        upstream_loss: UpstreamLoss::Keep,
        allow: Access::ALL,
        allow_upstream: Access::ALL,
        max_clients_per_ip: None,
        drain: values.duration("drain")?.unwrap_or_default(),
        stats: stats(values, stderr_is_terminal)?,
        source,
        outputs,
    })
}

/// What hydrant does at one end.
#[derive(Clone, Copy)]
enum Side {
    Connect,
    Listen,
}

impl Side {
    fn of(word: &str) -> Self {
        if word == "listen" {
            Self::Listen
        } else {
            Self::Connect
        }
    }
}

fn source(word: &str, side: Side, dst_side: &str) -> Result<Source, OrderError> {
    if word == "-" {
        return Ok(Source::Stdin);
    }
    // `listen:5000` would otherwise be a host of that name.
    for prefix in ["listen", "connect"] {
        if let Some(endpoint) = word
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix(':'))
        {
            let mode = format!("{prefix}-{dst_side}");
            return Err(OrderError::SourcePrefix {
                prefix,
                endpoint: endpoint.to_owned(),
                mode,
            });
        }
    }
    match side {
        Side::Connect => Ok(Source::Dial(vec![dialled(word)?])),
        Side::Listen => Ok(Source::Listen(word.parse()?)),
    }
}

fn output(
    word: &str,
    side: Side,
    slow: Option<Slow>,
    source: &Source,
) -> Result<Output, OrderError> {
    let (side, endpoint) = match word.split_once(':') {
        Some(("listen", rest)) => (Side::Listen, rest),
        Some(("connect", rest)) => (Side::Connect, rest),
        _ => (side, word),
    };
    let way = match side {
        _ if word == "-" => Way::Stdout,
        Side::Connect => Way::Dial(dialled(endpoint)?),
        Side::Listen => Way::Listen(endpoint.parse()?),
    };
    let preset = match way {
        Way::Listen(_) if *source != Source::Stdin => Slow::Drop,
        _ => Slow::Block,
    };
    Ok(Output {
        way,
        slow: slow.unwrap_or(preset),
    })
}

fn dialled(word: &str) -> Result<Endpoint, OrderError> {
    match word.parse()? {
        endpoint @ Endpoint::Tcp { port: 0, .. } => Err(OrderError::DialPortZero { endpoint }),
        endpoint => Ok(endpoint),
    }
}

fn refuse_clashes(source: &Source, outputs: &[Output]) -> Result<(), OrderError> {
    if outputs
        .iter()
        .filter(|output| output.way == Way::Stdout)
        .count()
        > 1
    {
        return Err(OrderError::StdoutTwice);
    }
    let mut taken: Vec<&Endpoint> = Vec::new();
    for output in outputs {
        let Way::Listen(endpoint) = &output.way else {
            continue;
        };
        if let Some(first) = taken.iter().find(|first| overlap(first, endpoint)) {
            return Err(OrderError::SamePlace {
                first: (*first).clone(),
                second: endpoint.clone(),
            });
        }
        taken.push(endpoint);
    }
    let Source::Listen(source) = source else {
        return Ok(());
    };
    match taken.iter().find(|taken| overlap(taken, source)) {
        Some(dst) => Err(OrderError::SourceIsDestination {
            src: source.clone(),
            dst: (*dst).clone(),
        }),
        None => Ok(()),
    }
}

/// Whether two listeners can't stand beside each other. A name may stand for any address.
fn overlap(a: &Endpoint, b: &Endpoint) -> bool {
    match (a, b) {
        (Endpoint::Tcp { port: 0, .. }, _) | (_, Endpoint::Tcp { port: 0, .. }) => false,
        (
            Endpoint::Tcp {
                host: Host::Ip(x),
                port: p,
            },
            Endpoint::Tcp {
                host: Host::Ip(y),
                port: q,
            },
        ) => {
            let same_family = x.is_ipv4() == y.is_ipv4();
            p == q && same_family && (x == y || x.is_unspecified() || y.is_unspecified())
        }
        (Endpoint::Tcp { port: p, .. }, Endpoint::Tcp { port: q, .. }) => p == q,
        (a, b) => a == b,
    }
}

fn dump(values: &Values, outputs: &[Output]) -> Result<Option<DumpFormat>, OrderError> {
    let format = match values.choice("dump-format")?.expect(PRESET) {
        "text" => DumpFormat::Text,
        "hex" => DumpFormat::Hex,
        _ => DumpFormat::Raw,
    };
    if !values.given("dump") {
        return if values.given("dump-format") {
            Err(OrderError::DumpFormatAlone)
        } else {
            Ok(None)
        };
    }
    if outputs.iter().any(|output| output.way == Way::Stdout) {
        return Err(OrderError::DumpIntoStdout);
    }
    Ok(Some(format))
}

fn wait_clients(
    values: &Values,
    source: &Source,
    outputs: &[Output],
    max_clients: Option<usize>,
) -> Result<usize, OrderError> {
    let wanted = values
        .amount("wait-clients")?
        .unwrap_or(usize::from(*source == Source::Stdin));
    let listening = outputs
        .iter()
        .filter(|output| matches!(output.way, Way::Listen(_)))
        .count();
    let others = outputs.len() - listening;
    let most = if listening == 0 {
        others
    } else {
        max_clients.map_or(usize::MAX, |max| max + others)
    };
    if wanted > most {
        Err(OrderError::TooFewClients { wanted, most })
    } else {
        Ok(wanted)
    }
}

fn stats(values: &Values, stderr_is_terminal: bool) -> Result<Option<Stats>, OrderError> {
    let interval = values.duration("stats-interval")?;
    if !values.given("stats") {
        return if interval.is_some() {
            Err(OrderError::StatsIntervalAlone)
        } else {
            Ok(None)
        };
    }
    let preset = Duration::from_secs(if stderr_is_terminal { 1 } else { 10 });
    Ok(Some(Stats {
        interval: interval.unwrap_or(preset),
        live: stderr_is_terminal,
    }))
}

const CONNECTING: &str = "Connecting";
const SLOW_CLIENTS: &str = "Clients that can't keep up";
const CLIENTS: &str = "Clients";
const WATCHING: &str = "Watching";
const LATENCY: &str = "Latency";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const CLIENTS_MAX: u64 = 1_000_000; // more descriptors than Linux gives one process by default
const PRESET: &str = "the table has a preset for it, and no off";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::backoff::Retry;

    fn relay(line: &str) -> Result<RelayConfig, OrderError> {
        let mut values = Values::new(vec![OPTIONS]);
        let mut words = Vec::new();
        let mut given = line.split_whitespace();
        while let Some(word) = given.next() {
            match values.find(word) {
                Some(opt) if opt.is_switch() => values.put(opt, String::new()),
                Some(opt) => values.put(opt, given.next().expect("a value").to_owned()),
                None => words.push(word.to_owned()),
            }
        }
        build(&values, &words, false)
    }

    fn at(text: &str) -> Endpoint {
        text.parse().expect("an endpoint")
    }

    fn slows(line: &str) -> Vec<Slow> {
        relay(line)
            .expect(line)
            .outputs
            .iter()
            .map(|output| output.slow)
            .collect()
    }

    #[test]
    fn little_said_leaves_the_defaults() {
        let secs = Duration::from_secs;
        let expected = RelayConfig {
            name: None,
            source: Source::Dial(vec![at("a:5000")]),
            outputs: vec![Output {
                way: Way::Listen(at(":6000")),
                slow: Slow::Drop,
            }],
            retry: Retry {
                min: secs(5),
                max: secs(5),
            },
            connect_timeout: secs(10),
            dump: None,
            ring: 16 << 20,
            hold: secs(2),
            keepalive: Some(secs(30)),
            takeover: Takeover::Replace,
            max_clients: Some(10_000),
            wait_clients: 0,
            framing: Framing::Raw,
            record_max: 1 << 20,
            backlog: 0,
            resume: Resume::Acked,
            max_lag: None,
            stall_timeout: None,
            idle_timeout: None,
            failback: None,
            upstream_send: Vec::new(),
            upstream_loss: UpstreamLoss::Keep,
            allow: Access::ALL,
            allow_upstream: Access::ALL,
            max_clients_per_ip: None,
            drain: secs(2),
            stats: None,
        };
        assert_eq!(relay("a:5000 :6000"), Ok(expected));
    }

    #[test]
    fn the_mode_says_who_dials() {
        let (src, dst) = (at("a:1"), at("b:2"));
        let cases = [
            (
                "connect-listen",
                Source::Dial(vec![src.clone()]),
                Way::Listen(dst.clone()),
            ),
            (
                "listen-connect",
                Source::Listen(src.clone()),
                Way::Dial(dst.clone()),
            ),
            (
                "connect-connect",
                Source::Dial(vec![src.clone()]),
                Way::Dial(dst.clone()),
            ),
            ("listen-listen", Source::Listen(src), Way::Listen(dst)),
        ];
        for (mode, source, way) in cases {
            let config = relay(&format!("a:1 b:2 --mode {mode}")).expect(mode);
            assert_eq!(
                (config.source, &config.outputs[0].way),
                (source, &way),
                "{mode}"
            );
        }
    }

    #[test]
    fn a_destination_may_say_it_for_itself() {
        let config = relay("a:1 listen::2 connect:b:3 - :4 connect:5 --mode connect-connect")
            .expect("it is right");
        let ways: Vec<Way> = config
            .outputs
            .into_iter()
            .map(|output| output.way)
            .collect();
        let expected = [
            Way::Listen(at(":2")),
            Way::Dial(at("b:3")),
            Way::Stdout,
            Way::Dial(at(":4")),
            Way::Dial(at("127.0.0.1:5")),
        ];
        assert_eq!(ways, expected);
    }

    #[test]
    fn slow_follows_the_way_out() {
        use Slow::{Block, Drop};
        assert_eq!(slows("a:1 :2 connect:b:3 -"), [Drop, Block, Block]);
        assert_eq!(slows("- :2 connect:b:3 -"), [Block, Block, Block]);
        assert_eq!(
            slows("a:1 :2 connect:b:3 - --slow drop"),
            [Drop, Drop, Drop]
        );
        assert_eq!(slows("a:1 :2 connect:b:3 --slow block"), [Block, Block]);
        assert_eq!(slows("- :2 --slow drop"), [Drop]);
    }

    #[test]
    fn every_option_arrives() {
        let config = relay(
            "a:1 :2 --retry 0.5..30 --connect-timeout 3 --dump --dump-format hex --ring 64K --hold 0 --keepalive off \
             --takeover refuse --max-clients off --wait-clients 20 --drain off --stats --stats-interval 5 --name feed",
        )
        .expect("it is right");
        assert_eq!(
            config.retry,
            Retry {
                min: Duration::from_millis(500),
                max: Duration::from_secs(30)
            }
        );
        assert_eq!(
            (config.connect_timeout, config.dump),
            (Duration::from_secs(3), Some(DumpFormat::Hex))
        );
        assert_eq!(
            (config.ring, config.hold, config.keepalive),
            (64 << 10, Duration::ZERO, None)
        );
        assert_eq!(
            (config.takeover, config.max_clients, config.wait_clients),
            (Takeover::Refuse, None, 20)
        );
        assert_eq!(
            (config.drain, config.name),
            (Duration::ZERO, Some("feed".to_owned()))
        );
        assert_eq!(
            config.stats,
            Some(Stats {
                interval: Duration::from_secs(5),
                live: false
            })
        );
        assert_eq!(
            relay("a:1 :2 --dump").expect("it is right").dump,
            Some(DumpFormat::Text)
        );
        assert_eq!(
            relay("a:1 :2 --dump --dump-format raw")
                .expect("it is right")
                .dump,
            Some(DumpFormat::Raw)
        );
    }

    #[test]
    fn stats_are_live_on_a_terminal() {
        let words = ["a:1".to_owned(), ":2".to_owned()];
        let mut values = Values::new(vec![OPTIONS]);
        values.put(
            values.find("--stats").expect("it is in the table"),
            String::new(),
        );
        for (terminal, secs) in [(true, 1), (false, 10)] {
            let stats = build(&values, &words, terminal).expect("it is right").stats;
            assert_eq!(
                stats,
                Some(Stats {
                    interval: Duration::from_secs(secs),
                    live: terminal
                })
            );
        }
    }

    #[test]
    fn stdin_waits_for_a_client() {
        assert_eq!(relay("- :2").expect("it is right").wait_clients, 1);
        assert_eq!(
            relay("- :2 --wait-clients 0")
                .expect("it is right")
                .wait_clients,
            0
        );
        assert_eq!(relay("- -").expect("it is right").wait_clients, 1);
    }

    #[test]
    fn what_may_stand_side_by_side() {
        for line in [
            "a:1 :0 :0",
            "a:1 127.0.0.1:6000 127.0.0.2:6000",
            "a:1 0.0.0.0:6000 [::1]:6000",
            "10.0.0.1:6000 10.0.1.1:6000 --mode listen-listen",
            "0 0 --mode listen-listen",
            "a:1 connect:b:2 connect:b:2",
            ":6000 connect:b:6000 --mode listen-listen",
            "a:1 unix:x unix:y",
        ] {
            assert!(relay(line).is_ok(), "{line}");
        }
    }

    const CONTRADICTIONS: &str = "
a:1 => DST is missing: hydrant SRC DST [DST2 ...]
a:1 :2 stray => stray has no port: write stray:PORT
a:0 :2 => a:0 can't be dialled: port 0 is only for listening
a:1 connect:b:0 => b:0 can't be dialled: port 0 is only for listening
listen:5000 :6000 => SRC can't say listen: for itself: write 5000 and --mode listen-listen
connect:a:5000 b:1 --mode listen-connect => SRC can't say connect: for itself: write a:5000 and --mode connect-connect
a:1 :6000 :6000 => :6000 is given twice to listen on
a:1 6000 127.0.0.1:6000 => 127.0.0.1:6000 is given twice to listen on
a:1 unix:x unix:x => unix:x is given twice to listen on
a:1 0.0.0.0:6000 6000 => 0.0.0.0:6000 and 127.0.0.1:6000 are the same port: give one of them another
a:1 localhost:6000 [::1]:6000 => localhost:6000 and [::1]:6000 are the same port: give one of them another
:5 [::1]:5 --mode listen-listen => SRC :5 and DST [::1]:5 would listen on the same port: give one of them another
unix:x unix:x --mode listen-listen => SRC unix:x and DST unix:x would listen on the same path: give one of them another
a:1 - - => - is given twice as DST: there is one stdout
a:1 - --dump => --dump would mix with the bytes for DST -: leave one of them out
a:1 :2 --dump-format hex => --dump-format alone shows nothing: add --dump
a:1 :2 --stats-interval 5 => --stats-interval alone shows nothing: add --stats
1 2 - --max-clients 1 --wait-clients 3 => --wait-clients: 3 clients can never be there, at most 2: SRC would not be read
- connect:b:3 --wait-clients 2 => --wait-clients: 2 clients can never be there, at most 1: SRC would not be read
a:1 :2 --retry 0 => --retry: 0 is too little: the least is 10ms
a:1 :2 --ring 63K => --ring: 63K is too little: the least is 64K
a:1 :2 --ring 5G => --ring: 5G is too much: the most is 4G
a:1 :2 --slow skip => --slow: skip is none of drop, block
";

    #[test]
    fn contradictions_are_refused() {
        for line in CONTRADICTIONS.lines().filter(|line| !line.is_empty()) {
            let (line, message) = line
                .split_once(" => ")
                .expect("a command line and a message");
            assert_eq!(relay(line).expect_err(line).to_string(), message, "{line}");
        }
        assert_eq!(
            relay("").map_err(|error| error.to_string()),
            Err(format!("SRC and DST are missing: hydrant {SYNOPSIS}"))
        );
        assert!(relay("a:1 :2 connect:b:3 --max-clients 10 --wait-clients 11").is_ok());
        assert!(relay("a:1 :2 --retry 0.01 --ring 4G").is_ok());
    }
}
