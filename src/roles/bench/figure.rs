//! What a run has measured: named figures, each with its unit, and whatever makes them worth less.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::units::Span;
use crate::roles::bench::config::Job;

/// A kind of figure.
#[derive(Debug, PartialEq)]
pub(super) struct Figure {
    /// In JSON, with its unit last.
    pub(super) name: &'static str,
    /// Above its column.
    pub(super) heading: &'static str,
    pub(super) form: Form,
    /// Relays are compared by it.
    pub(super) compared: bool,
}

/// How a figure is written in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Bytes a second, as MB/s.
    Rate,
    /// Seconds a GB.
    Cost,
    /// Nanoseconds, as µs.
    Micros,
    /// Bytes, as MiB.
    Mebibytes,
    /// Bytes.
    Bytes,
    Count,
    Percent,
}

impl Form {
    /// A value as a table shows it.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Rate => format!("{:.1}", value / 1e6),
            Self::Cost => format!("{value:.3}"),
            Self::Micros if value < 99_950.0 => format!("{:.1}", value / 1e3),
            Self::Micros => format!("{:.0}", value / 1e3),
            Self::Mebibytes => format!("{:.1}", value / f64::from(1 << 20)),
            Self::Bytes | Self::Count => format!("{value:.0}"),
            Self::Percent => format!("{value:.1}"),
        }
    }
}

macro_rules! figures {
    ($($id:ident = $name:literal, $heading:literal, $form:ident, $compared:literal;)*) => {
        $(pub(super) static $id: Figure = Figure {
            name: $name, heading: $heading, form: Form::$form, compared: $compared,
        };)*
    };
}

figures! {
    ALL_RATE = "all_bytes_s", "MB/s all", Rate, false;
    MIN_RATE = "client_min_bytes_s", "each min", Rate, false;
    MEDIAN_RATE = "client_median_bytes_s", "median", Rate, false;
    MAX_RATE = "client_max_bytes_s", "max", Rate, false;
    COST = "cpu_s_gb", "CPU s/GB", Cost, true;
    SHARE = "cpu_percent", "CPU %", Percent, false;
    RESIDENT = "resident_bytes", "MiB", Mebibytes, false;
    HEAP = "heap_bytes", "heap MiB", Mebibytes, true;
    LARGEST = "resident_bytes_largest", "largest", Mebibytes, false;
    MESSAGES = "messages_s", "msgs/s all", Count, false;
    ANSWERS = "answers_s", "answers/s", Count, true;
    CPU_ANSWER = "cpu_ns_answer", "CPU µs each", Micros, true;
    PASSED = "passed_messages_s", "msgs/s", Count, true;
    EACH = "cpu_ns_message", "CPU µs/msg", Micros, true;
    P50 = "p50_ns", "p50 µs", Micros, true;
    P99 = "p99_ns", "p99", Micros, true;
    P999 = "p999_ns", "p99.9", Micros, false;
    MAX = "max_ns", "max", Micros, false;
    LOST = "lost_messages", "lost", Count, false;
    LATE_P50 = "source_late_p50_ns", "late p50", Micros, false;
    LATE_P99 = "source_late_p99_ns", "late p99", Micros, false;
    BEFORE = "before_bytes_s", "before", Rate, false;
    AFTER = "after_bytes_s", "after", Rate, false;
    AFTER_MIN = "after_min_bytes_s", "after min", Rate, false;
    COST_AFTER = "cpu_s_gb_after", "CPU after", Cost, true;
    CUT_AFTER = "cut_after_ns", "cut after µs", Micros, false;
    BYTES_A_CLIENT = "heap_bytes_client", "bytes a client", Bytes, true;
    VISITS = "connects_s", "connects/s", Count, true;
    FAILED = "failed_connects", "failed", Count, false;
    GROWN = "grown_bytes", "grown bytes", Bytes, false;
    LEAKED = "descriptors_left", "descriptors left", Count, false;
    ABOVE_P50 = "above_fastest_p50_ns", "above fastest p50 µs", Micros, false;
    ABOVE_P99 = "above_fastest_p99_ns", "p99", Micros, false;
    ALTERED = "altered_messages", "altered", Count, false;
}

/// What one run came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) job: Job,
    /// Which of the relays.
    pub(super) relay: usize,
    /// The repeat in which all relays were measured at the same time, so that it is to be compared with those of this
    /// repeat alone. `None`: they were measured in turns.
    pub(super) pair: Option<usize>,
    pub(super) figures: Vec<(&'static Figure, f64)>,
    /// Delays in nanoseconds.
    pub(super) delays: Option<Histogram<u64>>,
    /// What became of the client that stopped reading.
    pub(super) fate: Option<String>,
    /// Why the figures can't be trusted.
    pub(super) doubts: Vec<Doubt>,
    /// What the relay did wrong.
    pub(super) faults: Vec<String>,
}

/// A sign that nothing was measured: the machine was too busy, the bench stood still, or more was asked for than goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// Somebody was ready to run and had no core, for this share of the time.
    NoCore(&'static str, f64),
    /// The source was late itself: which quantile, its own lateness and the whole delay in nanoseconds.
    Late(&'static str, u64, u64),
    /// The source did not get through its schedule.
    Unfinished,
    /// The bench was stopped for so long.
    Stopped(Duration),
    /// So many bytes a second were to be sent, and the source could send so many.
    Outpaced {
        /// By `--rate` and `--size`.
        asked: f64,
        /// As many as were taken.
        sent: f64,
    },
    /// This share of a relay's messages took longer than the time until the next relay's, so that they met.
    Met(f64, Duration),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCore(who, share) => {
                write!(
                    f,
                    "{who} had no core for {:.0} % of the time",
                    share * 100.0
                )
            }
            Self::Late(quantile, late, delay) => {
                let [late, delay] = [late, delay].map(|nanos| *nanos as f64 / 1e3);
                write!(
                    f,
                    "the source was late itself, {quantile} {late:.1} of {delay:.1} µs"
                )
            }
            Self::Unfinished => f.write_str("the source could not keep its schedule"),
            Self::Stopped(time) => write!(f, "the bench was stopped for {}", Span(*time)),
            Self::Outpaced { asked, sent } => {
                let [asked, sent] = [asked, sent].map(|bytes| Form::Rate.write(*bytes));
                write!(
                    f,
                    "--rate and --size ask for {asked} MB/s, and the source could send {sent}"
                )
            }
            Self::Met(share, gap) => write!(
                f,
                "{:.0} % of a relay's messages took longer than the {:.1} ms to the next relay's (a lower \
                 --rate leaves more)",
                share * 100.0,
                gap.as_secs_f64() * 1e3
            ),
        }
    }
}

/// "1 client", "1,000 clients".
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", Thousands(count)),
    }
}

impl Outcome {
    /// Adds a doubt, or makes it worse where it was there before.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        for known in &mut self.doubts {
            match (known, &doubt) {
                (Doubt::NoCore(other, most), Doubt::NoCore(who, share)) if *other == *who => {
                    *most = most.max(*share);
                    return;
                }
                (Doubt::Stopped(before), Doubt::Stopped(time)) => {
                    *before += *time;
                    return;
                }
                _ => {}
            }
        }
        self.doubts.push(doubt);
    }

    /// All doubts in one clause: "machine too busy: the relay had no core for 14 % of the time".
    pub(super) fn doubts_said(&self) -> Option<String> {
        let is_busy = |doubt: &&Doubt| !matches!(doubt, Doubt::Stopped(_) | Doubt::Outpaced { .. });
        let (busy, others): (Vec<&Doubt>, Vec<&Doubt>) = self.doubts.iter().partition(is_busy);
        let mut all: Vec<String> = others.into_iter().map(Doubt::to_string).collect();
        if !busy.is_empty() {
            let busy: Vec<String> = busy.into_iter().map(Doubt::to_string).collect();
            all.push(format!("machine too busy: {}", busy.join(", ")));
        }
        (!all.is_empty()).then(|| all.join("; "))
    }

    pub(super) fn new(job: &Job, relay: usize) -> Self {
        Self {
            job: job.clone(),
            relay,
            pair: None,
            figures: Vec::new(),
            delays: None,
            fate: None,
            doubts: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Whether the bench stood still meanwhile.
    pub(super) fn was_stopped(&self) -> bool {
        let is_it = |doubt: &Doubt| matches!(doubt, Doubt::Stopped(_));
        self.doubts.iter().any(is_it)
    }

    /// Whether nothing speaks against its figures.
    pub(super) fn is_sound(&self) -> bool {
        self.doubts.is_empty() && self.faults.is_empty()
    }

    pub(super) fn put(&mut self, figure: &'static Figure, value: f64) {
        self.figures.push((figure, value));
    }

    pub(super) fn get(&self, figure: &'static Figure) -> Option<f64> {
        let found = self.figures.iter().find(|(other, _)| *other == figure);
        found.map(|(_, value)| *value)
    }
}

/// A number of things, with commas between thousands.
pub(super) struct Thousands(pub(super) u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::config::{Scenario, Waits};

    #[test]
    fn only_what_a_busy_machine_did_is_laid_at_its_door() {
        let job = Job {
            scenario: Scenario::Slow,
            clients: 1,
            size: 64,
            rate: None,
            time: Duration::from_secs(1),
            waits: Waits::default(),
            check: false,
        };
        let mut outcome = Outcome::new(&job, 0);
        assert_eq!(
            (outcome.doubts_said(), outcome.was_stopped()),
            (None, false)
        );
        outcome.doubt(Doubt::NoCore("the relay", 0.14));
        outcome.doubt(Doubt::Stopped(Duration::from_millis(1500)));
        outcome.doubt(Doubt::NoCore("the relay", 0.12));
        outcome.doubt(Doubt::Stopped(Duration::from_millis(500)));
        outcome.doubt(Doubt::Unfinished);
        let said = outcome.doubts_said().expect("there are some");
        assert_eq!(
            said,
            "the bench was stopped for 2 s; machine too busy: the relay had no core for 14 % of the time, \
             the source could not keep its schedule"
        );
        assert!(outcome.was_stopped());
    }

    #[test]
    fn figures_are_written_with_their_unit() {
        assert_eq!(Form::Rate.write(52_428_800.0), "52.4");
        assert_eq!(Form::Cost.write(0.0987), "0.099");
        assert_eq!(Form::Micros.write(41_234.0), "41.2");
        assert_eq!(Form::Micros.write(2_497_400.0), "2497");
        assert_eq!(Thousands(1_234_567).to_string(), "1,234,567");
        assert_eq!(Thousands(100).to_string(), "100");
    }
}
