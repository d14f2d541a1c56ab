//! What each scenario measures, once everybody has met.

use std::slice;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::units::Span;
use crate::roles::bench::board::{Board, Cue, Order, Told, lock};
use crate::roles::bench::conduct::{Halt, House, Run};
use crate::roles::bench::config::Scenario;
use crate::roles::bench::figure::{self, Doubt, Figure, Outcome, Thousands};
use crate::roles::bench::heat::{Heat, Stretch};
use crate::roles::bench::marks::Mark;

impl<H: House> Run<'_, H> {
    pub(super) fn measure(&mut self, relay: usize) -> Result<Outcome, Halt> {
        let mut outcome = Outcome::new(self.job, relay);
        match self.job.scenario {
            Scenario::Throughput | Scenario::Tls => self.throughput(&mut outcome),
            Scenario::Latency => self.latency(&mut outcome),
            Scenario::Slow => self.slow(&mut outcome),
            Scenario::Idle => self.idle(&mut outcome),
            Scenario::Churn => self.churn(&mut outcome),
            Scenario::Tunnel(work) | Scenario::Ws(work) => self.exchange(&mut outcome, work),
            Scenario::Hub(_) => self.pass_messages(&mut outcome),
        }?;
        if self.job.scenario != Scenario::Churn {
            outcome.faults.extend(self.cut_off());
        }
        if let Scenario::Throughput | Scenario::Tls | Scenario::Slow = self.job.scenario
            && self.has_left_source()?
        {
            outcome.faults.push(LEFT.to_owned());
        }
        Ok(outcome)
    }

    /// The outcome of a run that has kept its schedule beside others.
    pub(super) fn outcome_of(&mut self, relay: usize, stretch: &Stretch) -> Result<Outcome, Halt> {
        let mut outcome = Outcome::new(self.job, relay);
        self.tell_delays(&mut outcome, stretch)?;
        outcome.faults.extend(self.cut_off());
        Ok(outcome)
    }

    /// Whether the relay is not connected to the source any more, and does not come again.
    fn has_left_source(&mut self) -> Result<bool, Halt> {
        let is_there = |board: &Board| board.source.relays.load(Relaxed) > 0;
        let patience = self.job.waits.to_arrive(0);
        Ok(!self.wait_until(patience, is_there)?)
    }

    /// What was measured does not count where nothing came, or where somebody gets nothing more from then on, though it
    /// goes on: how long is not for the figures to say.
    pub(super) fn look_for_starved(
        &mut self,
        outcome: &mut Outcome,
        (from, to): (&Mark, &Mark),
    ) -> Result<(), Halt> {
        const NOTHING: &str = "nothing arrived any more";
        if to.bytes == from.bytes {
            outcome.faults.push(NOTHING.to_owned());
            return Ok(());
        }
        let all = self.job.clients;
        let patience = self.job.waits.to_arrive(all);
        let all_served = |board: &Board| board.clients.starved.load(Relaxed) == 0;
        if !self.wait_until(patience, all_served)? {
            let starved = self.board.clients.starved.load(Relaxed).min(all);
            let what = match self.job.scenario {
                Scenario::Hub(_) => "pairs",
                _ => "connections",
            };
            let (starved, all) = (Thousands(starved as u64), Thousands(all as u64));
            let text = format!("{NOTHING} on {starved} of {all} {what}");
            outcome.faults.push(text);
        }
        Ok(())
    }

    fn throughput(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        self.board.give_order(Order::Run);
        self.pass("warming up", self.job.waits.warm_up)?;
        let (from, to, told) = self.count(Cue::Count, self.job.time)?;
        self.doubt(outcome, &from, &to);
        outcome.put(&figure::ALL_RATE, rate(&from, &to));
        put_rates(outcome, &told);
        put_cost(outcome, &figure::COST, &from, &to);
        outcome.put(&figure::SHARE, share(&from, &to));
        outcome.put(&figure::RESIDENT, to.relay.resident as f64);
        self.look_for_starved(outcome, (&from, &to))?;
        self.judge(outcome, &told);
        if self.dialect.is_brokers() && self.job.rate.is_none() {
            self.count_lost(outcome)?;
        }
        Ok(())
    }

    /// What a broker has let fall does not show in a stream that is only counted: once the source is silent, everybody
    /// is to have got all that was published.
    fn count_lost(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        self.board.give_order(Order::Hush);
        self.say("waiting for the last messages");
        let (clients, size) = (self.job.clients as u64, self.job.size as u64);
        let all = |board: &Board| board.source.published.load(Relaxed) * clients;
        let lost = |board: &Board| {
            let got = board.clients.bytes.load(Relaxed) / size;
            all(board).saturating_sub(got)
        };
        let is_over = |board: &Board| lost(board) == 0 || board.clients.gone.load(Relaxed) > 0;
        let patience = self.job.waits.to_arrive(0);
        for _ in 0..LAST_LOOKS {
            let before = lost(&self.board);
            if self.wait_until(patience, is_over)? {
                return Ok(());
            }
            if lost(&self.board) == before {
                break;
            }
        }
        let (lost, all) = (Thousands(lost(&self.board)), Thousands(all(&self.board)));
        let text = format!("{lost} of {all} messages did not arrive");
        outcome.faults.push(text);
        Ok(())
    }

    fn latency(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        let stretches = Heat::of(slice::from_mut(self)).latency()?;
        for stretch in stretches {
            self.tell_delays(outcome, &stretch?)?;
        }
        Ok(())
    }

    /// Messages that are to arrive at all clients together; 0 as long as that is not known.
    pub(super) fn expected(&self) -> u64 {
        let counted = self.board.source.counted.each_ref();
        let [first, end] = counted.map(|seq| seq.load(Relaxed));
        (end - first) * self.job.clients as u64
    }

    /// What came of a source that has kept its schedule.
    fn tell_delays(&mut self, outcome: &mut Outcome, stretch: &Stretch) -> Result<(), Halt> {
        let Stretch {
            from,
            to,
            beside,
            sends_still,
        } = stretch;
        let expected = self.expected();
        let told = self.told()?;
        let late = lock(&self.board.source.late).clone();
        let Some(late) = late else {
            if self.has_left_source()? {
                outcome.faults.push(LEFT.to_owned());
                return Ok(());
            }
            outcome.doubt(Doubt::Unfinished);
            return Ok(());
        };
        self.doubt_beside(*beside, outcome, from, to);
        doubt_lateness(outcome, &told.delays, &late);
        let time = to.at.since(from.at).as_secs_f64();
        if *sends_still {
            outcome.doubt(Doubt::Outpaced {
                asked: self.job.rate.unwrap_or(0) as f64 * self.job.size as f64,
                sent: (to.sent - from.sent) as f64 / time,
            });
        }
        outcome.put(&figure::MESSAGES, told.delays.len() as f64 / time);
        put_delays(outcome, &told.delays);
        // What has not been sent is not lost.
        let lost = match sends_still {
            true => 0,
            false => expected.saturating_sub(told.delays.len()),
        };
        outcome.put(&figure::LOST, lost as f64);
        outcome.put(&figure::LATE_P50, late.value_at_quantile(0.5) as f64);
        outcome.put(&figure::LATE_P99, late.value_at_quantile(0.99) as f64);
        put_cost(outcome, &figure::COST, from, to);
        outcome.put(&figure::SHARE, share(from, to));
        if lost > 0 {
            let (lost, expected) = (Thousands(lost), Thousands(expected));
            let text = format!("{lost} of {expected} messages did not arrive");
            outcome.faults.push(text);
        }
        if told.repeated > 0 && !self.job.check {
            let text = format!("{} messages came again", Thousands(told.repeated));
            outcome.faults.push(text);
        }
        self.judge(outcome, &told);
        outcome.delays = Some(told.delays);
        Ok(())
    }

    fn slow(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        self.board.give_order(Order::Run);
        self.pass("warming up", self.job.waits.warm_up)?;
        let (from, to, told) = self.count(Cue::Count, self.job.time)?;
        self.doubt(outcome, &from, &to);
        self.judge(outcome, &told);
        outcome.put(&figure::BEFORE, median(&told.rates));
        put_cost(outcome, &figure::COST, &from, &to);
        self.look_for_starved(outcome, (&from, &to))?;
        let gone = self.board.clients.gone.load(Relaxed);
        let (from, to, told) = self.count(Cue::Stall, AFTER * self.job.time)?;
        let gone = self.board.clients.gone.load(Relaxed) - gone;
        self.doubt(outcome, &from, &to);
        self.judge(outcome, &told);
        outcome.put(&figure::AFTER, median(&told.rates));
        outcome.put(
            &figure::AFTER_MIN,
            told.rates.first().copied().unwrap_or(0.0),
        );
        put_cost(outcome, &figure::COST_AFTER, &from, &to);
        let stalls = self.board.clients.stalls.load(Relaxed);
        let cut = *lock(&self.board.clients.cut);
        outcome.fate = Some(match cut {
            None if !stalls => "cut off before it could stop reading".to_owned(),
            Some(cut) => {
                let after = cut.seen.since(cut.stalled);
                outcome.put(&figure::CUT_AFTER, after.as_nanos() as f64);
                format!("cut off after {}", Span(after))
            }
            // The end of a connection comes behind what was sent before, which nobody takes.
            None if to.relay.descriptors + (gone as u64) < from.relay.descriptors => {
                let time = Span(AFTER * self.job.time);
                format!("closed by the relay within {time}, with bytes still on their way")
            }
            None => format!("still connected after {}", Span(AFTER * self.job.time)),
        });
        Ok(())
    }

    fn idle(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        self.pass("coming to rest", self.job.waits.warm_up)?;
        let from = self.mark();
        self.pass("measuring", self.job.time)?;
        let to = self.mark();
        self.doubt(outcome, &from, &to);
        let grown = to.relay.anonymous as f64 - self.bare.anonymous as f64;
        outcome.put(&figure::BYTES_A_CLIENT, grown / self.job.clients as f64);
        outcome.put(&figure::RESIDENT, to.relay.resident as f64);
        outcome.put(&figure::SHARE, share(&from, &to));
        if self.job.check && to.bytes > 0 {
            let text = format!("{WRONG}: {} came that nobody had sent", Thousands(to.bytes));
            outcome.faults.push(text);
        }
        Ok(())
    }

    fn churn(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        self.board.give_order(Order::Run);
        let warm_up = CHURN_WARM_UPS * self.job.waits.warm_up;
        self.pass("warming up", warm_up)?;
        let visits = self.board.clients.visits.load(Relaxed);
        let refused = self.board.clients.refused.load(Relaxed);
        let (from, to, told) = self.count(Cue::Count, self.job.time)?;
        self.doubt(outcome, &from, &to);
        let visits = self.board.clients.visits.load(Relaxed) - visits;
        let refused = self.board.clients.refused.load(Relaxed) - refused;
        let gone = self.board.clients.gone.load(Relaxed) as f64;
        let time = to.at.since(from.at).as_secs_f64();
        outcome.put(&figure::VISITS, visits as f64 / time);
        put_delays(outcome, &told.delays);
        outcome.put(&figure::FAILED, refused as f64 + gone);
        outcome.put(&figure::SHARE, share(&from, &to));
        let grown = to.relay.anonymous as f64 - from.relay.anonymous as f64;
        outcome.put(&figure::GROWN, grown);
        // With everybody gone, what is still open was left behind.
        self.board.give_cue(Cue::Stop);
        self.pass("waiting until all have left", warm_up)?;
        let after = self.relay.family().descriptors as f64;
        outcome.put(&figure::LEAKED, after - self.bare.descriptors as f64);
        if visits == 0 {
            outcome.faults.push("no client was served".to_owned());
        }
        self.judge(outcome, &told);
        outcome.delays = Some(told.delays);
        Ok(())
    }

    /// What happens from this cue on, for so long.
    pub(super) fn count(&mut self, cue: Cue, time: Duration) -> Result<(Mark, Mark, Told), Halt> {
        self.board.give_cue(cue);
        self.pause(CUE_SEEN)?;
        let from = self.mark();
        self.pass("measuring", time)?;
        let to = self.mark();
        let told = self.told()?;
        Ok((from, to, told))
    }

    /// Wrong bytes are the relay's fault, where every byte was compared.
    fn judge(&self, outcome: &mut Outcome, told: &Told) {
        if !self.job.check {
            return;
        }
        // All that went wrong since the beginning is told each time.
        outcome.faults.retain(|fault| !fault.starts_with(WRONG));
        for (count, what) in [
            (told.altered, "messages are not what was sent"),
            (told.lost, "messages are missing"),
            (told.repeated, "messages came again"),
        ] {
            if count > 0 {
                let text = format!("{WRONG}: {} {what}", Thousands(count));
                outcome.faults.push(text);
            }
        }
        outcome.faults.extend(unread(told));
    }
}

/// What is said where nothing could be compared of what some clients got.
pub(super) fn unread(told: &Told) -> Option<String> {
    let clients = match told.unread {
        0 => return None,
        1 => "1 client".to_owned(),
        n => format!("{} clients", Thousands(n as u64)),
    };
    Some(format!(
        "{WRONG}: no message was found in what {clients} got"
    ))
}

/// A source that was late itself has measured itself.
fn doubt_lateness(outcome: &mut Outcome, delays: &Histogram<u64>, late: &Histogram<u64>) {
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let (delay, late) = (
            delays.value_at_quantile(quantile),
            late.value_at_quantile(quantile),
        );
        if late as f64 > LATE_MAX * delay as f64 {
            outcome.doubt(Doubt::Late(name, late, delay));
        }
    }
}

pub(super) fn put_rates(outcome: &mut Outcome, told: &Told) {
    outcome.put(
        &figure::MIN_RATE,
        told.rates.first().copied().unwrap_or(0.0),
    );
    outcome.put(&figure::MEDIAN_RATE, median(&told.rates));
    outcome.put(&figure::MAX_RATE, told.rates.last().copied().unwrap_or(0.0));
}

pub(super) fn put_delays(outcome: &mut Outcome, delays: &Histogram<u64>) {
    for (figure, quantile) in [
        (&figure::P50, 0.5),
        (&figure::P99, 0.99),
        (&figure::P999, 0.999),
        (&figure::MAX, 1.0),
    ] {
        outcome.put(figure, delays.value_at_quantile(quantile) as f64);
    }
}

/// The middle one of numbers in ascending order; 0 of none.
pub(super) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

pub(super) fn rate(from: &Mark, to: &Mark) -> f64 {
    (to.bytes - from.bytes) as f64 / to.at.since(from.at).as_secs_f64()
}

pub(super) fn share(from: &Mark, to: &Mark) -> f64 {
    let cpu = to.relay.cpu.saturating_sub(from.relay.cpu);
    100.0 * cpu.as_secs_f64() / to.at.since(from.at).as_secs_f64()
}

/// Seconds of the relay's on a core for each delivered GB; nothing where nothing was delivered.
pub(super) fn put_cost(outcome: &mut Outcome, figure: &'static Figure, from: &Mark, to: &Mark) {
    let cpu = to.relay.cpu.saturating_sub(from.relay.cpu);
    if to.bytes > from.bytes {
        let delivered = (to.bytes - from.bytes) as f64 / 1e9;
        outcome.put(figure, cpu.as_secs_f64() / delivered);
    }
}

const WRONG: &str = "wrong bytes";
const LEFT: &str = "the relay has left the source";
/// After so long the clients have seen what they were told.
pub(super) const CUE_SEEN: Duration = Duration::from_millis(30);
/// What a broker still has is waited for so many times, as long as some of it comes.
const LAST_LOOKS: u32 = 5;
/// The time after one client has stopped reading, in times of that before.
const AFTER: u32 = 2;
/// Clients that come and go take longer to become regular, and to have left.
const CHURN_WARM_UPS: u32 = 2;
/// The source may be so late, as a part of the delay that is measured.
const LATE_MAX: f64 = 0.1;
