//! `hydrant bench` on a machine where others have the cores: apart from the other tests, which would suffer.

mod common;

use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use common::hydrant::hydrant;

/// Programs that keep every core busy while they live.
struct Spinners(Vec<Child>);

impl Spinners {
    fn start() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let spin = || {
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .expect("there is a shell")
        };
        Self((0..4 * cores).map(|_| spin()).collect())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_busy_machine_makes_it_void() {
    let spinners = Spinners::start();
    let strict = hydrant("bench throughput --clients 50 --time 1s").run();
    let tolerant = hydrant("bench throughput --clients 50 --time 1s --tolerate --json").run();
    drop(spinners);
    assert_eq!(strict.code, 1, "{strict:?}");
    let last = strict.stderr.last().expect("something is said");
    assert!(
        last.starts_with("hydrant: 1 of 1 runs are void: machine too busy: "),
        "{last}"
    );
    assert!(last.contains(" had no core for "), "{last}");
    assert!(strict.stdout.contains("1 of 1 void"), "{}", strict.stdout);
    assert_eq!(tolerant.code, 0, "{tolerant:?}");
    let object: Value = serde_json::from_str(&tolerant.stdout).expect("JSON");
    assert!(object["void"].is_string(), "{object}");
}
