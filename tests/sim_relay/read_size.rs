//! Which size of a read the relay comes to use, where the processor's time is what a made-up rule says, and clients
//! come, leave, stall and wake.

use std::time::Duration;

use hydrant::base::rng::Rng;

use crate::flood::{Flood, Says, usual};

const KIB: usize = 1 << 10;
const MOST: usize = 512 * KIB;
const FIRST: usize = 256 * KIB;

/// Nanoseconds for a byte where reads of this size are the cheapest, and each step away from it costs a tenth.
fn best_is(best: usize, size: usize) -> f64 {
    0.1 + 0.01 * (size as f64 / best as f64).log2().abs()
}

/// Large reads are the best for a few clients, small ones for a crowd.
fn by_crowd(size: usize, clients: usize) -> f64 {
    best_is(if clients < 50 { MOST } else { 128 * KIB }, size)
}

/// The size that is used most in the end, after that many reads more.
fn settled(flood: &mut Flood, reads: usize) -> usize {
    let reads = flood.read(0, reads);
    usual(&reads[reads.len() - LAST.min(reads.len())..])
}

const LAST: usize = 600;

#[test]
fn a_crowd_that_grows_and_shrinks_has_its_own_size_soon() {
    let mut flood = Flood::of("");
    flood.line(0, |line| line.cost = Box::new(by_crowd));
    for _ in 0..3 {
        flood.crowd(0, 5);
        assert_eq!(settled(&mut flood, 4000), MOST);
        flood.crowd(0, 500);
        assert_eq!(settled(&mut flood, 1500), 128 * KIB);
    }
}

#[test]
fn it_is_found_while_clients_come_and_leave() {
    let mut flood = Flood::of("");
    flood.line(0, |line| line.cost = Box::new(by_crowd));
    for (few, many, best) in [(1, 3, MOST), (5, 8, MOST), (300, 340, 128 * KIB)] {
        for _ in 0..100 {
            flood.crowd(0, few);
            flood.read(0, 20);
            flood.crowd(0, many);
            flood.read(0, 20);
        }
        assert_eq!(settled(&mut flood, LAST), best, "{few} to {many}");
    }
}

#[test]
fn it_is_found_while_clients_stall_for_a_moment() {
    let mut flood = Flood::of("");
    flood.line(0, |line| line.cost = Box::new(by_crowd));
    for (count, best) in [(2, MOST), (20, MOST), (200, 128 * KIB)] {
        flood.crowd(0, count);
        for round in 0..200 {
            flood.stall_all_but(0, count - round % (count / 2 + 1));
            flood.read(0, 5);
            flood.stall_all_but(0, count);
            flood.read(0, 15);
        }
        assert_eq!(settled(&mut flood, LAST), best, "{count}");
        assert_eq!(flood.relay(0).client_count(), count, "nobody was overtaken");
    }
}

/// However large reads are, who can take as much as the others is not left further behind.
#[test]
fn who_stalled_for_a_moment_catches_up_with_large_reads() {
    let mut flood = Flood::of("");
    flood.line(0, |line| {
        line.cost = Box::new(|size, _| best_is(MOST, size))
    });
    flood.crowd(0, 2);
    assert_eq!(settled(&mut flood, 4000), MOST);
    flood.stall_all_but(0, 1);
    flood.read(0, 10);
    flood.stall_all_but(0, 2);
    flood.read(0, 40);
    let cursors: Vec<u64> = flood.relay(0).cursors().map(|(_, cursor)| cursor).collect();
    assert_eq!(cursors[0], cursors[1]);
}

/// As with `--slow skip`, where they stay.
#[test]
fn those_who_take_are_the_crowd() {
    let mut flood = Flood::of("--slow skip --framing line");
    flood.line(0, |line| {
        line.cost = Box::new(by_crowd);
        line.last_byte = b'\n';
    });
    flood.crowd(0, 500);
    flood.stall_all_but(0, 5);
    assert_eq!(settled(&mut flood, 20_000), MOST, "five take");
    flood.stall_all_but(0, 500);
    assert_eq!(settled(&mut flood, 3000), 128 * KIB, "all take");
    assert_eq!(flood.relay(0).client_count(), 500);
}

#[test]
fn what_makes_no_difference_changes_nothing() {
    let mut flood = Flood::of("");
    flood.crowd(0, 20);
    let reads = flood.read(0, 20_000);
    assert_eq!(usual(&reads), FIRST);
    let others = reads.iter().filter(|size| **size != FIRST).count();
    assert!(others < 1000, "{others} of 20,000");
}

/// How often it is another size that was used for longer than any trial takes.
fn switches(reads: &[usize]) -> usize {
    let usual: Vec<usize> = reads.chunks(5 * LAST).map(usual).collect();
    usual.windows(2).filter(|two| two[0] != two[1]).count()
}

#[test]
fn noise_moves_it_seldom() {
    for (clients, percent, most) in [(1, 5, 3), (1, 50, 6), (100, 5, 3), (100, 50, 6)] {
        let mut flood = Flood::of("");
        flood.crowd(0, clients);
        let mut rng = Rng::new(7);
        let noise = move |_, _| 0.1 + 0.001 * rng.below(2 * percent + 1) as f64;
        flood.line(0, |line| line.cost = Box::new(noise));
        let reads = flood.read(0, 60_000);
        let switches = switches(&reads);
        assert!(
            switches <= most,
            "{clients} clients, {percent} %: {switches}"
        );
    }
}

/// As between processes that share a cache: what a block costs moves by more than a better size saves.
#[test]
fn what_is_better_is_found_though_blocks_differ_by_chance() {
    let mut found = 0;
    for seed in 0..20 {
        let mut flood = Flood::of("");
        flood.crowd(0, 1);
        let (mut rng, mut reads, mut noise) = (Rng::new(seed), 0, 1.0);
        let cost = move |size, _| {
            if reads % 131 == 0 {
                noise = 0.8 + 0.01 * rng.below(40) as f64;
            }
            reads += 1;
            best_is(MOST, size) * noise
        };
        flood.line(0, |line| line.cost = Box::new(cost));
        let reads = flood.read(0, 30_000);
        found += reads[10_000..].iter().filter(|size| **size == MOST).count();
    }
    let share = found as f64 / (20.0 * 20_000.0);
    assert!(share > 0.8, "{share}");
}

/// Some kernels give a socket no more room than that: a larger read is never full.
#[test]
fn an_upstream_that_never_has_so_much_has_the_smaller_size_tried() {
    let mut flood = Flood::of("");
    flood.crowd(0, 5);
    flood.set_says(0, Says::Pieces(300 * KIB));
    flood.line(0, |line| {
        line.cost = Box::new(|size, _| best_is(64 * KIB, size))
    });
    assert_eq!(settled(&mut flood, 8000), 64 * KIB);
}

/// As from a source that is a little slower than the relay: larger reads bring more, though they are never full.
#[test]
fn larger_reads_need_not_be_full_to_be_better() {
    let mut flood = Flood::of("");
    flood.crowd(0, 1);
    flood.set_says(0, Says::Pieces(400 * KIB));
    flood.line(0, |line| {
        line.cost = Box::new(|size, _| best_is(MOST, size))
    });
    assert_eq!(settled(&mut flood, 8000), MOST);
}

#[test]
fn relays_on_one_loop_find_their_own() {
    let mut flood = Flood::new(&["", "", ""], false);
    for (at, best) in [64 * KIB, 128 * KIB, MOST].into_iter().enumerate() {
        flood.line(at, |line| {
            line.cost = Box::new(move |size, _| best_is(best, size))
        });
        flood.crowd(at, 5);
    }
    flood.read(0, 20_000);
    for (at, best) in [64 * KIB, 128 * KIB, MOST].into_iter().enumerate() {
        let reads = flood.line(at, |line| line.reads.clone());
        assert_eq!(usual(&reads[reads.len() - LAST..]), best, "{at}");
    }
}

#[test]
fn pauses_of_a_loop_that_never_sleeps_do_not_count() {
    let mut flood = Flood::new(&[""], true);
    flood.crowd(0, 5);
    flood.set_says(0, Says::Bursts(20 << 20, Duration::from_millis(10)));
    flood.line(0, |line| {
        line.cost = Box::new(|size, _| best_is(128 * KIB, size))
    });
    assert_eq!(settled(&mut flood, 12_000), 128 * KIB);
}

/// What the ring does not hold is not asked for.
#[test]
fn a_read_is_never_longer_than_a_quarter_of_the_ring() {
    const OPTIONS: [&str; 5] = [
        "--slow drop",
        "--slow block",
        "--backlog 16K",
        "--framing line --record-max 16K",
        "--slow skip --framing line --record-max 16K",
    ];
    for (ring, most) in [(64, 16), (300, 75), (1024, 256), (3072, 512)] {
        for options in OPTIONS {
            let options = format!("--ring {ring}K {options}");
            let mut flood = Flood::of(&options);
            flood.line(0, |line| {
                line.last_byte = b'\n';
                line.cost = Box::new(|size, _| best_is(MOST, size));
            });
            flood.crowd(0, 5);
            for _ in 0..20 {
                flood.read(0, 100);
                flood.stall_all_but(0, 4);
                (0..30).for_each(|_| flood.turn());
                flood.stall_all_but(0, 5);
            }
            flood.read(0, 1000);
            let longest = flood.line(0, |line| line.reads.iter().max().copied());
            assert_eq!(longest, Some(most * KIB), "{options}");
        }
    }
}

/// Memory that no read went to is not even there.
#[test]
fn the_ring_is_used_no_further_than_it_has_to_be() {
    for (options, most) in [("", 2), ("--slow block", 2), ("--backlog 64K", 6)] {
        let mut flood = Flood::of(options);
        flood.line(0, |line| {
            line.cost = Box::new(|size, _| best_is(FIRST, size))
        });
        flood.crowd(0, 5);
        flood.read(0, 5000);
        let touched = flood.line(0, |line| line.touched.expect("it was read"));
        let touched = touched.1 - touched.0;
        assert!(touched <= most * MOST, "{options}: {touched}");
    }
}

#[test]
fn small_messages_never_change_it() {
    let mut flood = Flood::of("");
    flood.crowd(0, 5);
    flood.set_says(0, Says::Pieces(256));
    flood.line(0, |line| {
        line.cost = Box::new(|size, _| best_is(MOST, size))
    });
    let reads = flood.read(0, 20_000);
    assert!(reads.iter().all(|size| *size == FIRST));
}
