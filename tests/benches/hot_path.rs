//! What the relay does for every read, every client and every timer, measured without a kernel:
//! `cargo bench --bench hot_path`. Figures of one machine in one hour can be compared, others not; with `-- guard` it
//! fails instead where something has become several times as dear as it was.

#[path = "../common/stage.rs"]
mod stage;

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use hydrant::base::ring::Ring;
use hydrant::base::time::Time;
use hydrant::base::wheel::{TimerKey, Wheel};
use stage::{MESSAGE, Stage};

fn main() -> ExitCode {
    if env::args().any(|word| word == "guard") {
        return guard();
    }
    divan::main();
    ExitCode::SUCCESS
}

/// Fails where something has become several times as dear as it was, in times of a loop of plain arithmetic that is
/// measured in turns with it, the best of many rounds of each. So neither the machine's speed nor what else it does
/// decides.
fn guard() -> ExitCode {
    let mut ring = Ring::new(16 << 20);
    let mut idle = full_wheel();
    let mut busy = full_wheel();
    let mut stage = Stage::new(1000);
    let (mut at, mut now, mut due) = (0, Time::ZERO, Vec::new());
    let mut guarded: [(&str, f64, Work<'_>); 4] = [
        (
            "a message into the ring, and read by 100",
            8.0,
            Box::new(|| push_and_read(&mut ring, 100)),
        ),
        (
            "a message to 1,000 clients in a simulated network",
            60_000.0,
            Box::new(|| stage.pass()),
        ),
        (
            "a timer set and taken back among 100,000",
            1.0,
            Box::new(|| set_and_cancel(&mut idle, &mut at)),
        ),
        (
            "a millisecond for 100,000 timers",
            5.0,
            Box::new(|| go_by(&mut busy, &mut now, &mut due)),
        ),
    ];
    let mut is_well = true;
    for (name, most, work) in &mut guarded {
        let (mut took, mut measure) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            measure = measure.min(time_of(&mut arithmetic));
            took = took.min(time_of(work));
        }
        let ratio = took.as_secs_f64() / measure.as_secs_f64();
        let verdict = if ratio <= *most { "" } else { "  TOO MUCH" };
        println!("{ratio:10.2} of {most:8.1} at most: {name}{verdict}");
        is_well &= ratio <= *most;
    }
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

type Work<'a> = Box<dyn FnMut() + 'a>;

/// How long it takes once, about.
fn time_of(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    let mut times = 0;
    while start.elapsed() < ROUND {
        (0..16).for_each(|_| work());
        times += 16;
    }
    start.elapsed() / times
}

/// What the other work is measured by.
fn arithmetic() {
    let mut number: u64 = black_box(7);
    for _ in 0..64 {
        number = black_box(
            number
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(17),
        );
    }
}

/// One write into the ring, and as many reads out of it as there are readers.
#[divan::bench(args = [1, 100])]
fn ring_push_and_read(bencher: Bencher, readers: usize) {
    let mut ring = Ring::new(16 << 20);
    bencher
        .counter(BytesCount::new(MESSAGE))
        .bench_local(move || push_and_read(&mut ring, readers));
}

fn push_and_read(ring: &mut Ring, readers: usize) {
    let bytes = black_box([7; MESSAGE]);
    let from = ring.head();
    let room = ring.reserve(MESSAGE);
    let n = room.len();
    room.copy_from_slice(&bytes[..n]);
    ring.commit(n);
    for _ in 0..readers {
        let _ = black_box(ring.read_up_to(black_box(from), usize::MAX));
    }
}

/// A message that is read from the upstream and sent to each of so many clients, who take it all. The simulated
/// network's own work is in it.
#[divan::bench(args = [10, 1000])]
fn fan_out(bencher: Bencher, clients: usize) {
    let mut stage = Stage::new(clients);
    bencher
        .counter(ItemsCount::new(clients))
        .bench_local(move || stage.pass());
}

#[divan::bench]
fn wheel_insert_and_cancel(bencher: Bencher) {
    let mut wheel = full_wheel();
    let mut at = 0;
    bencher.bench_local(move || set_and_cancel(&mut wheel, &mut at));
}

fn set_and_cancel(wheel: &mut Wheel<u32>, at: &mut u64) {
    *at = (*at + 7_919) % SPREAD_MS;
    let key = wheel.insert(Time::from_millis(SPREAD_MS + *at), 0);
    wheel.cancel(black_box(key));
}

/// A millisecond goes by, and each timer that runs out is set again.
#[divan::bench]
fn wheel_advance(bencher: Bencher) {
    let mut wheel = full_wheel();
    let mut now = Time::ZERO;
    let mut due = Vec::new();
    bencher.bench_local(move || go_by(&mut wheel, &mut now, &mut due));
}

fn go_by(wheel: &mut Wheel<u32>, now: &mut Time, due: &mut Vec<(TimerKey, u32)>) {
    *now = *now + Duration::from_millis(1);
    wheel.advance(*now, due);
    for (_, value) in due.drain(..) {
        wheel.insert(*now + Duration::from_millis(SPREAD_MS), value);
    }
}

fn full_wheel() -> Wheel<u32> {
    let mut wheel = Wheel::new();
    for timer in 0..TIMERS {
        let at = u64::from(timer) * 7_919 % SPREAD_MS;
        wheel.insert(Time::from_millis(at), timer);
    }
    wheel
}

const TIMERS: u32 = 100_000;
const SPREAD_MS: u64 = 60_000;
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 20;
