//! Source and clients each by themselves, for a relay on a machine between theirs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::units::{Rate, Span};
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue, Order, lock};
use crate::roles::bench::clients::{self, Clients, Reading};
use crate::roles::bench::conduct::{Halt, House, MEET_WAIT, check_descriptors, play};
use crate::roles::bench::config::{Job, Meet, Scenario, SinkOrders, SourceOrders};
use crate::roles::bench::figure::{self, Outcome, Thousands};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::scenarios::{put_delays, put_rates};
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
        time: None,
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
        house.progress(&format!(
            "bench source: {relays} relays connected, {} taken",
            Rate(rate as u64)
        ));
    };
    board.give_order(Order::Stop);
    house.close();
    done
}

/// Connects, measures and tells.
pub(super) fn sink<H: House>(house: &mut H, orders: &SinkOrders) -> Result<(), Halt> {
    check_descriptors(house, orders.clients)?;
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
        dialect: orders.dialect,
        tls: None,
        utc: house.utc(),
    });
    let cores = Cores::divide(false);
    play(house, Player::Clients(Box::new(player)), &cores, &board)?;
    let outcome = count(house, orders, &board);
    board.give_cue(Cue::Stop);
    house.close();
    let outcome = outcome?;
    let names = [orders.dst.to_string()];
    match orders.json {
        true => house.print(&report::json(
            &outcome,
            &command::Template::at(&orders.dst).speaking(orders.dialect),
            0,
        ))?,
        false => house.print(&report::table(Scenario::Throughput, &[&outcome], &names))?,
    }
    match outcome.faults.is_empty() {
        true => Ok(()),
        false => Err(Halt::Failed(outcome.faults.join("; "))),
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
    let patience = MEET_WAIT + Duration::from_millis(2 * wanted as u64);
    let end = house.now() + patience;
    house.progress("bench sink: waiting until every client is served");
    while board.clients.reached.load(Relaxed) < wanted {
        heed(board)?;
        if house.now() >= end {
            let reached = board.clients.reached.load(Relaxed);
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
    house.progress("bench sink: measuring");
    let (from, bytes) = (house.now(), board.clients.bytes.load(Relaxed));
    house.rest(orders.time)?;
    heed(board)?;
    let time = house.now().since(from).as_secs_f64();
    let bytes = board.clients.bytes.load(Relaxed) - bytes;
    board.give_cue(Cue::Tell);
    let told = loop {
        if let Some(told) = lock(&board.clients.told).take() {
            break told;
        }
        house.rest(LOOK)?;
    };
    let mut outcome = Outcome::new(&job(orders), 0);
    outcome.put(&figure::ALL_RATE, bytes as f64 / time);
    put_rates(&mut outcome, &told);
    outcome.put(&figure::MESSAGES, told.delays.len() as f64 / time);
    put_delays(&mut outcome, &told.delays);
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
    let gone = board.clients.gone.load(Relaxed);
    for (count, what) in [
        (told.altered, "messages are not what was sent"),
        (told.repeated, "messages came again"),
        (told.lost, "messages are missing"),
        (gone as u64, "clients were cut off"),
    ] {
        if count > 0 {
            outcome.faults.push(format!("{} {what}", Thousands(count)));
        }
    }
    if orders.check && !told.understood {
        let what = "nothing could be compared: no messages of a bench source were found";
        outcome.faults.push(what.to_owned());
    }
    Ok(outcome)
}

fn job(orders: &SinkOrders) -> Job {
    Job {
        scenario: Scenario::Throughput,
        clients: orders.clients,
        size: 0,
        rate: None,
        time: orders.time,
        check: orders.check,
    }
}

const SECOND: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
