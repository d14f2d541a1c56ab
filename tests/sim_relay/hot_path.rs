//! What the relay does for each message, each client and each timer, by the instructions that it takes: as many of one
//! compiler's on any machine, however busy that is. Valgrind counts them in this very program, as it is built for
//! tests: without optimisation, with assertions. What the simulated network does is left out.

use std::env;
use std::fs;
use std::process::Command;

use hydrant::base::ring::Ring;

use crate::scratch::Scratch;
use crate::stage::{LARGE, MESSAGE, Stage};
use crate::tools::{have, skip};
use crate::work::{Timers, find, push};

/// Instructions, as they were counted when this was written, with rustc 1.95. What takes more than [`MOST`] times as
/// many is too dear; where it is a new compiler's doing, or is worth it, the new number belongs here.
const COUNTED: [(&str, f64); 7] = [
    ("writing a message into the ring", 311.0),
    ("finding it there", 267.0),
    ("a turn that brings a message to nobody", 10_157.0),
    ("bringing it to one client", 1_301.0),
    ("bringing a large one to one client", 1_296.0),
    ("setting a timer and taking it back", 928.0),
    ("a millisecond, in which 1.7 of them run out", 3_019.0),
];
const MOST: f64 = 1.3;

#[test]
fn what_it_costs_has_not_grown() {
    let is_as_counted =
        cfg!(debug_assertions) || skip("the counts are of a build without optimisation");
    if !is_as_counted || !have("valgrind") {
        return;
    }
    let counts = Counts::take();
    let each = |work| counts.each(work);
    let of_both = |few, many, most| (many, each(few), each(many), most);
    let small = (each("bring_to_1000") - each("bring_to_10")) / 990.0;
    let large = (each("bring_large_to_100") - each("bring_large_to_10")) / 90.0;
    let found = [
        each("write_into_ring"),
        each("find_in_ring"),
        each("bring_to_10") - 10.0 * small,
        small,
        large,
        each("set_among_100000"),
        each("tick_of_100000"),
    ];
    let mut dearer = Vec::new();
    for ((what, before), found) in COUNTED.iter().zip(found) {
        println!("{what}: {found:.0} instructions, {before} before");
        if found > MOST * before {
            dearer.push(format!("{what}: {found:.0}, {before} before"));
        }
    }
    assert!(dearer.is_empty(), "instructions: {dearer:#?}");
    // A copy of the message, a look at each client or at each timer shows here, whatever a compiler makes of it. The
    // more timers there are, the more levels of the wheel each of them goes through.
    let grown = [
        ("a message that is 32 times as long", small, large, 1.1),
        of_both("bring_to_10", "bring_to_10_of_1000", 1.1),
        of_both("set_among_1000", "set_among_100000", 1.1),
        of_both("tick_of_1000", "tick_of_100000", 1.5),
    ];
    for (what, less, more, most) in grown {
        let text = format!("{what}: {more:.0} instructions, rather than {less:.0}");
        println!("{text}");
        assert!(more < most * less, "{text}");
    }
    assert!(counts.allocations("the_work") > 0, "they can be seen");
    for work in WORKS {
        assert_eq!(counts.allocations(work), 0, "{work} asks for memory");
    }
}

/// Not a test of its own: does the work, where it is counted.
#[test]
fn the_work() {
    if env::var_os(COUNTING).is_none() {
        return;
    }
    let mut ring = Ring::new(1 << 20);
    (0..ROUNDS).for_each(|_| write_into_ring(&mut ring));
    (0..ROUNDS).for_each(|_| find_in_ring(&ring));
    bring(&mut Stage::new(10), &MESSAGE, bring_to_10);
    bring(&mut Stage::new(10), &LARGE, bring_large_to_10);
    bring(&mut Stage::new(100), &LARGE, bring_large_to_100);
    let mut crowd = Stage::new(1000);
    bring(&mut crowd, &MESSAGE, bring_to_1000);
    crowd.stall_all_but(10, &LARGE);
    bring(&mut crowd, &MESSAGE, bring_to_10_of_1000);
    let [mut few, mut many] = [1_000, 100_000].map(Timers::new);
    (0..WARM).for_each(|_| {
        few.tick();
        many.tick();
    });
    (0..ROUNDS).for_each(|_| set_among_1000(&mut few));
    (0..ROUNDS).for_each(|_| set_among_100000(&mut many));
    (0..TICKS).for_each(|_| tick_of_1000(&mut few));
    (0..TICKS).for_each(|_| tick_of_100000(&mut many));
}

/// Brings some messages to all clients, those behind the first ones by `bring`.
fn bring(stage: &mut Stage, message: &[u8], bring: fn(&mut Stage)) {
    for round in 0..WARM + ROUNDS {
        stage.say(message);
        if round < WARM {
            stage.deliver();
        } else {
            bring(stage);
        }
        stage.take();
    }
}

/// Functions that have to be called, so that what each of them takes stands under its name.
macro_rules! works {
    ($($name:ident($of:ident: $what:ty) $does:block)*) => {
        const WORKS: &[&str] = &[$(stringify!($name)),*];
        $(#[inline(never)] fn $name($of: $what) $does)*
    };
}

works! {
    write_into_ring(ring: &mut Ring) { push(ring, &MESSAGE); }
    find_in_ring(ring: &Ring) { find(ring, ring.head() - MESSAGE.len() as u64); }
    bring_to_10(stage: &mut Stage) { stage.deliver(); }
    bring_to_1000(stage: &mut Stage) { stage.deliver(); }
    bring_to_10_of_1000(stage: &mut Stage) { stage.deliver(); }
    bring_large_to_10(stage: &mut Stage) { stage.deliver(); }
    bring_large_to_100(stage: &mut Stage) { stage.deliver(); }
    set_among_1000(timers: &mut Timers) { timers.set_and_cancel(); }
    set_among_100000(timers: &mut Timers) { timers.set_and_cancel(); }
    tick_of_1000(timers: &mut Timers) { timers.tick(); }
    tick_of_100000(timers: &mut Timers) { timers.tick(); }
}

/// Calls of one function by another.
struct Calls {
    /// Who is called, and where that was asked for who has called whom, up to the first: `callee'caller'its caller`.
    path: Vec<String>,
    count: u64,
    /// Instructions, with those of all that they have called.
    instructions: u64,
}

impl Calls {
    fn is_of(&self, name: &str) -> bool {
        is_named(&self.path[0], name)
    }

    fn is_within(&self, name: &str) -> bool {
        self.path[1..].iter().any(|caller| is_named(caller, name))
    }
}

/// All that valgrind has counted.
struct Counts(Vec<Calls>);

impl Counts {
    /// Has this program do the work under valgrind.
    fn take() -> Self {
        let folder = Scratch::new();
        let file = folder.at("counts");
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args([
                "--tool=callgrind",
                "--compress-strings=no",
                "--dump-line=no",
            ])
            .arg(format!("--callgrind-out-file={file}"));
        for function in ALLOCATORS.iter().chain([&"*SimNet as *"]) {
            valgrind.arg(format!("--separate-callers{DEPTH}={function}"));
        }
        let this = env::current_exe().expect("the system tells what runs");
        valgrind.arg(this).args(["hot_path::the_work", "--exact"]);
        let outcome = valgrind
            .env(COUNTING, "1")
            .output()
            .expect("it is installed");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{said}");
        Self::parse(&fs::read_to_string(file).expect("it has written what it has counted"))
    }

    /// Reads what callgrind writes: `cfn=` and who is called, `calls=` and how often, and a line with a place in the
    /// source and what that took.
    fn parse(text: &str) -> Self {
        let (mut calls, mut callee, mut count) = (Vec::new(), "", None);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("cfn=") {
                callee = name;
            } else if let Some(rest) = line.strip_prefix("calls=") {
                count = rest.split(' ').next().and_then(|count| count.parse().ok());
            } else if let Some(count) = count.take() {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
                calls.push(Calls {
                    path: callee.split('\'').map(str::to_owned).collect(),
                    count,
                    instructions: cost.expect("a call has a cost"),
                });
            }
        }
        Self(calls)
    }

    /// Instructions that this work takes each time, without the simulated network's.
    fn each(&self, work: &str) -> f64 {
        let of_work = self.0.iter().filter(|calls| calls.is_of(work));
        let (count, all) = of_work.fold((0, 0), |(count, all), calls| {
            (count + calls.count, all + calls.instructions)
        });
        assert!(count > 0, "{work} is not to be seen");
        let is_nets =
            |calls: &&Calls| calls.is_of(NET) && calls.is_within(work) && !calls.is_within(NET);
        let nets: u64 = self
            .0
            .iter()
            .filter(is_nets)
            .map(|calls| calls.instructions)
            .sum();
        (all - nets) as f64 / count as f64
    }

    /// How often this work asks for memory, all its rounds together.
    fn allocations(&self, work: &str) -> u64 {
        let is_ours = |calls: &&Calls| {
            ALLOCATORS.contains(&&calls.path[0][..])
                && calls.is_within(work)
                && !calls.is_within(NET)
        };
        self.0.iter().filter(is_ours).map(|calls| calls.count).sum()
    }
}

/// Whether a function's whole name is one of ours, or of one that is called in the simulated network.
fn is_named(function: &str, name: &str) -> bool {
    let last = function.rsplit("::").next();
    last == Some(name) || name == NET && function.contains(NET)
}

/// By whom memory is given out.
const ALLOCATORS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];
/// What the names of those functions have in them by which the reactor reaches the network.
const NET: &str = "SimNet as ";
/// From one of those up to the work there are fewer calls than this.
const DEPTH: usize = 100;
/// Set where the work is to be done.
const COUNTING: &str = "HYDRANT_COUNTING";
/// By then nothing grows any more.
const WARM: usize = 2;
const ROUNDS: usize = 2;
/// Milliseconds: as many as it takes for each level of the wheel that is in use to have its turn.
const TICKS: usize = 4096;
