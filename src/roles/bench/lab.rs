//! Source and clients each by themselves, for a relay on a machine between theirs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::{Rate, Span};
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue, Order, Told, lock};
use crate::roles::bench::clients::{self, Clients, Reading};
use crate::roles::bench::conduct::{Halt, House, play};
use crate::roles::bench::config::{Job, Meet, Scenario, SinkOrders, SourceOrders};
use crate::roles::bench::figure::{self, Doubt, Outcome, Thousands, counted};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::means::check_descriptors;
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::scenarios::{put_delays, put_rates, unread};
use crate::roles::bench::source::{self, Source};
use crate::roles::bench::{command, report};

/// Sends until the time is over, or somebody ends it, which is as good.
pub(super) fn source<H: House>(house: &mut H, orders: &SourceOrders) -> Result<(), Halt> {
    let board = Arc::<Board>::default();
    let player = Source::new(source::Setup {
        board: Arc::clone(&board),
        filler: Arc::new(Filler::new(orders.size)),
        dialect: orders.dialect,
        rate: orders.rate,
        warm_up: Duration::ZERO,
        time: None,
        phase: None,
        meet: Some(orders.meet.clone()),
        utc: house.utc(),
    });
    board.give_order(Order::Run);
    let cores = Cores::divide(false);
    play(house, Player::Source(Box::new(player)), &cores, &board)?;
    if let Meet::Dial(to) = &orders.meet {
        log::info!("bench: the source connects to {to}");
    }
    let end = orders.time.map(|time| house.now() + time);
    let is_unmet =
        || board.source.relays.load(Relaxed) == 0 && board.source.sent.load(Relaxed) == 0;
    let done = loop {
        let (sent, at) = (board.source.sent.load(Relaxed), house.now());
        let left = end.map_or(SECOND, |end| end.since(at));
        if left.is_zero() {
            let Some(time) = orders.time.filter(|_| is_unmet()) else {
                break Ok(());
            };
            let text = format!("no relay was connected within {}", Span(time));
            break Err(Halt::Failed(text));
        }
        if house.rest(left.min(SECOND)).is_err() {
            break Ok(()); // that is how it ends
        }
        if let Some(text) = board.failure() {
            break Err(Halt::Failed(text));
        }
        let time = house.now().since(at).as_secs_f64();
        let rate = (board.source.sent.load(Relaxed) - sent) as f64 / time;
        let relays = board.source.relays.load(Relaxed);
        let relays = counted(relays as u64, "relay", "relays");
        house.progress(
            &format!("bench source: {relays} connected"),
            &format!("{} taken", Rate(rate as u64)),
        );
    };
    board.give_order(Order::Stop);
    house.close();
    done
}

/// Connects, measures and tells.
pub(super) fn sink<H: House>(house: &mut H, orders: &SinkOrders) -> Result<(), Halt> {
    check_descriptors(house, orders.clients, 1)?;
    let board = Arc::<Board>::default();
    let player = Clients::new(clients::Setup {
        board: Arc::clone(&board),
        to: orders.dst.clone(),
        count: orders.clients,
        filler: None,
        reading: match orders.check {
            true => Reading::Check,
            false => Reading::Messages,
        },
        churn: false,
        from_start: false,
        dialect: orders.dialect,
        tls: None,
        utc: house.utc(),
    });
    let cores = Cores::divide(false);
    play(house, Player::Clients(Box::new(player)), &cores, &board)?;
    let outcome = count(house, orders, &board);
    board.give_cue(Cue::Stop);
    house.close();
    let outcome = match outcome {
        Err(Halt::Failed(text)) => {
            let mut outcome = Outcome::new(&job(orders, &board), 0);
            outcome.faults.push(text);
            outcome
        }
        outcome => outcome?,
    };
    let names = [orders.dst.to_string()];
    match orders.json {
        true => house.print(&report::json(
            NAME,
            &outcome,
            &command::Template::at(&orders.dst).speaking(orders.dialect),
            0,
        ))?,
        false => house.print(&report::table(NAME, &[&outcome], &names))?,
    }
    match (outcome.faults.is_empty(), outcome.doubts_said()) {
        (true, None) => Ok(()),
        (true, Some(why)) => Err(Halt::Failed(format!("the run is void: {why}"))),
        (false, _) => Err(Halt::Failed(outcome.faults.join("; "))),
    }
}

/// Fails with what a player could not go on after.
fn heed(board: &Board) -> Result<(), Halt> {
    board
        .failure()
        .map_or(Ok(()), |text| Err(Halt::Failed(text)))
}

fn count<H: House>(house: &mut H, orders: &SinkOrders, board: &Board) -> Result<Outcome, Halt> {
    let wanted = orders.clients;
    let patience = orders.waits.to_meet(wanted);
    let end = house.now() + patience;
    while board.clients.reached.load(Relaxed) < wanted {
        heed(board)?;
        let reached = board.clients.reached.load(Relaxed);
        house.progress(
            "bench sink: waiting until every client is served",
            &format!("{reached} of {wanted} clients are served"),
        );
        if house.now() >= end {
            let there = board.clients.connected.load(Relaxed);
            return Err(Halt::Failed(format!(
                "only {reached} of {wanted} clients got anything within {} ({there} could connect)",
                Span(patience)
            )));
        }
        house.rest(LOOK)?;
    }
    board.give_cue(Cue::Count);
    house.rest(LOOK)?;
    let (from, bytes) = (house.now(), board.clients.bytes.load(Relaxed));
    let stood = house.stopped();
    let last = measure(house, orders.time, board)?;
    let (time, silent) = (house.now().since(from), house.now().since(last));
    let stood = house.stopped() - stood;
    let bytes = board.clients.bytes.load(Relaxed) - bytes;
    board.give_cue(Cue::Tell);
    let told = loop {
        if let Some(told) = lock(&board.clients.told).take() {
            break told;
        }
        heed(board)?;
        house.rest(LOOK)?;
    };
    let starved = starved(house, orders, board)?;
    let mut outcome = Outcome::new(&job(orders, board), 0);
    if !stood.is_zero() {
        outcome.doubt(Doubt::Stopped(stood));
    }
    outcome.put(&figure::ALL_RATE, bytes as f64 / time.as_secs_f64());
    put_rates(&mut outcome, &told);
    match told.understood {
        true => put_messages(&mut outcome, &told, time),
        false => {
            log::warn!("bench: no messages of a bench source were found, so only bytes are counted")
        }
    }
    judge(&mut outcome, &told, orders.check, board);
    outcome.faults.extend(stopped(bytes, silent, time));
    // Where all of them get nothing more, the source may have come to its end.
    if starved > 0 && starved < wanted && bytes > 0 {
        let (starved, all) = (Thousands(starved as u64), Thousands(wanted as u64));
        let text = format!("nothing arrived any more on {starved} of {all} connections");
        outcome.faults.push(text);
    }
    Ok(outcome)
}

/// Lets the time pass. Returns when something has last arrived.
fn measure<H: House>(house: &mut H, time: Duration, board: &Board) -> Result<Time, Halt> {
    let end = house.now() + time;
    let (mut last, mut seen) = (house.now(), board.clients.bytes.load(Relaxed));
    loop {
        let left = end.since(house.now());
        if left.is_zero() {
            return Ok(last);
        }
        let seconds = left.as_secs_f64().ceil();
        house.progress("bench sink: measuring", &format!("{seconds:.0} s left"));
        house.rest(left.min(STEP))?;
        heed(board)?;
        let got = board.clients.bytes.load(Relaxed);
        if got != seen {
            (last, seen) = (house.now(), got);
        }
    }
}

/// Of a stream that has come to its end: a slow one pauses, too, but not for so long a part of the time.
fn stopped(bytes: u64, silent: Duration, time: Duration) -> Option<String> {
    if bytes == 0 {
        return Some("nothing arrived any more".to_owned());
    }
    let is_long = silent > SILENCE && silent > time / 2;
    is_long.then(|| format!("nothing arrived in the last {}", Span(silent)))
}

/// What is known where the messages tell themselves when they were due.
fn put_messages(outcome: &mut Outcome, told: &Told, time: Duration) {
    let messages = told.delays.len() as f64;
    outcome.put(&figure::MESSAGES, messages / time.as_secs_f64());
    put_delays(outcome, &told.delays);
    let fastest = told.delays.min();
    for (figure, quantile) in [(&figure::ABOVE_P50, 0.5), (&figure::ABOVE_P99, 0.99)] {
        let above = told
            .delays
            .value_at_quantile(quantile)
            .saturating_sub(fastest);
        outcome.put(figure, above as f64);
    }
    outcome.put(&figure::LOST, told.lost as f64);
    outcome.put(&figure::ALTERED, told.altered as f64);
}

/// What the relay did wrong.
fn judge(outcome: &mut Outcome, told: &Told, check: bool, board: &Board) {
    let gone = board.clients.gone.load(Relaxed) as u64;
    for (count, one, many) in [
        (
            told.altered,
            "message is not what was sent",
            "messages are not what was sent",
        ),
        (told.repeated, "message came again", "messages came again"),
        (told.lost, "message is missing", "messages are missing"),
        (gone, "client was cut off", "clients were cut off"),
    ] {
        if count > 0 {
            outcome.faults.push(counted(count, one, many));
        }
    }
    if check && !told.understood {
        let what = "nothing could be compared: no messages of a bench source were found";
        outcome.faults.push(what.to_owned());
    } else if check {
        outcome.faults.extend(unread(told));
    }
}

/// How many clients get nothing more once it was told what they got, though there is time.
fn starved<H: House>(house: &mut H, orders: &SinkOrders, board: &Board) -> Result<usize, Halt> {
    let end = house.now() + orders.waits.to_arrive(orders.clients);
    loop {
        heed(board)?;
        let starved = board.clients.starved.load(Relaxed);
        if starved == 0 || house.now() >= end {
            return Ok(starved);
        }
        house.rest(LOOK)?;
    }
}

fn job(orders: &SinkOrders, board: &Board) -> Job {
    Job {
        scenario: Scenario::Throughput,
        clients: orders.clients,
        size: board.clients.learned_size.load(Relaxed),
        rate: None,
        time: orders.time,
        waits: orders.waits,
        check: orders.check,
    }
}

/// What it is called in results.
const NAME: &str = "sink";
/// A stream of so few messages that this is between two of them has not stopped.
const SILENCE: Duration = Duration::from_millis(1500);
const STEP: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_stops_is_told_from_a_slow_one() {
        let said = |bytes, silent, time| {
            let [silent, time] = [silent, time].map(Duration::from_millis);
            stopped(bytes, silent, time)
        };
        assert_eq!(
            said(0, 200, 200).as_deref(),
            Some("nothing arrived any more")
        );
        let text = said(9, 1600, 2000).expect("it has stopped");
        assert_eq!(text, "nothing arrived in the last 1.6 s");
        // One message a second; a pause in the middle of a long time.
        assert_eq!(said(9, 1050, 2000), None);
        assert_eq!(said(9, 2000, 86_400_000), None);
    }
}
