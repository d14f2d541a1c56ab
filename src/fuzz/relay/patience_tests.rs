//! Lives in which somebody was judged by a time in which nothing waited for it, or nothing was sent to it.

use super::demanding_tests::{
    endpoint, frozen, gone, lines, listen, live, live_to_the_end, say, stalled,
};
use super::scenario::{Door, FIRST_OUTPUT};
use super::*;
use crate::roles::relay::Reason;
use crate::roles::relay::config::{MaxLag, Slow, Source as From, Way};
use crate::sim::{Ending, Receiver};

/// The feed was quiet for long, and then its last bytes came, more than a kernel takes: whoever has to take them has
/// `--hold` for it from the end on, however long ago its last byte was. It is far away.
#[test]
fn a_guest_of_a_quiet_feed_has_its_time_at_the_end() {
    for (slow, takes) in [
        (Slow::Drop, true),
        (Slow::Skip, true),
        (Slow::Drop, false),
        (Slow::Block, true),
    ] {
        let mut scenario = lines(listen(), slow);
        scenario.config.source = From::Stdin;
        scenario.config.hold = Duration::from_secs(2);
        scenario.config.ring = 64 << 10;
        (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1 << 10, 16 << 10);
        scenario.faults.delay = Duration::from_millis(900);
        let life = &mut scenario.lives[0][0];
        life.at = Duration::from_millis(10_500);
        life.source.to = if takes { 4_000 } else { 30_000 };
        life.source.ending = Ending::Close;
        if !takes {
            scenario.guests[0] = vec![stalled()];
        }
        let (_, counts) = live_to_the_end(scenario);
        assert_eq!(gone(&counts, Reason::Drained), u64::from(takes), "{slow:?}");
        assert_eq!(gone(&counts, Reason::Stalled), u64::from(!takes));
    }
}

/// A newcomer takes its time for the `--backlog`: nobody else has to wait for that, though nobody may miss a byte.
#[test]
fn the_upstream_does_not_wait_for_what_a_guest_was_given_when_it_joined() {
    for max in [
        MaxLag::Age(Duration::from_millis(200)),
        MaxLag::Bytes(1_000),
    ] {
        let mut scenario = lines(listen(), Slow::Block);
        scenario.config.ring = 64 << 10;
        scenario.config.backlog = 10_000;
        scenario.config.max_lag = Some(max);
        (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1 << 10, 1 << 10);
        let mut thin = scenario.lives[0][0].clone();
        thin.source.chunk_max = 10;
        thin.source.gap_max = Duration::from_millis(10);
        let first = &mut scenario.lives[0][0].source;
        (first.to, first.ending) = (20_000, Ending::Close);
        scenario.lives[0].truncate(1);
        scenario.lives[0].push(thin);
        let mut newcomer = stalled();
        newcomer.at = Duration::from_secs(3);
        newcomer.receiver = Receiver::eager();
        newcomer.receiver.bytes = 500;
        newcomer.receiver.every = Duration::from_millis(100);
        scenario.guests[0].push(newcomer);
        scenario.chaos = Duration::from_secs(8);
        let mut play = Play::new(scenario, false);
        let mut read_until = |millis| {
            play.run_until(Time::from_millis(millis));
            play.book.borrow().counts.bytes_in
        };
        let before = read_until(3_300);
        let after = read_until(4_300);
        assert!(before > 20_000, "the second life has begun: {before}");
        assert!(after > before + 500, "{max:?}: {before}, {after}");
    }
}

/// A destination that was away takes its time for what came meanwhile: the upstream goes on, too.
#[test]
fn the_upstream_does_not_wait_for_what_came_while_a_destination_was_away() {
    let mut scenario = lines(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block);
    scenario.config.ring = 64 << 10;
    scenario.config.max_lag = Some(MaxLag::Age(Duration::from_millis(200)));
    (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1 << 10, 1 << 10);
    scenario.doors[FIRST_OUTPUT] = vec![
        (Duration::ZERO, Door::Shut),
        (Duration::from_millis(2_500), Door::Open),
    ];
    let source = &mut scenario.lives[0][0].source;
    (source.chunk_max, source.gap_max) = (100, Duration::from_millis(20));
    let receiver = &mut scenario.guests[0][0].receiver;
    (receiver.bytes, receiver.every) = (700, Duration::from_millis(100));
    scenario.chaos = Duration::from_secs(8);
    let mut play = Play::new(scenario, false);
    let mut read_until = |millis| {
        play.run_until(Time::from_millis(millis));
        play.book.borrow().counts.bytes_in
    };
    let before = read_until(3_600);
    let after = read_until(4_600);
    assert!(after > before + 2_000, "{before}, {after}");
}

/// It is sent no more, since it was frozen; it wakes just when the ring has become full, and takes all that its kernel
/// has long before it is next looked whether it does: that it takes nothing then is not its own fault.
#[test]
fn a_guest_that_is_sent_no_more_does_not_stall_by_that() {
    for late in 0..10 {
        let wakes = Duration::from_millis(13_000 + 100 * late);
        let mut scenario = frozen();
        scenario.config.max_lag = Some(MaxLag::Age(Duration::from_secs(10)));
        scenario.config.hold = Duration::from_millis(500);
        scenario.config.source = From::Listen(endpoint(":1000"));
        let source = &mut scenario.lives[0][0].source;
        // Many small steps: its end comes between the look at 12 s and the burst, however the steps are drawn. Had it
        // ended before that look, there would be nothing to skip.
        (source.chunk_max, source.gap_max) = (10, Duration::from_millis(10));
        source.to = 13_700;
        let mut burst = scenario.lives[0][0].clone();
        burst.at = wakes - Duration::from_millis(20);
        (burst.source.to, burst.source.chunk_max) = (30_000, 10_000);
        burst.source.gap_max = Duration::ZERO;
        scenario.lives[0].truncate(1);
        scenario.lives[0].push(burst);
        scenario.guests[0][0].receiver.resume_after = Some(wakes);
        scenario.chaos = Duration::from_secs(20);
        let mut play = Play::new(scenario, false);
        play.run_until(Time::ZERO + Duration::from_secs(18));
        let counts = play.book.borrow().counts.clone();
        assert!(counts.skipped > 0, "it was sent all");
        assert_eq!(gone(&counts, Reason::Stalled), 0, "{wakes:?}");
    }
}

/// Its kernel tells nothing of what it has taken, and it skips, so that it never lacks much: it takes nothing all the
/// same.
#[test]
fn a_program_that_takes_nothing_and_skips_is_stalled() {
    let mut scenario = lines(Way::Listen(endpoint("unix:/door")), Slow::Skip);
    scenario.config.max_lag = Some(MaxLag::Age(Duration::from_millis(100)));
    scenario.config.stall_timeout = Some(Duration::from_secs(1));
    (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (200, 200);
    scenario.guests = vec![vec![stalled()]];
    scenario.chaos = Duration::from_secs(5);
    say(&mut scenario.lives[0][0], &b"a line\n".repeat(2_000));
    let source = &mut scenario.lives[0][0].source;
    (source.to, source.chunk_max) = (14_000, 7);
    source.gap_max = Duration::from_millis(5);
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Stalled), 1, "{counts:?}");
    assert!(counts.skipped > 0, "{counts:?}");
}
