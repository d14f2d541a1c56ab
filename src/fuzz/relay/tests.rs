//! Lives in which something went wrong once, each as short as it gets. All that is looked at in every life is looked at
//! here too.

use super::scenario::{Door, FIRST_OUTPUT, Guest, life_of};
use super::*;
use crate::base::endpoint::Endpoint;
use crate::reactor::net::Close;
use crate::roles::relay::config::{Output, Slow, Source as From, UpstreamLoss, Way};
use crate::roles::relay::{Counts, Reason};
use crate::sim::{Content, Ending, Receiver};

const CHAOS: Duration = Duration::from_secs(1);

/// The plainest life: a source that is dialled says 80 KiB and stays, and one eager guest comes.
fn plain() -> Scenario {
    Scenario::draw(&mut Script::new(&[]))
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn output(way: Way, slow: Slow) -> Output {
    Output {
        way,
        slow,
        websocket: false,
    }
}

/// The same, with these outputs, and one eager guest at each from the start.
fn with_outputs(outputs: Vec<Output>) -> Scenario {
    let mut scenario = plain();
    scenario.guests = outputs.iter().map(|_| vec![guest()]).collect();
    let open = || vec![(Duration::ZERO, Door::Open)];
    scenario.doors = (0..FIRST_OUTPUT + outputs.len()).map(|_| open()).collect();
    scenario.config.outputs = outputs;
    scenario
}

fn guest() -> Guest {
    Guest {
        at: Duration::ZERO,
        receiver: Receiver::eager(),
    }
}

fn late(at: Duration) -> Guest {
    Guest { at, ..guest() }
}

fn stalled() -> Guest {
    let mut guest = guest();
    guest.receiver.stall_after = Some(Duration::ZERO);
    guest
}

fn live(scenario: Scenario) -> Counts {
    let mut play = Play::new(scenario, false);
    play.live();
    play.book.borrow().counts.clone()
}

fn gone(counts: &Counts, reason: Reason) -> u64 {
    counts.gone[reason as usize]
}

#[test]
fn the_plainest_life() {
    let counts = live(plain());
    assert_eq!((counts.bytes_in, counts.bytes_out), (80 << 10, 80 << 10));
    assert_eq!(gone(&counts, Reason::Drained), 1);
}

/// The room for a read counts as overwritten also if nothing comes: whoever stood there is dropped at once.
#[test]
fn a_read_in_vain_overtakes_too() {
    for seed in 0..20 {
        let mut scenario = with_outputs(vec![output(Way::Listen(endpoint(":1001")), Slow::Drop)]);
        scenario.seed = seed;
        scenario.faults.block_read = 500;
        scenario.config.ring = 4 << 10;
        scenario.faults.send_buffer = 1 << 10;
        scenario.faults.receive_buffer = 1 << 10;
        scenario.guests[0].push(stalled());
        let counts = live(scenario);
        assert_eq!(gone(&counts, Reason::Overtaken), 1);
    }
}

/// The ring never overtakes the leader; but a leader that takes nothing is not waited for for ever.
#[test]
fn a_leader_that_takes_nothing_is_dropped() {
    let mut scenario = with_outputs(vec![output(Way::Listen(endpoint(":1001")), Slow::Drop)]);
    scenario.config.ring = 4 << 10;
    scenario.config.hold = Duration::from_millis(200);
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.guests[0] = vec![stalled(), stalled()];
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Stalled), 2);
    assert_eq!(counts.bytes_in, 80 << 10);
}

/// A life of single bytes through a ring of 256.
fn byte_by_byte(way: Way, slow: Slow) -> Scenario {
    let mut scenario = with_outputs(vec![output(way, slow)]);
    scenario.config.ring = 256;
    scenario.config.hold = Duration::ZERO;
    scenario.lives[0][0].source.to = 3_000;
    scenario.lives[0][0].source.chunk_max = 1;
    scenario.lives[0][0].source.gap_max = Duration::from_millis(1);
    scenario.faults.receive_buffer = 100;
    scenario
}

/// Whoever stands at the very tail of the ring stays, and goes when the next read would take its byte.
#[test]
fn a_client_may_be_a_ring_behind_and_not_a_byte_more() {
    let mut scenario = byte_by_byte(Way::Listen(endpoint(":1001")), Slow::Drop);
    scenario.faults.send_buffer = 100;
    scenario.guests[0].push(stalled());
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Overtaken), 1);
}

/// What a destination has not acknowledged is kept to the byte, though all of it was written.
#[test]
fn not_a_byte_goes_that_was_not_acknowledged() {
    let way = Way::Dial(endpoint("10.0.0.3:3000"));
    let mut scenario = byte_by_byte(way, Slow::Block);
    scenario.faults.send_buffer = 4 << 10;
    let mut first = stalled();
    first.receiver.leave_after = Some((CHAOS / 2, Close::Reset));
    scenario.guests[0] = vec![first];
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Left), 1);
    // The ring, and the read that filled it, were of what had not been acknowledged, and all of that came again.
    assert_eq!(counts.bytes_out - counts.bytes_in, 257);
}

/// The only output is stdout, and what the upstream sends overtakes its reader: that ends the relay in the middle of a
/// read.
#[test]
fn a_read_may_end_the_relay() {
    let mut scenario = with_outputs(vec![output(Way::Stdout, Slow::Drop)]);
    scenario.guests[0] = vec![stalled()];
    scenario.config.ring = 4 << 10;
    scenario.config.hold = Duration::ZERO;
    scenario.faults.send_buffer = 1 << 10;
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Overtaken), 1);
}

/// `--max-clients` is about those who come, and so is who goes first when it is reached.
#[test]
fn a_half_closed_destination_makes_no_room_for_a_guest() {
    let mut scenario = with_outputs(vec![
        output(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block),
        output(Way::Listen(endpoint(":1002")), Slow::Drop),
    ]);
    scenario.config.max_clients = Some(1);
    scenario.guests[0][0].receiver.half_close_after = Some(Duration::ZERO);
    scenario.guests[1].push(late(CHAOS / 2));
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::HalfClosed), 0);
    assert_eq!(counts.refused.iter().sum::<u64>(), 1);
    assert_eq!(gone(&counts, Reason::Drained), 2);
}

#[test]
fn stdout_is_no_client_that_came() {
    let mut scenario = with_outputs(vec![
        output(Way::Stdout, Slow::Block),
        output(Way::Listen(endpoint(":1002")), Slow::Drop),
    ]);
    scenario.config.max_clients = Some(1);
    let counts = live(scenario);
    assert_eq!(counts.refused.iter().sum::<u64>(), 0);
    assert_eq!(gone(&counts, Reason::Drained), 2);
}

/// The source has ended, and stdout's reader takes nothing: while that lasts, nothing is done.
#[test]
fn waiting_for_stdout_costs_nothing() {
    let mut scenario = with_outputs(vec![output(Way::Stdout, Slow::Block)]);
    scenario.config.source = From::Stdin;
    scenario.lives[0][0].source.to = 100;
    scenario.lives[0][0].source.ending = Ending::Close;
    scenario.guests[0] = vec![stalled()];
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Cut), 1);
}

/// What is reset before it was acknowledged was lost, though our end had been shut: the destination gets it once more.
#[test]
fn a_reset_at_the_very_end_is_no_drain() {
    let mut scenario = with_outputs(vec![output(
        Way::Dial(endpoint("10.0.0.3:3000")),
        Slow::Block,
    )]);
    scenario.config.source = From::Stdin;
    scenario.lives[0][0].source.to = 100;
    scenario.lives[0][0].source.ending = Ending::Close;
    scenario.faults.delay = Duration::from_millis(40);
    scenario.guests[0][0].receiver.leave_after = Some((Duration::from_millis(50), Close::Reset));
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Left), 1);
    assert_eq!(gone(&counts, Reason::Drained), 1);
}

/// Our end is shut, so that a probe would fail for that alone.
#[test]
fn a_half_closed_guest_that_is_nearly_done_is_not_probed() {
    let mut scenario = plain();
    scenario.guests[0][0].receiver.half_close_after = Some(Duration::ZERO);
    scenario.guests[0][0].receiver.close_at_end = false;
    scenario.faults.delay = Duration::from_millis(600);
    scenario.drain = Some(CHAOS * 3);
    scenario.chaos = CHAOS * 4;
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Drained), 1);
    assert_eq!(gone(&counts, Reason::Left), 0);
}

/// The clients get their end with the upstream's, and what the next upstream says waits for those who come after them,
/// though the last bytes of the first ones are still under way.
#[test]
fn what_comes_after_a_loss_waits_for_the_next_client() {
    for way in ["10.0.0.3:3000", ":1002"] {
        let way = match way.starts_with(':') {
            true => Way::Listen(endpoint(way)),
            false => Way::Dial(endpoint(way)),
        };
        let mut scenario = with_outputs(vec![output(way, Slow::Block)]);
        scenario.config.upstream_loss = UpstreamLoss::Close;
        scenario.config.ring = 4 << 10;
        scenario.config.retry.min = Duration::from_millis(10);
        scenario.faults.delay = Duration::from_millis(100);
        scenario.guests[0].push(late(CHAOS / 2));
        let mut first = scenario.lives[0][0].clone();
        first.source.to = 10_000;
        first.source.ending = Ending::Close;
        scenario.lives[0].insert(0, first);
        scenario.lives[0][1].source.content = Content::Pattern(life_of(0, 1));
        let counts = live(scenario);
        assert_eq!(counts.bytes_out, 10_000 + (80 << 10));
        assert_eq!(gone(&counts, Reason::Drained), 2);
    }
}

/// Its kernel is asked for each read's worth of what it holds up at most, not for each of many small messages.
#[test]
fn a_destination_that_takes_nothing_is_asked_for_no_message() {
    let way = Way::Dial(endpoint("10.0.0.3:3000"));
    let mut scenario = with_outputs(vec![output(way, Slow::Block)]);
    scenario.config.ring = 8 << 20;
    scenario.config.hold = Duration::ZERO;
    scenario.config.keepalive = None;
    scenario.faults.delay = Duration::ZERO;
    scenario.lives[0][0].source.to = 2 << 20;
    scenario.lives[0][0].source.chunk_max = 2_000;
    scenario.lives[0][0].source.gap_max = Duration::from_millis(1);
    scenario.guests[0] = vec![stalled()];
    scenario.chaos = Duration::from_secs(3);
    let mut play = Play::new(scenario, true);
    play.run_until(Time::ZERO + Duration::from_secs(2));
    let world = play.stage.handle.world();
    let calls = |name: &str| {
        world
            .trace_lines()
            .filter(|line| line.contains(name))
            .count()
    };
    assert!(calls(" read #") > 1_000, "{}", calls(" read #"));
    assert!(
        calls(" unacknowledged ") < 20,
        "{}",
        calls(" unacknowledged ")
    );
}
