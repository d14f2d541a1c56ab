//! How settings and words become a relay's orders.
//!
//! Whatever contradicts itself is refused here, so that a running relay never meets it. Nothing is opened or looked up.

use std::time::Duration;

use super::error::{FitError, OrderError};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Value, Values};
use crate::base::secret::{Secret, addresses};
use crate::proto::http1::Origin;
use crate::proto::record::Framing;
use crate::roles::relay::config::{
    DumpFormat, MaxLag, Output, RelayConfig, Resume, SENDS_A_VISIT, Slow, Source, Stats, Takeover,
    UpstreamLoss, Way,
};
use crate::roles::tls::Tls;

/// Makes a relay's orders out of its settings and of the words that are no flags: `SRC DST [DST2 ...]`. What
/// `--upstream-send` names, and certificates, are left to the caller to read.
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
    let slow = values.choice("slow")?.map(Slow::of);
    let outputs = dsts
        .iter()
        .map(|dst| output(dst, Side::of(dst_side), slow, &source))
        .collect::<Result<Vec<_>, _>>()?;
    refuse_clashes(&source, &outputs)?;
    refuse_in_vain(values, &source, &outputs)?;
    let max_clients = values.amount("max-clients")?;
    let ring = values.amount("ring")?.expect(PRESET);
    let (framing, record_max) = records(values, ring)?;
    Ok(RelayConfig {
        name: values.text("name")?,
        retry: values.wait("retry")?.expect(PRESET),
        connect_timeout: values.duration("connect-timeout")?.expect(PRESET),
        dump: dump(values, &outputs)?,
        ring,
        hold: values.duration("hold")?.unwrap_or_default(),
        keepalive: values.duration("keepalive")?,
        takeover: match values.choice("takeover")?.expect(PRESET) {
            "replace" => Takeover::Replace,
            _ => Takeover::Refuse,
        },
        max_clients,
        wait_clients: wait_clients(values, &source, &outputs, max_clients)?,
        framing,
        record_max,
        backlog: backlog(values, ring)?,
        resume: resume(values)?,
        max_lag: max_lag(values)?,
        stall_timeout: values.duration("stall-timeout")?,
        idle_timeout: values.duration("idle-timeout")?,
        failback: values.duration("failback")?,
        upstream_send: Secret::default(),
        upstream_loss: upstream_loss(values)?,
        allow: values.access("allow")?,
        allow_upstream: values.access("allow-upstream")?,
        max_clients_per_ip: values.amount("max-clients-per-ip")?,
        origins: origins(values, &outputs)?,
        drain: values.duration("drain")?.unwrap_or_default(),
        stats: stats(values, stderr_is_terminal)?,
        tls: Tls::default(),
        sends_a_visit: SENDS_A_VISIT,
        source,
        outputs,
    })
}

fn resume(values: &Values) -> Result<Option<Resume>, OrderError> {
    let resume = values.choice("resume")?.map(|word| match word {
        "acked" => Resume::Acked,
        "written" => Resume::Written,
        _ => Resume::Live,
    });
    Ok(resume)
}

fn upstream_loss(values: &Values) -> Result<UpstreamLoss, OrderError> {
    Ok(match values.choice("upstream-loss")?.expect(PRESET) {
        "keep" => UpstreamLoss::Keep,
        "close" => UpstreamLoss::Close,
        _ => UpstreamLoss::Exit,
    })
}

fn origins(values: &Values, outputs: &[Output]) -> Result<Vec<Origin>, OrderError> {
    let given = values.texts("origin")?;
    if !given.is_empty() && !outputs.iter().any(|output| output.websocket) {
        return Err(OrderError::OriginWithoutWebSocket);
    }
    let read = |word: &str| word.parse().map_err(OrderError::Origin);
    given
        .iter()
        .flat_map(|words| words.split(','))
        .map(read)
        .collect()
}

/// What hydrant does at one end.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Connect,
    Listen,
}

impl Side {
    pub(super) fn of(word: &str) -> Self {
        if word == "listen" {
            Self::Listen
        } else {
            Self::Connect
        }
    }
}

pub(super) fn source<'a>(word: &'a str, side: Side, dst_side: &str) -> Result<Source, OrderError> {
    if word == "-" {
        return Ok(Source::Stdin);
    }
    let places = || addresses(word);
    // `listen:5000` would otherwise be a host of that name.
    for prefix in ["listen", "connect"] {
        let unprefixed = |place: &'a str| place.strip_prefix(prefix)?.strip_prefix(':');
        if let Some(endpoint) = places().find_map(unprefixed) {
            let mode = format!("{prefix}-{dst_side}");
            return Err(OrderError::SourcePrefix {
                prefix,
                endpoint: endpoint.to_owned(),
                mode,
            });
        }
    }
    match side {
        Side::Connect => {
            let places = places().map(dialled).collect::<Result<_, _>>()?;
            Ok(Source::Dial(places))
        }
        Side::Listen if word.contains(',') => Err(OrderError::ListListens {
            list: word.to_owned(),
            mode: format!("connect-{dst_side}"),
        }),
        Side::Listen => Ok(Source::Listen(word.parse()?)),
    }
}

pub(super) fn output(
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
    let schemes = ["ws://tls://", "wss://tls://", "tls://ws://", "tls://wss://"];
    if schemes.iter().any(|both| endpoint.starts_with(both)) {
        let dst = word.to_owned();
        return Err(OrderError::WebSocketOverTls { dst });
    }
    let over_tls = endpoint.strip_prefix("wss://");
    let websocket = over_tls.or(endpoint.strip_prefix("ws://"));
    let place = websocket.map_or(endpoint, |at| at.trim_end_matches('/'));
    let websocket = websocket.is_some();
    let endpoint = match over_tls {
        Some(_) => &format!("tls://{place}"),
        None => place,
    };
    let way = match side {
        _ if word == "-" => Way::Stdout,
        Side::Connect if websocket => {
            let dst = word.trim_start_matches("connect:").to_owned();
            return Err(OrderError::WebSocketDialled { dst });
        }
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
        websocket,
    })
}

pub(super) fn dialled(word: &str) -> Result<Endpoint, OrderError> {
    match word.parse()? {
        endpoint @ Endpoint::Tcp { port: 0, .. } => Err(OrderError::DialPortZero { endpoint }),
        endpoint => Ok(endpoint),
    }
}

fn refuse_clashes(source: &Source, outputs: &[Output]) -> Result<(), OrderError> {
    let mut all = outputs.iter().enumerate();
    match all.find_map(|(at, output)| clash(source, &outputs[..at], output)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// What an output can't be beside SRC and those before it: two at one place, or a relay that connects to the place
/// where it listens itself, so that what goes in would go round for ever.
pub(super) fn clash(source: &Source, before: &[Output], output: &Output) -> Option<OrderError> {
    let listens = || before.iter().filter_map(listened);
    match &output.way {
        Way::Stdout => {
            let is_there = before.iter().any(|other| other.way == Way::Stdout);
            is_there.then_some(OrderError::StdoutTwice)
        }
        Way::Listen(at) => {
            if let Some(first) = listens().find(|first| first.overlaps(at)) {
                return Some(OrderError::SamePlace {
                    first: first.clone(),
                    second: at.clone(),
                });
            }
            let dials: &[Endpoint] = match source {
                Source::Listen(src) if at.overlaps(src) => {
                    return Some(OrderError::SourceIsDestination {
                        src: src.clone(),
                        dst: at.clone(),
                    });
                }
                Source::Dial(places) => places,
                Source::Listen(_) | Source::Stdin => &[],
            };
            let mut dials = dials.iter().chain(before.iter().filter_map(dialled_by));
            dials
                .find(|dialled| at.is_reached_by(dialled))
                .map(|dialled| own_peer(at, dialled))
        }
        Way::Dial(at) => {
            let src = match source {
                Source::Listen(src) => Some(src),
                Source::Dial(_) | Source::Stdin => None,
            };
            let mut listens = src.into_iter().chain(listens());
            listens
                .find(|own| own.is_reached_by(at))
                .map(|own| own_peer(own, at))
        }
    }
}

fn listened(output: &Output) -> Option<&Endpoint> {
    match &output.way {
        Way::Listen(at) => Some(at),
        Way::Dial(_) | Way::Stdout => None,
    }
}

fn dialled_by(output: &Output) -> Option<&Endpoint> {
    match &output.way {
        Way::Dial(at) => Some(at),
        Way::Listen(_) | Way::Stdout => None,
    }
}

fn own_peer(listens: &Endpoint, dials: &Endpoint) -> OrderError {
    OrderError::OwnPeer {
        listens: listens.clone(),
        dials: dials.clone(),
    }
}

/// Refuses what is given for a side that is not there: whoever gave it counts on it.
fn refuse_in_vain(values: &Values, source: &Source, outputs: &[Output]) -> Result<(), OrderError> {
    let is_tcp = |at: &Endpoint| matches!(at, Endpoint::Tcp { .. });
    let dials = matches!(source, Source::Dial(_));
    let several = matches!(source, Source::Dial(places) if places.len() > 1);
    let connected = *source != Source::Stdin;
    let takes_upstreams = matches!(source, Source::Listen(at) if is_tcp(at));
    let takes_clients = |out: &Output| matches!(&out.way, Way::Listen(at) if is_tcp(at));
    let takes_clients = outputs.iter().any(takes_clients);
    let listens = matches!(source, Source::Listen(_));
    let serves = outputs.iter().any(|out| matches!(out.way, Way::Listen(_)));
    let dials_out = outputs.iter().any(|out| matches!(out.way, Way::Dial(_)));
    let rules = [
        ("upstream-send", dials, "a SRC that is dialled"),
        ("failback", several, "several SRCs: write a:5000,b:5000"),
        ("idle-timeout", connected, "a connection: SRC - is none"),
        ("upstream-loss", connected, "a connection: SRC - is none"),
        (
            "allow-upstream",
            takes_upstreams,
            "a SRC that listens for TCP",
        ),
        ("allow", takes_clients, "a DST that listens for TCP"),
        (
            "max-clients-per-ip",
            takes_clients,
            "a DST that listens for TCP",
        ),
        ("takeover", listens, "a SRC that listens"),
        ("backlog", serves, "a DST that listens"),
        ("max-clients", serves, "a DST that listens"),
        ("resume", dials_out, "a DST that is dialled"),
    ];
    for (name, met, needs) in rules {
        if !met && values.given(name) && values.value(name)? != Some(Value::Off) {
            return Err(OrderError::InVain { name, needs });
        }
    }
    Ok(())
}

/// The framing and the longest record, which must leave room in the ring for what is not whole yet.
fn records(values: &Values, ring: usize) -> Result<(Framing, usize), OrderError> {
    let framing = values.text("framing")?.expect(PRESET);
    let framing: Framing = framing.parse()?;
    let record_max = values.amount("record-max")?.expect(PRESET);
    if framing == Framing::Raw && values.given("record-max") {
        return Err(FitError::RecordMaxAlone.into());
    }
    if framing.shortest() > record_max {
        return Err(FitError::RecordMaxTooLow {
            framing,
            record_max,
        }
        .into());
    }
    if framing.partial_max(record_max) > ring / 2 {
        return Err(FitError::RecordsOverRing {
            framing,
            record_max,
        }
        .into());
    }
    Ok((framing, record_max))
}

fn max_lag(values: &Values) -> Result<Option<MaxLag>, OrderError> {
    Ok(match values.value("max-lag")? {
        Some(Value::Duration(age)) => Some(MaxLag::Age(age)),
        Some(Value::Amount(bytes)) => Some(MaxLag::Bytes(bytes)),
        _ => None,
    })
}

fn backlog(values: &Values, ring: usize) -> Result<usize, OrderError> {
    match values.amount("backlog")?.unwrap_or(0) {
        backlog if backlog > ring / 2 => Err(FitError::BacklogOverRing { backlog, ring }.into()),
        backlog => Ok(backlog),
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

const PRESET: &str = "the table has a preset for it, and no off";

#[cfg(test)]
mod tests {
    use super::super::{OPTIONS, SYNOPSIS};
    use super::*;
    use crate::base::access::Access;
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
                websocket: false,
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
            resume: None,
            max_lag: None,
            stall_timeout: None,
            idle_timeout: None,
            failback: None,
            upstream_send: Secret::default(),
            upstream_loss: UpstreamLoss::Keep,
            allow: Access::ALL,
            allow_upstream: Access::ALL,
            max_clients_per_ip: None,
            origins: Vec::new(),
            drain: secs(2),
            stats: None,
            tls: Tls::default(),
            sends_a_visit: 512,
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
    fn a_destination_may_be_a_websocket() {
        let line = "a:1 ws://:2 listen:ws://[::1]:3/ wss://localhost:6/ :4 connect:b:5";
        let config = relay(line).expect("it is right");
        let outputs: Vec<_> = config
            .outputs
            .into_iter()
            .map(|output| (output.way, output.websocket))
            .collect();
        let expected = [
            (Way::Listen(at(":2")), true),
            (Way::Listen(at("[::1]:3")), true),
            (Way::Listen(at("tls://localhost:6")), true),
            (Way::Listen(at(":4")), false),
            (Way::Dial(at("b:5")), false),
        ];
        assert_eq!(outputs, expected);
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
             --max-clients off --wait-clients 20 --drain off --stats --stats-interval 5 --name feed",
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
        assert_eq!((config.max_clients, config.wait_clients), (None, 20));
        assert_eq!(
            relay("5000 6000 --mode listen-listen --takeover refuse")
                .expect("it is right")
                .takeover,
            Takeover::Refuse
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
    fn nobody_is_an_upstream_of_its_own() {
        let wrong = |line| relay(line).expect_err(line).to_string();
        assert_eq!(
            wrong("7001 7001"),
            "the relay would connect to itself: it dials 127.0.0.1:7001 and listens on 127.0.0.1:7001"
        );
        assert!(wrong("a:1,localhost:7001 :7001").contains("dials localhost:7001"));
        assert!(wrong(":7001 :7001 --mode listen-connect").contains("to itself"));
        assert!(relay("10.0.0.5:7001 :7001").is_ok());
        assert!(relay("7001 7001 --mode connect-connect").is_ok());
    }

    #[test]
    fn every_option_about_the_upstream_arrives() {
        let config = relay(
            "a:1,[::1]:2,unix:x :3 --upstream-loss close --idle-timeout 10 --failback 1m --framing line \
             --record-max 4K --max-lag 4M --stall-timeout 1h --backlog 64K --allow 10.0.0.0/8,::1 --allow 192.0.2.1 \
             --max-clients-per-ip 3 --slow skip",
        )
        .expect("it is right");
        assert_eq!(
            config.source,
            Source::Dial(vec![at("a:1"), at("[::1]:2"), at("unix:x")])
        );
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(
            (config.upstream_loss, config.idle_timeout, config.failback),
            (UpstreamLoss::Close, secs(10), secs(60))
        );
        assert_eq!(
            (config.framing, config.record_max),
            (Framing::Line, 4 << 10)
        );
        assert_eq!(
            (config.max_lag, config.stall_timeout, config.backlog),
            (Some(MaxLag::Bytes(4 << 20)), secs(3600), 64 << 10)
        );
        for (ip, inside) in [
            ("10.1.1.1", true),
            ("::1", true),
            ("192.0.2.1", true),
            ("::2", false),
        ] {
            assert_eq!(
                config.allow.allows(ip.parse().expect("an address")),
                inside,
                "{ip}"
            );
        }
        assert_eq!(config.max_clients_per_ip, Some(3));
        assert_eq!(config.outputs[0].slow, Slow::Skip);
        let config =
            relay("a:1 :2 --mode listen-listen --allow-upstream 10.0.0.0/8 --max-lag 250ms")
                .expect("it is right");
        assert!(!config.allow_upstream.is_all() && config.allow.is_all());
        let quarter = Duration::from_millis(250);
        assert_eq!(config.max_lag, Some(MaxLag::Age(quarter)));
    }

    #[test]
    fn resuming_arrives() {
        use Resume::{Acked, Live, Written};
        for (flags, resume) in [
            ("", None),
            ("--resume acked", Some(Acked)),
            ("--resume written", Some(Written)),
            ("--resume live", Some(Live)),
        ] {
            let config = relay(&format!("a:1 :2 connect:b:3 {flags}")).expect(flags);
            assert_eq!(config.resume, resume, "{flags}");
        }
    }

    #[test]
    fn the_largest_that_fits() {
        for line in [
            "a:1 :2 --framing line --ring 2M",
            "a:1 :2 --framing line --ring 64K --record-max 32K",
            "a:1 :2 --framing fixed:32K --ring 64K",
            "a:1 :2 --framing mpegts --ring 64K",
            "a:1 :2 --framing raw --ring 64K",
            "a:1 :2 --framing mpegts --record-max 188",
            "a:1 :2 --backlog 8M",
            "a:1 :2 --backlog 0 --failback 0 --max-clients-per-ip off",
            "- :2 --idle-timeout off",
        ] {
            assert!(relay(line).is_ok(), "{line}: {:?}", relay(line));
        }
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
a:1 connect:ws://b:8 => ws://b:8 is not dialled: WebSocket clients connect to hydrant: write listen:ws://b:8
a:1 connect:wss://b:8 => wss://b:8 is not dialled: WebSocket clients connect to hydrant: write listen:wss://b:8
a:1 listen:ws://tls://:8 => listen:ws://tls://:8 is too much: a WebSocket by TLS is wss://
a:1 tls://ws://:8 => tls://ws://:8 is too much: a WebSocket by TLS is wss://
a:1 wss://unix:x => tls:// is for TCP: a Unix socket never leaves this machine
a:1 :8 --origin https://a => --origin is for pages that open a WebSocket: it needs a DST that is ws:// or wss://
a:1 ws://:8 --origin https://a/b => https://a/b is not an origin: write https://HOST or http://HOST:PORT, without a path
a:1 6000 ws://6000 => 127.0.0.1:6000 is given twice to listen on
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
a:1 :2 --slow wait => --slow: wait is none of drop, skip, block
a:1,b:2 :3 --mode listen-listen => SRC a:1,b:2 is a list, which only a dialled SRC can be: --mode connect-listen
a:1,b:2 c:3 --mode listen-connect => SRC a:1,b:2 is a list, which only a dialled SRC can be: --mode connect-connect
a:1,listen:5 :2 => SRC can't say listen: for itself: write 5 and --mode listen-listen
a:1,b :2 => b has no port: write b:PORT
a:1,b:0 :2 => b:0 can't be dialled: port 0 is only for listening
a:1 :2 --record-max 4K => --record-max alone limits nothing: add --framing
a:1 :2 --framing fixed:2M => --framing fixed:2097152 has no record within --record-max 1M: raise it to 2M or more
a:1 :2 --framing line --ring 1M => --framing line with --record-max 1M needs --ring 2M or more
a:1 :2 --framing fixed:64K --ring 64K => --framing fixed:65536 needs --ring 128K or more
a:1 :2 --backlog 9M => --backlog 9M is more than half of --ring 16M: raise that to 18M or more
a:1 :2 --failback 5 => --failback needs several SRCs: write a:5000,b:5000
a:1 :2 --upstream-send x --mode listen-listen => --upstream-send needs a SRC that is dialled
- :2 --upstream-send x => --upstream-send needs a SRC that is dialled
- :2 --idle-timeout 5 => --idle-timeout needs a connection: SRC - is none
- :2 --upstream-loss exit => --upstream-loss needs a connection: SRC - is none
a:1 :2 --allow-upstream ::1 => --allow-upstream needs a SRC that listens for TCP
unix:x :2 --allow-upstream ::1 --mode listen-listen => --allow-upstream needs a SRC that listens for TCP
a:1 unix:x --allow ::1 => --allow needs a DST that listens for TCP
a:1 - --allow ::1 => --allow needs a DST that listens for TCP
a:1 connect:b:2 --max-clients-per-ip 1 => --max-clients-per-ip needs a DST that listens for TCP
a:1 :2 --resume acked => --resume needs a DST that is dialled
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
