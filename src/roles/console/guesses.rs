//! Wrong tokens, counted by who said them, so that nobody can try them all, and nobody is locked out by others.
//! Whatever else nobody may do again and again is counted in the same way.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::access::caller;
use crate::base::time::Time;

/// Who has done it how often, and since when.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    callers: BTreeMap<IpAddr, (u32, Time)>,
}

impl Guesses {
    /// Whether somebody may do it. Whoever may not say a token is not told whether it would have been the right one.
    pub(super) fn may(&self, from: IpAddr, now: Time) -> bool {
        let said = self.callers.get(&caller(from));
        said.is_none_or(|(count, since)| *count < WRONG_MAX || now.since(*since) > WRONG_FOR)
    }

    /// One more of what is counted. Whether no other one is looked at for a while.
    pub(super) fn count(&mut self, from: IpAddr, now: Time) -> bool {
        self.callers
            .retain(|_, (_, since)| now.since(*since) <= WRONG_FOR);
        let from = caller(from);
        if self.callers.len() >= CALLERS_MAX && !self.callers.contains_key(&from) {
            let oldest = self.callers.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(oldest) = oldest.map(|(who, _)| *who) {
                self.callers.remove(&oldest);
            }
        }
        let (count, _) = self.callers.entry(from).or_insert((0, now));
        *count += 1;
        *count == WRONG_MAX
    }
}

/// How often one caller may within a minute: after so many wrong tokens, say, none of that caller's is looked at.
pub(super) const WRONG_MAX: u32 = 20;
/// How long that is remembered.
const WRONG_FOR: Duration = Duration::from_secs(60);
/// Callers that are told apart; one more takes the place of the oldest.
const CALLERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(ip: &str) -> IpAddr {
        ip.parse().unwrap()
    }

    #[test]
    fn each_caller_has_guesses_of_its_own() {
        let mut guesses = Guesses::default();
        let (now, bad) = (Time::ZERO, peer("2001:db8::1"));
        for count in 1..=WRONG_MAX {
            assert!(guesses.may(bad, now));
            assert_eq!(guesses.count(bad, now), count == WRONG_MAX);
        }
        assert!(!guesses.may(bad, now));
        assert!(!guesses.may(peer("2001:db8::2"), now), "the same /64");
        assert!(guesses.may(peer("2001:db8:0:1::1"), now) && guesses.may(peer("10.0.0.1"), now));
        assert!(!guesses.may(bad, now + WRONG_FOR));
        let later = now + WRONG_FOR + Duration::from_millis(1);
        assert!(guesses.may(bad, later));
        guesses.count(bad, later);
        assert!(guesses.may(bad, later), "it is counted afresh");
    }

    #[test]
    fn callers_are_bounded() {
        let mut guesses = Guesses::default();
        for number in 0..2 * CALLERS_MAX as u32 {
            guesses.count(Ipv4Addr::from_bits(number).into(), Time::ZERO);
        }
        assert_eq!(guesses.callers.len(), CALLERS_MAX);
        // The one that goes first makes room for others alone.
        let oldest = Ipv4Addr::from_bits(CALLERS_MAX as u32).into();
        for count in 2..=WRONG_MAX {
            assert_eq!(guesses.count(oldest, Time::ZERO), count == WRONG_MAX);
        }
        assert_eq!(guesses.callers.len(), CALLERS_MAX);
    }
}
