//! What keeps a peer from wearing a session out: which ids it has used, and how many frames that move nothing it may
//! send. It knows no frame.

use crate::base::time::Time;

/// Which ids a peer has used, as far back as it may still mix their order up: those who open streams at one moment may
/// say so in another order than that of their ids.
#[derive(Clone, Debug)]
pub(super) struct Used {
    /// One above the highest index that was used.
    next: u64,
    /// Bit `i % WINDOW` for each of the last `WINDOW` indices.
    bits: [u64; WINDOW as usize / 64],
}

impl Used {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            bits: [0; WINDOW as usize / 64],
        }
    }

    /// Notes that an id is used from now on. False: it was used before, or is so old that it may have been.
    pub(super) fn take(&mut self, id: u32) -> bool {
        let index = u64::from(id / 2);
        if index >= self.next {
            let fresh = self.next..=index;
            match fresh.end() - fresh.start() < WINDOW {
                true => fresh.for_each(|index| self.set(index, false)),
                false => self.bits = [0; WINDOW as usize / 64],
            }
            self.next = index + 1;
        } else if self.next - index > WINDOW || self.get(index) {
            return false;
        }
        self.set(index, true);
        true
    }

    fn get(&self, index: u64) -> bool {
        let at = index % WINDOW;
        self.bits[at as usize / 64] >> (at % 64) & 1 == 1
    }

    fn set(&mut self, index: u64, used: bool) {
        let at = index % WINDOW;
        let bit = 1 << (at % 64);
        let word = &mut self.bits[at as usize / 64];
        *word = if used { *word | bit } else { *word & !bit };
    }
}

/// How many frames that move nothing may still come: a store that fills up with time. Payload that was granted to
/// streams which we reset since is no peer's fault, in however many frames it comes.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// Payload that the peer was granted on streams that are gone, and that has not come.
    granted: u64,
    left: u32,
    since: Time,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            granted: 0,
            left: USELESS_AT_ONCE,
            since: Time::ZERO,
        }
    }

    /// A stream is reset on which the peer may have sent so much more.
    pub(super) fn owe(&mut self, granted: u32) {
        self.granted = self.granted.saturating_add(u64::from(granted));
    }

    /// So much payload comes for a stream that is gone. Whether it was granted once.
    pub(super) fn was_granted(&mut self, len: u32) -> bool {
        let left = self.granted.checked_sub(u64::from(len));
        self.granted = left.unwrap_or(self.granted);
        left.is_some()
    }

    /// A stream that the peer opened was not wanted, or it has reset it itself.
    pub(super) fn refuse(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Whether too much has come already.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        self.refill(now);
        self.left == 0
    }

    /// One more came. False: that was too much.
    pub(super) fn bear(&mut self, now: Time) -> bool {
        self.refill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Time) {
        let seconds = now.since(self.since).as_secs();
        if seconds > 0 {
            self.since = now;
            let more = seconds.saturating_mul(u64::from(USELESS_A_SECOND));
            let left = u64::from(self.left).saturating_add(more);
            self.left = left.min(u64::from(USELESS_AT_ONCE)) as u32;
        }
    }
}

/// More streams than hashicorp's yamux or the Rust crate have under way before they are taken (256), and then some.
const WINDOW: u64 = 1024;
/// A thousand streams that are reset may each have sixteen frames and more under way.
const USELESS_AT_ONCE: u32 = 65_536;
/// Short connections by the thousand each leave a frame or two that come too late; it is 192 KiB of headers a second.
const USELESS_A_SECOND: u32 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    #[test]
    fn an_id_can_be_used_once() {
        let mut used = Used::new();
        assert!(used.take(1));
        assert!(!used.take(1));
        assert!(used.take(7), "the order may be mixed up");
        assert!(used.take(5));
        assert!(!used.take(5));
        assert!(used.take(u32::MAX));
        assert!(!used.take(3), "too old to be sure");
    }

    proptest! {
        #[test]
        fn near_ids_are_told_exactly(ids in prop::collection::vec(0u32..1000, 0..300)) {
            let mut used = Used::new();
            let mut model = BTreeSet::new();
            for id in ids {
                prop_assert_eq!(used.take(2 * id), model.insert(id));
            }
        }
    }

    #[test]
    fn patience_ends_and_comes_back_with_time() {
        let mut patience = Patience::new();
        let start = Time::from_millis(500);
        for _ in 0..USELESS_AT_ONCE {
            assert!(patience.bear(start));
        }
        assert!(!patience.bear(start));
        let later = start + Duration::from_secs(2);
        for _ in 0..2 * USELESS_A_SECOND {
            assert!(patience.bear(later));
        }
        assert!(!patience.bear(later));
    }
}
