//! Lives in which somebody was judged by a time in which nothing waited for it, or nothing was sent to it.

use super::demanding_tests::{gone, lines, listen, live_to_the_end, stalled};
use super::*;
use crate::roles::relay::Reason;
use crate::roles::relay::config::{Slow, Source as From};
use crate::sim::Ending;

/// The feed was quiet for long, and then its last bytes came, more than a kernel takes: whoever has to take them has
/// `--hold` for it from the end on, however long ago its last byte was. It is far away.
#[test]
fn a_guest_of_a_quiet_feed_has_its_time_at_the_end() {
    for (slow, takes) in [
        (Slow::Drop, true),
        (Slow::Skip, true),
        (Slow::Drop, false),
        (Slow::Block, true),
    ] {
        let mut scenario = lines(listen(), slow);
        scenario.config.source = From::Stdin;
        scenario.config.hold = Duration::from_secs(2);
        scenario.config.ring = 64 << 10;
        (scenario.faults.send_buffer, scenario.faults.receive_buffer) = (1 << 10, 16 << 10);
        scenario.faults.delay = Duration::from_millis(900);
        let life = &mut scenario.lives[0][0];
        life.at = Duration::from_millis(10_500);
        life.source.to = if takes { 4_000 } else { 30_000 };
        life.source.ending = Ending::Close;
        if !takes {
            scenario.guests[0] = vec![stalled()];
        }
        let (_, counts) = live_to_the_end(scenario);
        assert_eq!(gone(&counts, Reason::Drained), u64::from(takes), "{slow:?}");
        assert_eq!(gone(&counts, Reason::Stalled), u64::from(!takes));
    }
}
