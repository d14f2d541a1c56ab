//! Lives in which the first of two upstreams is wanted back.

use super::demanding_tests::{endpoint, lines, listen, live, say, stalled};
use super::scenario::{Door, life_of};
use super::*;
use crate::roles::relay::config::{Slow, Source as From};
use crate::sim::Ending;

/// Two upstreams, of which the first is wanted back and stands at a door that shows this.
fn failing_back(first: Door) -> Scenario {
    let mut scenario = lines(listen(), Slow::Drop);
    let places = ["10.0.0.1:3000", "10.0.0.2:3000"];
    scenario.config.source = From::Dial(places.map(endpoint).to_vec());
    scenario.config.failback = Some(Duration::from_millis(20));
    scenario.config.retry.min = Duration::from_millis(50);
    scenario.config.retry.max = scenario.config.retry.min;
    let second = scenario.lives[0].clone();
    scenario.lives.push(second);
    let shut = (Duration::ZERO, Door::Shut);
    scenario.doors[0] = vec![shut, (Duration::from_millis(100), first)];
    scenario.doors[1] = vec![(Duration::ZERO, Door::Open)];
    scenario
}

/// The second is lost over and over: the first is not dialled more often for that.
#[test]
fn the_upstream_that_is_wanted_back_is_waited_for_by_one_timer() {
    let mut scenario = failing_back(Door::Shut);
    scenario.config.idle_timeout = Some(Duration::from_millis(100));
    live(scenario);
}

/// Its records are further apart than `--failback`: it is taken back where an upstream may be silent for so long, and
/// else waits for good.
#[test]
fn an_upstream_with_pauses_is_taken_back_where_those_are_no_silence() {
    for (idle, is_back) in [(None, false), (Some(2), true)] {
        let mut scenario = failing_back(Door::Open);
        scenario.config.idle_timeout = idle.map(Duration::from_secs);
        scenario.chaos = Duration::from_secs(10);
        for place in 0..2 {
            say(&mut scenario.lives[place][0], &b"x\n".repeat(10_000));
            let source = &mut scenario.lives[place][0].source;
            source.to = 20_000;
            source.chunk_max = 2;
        }
        // On average half of that.
        scenario.lives[0][0].source.gap_max = Duration::from_secs(1);
        scenario.lives[1][0].source.gap_max = Duration::from_millis(1);
        let mut play = Play::new(scenario, false);
        play.run_until(Time::ZERO + Duration::from_secs(9));
        assert_eq!(play.book.borrow().latest == Some(1), is_back);
    }
}

/// It is back, and its first connection says nothing: that is not waited for for ever.
#[test]
fn an_upstream_that_is_back_and_silent_is_dialled_anew() {
    let mut scenario = failing_back(Door::Open);
    scenario.config.idle_timeout = Some(Duration::from_secs(1));
    scenario.chaos = Duration::from_secs(10);
    for place in 0..2 {
        say(&mut scenario.lives[place][0], &b"x\n".repeat(10_000));
        let source = &mut scenario.lives[place][0].source;
        (source.to, source.chunk_max) = (20_000, 2);
        source.gap_max = Duration::from_millis(1);
    }
    let speaks = scenario.lives[0][0].clone();
    scenario.lives[0].truncate(1);
    scenario.lives[0][0].source.to = 0;
    scenario.lives[0][0].source.ending = Ending::Stay;
    scenario.lives[0].push(speaks);
    let mut play = Play::new(scenario, false);
    play.run_until(Time::ZERO + Duration::from_secs(9));
    assert_eq!(play.book.borrow().latest, Some(life_of(0, 1)));
}

/// What a length that can't be has made garbage is no record because another splitter looks at it.
#[test]
fn an_upstream_that_is_malformed_is_not_taken_back() {
    let mut scenario = failing_back(Door::Open);
    scenario.config.framing = "len:u16be".parse().expect("a framing");
    let mut bytes = b"\0\x04good\xff\xff".to_vec();
    bytes.extend(b"\0\x01x".repeat(1_000));
    say(&mut scenario.lives[0][0], &bytes);
    say(&mut scenario.lives[1][0], b"\0\x04goon");
    scenario.lives[0][0].source.to = bytes.len() as u64;
    scenario.lives[0][0].source.chunk_max = 100;
    scenario.lives[1][0].source.to = 6;
    let counts = live(scenario);
    assert_eq!(counts.bytes_in, 6);
}

/// The record that the second had begun goes with it. Where that was what made the ring full, there is room again,
/// though nobody has taken a byte.
#[test]
fn an_upstream_that_is_taken_back_is_read_where_a_record_goes_that_filled_the_ring() {
    let mut scenario = failing_back(Door::Open);
    scenario.config.outputs[0].slow = Slow::Block;
    scenario.config.framing = "len:u16be".parse().expect("a framing");
    scenario.config.record_max = 2_000;
    // Its guest stalls at the end of a long record, which is kept whole for it.
    (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1_000, 990);
    scenario.guests = vec![vec![stalled()]];
    let record = |bytes: u16| [&bytes.to_be_bytes()[..], &vec![b'x'; bytes.into()]].concat();
    let texts = [
        record(2).repeat(500),
        [record(1_998), record(1_500), record(1_998)].concat(),
    ];
    for (lives, text) in scenario.lives.iter_mut().zip(&texts) {
        say(&mut lives[0], text);
        lives[0].source.to = text.len() as u64;
    }
    scenario.lives[1][0].source.to -= 1;
    scenario.lives[0][0].source.chunk_max = 4;
    scenario.lives[0][0].source.gap_max = Duration::from_millis(1);
    let counts = live(scenario);
    assert!(counts.discarded > 0 && counts.upstreams == 2, "{counts:?}");
}
