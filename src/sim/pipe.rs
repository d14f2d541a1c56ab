//! One direction of a connection: bytes from the sender's buffer to the receiver's. Knows no time and no socket.
//!
//! ```text
//! push ->  sending (the first `released` of them have crossed the line)  -> flow -> arrived -> pull
//! ```
//!
//! A byte leaves `sending` when it lands in `arrived`; that is the acknowledgement. What has crossed the line and finds
//! no room in `arrived` stays in `sending`: a closed window.

use std::collections::VecDeque;

use crate::base::time::Time;

#[derive(Debug)]
pub(super) struct Pipe {
    sending: VecDeque<u8>,
    released: usize,
    arrived: VecDeque<u8>,
    send_max: usize,
    receive_max: usize,
    end: End,
    /// What was unacknowledged when the connection died.
    lost: usize,
    /// When the last thing under way arrives: nothing overtakes it.
    pub(super) last: Time,
    /// Since when what waits has waited: the latest moment at which some of it landed, or there was nothing before.
    pub(super) waiting_since: Time,
    /// News of room at the receiver is on its way to the sender.
    pub(super) update_due: bool,
}

/// Where the FIN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    Pushed,
    Released,
    Arrived,
}

impl Pipe {
    pub(super) fn new(send_max: usize, receive_max: usize) -> Self {
        Self {
            sending: VecDeque::new(),
            released: 0,
            arrived: VecDeque::new(),
            send_max: send_max.max(1),
            receive_max: receive_max.max(1),
            end: End::None,
            lost: 0,
            last: Time::ZERO,
            waiting_since: Time::ZERO,
            update_due: false,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.send_max - self.sending.len()
    }

    /// Whether the sender is told that there is room: from a third of the buffer on, as in Linux.
    pub(super) fn has_space(&self) -> bool {
        self.room() * 3 >= self.send_max
    }

    /// Takes what there is room for.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.sending.extend(&bytes[..taken]);
        taken
    }

    pub(super) fn push_end(&mut self) {
        debug_assert_eq!(self.end, End::None);
        self.end = End::Pushed;
    }

    /// So many more bytes have crossed the line.
    pub(super) fn release(&mut self, bytes: usize) {
        self.released = (self.released + bytes).min(self.sending.len());
    }

    pub(super) fn release_end(&mut self) {
        if self.end == End::Pushed {
            self.end = End::Released;
        }
    }

    /// Lets what has crossed the line land. Returns whether anything, a byte or the end, did.
    pub(super) fn flow(&mut self) -> bool {
        let count = self.released.min(self.receive_max - self.arrived.len());
        let [first, second] = front(&self.sending, count);
        self.arrived.extend(first);
        self.arrived.extend(second);
        self.sending.drain(..count);
        self.released -= count;
        let end = self.end == End::Released && self.sending.is_empty();
        if end {
            self.end = End::Arrived;
        }
        count > 0 || end
    }

    /// Takes from what has arrived as much as fits.
    pub(super) fn pull(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.arrived.len());
        let [first, second] = front(&self.arrived, count);
        into[..first.len()].copy_from_slice(first);
        into[first.len()..count].copy_from_slice(second);
        self.arrived.drain(..count);
        count
    }

    /// The connection is dead: nothing more crosses the line. What has arrived can still be read.
    pub(super) fn kill(&mut self) {
        self.lost = self.unacknowledged();
        self.sending.clear();
        self.released = 0;
        if self.end != End::Arrived {
            self.end = End::None;
        }
    }

    pub(super) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Whether something has crossed the line and waits for room.
    pub(super) fn window_closed(&self) -> bool {
        self.released > 0
    }

    /// Whether the sender has ended its direction.
    pub(super) fn is_shut(&self) -> bool {
        self.end != End::None
    }

    /// Whether the end has landed, though bytes may have to be read before it.
    pub(super) fn end_arrived(&self) -> bool {
        self.end == End::Arrived
    }

    /// Bytes that have not landed, the end counted as one. A connection's death changes nothing of that, as in Linux.
    pub(super) fn unacknowledged(&self) -> usize {
        self.lost
            + self.sending.len()
            + usize::from(matches!(self.end, End::Pushed | End::Released))
    }
}

/// The first `count` bytes, in two pieces.
fn front(bytes: &VecDeque<u8>, count: usize) -> [&[u8]; 2] {
    let (first, second) = bytes.as_slices();
    let before = first.len().min(count);
    [&first[..before], &second[..count - before]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_receiver_closes_the_window() {
        let mut pipe = Pipe::new(6, 4);
        assert_eq!(pipe.push(b"abcdefgh"), 6);
        pipe.push_end();
        assert!(!pipe.flow(), "nothing has crossed the line");
        pipe.release(6);
        pipe.release_end();
        assert!(pipe.flow());
        assert_eq!(
            (pipe.arrived(), pipe.unacknowledged(), pipe.window_closed()),
            (4, 3, true)
        );
        let mut into = [0; 8];
        assert_eq!(pipe.pull(&mut into), 4);
        assert!(!pipe.end_arrived());
        assert!(pipe.flow());
        assert_eq!(
            (pipe.arrived(), pipe.unacknowledged(), pipe.end_arrived()),
            (2, 0, true)
        );
    }

    #[test]
    fn what_was_lost_is_counted_once() {
        let mut pipe = Pipe::new(9, 9);
        pipe.push(b"abc");
        pipe.push_end();
        // Each end of a connection may die, and both pipes die with each.
        pipe.kill();
        pipe.kill();
        assert_eq!(pipe.unacknowledged(), 4);
    }

    #[test]
    fn space_is_announced_from_a_third_on() {
        let mut pipe = Pipe::new(9, 9);
        pipe.push(&[0; 7]);
        assert!(!pipe.has_space());
        pipe.release(1);
        pipe.flow();
        assert!(pipe.has_space());
    }
}
