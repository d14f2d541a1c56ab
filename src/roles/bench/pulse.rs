//! Whether the bench itself stood still: stopped by a signal, with its machine asleep, or without its virtual core.

use std::time::Duration;

use crate::reactor::host;
use crate::roles::bench::machine;

/// Follows how the thread that it was made on spends its time.
#[derive(Debug)]
pub struct Pulse {
    thread: String,
    last: Beat,
    stopped: Duration,
}

/// What is known of a moment.
#[derive(Clone, Copy, Debug)]
struct Beat {
    /// By a clock that goes on while the machine sleeps.
    at: Duration,
    /// How long the thread has been on a core, or waiting for one.
    busy: Duration,
}

impl Beat {
    fn of(thread: &str) -> Self {
        let spent = machine::thread(thread);
        Self {
            at: host::since_boot(),
            busy: spent.cpu + spent.waited,
        }
    }

    /// The time since an earlier moment for which nothing accounts, if the thread has rested for so long.
    fn lacks(self, earlier: Self, rested: Duration) -> Duration {
        let passed = self.at.saturating_sub(earlier.at);
        let known = self.busy.saturating_sub(earlier.busy) + rested;
        let lack = passed.saturating_sub(known);
        match lack >= LACK_LEAST {
            true => lack,
            false => Duration::ZERO,
        }
    }
}

impl Pulse {
    /// Begins now, with the calling thread.
    pub fn begin() -> Self {
        let thread = machine::this_thread();
        Self {
            last: Beat::of(&thread),
            thread,
            stopped: Duration::ZERO,
        }
    }

    /// The thread has rested for so long since this was last called.
    pub fn beat(&mut self, rested: Duration) {
        let beat = Beat::of(&self.thread);
        self.stopped += beat.lacks(self.last, rested);
        self.last = beat;
    }

    /// For how long it has stood still since the beginning.
    pub fn stopped(&self) -> Duration {
        self.stopped
    }
}

/// What is less is the machine's own: timers that are late, figures that are some milliseconds old.
const LACK_LEAST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_nothing_accounts_for_is_seen() {
        let lacks = |passed, busy, rested| {
            let [passed, busy, rested] = [passed, busy, rested].map(Duration::from_millis);
            let earlier = Beat {
                at: Duration::from_secs(7),
                busy: Duration::from_secs(3),
            };
            let now = Beat {
                at: earlier.at + passed,
                busy: earlier.busy + busy,
            };
            now.lacks(earlier, rested).as_millis()
        };
        assert_eq!(lacks(10, 0, 10), 0);
        assert_eq!(lacks(1010, 0, 10), 1000);
        assert_eq!(lacks(60, 0, 10), 50);
        assert_eq!(lacks(59, 0, 10), 0);
        // Whoever waits for a core is not stopped, and that is told elsewhere.
        assert_eq!(lacks(1010, 1000, 10), 0);
        assert_eq!(lacks(1010, 400, 10), 600);
        // It may be woken early.
        assert_eq!(lacks(5, 1, 10), 0);
    }
}
