//! What the relay does for every read, every client and every timer, measured without a kernel:
//! `cargo bench --bench hot_path`. Figures of one machine in one hour can be compared, others not.

#[path = "../common/stage.rs"]
mod stage;

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use hydrant::base::ring::Ring;
use hydrant::base::time::Time;
use hydrant::base::wheel::Wheel;
use stage::{MESSAGE, Stage};

fn main() {
    divan::main();
}

/// One write into the ring, and as many reads out of it as there are readers.
#[divan::bench(args = [1, 100])]
fn ring_push_and_read(bencher: Bencher, readers: usize) {
    let mut ring = Ring::new(16 << 20);
    let bytes = [7; MESSAGE];
    bencher
        .counter(BytesCount::new(MESSAGE))
        .bench_local(move || {
            let from = ring.head();
            let room = ring.reserve(MESSAGE);
            let n = room.len();
            room.copy_from_slice(&bytes[..n]);
            ring.commit(n);
            for _ in 0..readers {
                let _ = black_box(ring.read_up_to(black_box(from), usize::MAX));
            }
        });
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
    bencher.bench_local(move || {
        at = (at + 7_919) % SPREAD_MS;
        let key = wheel.insert(Time::from_millis(SPREAD_MS + at), 0);
        wheel.cancel(black_box(key))
    });
}

/// A millisecond goes by, and each timer that runs out is set again.
#[divan::bench]
fn wheel_advance(bencher: Bencher) {
    let mut wheel = full_wheel();
    let mut now = Time::ZERO;
    let mut due = Vec::new();
    bencher.bench_local(move || {
        now = now + Duration::from_millis(1);
        wheel.advance(now, &mut due);
        for (_, value) in due.drain(..) {
            wheel.insert(now + Duration::from_millis(SPREAD_MS), value);
        }
    });
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
