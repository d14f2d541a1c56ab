//! What a session is carried on, and what is said on its streams by others than a [`super::Channel`].

use std::io;

use super::{DATA_MAX, Mux};
use crate::base::outbox::Outbox;
use crate::proto::yamux::{FRAME_MAX, StreamId};
use crate::reactor::Cx;
use crate::roles::link::Link;

/// What carries a session: a link, or a layer on one.
pub trait Carrier {
    /// Something waits to be sent: [`Mux::flush`] is to be called as soon as it takes bytes.
    fn want_send(&mut self, cx: &mut Cx<'_>);

    /// Sends what it takes of `out`, in a bounded number of writes, and wants to be called again where there is more.
    fn send(&mut self, cx: &mut Cx<'_>, out: &mut Outbox) -> io::Result<()>;

    /// Whether all that it took has left.
    fn is_flushed(&self) -> bool;

    /// How many bytes it has taken that the peer's machine is not known to have.
    fn under_way(&self, cx: &Cx<'_>) -> u64;

    /// Whether bytes have come since the last call, though it may have been too few to give anything yet.
    fn has_heard(&mut self) -> bool;

    /// Ends our direction, behind all that it took. What can't do that leaves it to its close.
    fn finish(&mut self, _: &mut Cx<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier for Link {
    fn want_send(&mut self, cx: &mut Cx<'_>) {
        self.want_write(cx, true);
    }

    fn send(&mut self, cx: &mut Cx<'_>, out: &mut Outbox) -> io::Result<()> {
        let sent = self.write(cx, [out.pending(), &[]])?;
        out.sent(sent);
        if out.is_empty() {
            self.want_write(cx, false);
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        Self::is_flushed(self)
    }

    fn under_way(&self, cx: &Cx<'_>) -> u64 {
        Self::under_way(self, cx)
    }

    fn has_heard(&mut self) -> bool {
        Self::has_heard(self)
    }

    fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        Self::finish(self, cx)
    }
}

/// Whoever owns the [`Mux`] carries what it says: see [`Mux::pending`].
#[derive(Debug, Default)]
pub struct Owner {
    under_way: u64,
    heard: bool,
}

impl Carrier for Owner {
    fn want_send(&mut self, _: &mut Cx<'_>) {}

    fn send(&mut self, _: &mut Cx<'_>, _: &mut Outbox) -> io::Result<()> {
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        true
    }

    /// As the owner has said last.
    fn under_way(&self, _: &Cx<'_>) -> u64 {
        self.under_way
    }

    /// As the owner has said last.
    fn has_heard(&mut self) -> bool {
        self.heard
    }
}

impl Mux<Owner> {
    /// What is to be carried. The owner tells by [`Mux::took`] how much of it is.
    pub fn pending(&self) -> &[u8] {
        self.out.pending()
    }

    /// The owner has taken so many bytes. Channels that waited for room are read again. Returns the keys of those that
    /// are to be [`Mux::resume`]d.
    pub fn took(&mut self, cx: &mut Cx<'_>, len: usize) -> Vec<u32> {
        self.out.sent(len);
        self.wake(cx)
    }

    /// The owner says, before each [`Mux::tick`], how many of the bytes that it has taken the next machine is not known
    /// to have, with what they are wrapped in, and whether that one has been heard from since.
    pub fn carries(&mut self, under_way: u64, heard: bool) {
        self.carrier = Owner { under_way, heard };
    }
}

impl<C: Carrier> Mux<C> {
    /// Says bytes on a stream as far as it has credit and there is room for them: how many.
    pub fn send(&mut self, cx: &mut Cx<'_>, stream: StreamId, bytes: &[u8]) -> usize {
        self.say(cx);
        let mut taken = 0;
        while taken < bytes.len() {
            let count = self.session.sendable(stream).min(bytes.len() - taken);
            if count == 0 || self.room() == 0 {
                break;
            }
            self.put_frame(stream, &bytes[taken..taken + count]);
            taken += count;
        }
        if taken > 0 {
            self.carrier.want_send(cx);
        }
        taken
    }

    /// How many bytes of frames with data may be added, one frame of the largest at least; 0 where they had better
    /// wait.
    pub(super) fn room(&self) -> usize {
        let room = DATA_MAX.saturating_sub(self.out.len());
        match room < FRAME_MAX {
            true => 0,
            false => room,
        }
    }

    /// [`Mux::flush`] shall return this key when there is room again.
    pub fn await_room(&mut self, key: u32) {
        self.waiting.push_back((key, None));
    }

    /// Nobody waits for room under this key any more.
    pub fn forget_room(&mut self, key: u32) {
        self.waiting.retain(|(other, _)| *other != key);
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        self.session.check_invariants();
        assert!(
            self.waiting.is_empty() || !self.out.is_empty(),
            "nothing will wake those who wait for room"
        );
    }
}
