//! The processor's time that a role takes by itself. All of them share a thread, and the system tells only what that
//! has used: so while a role times itself, the others' calls are timed, too, and left out, and so are turns in which
//! nothing came on a loop that never sleeps. That ends by itself where it would burden others for long. A role alone
//! on a loop that sleeps costs no look at the clock but its own two.

use std::time::Duration;

use crate::base::time::Time;
use crate::reactor::event::RoleId;

/// Roles that time themselves.
#[derive(Debug, Default)]
pub(super) struct Timings {
    timed: Vec<Timing>,
    /// Since when nobody has had anything to do, on a loop that looks for work all the time.
    idle_since: Option<Duration>,
}

#[derive(Debug)]
struct Timing {
    role: RoleId,
    since: Time,
    /// The thread's time by then.
    began: Duration,
    /// What others have taken since, and what went by idly.
    others: Duration,
}

impl Timings {
    pub(super) fn is_empty(&self) -> bool {
        self.timed.is_empty()
    }

    /// The role begins, or begins anew.
    pub(super) fn begin(&mut self, role: RoleId, since: Time, used: Duration) {
        self.forget(role);
        self.idle_since = None;
        self.timed.push(Timing {
            role,
            since,
            began: used,
            others: Duration::ZERO,
        });
    }

    /// What the role has taken since it began; `None` where it did not, or that was too long ago.
    pub(super) fn end(&mut self, role: RoleId, used: Duration) -> Option<Duration> {
        let is_its = |timing: &Timing| timing.role == role;
        let timing = self.timed.swap_remove(self.timed.iter().position(is_its)?);
        let all = used.saturating_sub(timing.began);
        Some(all.saturating_sub(timing.others))
    }

    pub(super) fn forget(&mut self, role: RoleId) {
        self.timed.retain(|timing| timing.role != role);
    }

    /// Whether another role is to be told what this one takes.
    pub(super) fn concerns_another(&self, role: RoleId) -> bool {
        self.timed.iter().any(|timing| timing.role != role)
    }

    /// A turn begins, with nothing to do at this moment; `None` where there is something.
    pub(super) fn note_idleness(&mut self, now: Time, used: Option<Duration>) {
        self.timed
            .retain(|timing| now.since(timing.since) < LONGEST);
        if let (Some(since), Some(used)) = (self.idle_since, used) {
            let idle = used.saturating_sub(since);
            self.timed
                .iter_mut()
                .for_each(|timing| timing.others += idle);
        }
        self.idle_since = used;
    }

    /// A role is called.
    pub(super) fn end_idleness(&mut self) {
        self.idle_since = None;
    }

    /// A call of this role took so long.
    pub(super) fn note(&mut self, role: RoleId, now: Time, took: Duration) {
        let is_its = |timing: &Timing| timing.role == role;
        self.timed
            .retain(|timing| is_its(timing) || now.since(timing.since) < LONGEST);
        for timing in self.timed.iter_mut().filter(|timing| !is_its(timing)) {
            timing.others += took;
        }
    }
}

/// Longer than what anybody times, unless something that it waits for does not come.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: RoleId = RoleId {
        key: 0,
        generation: 1,
    };
    const THERE: RoleId = RoleId {
        key: 1,
        generation: 2,
    };

    const NOW: Time = Time::ZERO;

    #[test]
    fn what_others_take_is_left_out() {
        let ms = Duration::from_millis;
        let mut timings = Timings::default();
        timings.begin(HERE, NOW, ms(100));
        assert!(!timings.concerns_another(HERE) && timings.concerns_another(THERE));
        timings.note(THERE, NOW, ms(30));
        timings.begin(THERE, NOW, ms(150));
        timings.note(HERE, NOW, ms(20));
        timings.note(THERE, NOW, ms(5));
        assert_eq!(timings.end(HERE, ms(200)), Some(ms(65)));
        assert_eq!(timings.end(HERE, ms(300)), None, "it is over");
        assert_eq!(timings.end(THERE, ms(200)), Some(ms(30)));
        assert!(timings.is_empty());
    }

    #[test]
    fn what_goes_by_idly_is_left_out() {
        let ms = Duration::from_millis;
        let mut timings = Timings::default();
        timings.note_idleness(NOW, Some(ms(0)));
        timings.begin(HERE, NOW, ms(100));
        for used in [110, 115, 125] {
            timings.note_idleness(NOW, Some(ms(used)));
        }
        timings.end_idleness();
        timings.note_idleness(NOW, Some(ms(200)));
        timings.note_idleness(NOW, None);
        timings.note_idleness(NOW, Some(ms(300)));
        assert_eq!(timings.end(HERE, ms(400)), Some(ms(300 - 15)));
    }

    #[test]
    fn others_are_not_burdened_for_ever() {
        let mut timings = Timings::default();
        timings.begin(HERE, NOW, Duration::ZERO);
        timings.note(HERE, NOW + LONGEST, Duration::ZERO);
        assert!(
            timings.concerns_another(THERE),
            "its own calls are no burden"
        );
        timings.note(THERE, NOW + LONGEST, Duration::ZERO);
        assert!(timings.is_empty());
        assert_eq!(timings.end(HERE, Duration::ZERO), None);
    }

    /// Nor is a loop that never sleeps: whoever times itself may wait for what does not come.
    #[test]
    fn no_look_at_the_clock_is_taken_for_ever() {
        let mut timings = Timings::default();
        timings.begin(HERE, NOW, Duration::ZERO);
        timings.note_idleness(NOW, Some(Duration::ZERO));
        assert!(!timings.is_empty());
        timings.note_idleness(NOW + LONGEST, Some(Duration::ZERO));
        assert!(timings.is_empty());
    }
}
