//! Which relays can be measured at the same time.

use std::error::Error;
use std::fmt;

use crate::roles::bench::config::Scenario;
use crate::roles::bench::source::SPIN;

/// A rule that `--together` breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TogetherError {
    /// Something else than `latency` is to be measured.
    Scenario {
        /// What.
        scenario: Scenario,
    },
    /// There are not several relays.
    Relays,
    /// The sources would be in each other's way.
    Close {
        /// How many there are, one for each relay.
        relays: u64,
        /// Messages that each is to send in a second.
        rate: u64,
    },
}

impl fmt::Display for TogetherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario { scenario } => {
                let name = scenario.name();
                write!(
                    f,
                    "--together is for latency alone, not for {name}: hydrant bench latency"
                )
            }
            Self::Relays => f.write_str(
                "--together needs two relays at least: give --relay again, each with a command",
            ),
            Self::Close { relays, rate } => {
                let apart = 1e3 / (*relays * *rate) as f64;
                let spin = SPIN.as_millis();
                write!(
                    f,
                    "--together: messages to {relays} relays at {rate}/s each are {apart:.2} ms apart, \
                     and a source needs {spin} ms to itself: "
                )?;
                let all = all_messages();
                match (all / relays, all / rate) {
                    (0, 0 | 1) => f.write_str("fewer relays at a lower --rate would do"),
                    (0, most) => write!(f, "{most} relays would do"),
                    (rate, 0 | 1) => write!(f, "--rate {rate} would do"),
                    (rate, most) => write!(f, "--rate {rate} would do, or {most} relays"),
                }
            }
        }
    }
}

impl Error for TogetherError {}

/// Refuses what can't be measured at the same time.
pub(super) fn check_together(
    scenarios: &[Scenario],
    relays: usize,
    rate: Option<u64>,
) -> Result<(), TogetherError> {
    let is_other = |scenario: &&Scenario| **scenario != Scenario::Latency;
    if let Some(scenario) = scenarios.iter().find(is_other) {
        let scenario = *scenario;
        return Err(TogetherError::Scenario { scenario });
    }
    if relays < 2 {
        return Err(TogetherError::Relays);
    }
    let rate = rate.or(Scenario::Latency.rate()).unwrap_or(1);
    let relays = relays as u64;
    match relays * rate <= all_messages() {
        true => Ok(()),
        false => Err(TogetherError::Close { relays, rate }),
    }
}

/// So many messages a second all sources together may send: each looks at the clock for a while before it sends one,
/// and they share a core.
fn all_messages() -> u64 {
    (1_000_000_000 / SPIN.as_nanos()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(relays: usize, rate: Option<u64>) -> Option<String> {
        let checked = check_together(&[Scenario::Latency], relays, rate);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn messages_must_be_further_apart_than_a_source_spins() {
        assert_eq!(refused(2, Some(250)), None);
        assert_eq!(refused(5, None), None);
        let text = refused(2, Some(251)).expect("it is too much");
        assert!(
            text.ends_with("a source needs 2 ms to itself: --rate 250 would do"),
            "{text}"
        );
        let text = refused(6, None).expect("it is too much");
        assert_eq!(
            text,
            "--together: messages to 6 relays at 100/s each are 1.67 ms apart, and a source needs 2 ms to itself: \
             --rate 83 would do, or 5 relays"
        );
        let text = refused(501, Some(1)).expect("it is too much");
        assert!(text.ends_with(": 500 relays would do"), "{text}");
        let text = refused(501, Some(1000)).expect("it is too much");
        assert!(
            text.ends_with(": fewer relays at a lower --rate would do"),
            "{text}"
        );
    }
}
