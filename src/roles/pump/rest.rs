//! What is left of a channel whose session is gone: its stream had ended, and its other end has not got all of it yet.
//! For that no session is needed.
//!
//! ```text
//!   queue ──> link         until all of it is taken, and the peer's kernel has it
//!   nowhere <── link       read all the same, since who can't go on writing may not read either
//! ```

use super::channel::{Channel, End, Ending, Outcome};
use crate::base::byte_queue::ByteQueue;
use crate::base::time::Time;
use crate::base::units::Count;
use crate::proto::yamux::StreamId;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::link::Link;

impl Channel {
    /// Whether its stream has ended, and the other end has yet to get something of it.
    pub fn is_owed(&self, cx: &Cx<'_>) -> bool {
        match (&self.end, self.ending) {
            (_, Ending::Open) | (End::Echo, _) => false,
            (End::Coming | End::Link(_), Ending::Due) => true,
            (End::Coming, Ending::Done) => false,
            (End::Link(link), Ending::Done) => cx.unacknowledged(link.sock()).unwrap_or(0) > 0,
        }
    }

    /// Its session is gone. It is no channel of any [`super::Mux`]'s from now on.
    pub fn part(&mut self, cx: &mut Cx<'_>) {
        self.alone = true;
        self.waiting = false;
        self.paused = false;
        if let End::Link(link) = &mut self.end {
            link.want_read(cx, true);
        }
    }

    /// What is left of a connection that was no stream's: what is queued, and then the end. `bytes` went from where
    /// that came from to the other end, and the other way. Where the other end is still to come, it gets its link by
    /// [`Channel::connect`].
    pub fn left(
        cx: &mut Cx<'_>,
        key: u32,
        link: Option<Link>,
        queue: ByteQueue,
        bytes: (u64, u64),
    ) -> Self {
        let mut channel = Self::new(StreamId::NONE, key);
        (channel.from_stream, channel.to_stream) = bytes;
        channel.queue = queue;
        channel.ending = Ending::Due;
        channel.note_oldest(cx.now());
        if let Some(mut link) = link {
            link.want_write(cx, !channel.queue.is_empty());
            channel.end = End::Link(link);
        }
        channel.part(cx);
        channel
    }

    /// Whether its session is gone.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Where its session is gone: the other end's socket, and how many bytes of the stream that gets in all.
    pub fn owed_in_all(&self) -> Option<(SockId, u64)> {
        let sock = self.sock().filter(|_| self.alone)?;
        Some((sock, self.from_stream + self.queued() as u64))
    }

    /// As [`super::Mux::link_readable`], without a session: what the link says is thrown away.
    pub fn read_away(&mut self, cx: &mut Cx<'_>) -> Outcome {
        let End::Link(link) = &mut self.end else {
            return Outcome::Going;
        };
        match link.read(cx, &mut [0; READ_AWAY]) {
            Ok(None) => Outcome::Going,
            Ok(Some(0)) => {
                self.read_ended = true;
                self.outcome()
            }
            Ok(Some(_)) => {
                self.thrown_away = true;
                Outcome::Going
            }
            Err(error) => Outcome::Broken(error),
        }
    }

    /// As [`super::Mux::link_writable`], without a session.
    pub fn deliver(&mut self, cx: &mut Cx<'_>) -> Outcome {
        match self.write_out(cx) {
            Ok(_) => self.end_if_due(cx),
            Err(error) => Outcome::Broken(error),
        }
    }

    /// Whether the other end's kernel has all that is owed to it, though it has not ended itself, and how it is to be
    /// closed then: by a reset if it has said something that went nowhere.
    fn is_delivered(&self, cx: &Cx<'_>) -> Option<Close> {
        let has_all = self.ending == Ending::Done && !self.is_owed(cx);
        has_all.then_some(match self.thrown_away {
            true => Close::Reset,
            false => Close::Orderly,
        })
    }

    /// Writes what the other end takes of the queue. Returns how many bytes of the stream that were.
    pub(super) fn write_out(&mut self, cx: &mut Cx<'_>) -> std::io::Result<usize> {
        let End::Link(link) = &mut self.end else {
            return Ok(0);
        };
        let count = link.write(cx, self.queue.front())?;
        self.queue.consume(count);
        if self.queue.is_empty() {
            link.want_write(cx, false);
        }
        let of_stream = self.taken(count);
        self.note_oldest(cx.now());
        Ok(of_stream)
    }

    /// Remembers when the oldest bytes came, as far as the queue is concerned: a mark stands behind all that had come
    /// at some moment, and the next one is set when it is passed.
    pub(super) fn note_oldest(&mut self, now: Time) {
        if self.from_stream >= self.oldest.1 {
            self.oldest = (now, self.from_stream + self.queued() as u64);
        }
    }
}

/// A role that has channels, each under a key of its own, which may outlive their session.
pub trait Channels {
    /// All of them, whether their session is there or not.
    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone;

    /// The one with this key.
    fn channel_mut(&mut self, key: usize) -> Option<&mut Channel>;

    /// The session of these is gone: those of which the other end is owed something live on without.
    fn part(&mut self, cx: &mut Cx<'_>, keys: Vec<usize>) -> Parted {
        let mut parted = Parted::default();
        for key in keys {
            match self.channel_mut(key).filter(|channel| channel.is_owed(cx)) {
                Some(channel) => {
                    channel.part(cx);
                    parted.owed += 1;
                }
                None => parted.cut.push(key),
            }
        }
        parted
    }

    /// The one with this key, where its session is gone.
    fn alone(&mut self, key: usize) -> Option<&mut Channel> {
        self.channel_mut(key).filter(|channel| channel.is_alone())
    }

    /// Bytes that sessions which are gone have left for those that live on.
    fn owed(&self) -> usize {
        let alone = self.channels().filter(|(_, channel)| channel.is_alone());
        alone.map(|(_, channel)| channel.queued()).sum()
    }

    /// Of those that live on the one to reset where all of them hold too much, see [`hindmost`].
    fn hindmost_alone(&self) -> Option<usize> {
        hindmost(self.channels().filter(|(_, channel)| channel.is_alone()))
    }

    /// Those that live on and whose other ends have all that they are owed, though they have not ended themselves; and
    /// how each is to be closed. To be asked each second or so.
    fn delivered(&self, cx: &Cx<'_>) -> Vec<(usize, Close)> {
        let alone = self.channels().filter(|(_, channel)| channel.is_alone());
        alone
            .filter_map(|(key, channel)| Some((key, channel.is_delivered(cx)?)))
            .collect()
    }

    /// Whether somebody would outlive its session, if that went now. For tests and the simulator.
    fn owes(&self, cx: &Cx<'_>) -> bool {
        let is_owed = |channel: &Channel| !channel.is_alone() && channel.is_owed(cx);
        self.channels().any(|(_, channel)| is_owed(channel))
    }

    /// Those who outlive their session: the socket of each, and how many bytes of its stream it gets in all. For tests
    /// and the simulator.
    fn outliving(&self) -> impl Iterator<Item = (SockId, u64)> {
        self.channels()
            .filter_map(|(_, channel)| channel.owed_in_all())
    }
}

/// What becomes of channels whose session is gone.
#[derive(Debug, Default)]
#[must_use]
pub struct Parted {
    /// The keys of those that can't do without it: they are to be reset.
    pub cut: Vec<usize>,
    /// How many live on.
    pub owed: usize,
}

impl Parted {
    /// "2 clients reset, 1 still reads"
    pub fn told(&self, noun: &'static str) -> String {
        let reset = Count(self.cut.len(), noun);
        match self.owed {
            0 => format!("{reset} reset"),
            1 => format!("{reset} reset, 1 still reads"),
            owed => format!("{reset} reset, {owed} still read"),
        }
    }
}

/// Of these channels the one to reset where all of them together hold too much, see [`longest_waiting`].
pub fn hindmost<'a>(channels: impl Iterator<Item = (usize, &'a Channel)> + Clone) -> Option<usize> {
    longest_waiting(channels.map(|(key, channel)| (key, channel.queued(), channel.oldest.0)))
}

/// Of connections, each with the bytes that it holds and the moment since which they wait, the one to reset where all
/// of them together hold too much: among those that hold at least half of what a holder holds on average, so that it
/// frees something, the one whose bytes have waited for the longest. A fast reader may hold the most, but not for long.
pub fn longest_waiting(
    connections: impl Iterator<Item = (usize, usize, Time)> + Clone,
) -> Option<usize> {
    let holders = connections.filter(|(_, held, _)| *held > 0);
    let (count, sum) = holders
        .clone()
        .fold((0, 0), |(count, sum), (_, held, _)| (count + 1, sum + held));
    let substantial = holders.filter(|(_, held, _)| 2 * count * held >= sum);
    let longest = substantial.min_by_key(|(_, held, since)| (*since, usize::MAX - held));
    longest.map(|(key, ..)| key)
}

/// One read of what goes nowhere.
const READ_AWAY: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::yamux::{Session, Side};
    use std::time::Duration;

    /// A channel that has been given so many bytes at each of these moments, and of which as many were taken then.
    fn channel(key: u32, steps: &[(u64, usize, usize)]) -> Channel {
        let mut session = Session::new(Side::Server, Default::default(), Time::ZERO);
        let stream = session
            .open(Time::ZERO, key)
            .expect("nothing is in the way");
        let mut channel = Channel::new(stream, key);
        for &(millis, given, taken) in steps {
            let now = Time::ZERO + Duration::from_millis(millis);
            channel.queue.push(&vec![0; given]);
            channel.note_oldest(now);
            channel.queue.consume(taken);
            channel.taken(taken);
            channel.note_oldest(now);
        }
        channel
    }

    fn chosen(channels: &[Channel]) -> Option<usize> {
        hindmost(channels.iter().enumerate())
    }

    /// A fast reader may hold the most at the moment at which the limit is reached.
    #[test]
    fn who_has_read_nothing_for_long_goes_before_one_that_holds_more_and_reads() {
        let mut steady = vec![(0, 400, 0)];
        steady.extend((1..100).map(|second| (1000 * second, 100, 100)));
        let stalled = [(10_000, 200, 0)];
        let idle = [(0, 1, 0)];
        let burst = [(99_000, 900, 0)];
        let mut channels = vec![
            channel(0, &idle),
            channel(1, &steady),
            channel(2, &stalled),
            channel(3, &burst),
        ];
        assert_eq!(chosen(&channels), Some(2));
        channels.remove(2);
        assert_eq!(chosen(&channels), Some(1), "its bytes wait for seconds");
        assert_eq!(chosen(&channels[..1]), Some(0));
        assert_eq!(chosen(&[]), None);
    }

    /// A reader that takes a byte now and then does not look fast for it.
    #[test]
    fn a_trickle_is_no_reading() {
        let mut trickle = vec![(0, 900, 0)];
        trickle.extend((1..100).map(|second| (1000 * second, 1, 1)));
        let stalled = [(50_000, 900, 0)];
        let channels = [channel(0, &stalled), channel(1, &trickle)];
        assert_eq!(chosen(&channels), Some(1));
    }

    #[test]
    fn of_those_that_have_waited_as_long_the_one_that_holds_the_most_goes() {
        let held = [500, 700, 600];
        let channels = held.map(|held| channel(0, &[(7, held, 0)]));
        assert_eq!(chosen(&channels), Some(1));
    }
}
