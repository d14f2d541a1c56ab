//! What is spoken with the relays: as `--speak` has it, or as their programs' names tell.

use std::error::Error;
use std::fmt;

use super::error::OrderError;
use crate::base::option::{Value, Values};
use crate::base::units::Typed;
use crate::roles::bench::command::Template;
use crate::roles::bench::config::Scenario;
use crate::roles::bench::dialect::Dialect;

/// A rule that `--speak` breaks, or a relay with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpokenError {
    /// Neither one `--speak` for all relays nor one for each.
    Speakers {
        /// How often `--speak` was given.
        speak: usize,
        /// Relays of which it can hold.
        relays: usize,
    },
    /// hydrant itself is to speak a broker's protocol.
    SpeakAlone {
        /// Which.
        dialect: Dialect,
    },
    /// A broker is to fetch from the source.
    BrokerFetches {
        /// The relay as it was given.
        given: String,
        /// What it speaks.
        dialect: Dialect,
    },
    /// The source is to listen, and does not meet a broker so.
    SourceListens {
        /// What that speaks.
        dialect: Dialect,
    },
    /// A scenario is not for relays that speak this.
    Unspoken {
        /// Which.
        scenario: Scenario,
        /// The relay as it was given.
        given: String,
        /// What it speaks.
        dialect: Dialect,
    },
}

impl fmt::Display for SpokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speakers { speak, relays } => {
                let plural = if *relays == 1 { "" } else { "s" };
                write!(
                    f,
                    "{speak} --speak for {relays} relay{plural}: give one for all, or one for each"
                )
            }
            Self::SpeakAlone { dialect } => {
                let name = dialect.name();
                write!(
                    f,
                    "hydrant itself does not speak {name}: --speak {name} needs a --relay"
                )
            }
            Self::BrokerFetches { given, dialect } => write!(
                f,
                "--relay {}: who speaks {} is dialled by the source, too: leave {{src}} out",
                Typed(given),
                dialect.name()
            ),
            Self::SourceListens { dialect } => write!(
                f,
                "who speaks {} is dialled by the source: write connect:HOST:PORT",
                dialect.name()
            ),
            Self::Unspoken {
                scenario,
                given,
                dialect,
            } => write!(
                f,
                "bench {} can't be done with {}, which speaks {}",
                scenario.name(),
                Typed(given),
                dialect.name()
            ),
        }
    }
}

impl Error for SpokenError {}

/// What is spoken with whom, as it was given.
pub(super) fn spoken(values: &Values) -> Result<Vec<Dialect>, OrderError> {
    let opt = values.find("--speak").expect("it is in the table");
    let read = |given: String| match opt.read(&given)? {
        Value::Choice(word) => Ok(Dialect::named(word).expect("the table has their names")),
        _ => unreachable!("it is a choice"),
    };
    values.all_given("speak").into_iter().map(read).collect()
}

/// Tells relays what they speak.
pub(super) fn tell(
    relays: Vec<Template>,
    spoken: &[Dialect],
) -> Result<Vec<Template>, SpokenError> {
    let dialects = match spoken {
        [] => return Ok(relays),
        [one] => vec![*one; relays.len().max(1)],
        several => several.to_vec(),
    };
    if let (true, [dialect]) = (relays.is_empty(), &dialects[..])
        && dialect.is_brokers()
    {
        return Err(SpokenError::SpeakAlone { dialect: *dialect });
    }
    if dialects.len() != relays.len().max(1) {
        return Err(SpokenError::Speakers {
            speak: dialects.len(),
            relays: relays.len().max(1),
        });
    }
    let told = relays.into_iter().zip(dialects);
    Ok(told
        .map(|(relay, dialect)| relay.speaking(dialect))
        .collect())
}

/// Not everything is for everybody.
pub(super) fn check_spoken(scenarios: &[Scenario], relays: &[Template]) -> Result<(), SpokenError> {
    for relay in relays {
        let (given, dialect) = (relay.to_string(), relay.dialect());
        if dialect.is_brokers() && relay.dials_source() {
            return Err(SpokenError::BrokerFetches { given, dialect });
        }
        if let Some(scenario) = scenarios.iter().find(|scenario| !scenario.is_for(dialect)) {
            let scenario = *scenario;
            return Err(SpokenError::Unspoken {
                scenario,
                given,
                dialect,
            });
        }
    }
    Ok(())
}

/// What is spoken with the one relay that `source` and `sink` know.
pub(super) fn spoken_with_one(values: &Values) -> Result<Dialect, OrderError> {
    match spoken(values)?[..] {
        [] => Ok(Dialect::Plain),
        [dialect] => Ok(dialect),
        ref several => {
            let (speak, relays) = (several.len(), 1);
            Err(SpokenError::Speakers { speak, relays }.into())
        }
    }
}
