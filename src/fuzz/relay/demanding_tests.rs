//! Demanding lives in which something went wrong once.

use std::rc::Rc;

use super::scenario::{Door, FIRST_OUTPUT, Guest, Life};
use super::*;
use crate::base::endpoint::Endpoint;
use crate::proto::record::Framing;
use crate::reactor::net::Close;
use crate::roles::relay::config::{MaxLag, Output, Slow, Source as From, UpstreamLoss, Way};
use crate::roles::relay::{Counts, Reason};
use crate::sim::{Content, Ending, Receiver};

/// Lines from an upstream that is dialled, to one eager guest at an output of this kind.
pub(super) fn lines(way: Way, slow: Slow) -> Scenario {
    let mut scenario = Scenario::draw(&mut Script::new(&[]));
    let dialled = matches!(way, Way::Dial(_));
    scenario.config.outputs = vec![Output {
        way,
        slow,
        websocket: false,
    }];
    scenario.config.framing = "line".parse().expect("a framing");
    scenario.config.record_max = 100;
    scenario.config.ring = 4 << 10;
    if dialled {
        scenario.doors.truncate(FIRST_OUTPUT);
        scenario.doors.push(vec![(Duration::ZERO, Door::Open)]);
    }
    say(&mut scenario.lives[0][0], b"");
    scenario.speak_in_records(&mut Rng::new(0));
    scenario
}

pub(super) fn say(life: &mut Life, bytes: &[u8]) {
    life.source.content = match bytes {
        [] => Content::Pattern(1),
        bytes => Content::Bytes(Rc::from(bytes)),
    };
}

pub(super) fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

pub(super) fn listen() -> Way {
    Way::Listen(endpoint(":1001"))
}

pub(super) fn stalled() -> Guest {
    let mut receiver = Receiver::eager();
    receiver.stall_after = Some(Duration::ZERO);
    let at = Duration::ZERO;
    Guest { at, receiver }
}

pub(super) fn live(scenario: Scenario) -> Counts {
    let mut play = Play::new(scenario, false);
    play.live();
    play.book.borrow().counts.clone()
}

pub(super) fn gone(counts: &Counts, reason: Reason) -> u64 {
    counts.gone[reason as usize]
}

/// The first upstream is lost after each of its bytes in turn; the next one begins with a record of its own.
#[test]
fn a_record_may_be_cut_anywhere() {
    let text = b"first\nsecond\nthird\n";
    for framing in ["line", "fixed:6", "len:u16be"] {
        for cut in 0..text.len() as u64 {
            for ending in [Ending::Close, Ending::Reset] {
                let mut scenario = lines(listen(), Slow::Drop);
                scenario.config.framing = framing.parse().expect("a framing");
                let mut bytes = text.to_vec();
                if framing == "len:u16be" {
                    bytes = [
                        &[0, 4][..],
                        b"abcd",
                        &[0, 7],
                        b"efghijk",
                        &[0, 0],
                        &[0, 1],
                        b"l",
                    ]
                    .concat();
                }
                say(&mut scenario.lives[0][0], &bytes);
                scenario.lives[0][0].source.to = cut;
                scenario.lives[0][0].source.chunk_max = 1;
                scenario.lives[0][0].source.ending = ending;
                let mut next = scenario.lives[0][0].clone();
                next.source.to = bytes.len() as u64;
                next.source.ending = Ending::Stay;
                scenario.lives[0].truncate(1);
                scenario.lives[0].push(next);
                live(scenario);
            }
        }
    }
}

/// Its destination comes when the ring is full already, and all that is missing is what it acknowledges.
#[test]
fn a_destination_may_come_while_the_ring_is_full() {
    let mut scenario = lines(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block);
    scenario.doors[FIRST_OUTPUT] = vec![
        (Duration::ZERO, Door::Shut),
        (Duration::from_millis(500), Door::Open),
    ];
    let counts = live(scenario);
    assert!(counts.bytes_in >= 80 << 10);
}

/// It takes ten times as long for `--backlog` as `--max-lag` allows, or is given ten times as much, and takes all the
/// time: that is no lag. One that takes nothing is not waited for.
#[test]
fn what_a_guest_was_given_when_it_joined_is_no_lag() {
    for max in [
        MaxLag::Age(Duration::from_millis(200)),
        MaxLag::Bytes(1_000),
    ] {
        for takes in [true, false] {
            let mut scenario = lines(listen(), Slow::Drop);
            scenario.config.ring = 64 << 10;
            scenario.config.backlog = 10_000;
            scenario.config.max_lag = Some(max);
            (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1 << 10, 1 << 10);
            let source = &mut scenario.lives[0][0].source;
            (source.to, source.chunk_max) = (20_000, 10);
            source.gap_max = Duration::from_micros(1);
            let mut guest = stalled();
            guest.at = Duration::from_secs(3);
            if takes {
                guest.receiver = Receiver::eager();
                guest.receiver.bytes = 500;
                guest.receiver.every = Duration::from_millis(100);
            }
            scenario.guests[0] = vec![guest];
            scenario.chaos = Duration::from_secs(8);
            let mut play = Play::new(scenario, false);
            play.run_until(Time::ZERO + Duration::from_secs(8));
            let counts = play.book.borrow().counts.clone();
            let dropped = matches!(max, MaxLag::Age(_)) && !takes;
            assert_eq!(gone(&counts, Reason::Lagging), u64::from(dropped));
            assert!(!takes || counts.bytes_out >= 9_900, "{}", counts.bytes_out);
        }
    }
}

/// A thin feed, all of which would fit into the kernel, and a guest under `skip` that freezes for some seconds.
pub(super) fn frozen() -> Scenario {
    let mut scenario = lines(listen(), Slow::Skip);
    scenario.config.max_lag = Some(MaxLag::Age(Duration::from_millis(200)));
    scenario.config.hold = Duration::ZERO;
    (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (256 << 10, 1 << 10);
    let source = &mut scenario.lives[0][0].source;
    (source.chunk_max, source.gap_max) = (100, Duration::from_millis(20));
    scenario.guests[0] = vec![stalled()];
    scenario.guests[0][0].receiver.resume_after = Some(Duration::from_secs(5));
    scenario.chaos = Duration::from_secs(10);
    scenario
}

/// All that a guest lacks would wait in its kernel: it is sent no more, skips what comes in meanwhile, and gets the
/// newest when it goes on.
#[test]
fn a_guest_whose_kernel_is_behind_is_sent_no_more_and_skips() {
    for max in [
        MaxLag::Age(Duration::from_millis(200)),
        MaxLag::Bytes(2_000),
    ] {
        let mut scenario = frozen();
        scenario.config.max_lag = Some(max);
        let mut play = Play::new(scenario.clone(), false);
        play.run_until(Time::ZERO + Duration::from_millis(4_900));
        let counts = play.book.borrow().counts.clone();
        let (sent, came) = (counts.bytes_out, counts.bytes_in);
        assert!(sent < 6_000 && counts.skipped > 0, "{sent} of {came}");
        let counts = live(scenario);
        assert!(counts.bytes_out > sent, "it never goes on");
        assert_eq!(gone(&counts, Reason::Overtaken), 0);
    }
}

/// It freezes with the newest record half sent: that is finished before it is sent no more.
#[test]
fn a_guest_is_not_left_in_the_middle_of_a_record() {
    for send_buffer in (151..200).step_by(16) {
        let mut scenario = frozen();
        scenario.config.framing = "fixed:50".parse().expect("a framing");
        let record = (0..50).collect::<Vec<u8>>();
        say(&mut scenario.lives[0][0], &record.repeat(6));
        let source = &mut scenario.lives[0][0].source;
        (source.to, source.chunk_max) = (300, 300);
        source.gap_max = Duration::ZERO;
        let mut next = scenario.lives[0][0].clone();
        next.at = Duration::from_millis(500);
        scenario.lives[0][0].source.ending = Ending::Close;
        scenario.lives[0].push(next);
        scenario.faults.send_buffer = send_buffer;
        scenario.faults.receive_buffer = 100;
        let receiver = &mut scenario.guests[0][0].receiver;
        (receiver.bytes, receiver.every) = (10, Duration::from_millis(300));
        receiver.resume_after = Some(Duration::from_millis(600));
        let counts = live(scenario);
        assert!(counts.skipped.is_multiple_of(50));
    }
}

/// The source ends while a guest is sent no more: it gets its last records, and the relay ends.
#[test]
fn a_guest_that_is_sent_no_more_gets_the_end() {
    let mut scenario = frozen();
    scenario.config.source = From::Stdin;
    scenario.lives[0][0].source.to = 10_000;
    scenario.lives[0][0].source.ending = Ending::Close;
    let (_, counts) = live_to_the_end(scenario);
    assert!(counts.skipped > 0);
    assert_eq!(gone(&counts, Reason::Drained), 1);
}

/// Nothing waits in the ring, and all that was sent waits in a kernel: under `block` the upstream waits for that too.
#[test]
fn an_upstream_waits_for_what_is_in_the_kernel() {
    for max in [
        MaxLag::Age(Duration::from_millis(200)),
        MaxLag::Bytes(1_000),
    ] {
        let mut scenario = lines(listen(), Slow::Block);
        scenario.config.max_lag = Some(max);
        scenario.config.ring = 256 << 10;
        scenario.faults.send_buffer = 256 << 10;
        scenario.faults.receive_buffer = 1 << 10;
        scenario.lives[0][0].source.gap_max = Duration::from_millis(100);
        scenario.guests[0] = vec![stalled()];
        scenario.chaos = Duration::from_secs(10);
        let counts = live(scenario.clone());
        assert!(counts.bytes_in < 80 << 10, "{max:?}");
        // And not for longer than it has to.
        scenario.guests[0][0].receiver.resume_after = Some(Duration::from_secs(5));
        let counts = live(scenario);
        assert!(counts.bytes_in >= 80 << 10, "{max:?}");
    }
}

/// Nobody else leads, and the one who does takes nothing.
#[test]
fn a_leader_under_skip_holds_the_upstream_no_longer_than_another() {
    let mut scenario = lines(listen(), Slow::Skip);
    scenario.config.hold = Duration::from_millis(200);
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.guests[0] = vec![stalled()];
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Stalled), 1);
}

/// The upstream waits for the leader, until that skips by its lag.
#[test]
fn a_leader_that_skips_by_its_lag_lets_the_upstream_go_on() {
    let mut scenario = lines(listen(), Slow::Skip);
    scenario.config.hold = Duration::from_secs(2);
    scenario.config.max_lag = Some(MaxLag::Age(Duration::from_millis(200)));
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.guests[0] = vec![stalled()];
    let counts = live(scenario);
    assert!(counts.skipped > 0);
}

/// Whoever skips in the middle of a record gets the rest of that first, wherever it was.
#[test]
fn a_skip_forgets_no_rest_of_a_record() {
    for send_buffer in 100..200 {
        let mut scenario = lines(listen(), Slow::Skip);
        scenario.config.framing = "fixed:50".parse().expect("a framing");
        let record = (0..50).collect::<Vec<u8>>();
        say(&mut scenario.lives[0][0], &record.repeat(1_000));
        scenario.lives[0][0].source.to = 50_000;
        scenario.config.hold = Duration::ZERO;
        scenario.faults.send_buffer = send_buffer;
        scenario.faults.receive_buffer = 100;
        let mut guest = stalled();
        guest.receiver.resume_after = Some(Duration::from_millis(500));
        scenario.guests[0] = vec![guest];
        let counts = live(scenario);
        assert!(counts.skipped > 0 && counts.skipped.is_multiple_of(50));
    }
}

/// A skip is no sign of life.
#[test]
fn a_guest_that_skips_and_takes_nothing_stalls() {
    let mut scenario = lines(listen(), Slow::Skip);
    scenario.config.hold = Duration::ZERO;
    scenario.config.stall_timeout = Some(Duration::from_secs(1));
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.lives[0][0].source.gap_max = Duration::from_millis(100);
    scenario.guests[0] = vec![stalled()];
    scenario.chaos = Duration::from_secs(5);
    let counts = live(scenario);
    assert!(counts.skipped > 0);
    assert_eq!(gone(&counts, Reason::Stalled), 1);
}

/// What came after the end of one connection waits for the next.
#[test]
fn a_guest_whose_end_is_under_way_leaves_its_place() {
    let mut scenario = lines(listen(), Slow::Block);
    scenario.config.upstream_loss = UpstreamLoss::Close;
    scenario.config.retry.min = Duration::from_millis(50);
    scenario.config.retry.max = scenario.config.retry.min;
    scenario.faults.delay = Duration::from_millis(40);
    scenario.lives[0][0].source.ending = Ending::Close;
    let mut next = scenario.lives[0][0].clone();
    next.source.ending = Ending::Stay;
    scenario.lives[0].push(next);
    let mut late = stalled();
    late.receiver = Receiver::eager();
    late.at = scenario.chaos * 9 / 10;
    scenario.guests[0].push(late);
    live(scenario);
}

/// Candidates that came long before their first byte are watched too.
#[test]
fn an_upstream_that_falls_silent_late_is_noticed() {
    let mut scenario = lines(listen(), Slow::Drop);
    scenario.config.source = From::Listen(endpoint(":1000"));
    scenario.config.idle_timeout = Some(Duration::from_millis(200));
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.config.wait_clients = 1;
    scenario.guests[0][0].at = Duration::from_millis(900);
    live(scenario);
}

/// A source that ends, and a destination that has no room for the last of it.
fn ending(guest: Guest) -> Scenario {
    let mut scenario = lines(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block);
    scenario.config.source = From::Stdin;
    scenario.config.drain = Duration::ZERO;
    scenario.lives[0][0].source.to = 3_000;
    scenario.lives[0][0].source.ending = Ending::Close;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.guests[0] = vec![guest];
    scenario
}

/// Lives until the relay has ended by itself, and says how that was.
pub(super) fn live_to_the_end(scenario: Scenario) -> (Time, Counts) {
    let mut play = Play::new(scenario, false);
    play.run_until(Time::ZERO + Duration::from_secs(100));
    assert!(play.over, "it does not end");
    let counts = play.book.borrow().counts.clone();
    (play.now(), counts)
}

/// Its source has ended, and the kernel has everything that it does not take: it is not waited for for ever, and not
/// called drained.
#[test]
fn a_destination_that_takes_nothing_at_the_end_is_left_to_the_kernel() {
    for (stall, seconds) in [(None, 30), (Some(1), 1)] {
        let mut scenario = ending(stalled());
        scenario.config.stall_timeout = stall.map(Duration::from_secs);
        let (end, counts) = live_to_the_end(scenario);
        assert_eq!(gone(&counts, Reason::Unacknowledged), 1);
        assert_eq!(counts.gone.iter().sum::<u64>(), 1);
        let lasted = end.since(Time::ZERO).as_secs();
        assert!((seconds..seconds + 3).contains(&lasted), "{lasted}");
    }
}

/// The same where not even the kernel has everything: with `--stall-timeout` that ends it too, and nobody is dialled
/// again for it.
#[test]
fn a_destination_that_stalls_at_the_end_is_not_dialled_again() {
    let mut scenario = ending(stalled());
    scenario.config.stall_timeout = Some(Duration::from_secs(1));
    scenario.faults.send_buffer = 1 << 10;
    let (_, counts) = live_to_the_end(scenario);
    assert_eq!(gone(&counts, Reason::Stalled), 1);
    assert_eq!(counts.gone.iter().sum::<u64>(), 1);
}

/// As long as it takes bytes it is waited for, whatever `--drain` says, which is about signals.
#[test]
fn a_destination_that_takes_bytes_at_the_end_is_waited_for() {
    let mut guest = stalled();
    guest.receiver = Receiver::eager();
    guest.receiver.bytes = 100;
    guest.receiver.every = Duration::from_millis(500);
    let (end, counts) = live_to_the_end(ending(guest));
    assert_eq!(gone(&counts, Reason::Drained), 1);
    assert!(end.since(Time::ZERO) > Duration::from_secs(5));
}

/// Reset with bytes of it in our kernel only: the source's end is no reason to let them be lost.
#[test]
fn a_destination_that_is_reset_at_the_end_gets_the_rest_again() {
    let mut guest = stalled();
    guest.receiver.leave_after = Some((Duration::from_secs(3), Close::Reset));
    let (_, counts) = live_to_the_end(ending(guest));
    assert_eq!(gone(&counts, Reason::Left), 1);
    assert_eq!(gone(&counts, Reason::Drained), 1);
    assert!(counts.bytes_out > counts.bytes_in);
}

/// All that is left to it of the stream is in its kernel: it gets the end behind that, and is not reset.
#[test]
fn a_guest_that_skips_to_the_end_is_let_go_in_order() {
    let mut scenario = lines(listen(), Slow::Skip);
    scenario.config.framing = Framing::Raw;
    say(&mut scenario.lives[0][0], b"");
    scenario.config.source = From::Stdin;
    scenario.config.max_lag = Some(MaxLag::Bytes(1_000));
    scenario.config.hold = Duration::from_secs(1);
    scenario.config.drain = Duration::from_millis(300);
    scenario.faults.send_buffer = 1 << 10;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.lives[0][0].source.to = 5_000;
    scenario.lives[0][0].source.ending = Ending::Close;
    scenario.guests[0] = vec![stalled()];
    let counts = live(scenario);
    assert!(counts.skipped > 0);
    assert_eq!(gone(&counts, Reason::Unacknowledged), 1);
    assert_eq!(gone(&counts, Reason::Stalled), 0);
}

/// The upstream has gone, and with it the end came for the destination, which is reset long after: what it had not
/// acknowledged comes again.
#[test]
fn a_destination_that_never_acknowledges_its_end_gets_it_again() {
    let mut scenario = lines(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block);
    scenario.config.upstream_loss = UpstreamLoss::Close;
    scenario.config.drain = Duration::ZERO;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.lives[0][0].source.to = 3_000;
    scenario.lives[0][0].source.ending = Ending::Close;
    let mut first = stalled();
    first.receiver.leave_after = Some((Duration::from_secs(3), Close::Reset));
    scenario.guests[0] = vec![first];
    scenario.chaos = Duration::from_secs(5);
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Left), 1);
    assert!(counts.bytes_out > counts.bytes_in);
}

/// The same, and it ends its own direction while it is waited for: that is no acknowledgement.
#[test]
fn a_destination_that_half_closes_at_its_end_gets_it_again() {
    let mut scenario = lines(Way::Dial(endpoint("10.0.0.3:3000")), Slow::Block);
    scenario.config.upstream_loss = UpstreamLoss::Close;
    scenario.config.drain = Duration::ZERO;
    scenario.faults.receive_buffer = 1 << 10;
    scenario.lives[0][0].source.to = 3_000;
    scenario.lives[0][0].source.ending = Ending::Close;
    let mut first = stalled();
    first.receiver.half_close_after = Some(Duration::from_secs(1));
    first.receiver.leave_after = Some((Duration::from_secs(3), Close::Reset));
    scenario.guests[0] = vec![first];
    scenario.chaos = Duration::from_secs(5);
    let counts = live(scenario);
    assert_eq!(gone(&counts, Reason::Left), 1);
    assert!(counts.bytes_out > counts.bytes_in);
}

/// It has half-closed and pauses before it takes its last bytes: it is not taken for gone, and gets none of them twice.
#[test]
fn a_destination_that_half_closes_and_pauses_at_the_end_gets_it_once() {
    for ends in [true, false] {
        let mut guest = stalled();
        guest.receiver.half_close_after = Some(Duration::from_millis(500));
        guest.receiver.resume_after = Some(Duration::from_secs(8));
        let mut scenario = ending(guest);
        if !ends {
            scenario.config.source = lines(listen(), Slow::Block).config.source;
            scenario.config.upstream_loss = UpstreamLoss::Close;
        }
        scenario.chaos = Duration::from_secs(12);
        let mut play = Play::new(scenario, false);
        play.run_until(Time::ZERO + Duration::from_secs(12));
        let counts = play.book.borrow().counts.clone();
        assert_eq!(gone(&counts, Reason::Left), 0);
        assert_eq!(gone(&counts, Reason::Drained), 1);
        assert_eq!(counts.bytes_out, counts.bytes_in - counts.discarded);
    }
}
