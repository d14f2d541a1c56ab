//! What the relay does for every read, every client and every timer, measured without a kernel:
//! `cargo bench --bench hot_path`. Figures of one machine in one hour can be compared, others not; `cargo test` counts
//! the instructions of the same.

#[path = "../common/stage.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod stage;
#[path = "../common/work.rs"]
mod work;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

use hydrant::base::ring::Ring;
use stage::{MESSAGE, Stage};
use work::{Timers, find, push};

fn main() {
    divan::main();
}

/// One write into the ring, and as many reads out of it as there are readers.
#[divan::bench(args = [1, 100])]
fn ring_push_and_read(bencher: Bencher, readers: usize) {
    let mut ring = Ring::new(16 << 20);
    bencher
        .counter(BytesCount::new(MESSAGE.len()))
        .bench_local(move || {
            let from = push(&mut ring, &MESSAGE);
            (0..readers).for_each(|_| find(&ring, from));
        });
}

/// A message that is read from the upstream and sent to each of so many clients, who take it all. The simulated
/// network's own work is in it.
#[divan::bench(args = [10, 1000])]
fn fan_out(bencher: Bencher, clients: usize) {
    let mut stage = Stage::new(clients);
    bencher
        .counter(ItemsCount::new(clients))
        .bench_local(move || stage.pass(&MESSAGE));
}

#[divan::bench(args = [1_000, 100_000])]
fn wheel_insert_and_cancel(bencher: Bencher, timers: u32) {
    let mut timers = Timers::new(timers);
    bencher.bench_local(move || timers.set_and_cancel());
}

/// A millisecond goes by, and each timer that runs out is set again.
#[divan::bench(args = [1_000, 100_000])]
fn wheel_advance(bencher: Bencher, timers: u32) {
    let mut timers = Timers::new(timers);
    bencher.bench_local(move || timers.tick());
}
