//! How settings and words become a bench's orders. Nothing is opened or started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::OrderError;
use super::spoken::{SpokenError, check_spoken, spoken, spoken_with_one, tell};
use super::table;
use super::together::check_together;
use crate::base::endpoint::Endpoint;
use crate::base::option::{Opt, Value, Values};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{
    BenchConfig, LoopOrders, Meet, Plan, Scenario, SinkOrders, SourceOrders, Waits,
};

/// Makes a bench's orders out of its settings and of the words that are no flags: scenarios, or `source ADDR`, or
/// `sink ADDR`, or `tls-loop SRC DST`.
#[inline(never)]
pub fn build(values: &Values, words: &[String]) -> Result<BenchConfig, OrderError> {
    match words.first().map(String::as_str) {
        Some("source") => Ok(BenchConfig::Source(source(values, &words[1..])?)),
        Some("sink") => Ok(BenchConfig::Sink(sink(values, &words[1..])?)),
        Some("tls-loop") => Ok(BenchConfig::Loop(tls_loop(values, &words[1..])?)),
        _ => Ok(BenchConfig::Local(plan(values, words)?)),
    }
}

fn plan(values: &Values, words: &[String]) -> Result<Plan, OrderError> {
    refuse(values, "scenarios", OF_LOOP)?;
    let mut scenarios = Vec::new();
    for word in words {
        scenarios.extend(named(word)?);
    }
    if scenarios.is_empty() {
        scenarios = vec![Scenario::Throughput, Scenario::Latency];
    }
    let relays = values
        .texts("relay")?
        .into_iter()
        .map(|given| Template::parse(&given).map_err(|error| OrderError::Command { given, error }))
        .collect::<Result<Vec<_>, _>>()?;
    let relays = tell(relays, &spoken(values)?)?;
    check_spoken(&scenarios, &relays)?;
    let (rate, together) = (rate(values)?, values.given("together"));
    if rate.is_some() && !scenarios.iter().any(|scenario| scenario.has_schedule()) {
        return Err(OrderError::InVain {
            flag: "--rate",
            part: scenarios[0].name(),
        });
    }
    if together {
        check_together(&scenarios, relays.len(), rate)?;
    }
    Ok(Plan {
        scenarios,
        relays,
        clients: list(values, "clients", &table::CLIENTS)?,
        sizes: list(values, "size", &table::SIZE)?,
        rate,
        time: values.duration("time")?.unwrap_or(TIME),
        waits: waits(values)?,
        repeat: values.amount("repeat")?.expect("it has a preset"),
        together,
        check: values.given("check"),
        json: values.given("json"),
        svg: svg(values)?,
        pin: !values.given("unpinned"),
        tolerate: values.given("tolerate"),
    })
}

/// Results are on stdout already.
fn svg(values: &Values) -> Result<Option<PathBuf>, OrderError> {
    match values.path("svg")? {
        Some(path) if path == Path::new("-") => Err(OrderError::SvgDash),
        path => Ok(path),
    }
}

fn named(word: &str) -> Result<Vec<Scenario>, OrderError> {
    let scenarios = Scenario::named(word);
    match scenarios.is_empty() {
        true => Err(OrderError::Scenario {
            word: word.to_owned(),
        }),
        false => Ok(scenarios),
    }
}

fn source(values: &Values, words: &[String]) -> Result<SourceOrders, OrderError> {
    let part = "source";
    refuse(
        values,
        part,
        &[
            "relay", "clients", "check", "repeat", "together", "unpinned", "tolerate", "json",
            "svg", "warm-up", "patience",
        ],
    )?;
    refuse(values, part, OF_LOOP)?;
    let word = only(words, part)?;
    let meet = match word.strip_prefix("connect:") {
        Some(to) => Meet::Dial(dialled(to)?),
        None => Meet::Listen(Endpoint::plain(word)?),
    };
    let sizes = list(values, "size", &table::SIZE)?;
    let size = match sizes.as_deref() {
        None => SOURCE_SIZE,
        Some([size]) => *size,
        Some(_) => {
            return Err(OrderError::InVain {
                flag: "a list as --size",
                part,
            });
        }
    };
    let dialect = spoken_with_one(values)?;
    if let (Meet::Listen(_), true) = (&meet, dialect.is_brokers()) {
        return Err(SpokenError::SourceListens { dialect }.into());
    }
    Ok(SourceOrders {
        meet,
        dialect,
        size,
        rate: rate(values)?,
        time: values.duration("time")?,
    })
}

fn sink(values: &Values, words: &[String]) -> Result<SinkOrders, OrderError> {
    let part = "sink";
    refuse(
        values,
        part,
        &[
            "relay", "size", "rate", "repeat", "together", "unpinned", "tolerate", "svg", "warm-up",
        ],
    )?;
    refuse(values, part, OF_LOOP)?;
    let clients = list(values, "clients", &table::CLIENTS)?;
    let clients = match clients.as_deref() {
        None => 1,
        Some([clients]) => *clients,
        Some(_) => {
            return Err(OrderError::InVain {
                flag: "a list as --clients",
                part,
            });
        }
    };
    Ok(SinkOrders {
        dst: dialled(only(words, part)?)?,
        dialect: spoken_with_one(values)?,
        clients,
        time: values.duration("time")?.unwrap_or(TIME),
        waits: waits(values)?,
        check: values.given("check"),
        json: values.given("json"),
    })
}

fn tls_loop(values: &Values, words: &[String]) -> Result<LoopOrders, OrderError> {
    let part = "tls-loop";
    let is_other = |opt: &&Opt| !OF_LOOP.contains(&opt.name());
    let others: Vec<&str> = table::OPTIONS
        .iter()
        .filter(is_other)
        .map(Opt::name)
        .collect();
    refuse(values, part, &others)?;
    let [src, dst] = match words {
        [src, dst] => [src, dst],
        [] | [_] => return Err(OrderError::NoAddress { part }),
        [_, _, word, ..] => return Err(OrderError::Leftover { word: word.clone() }),
    };
    Ok(LoopOrders {
        src: dialled(src)?,
        dst: Endpoint::plain(dst)?,
        cert: values.path("tls-cert")?.ok_or(OrderError::NoCertificate)?,
        once: values.given("once"),
    })
}

fn only<'a>(words: &'a [String], part: &'static str) -> Result<&'a str, OrderError> {
    match words {
        [] => Err(OrderError::NoAddress { part }),
        [word] => Ok(word),
        [_, word, ..] => Err(OrderError::Leftover { word: word.clone() }),
    }
}

fn dialled(word: &str) -> Result<Endpoint, OrderError> {
    match Endpoint::plain(word)? {
        Endpoint::Tcp { port: 0, .. } => Err(OrderError::PortZero),
        endpoint => Ok(endpoint),
    }
}

fn refuse(values: &Values, part: &'static str, names: &[&str]) -> Result<(), OrderError> {
    let mut given = table::OPTIONS
        .iter()
        .filter(|opt| names.contains(&opt.name()) && values.given(opt.name()));
    match given.next() {
        Some(opt) => Err(OrderError::InVain {
            flag: opt.flag,
            part,
        }),
        None => Ok(()),
    }
}

/// Several numbers with commas between them.
fn list(values: &Values, name: &str, item: &Opt) -> Result<Option<Vec<usize>>, OrderError> {
    let Some(text) = values.text(name)? else {
        return Ok(None);
    };
    let read = |part: &str| match item.read(part)? {
        Value::Amount(amount) => Ok(usize::try_from(amount).expect("hydrant runs on 64 bits")),
        _ => unreachable!("an item of a list is an amount"),
    };
    if text.contains(',') && text.split(',').any(str::is_empty) {
        let flag = item.flag;
        return Err(OrderError::Comma { flag, given: text });
    }
    let items: Result<_, OrderError> = text.split(',').map(read).collect();
    items.map(Some)
}

fn waits(values: &Values) -> Result<Waits, OrderError> {
    let preset = Waits::default();
    Ok(Waits {
        warm_up: values.duration("warm-up")?.unwrap_or(preset.warm_up),
        patience: values.duration("patience")?.unwrap_or(preset.patience),
    })
}

fn rate(values: &Values) -> Result<Option<u64>, OrderError> {
    Ok(values.amount("rate")?.map(|rate| rate as u64))
}

/// What only `tls-loop` takes.
const OF_LOOP: &[&str] = &["tls-cert", "once"];
const TIME: Duration = Duration::from_secs(3);
const SOURCE_SIZE: usize = 64 << 10;
