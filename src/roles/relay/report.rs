//! The relay's figures: what SIGUSR1 logs and `--stats` shows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Rate, Span};
use crate::reactor::Cx;
use crate::reactor::net::Peer;
use crate::roles::relay::admission::Refusal;
use crate::roles::relay::lag::Worst;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, Tick};

/// What the relay has counted since its start.
///
/// What each message counts comes first, in memory as here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Bytes that came from the upstream.
    pub bytes_in: u64,
    /// Bytes that the clients' kernels took, all clients together.
    pub bytes_out: u64,
    /// Bytes of records that were not whole, or of no record at all, and went to nobody.
    pub discarded: u64,
    /// Bytes that clients have skipped (`--slow skip`).
    pub skipped: u64,
    /// Connections from the upstream that were in use.
    pub upstreams: u64,
    /// The most clients at a time.
    pub clients_most: usize,
    /// Clients that are gone, by [`Reason`].
    pub gone: [u64; Reason::ALL.len()],
    /// Connections that were turned away, by [`Refusal`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl Counts {
    /// Clients that were dropped, for whatever reason.
    pub fn drops(&self) -> u64 {
        Reason::ALL
            .iter()
            .filter(|reason| reason.is_drop())
            .map(|reason| self.gone[*reason as usize])
            .sum()
    }

    /// " (overtaken 3, stalled 1)"; nothing where there was nothing.
    fn drops_by_reason(&self) -> String {
        let counted = |reason: &&Reason| reason.is_drop() && self.gone[**reason as usize] > 0;
        let parts: Vec<_> = Reason::ALL
            .iter()
            .filter(counted)
            .map(|reason| format!("{reason} {}", self.gone[*reason as usize]))
            .collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        }
    }
}

/// Byte counts of the last seconds, for the rates.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<(Time, u64, u64)>,
}

impl Rates {
    pub(super) fn sample(&mut self, now: Time, counts: &Counts) {
        self.samples
            .push_back((now, counts.bytes_in, counts.bytes_out));
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Bytes a second in and out, over the last seconds.
    pub(super) fn of(&self, now: Time, counts: &Counts) -> (Rate, Rate) {
        let Some((since, bytes_in, bytes_out)) = self.samples.front().copied() else {
            return (Rate(0), Rate(0));
        };
        let time = now.since(since);
        if time < RATE_SPAN_MIN {
            return (Rate(0), Rate(0));
        }
        let seconds = time.as_secs_f64();
        let rate = |bytes: u64| Rate((bytes as f64 / seconds) as u64);
        (
            rate(counts.bytes_in - bytes_in),
            rate(counts.bytes_out - bytes_out),
        )
    }
}

impl Relay {
    /// SIGUSR1: the figures and the drops by reason, in one line.
    pub(super) fn report(&self, cx: &Cx<'_>) {
        let mut line = self.status(cx) + &self.counts.drops_by_reason();
        for refusal in Refusal::ALL
            .iter()
            .filter(|refusal| self.counts.refused[**refusal as usize] > 0)
        {
            line += &format!(
                " | refused: {refusal} {}",
                self.counts.refused[*refusal as usize]
            );
        }
        if self.counts.skipped > 0 {
            line += &format!(" | skipped {}", Bytes(self.counts.skipped));
        }
        if self.counts.discarded > 0 {
            line += &format!(" | discarded {}", Bytes(self.counts.discarded));
        }
        line += &format!(
            " | in all {} in, {} out",
            Bytes(self.counts.bytes_in),
            Bytes(self.counts.bytes_out)
        );
        self.journal.figures(line);
    }

    /// `--stats`: a line that is drawn again and again, or one more in the log.
    pub(super) fn begin_stats(&mut self, cx: &mut Cx<'_>) {
        let Some(stats) = self.config.stats.filter(|_| !self.stats_due) else {
            return;
        };
        let line = self.status(cx);
        if stats.live {
            self.journal.live(line);
        } else {
            self.journal.figures(line);
        }
        self.stats_due = true;
        cx.timer(stats.interval, Tick::Stats.tag(0));
    }

    /// "sports UP 2h03m | in 48 KiB/s, last byte 0.1 s ago | out 1.9 MiB/s | 41 clients | worst lag 0.2 s 10.0.0.9 |
    /// drops 1"
    fn status(&self, cx: &Cx<'_>) -> String {
        let now = cx.now();
        let (rate_in, rate_out) = self.rates.of(now, &self.counts);
        let name = self.config.name.as_deref().unwrap_or("relay");
        let state = self.upstream_state(now);
        let last = match self.upstream.last_byte {
            Some(at) => format!("last byte {} ago", Span(now.since(at))),
            None => "no byte yet".to_owned(),
        };
        let lag = match self.sampler.worst() {
            Some(Worst { age, bytes, peer }) if *bytes > 0 => {
                format!("worst lag {} {} {peer}", Span(*age), Bytes(*bytes))
            }
            _ => "no lag".to_owned(),
        };
        let clients = Count(self.clients.len(), "client");
        let drops = self.counts.drops();
        format!(
            "{name} {state} | in {}, {last} | out {} | {clients} | {lag} | drops {drops}",
            rate_in, rate_out
        )
    }

    /// "UP 2h03m", "DOWN 5.0 s", or "ENDING".
    fn upstream_state(&self, now: Time) -> String {
        if self.flush.is_some() {
            return "ENDING".to_owned();
        }
        match (
            &self.upstream.active,
            self.upstream.candidates.first(),
            self.upstream.down_since,
        ) {
            (Some(conn), ..) if conn.peer == Peer::Stdio => "READING".to_owned(),
            (Some(conn), ..) => format!("UP {}", Span(now.since(conn.since))),
            (None, Some(conn), _) => format!("SILENT {}", Span(now.since(conn.since))),
            (None, None, Some(since)) => format!("DOWN {}", Span(now.since(since))),
            (None, None, None) => "DOWN".to_owned(),
        }
    }
}

/// Within less time one burst, such as what waited for the relay to begin, would pass for a rate.
const RATE_SPAN_MIN: Duration = Duration::from_millis(500);
/// Samples that are kept, one a second.
const SAMPLES: usize = 5;
/// How often the relay takes stock of itself.
pub(super) const STOCK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// What had waited for the relay comes at once, and is no rate.
    #[test]
    fn a_burst_at_the_start_is_no_rate() {
        let mut rates = Rates::default();
        let mut counts = Counts::default();
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        rates.sample(at(0), &counts);
        counts.bytes_in = 100;
        assert_eq!(rates.of(at(100), &counts).0.0, 0);
        assert_eq!(rates.of(at(1000), &counts).0.0, 100);
    }
}
