//! What the relay writes on its sockets and timers, so that an event says whose it is.

use crate::roles::tags::{pack, unpack};

/// What a socket is to the relay. It stands on the socket, in its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Upgrade,
    Upstream,
    Standby,
    UpstreamListener,
    OutputListener,
    Dump,
    Handshake,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Client,
        Self::Upgrade,
        Self::Upstream,
        Self::Standby,
        Self::UpstreamListener,
        Self::OutputListener,
        Self::Dump,
        Self::Handshake,
    ];

    pub(super) fn tag(self, index: u32) -> u32 {
        pack(self as u32, index as usize)
    }

    pub(super) fn of(tag: u32) -> (Self, u32) {
        let (kind, index) = unpack(tag);
        (Self::ALL[kind as usize], index as u32)
    }
}

/// What a timer is to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    Stock,
    Stats,
    UpstreamRetry,
    StandbyRetry,
    StandbyIdle,
    OutputRetry,
    Idle,
    Sample,
    Hold,
    Ahead,
    Acks,
    Poll,
    Upgrade,
    Deadline,
    Handshake,
    Ping,
}

impl Tick {
    const ALL: [Self; 16] = [
        Self::Stock,
        Self::Stats,
        Self::UpstreamRetry,
        Self::StandbyRetry,
        Self::StandbyIdle,
        Self::OutputRetry,
        Self::Idle,
        Self::Sample,
        Self::Hold,
        Self::Ahead,
        Self::Acks,
        Self::Poll,
        Self::Upgrade,
        Self::Deadline,
        Self::Handshake,
        Self::Ping,
    ];

    pub(super) fn tag(self, index: u32) -> u32 {
        pack(self as u32, index as usize)
    }

    pub(super) fn of(tag: u32) -> (Self, u32) {
        let (tick, index) = unpack(tag);
        (Self::ALL[tick as usize], index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_as_they_were() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.tag(9_999)), (kind, 9_999));
        }
        for tick in Tick::ALL {
            assert_eq!(Tick::of(tick.tag(3)), (tick, 3));
        }
    }
}
