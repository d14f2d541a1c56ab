//! The ring against the plainest thing that could stand for it: all bytes ever written, and two offsets.

use crate::base::ring::{Lagged, Ring};
use crate::fuzz::script::Script;

/// Writes, rewinds and reads as the script says, and compares the ring with the model after each step.
pub fn ring(data: &[u8]) {
    let mut script = Script::new(data);
    let capacity = 1 + script.pick(40);
    let page = 1 << (capacity % 4);
    let mut pair = Pair {
        ring: Ring::with_page(capacity, page),
        model: Model::new(capacity, page),
    };
    while !script.is_empty() {
        match script.pick(9) {
            0 => pair.rewind(&mut script),
            7 => pair.remove(&mut script),
            1..=4 => pair.write(&mut script),
            5 => pair.write_without_loss(&mut script),
            6 => pair.reserve_in_vain(&mut script),
            _ => pair.read(&mut script),
        }
        pair.check();
    }
}

struct Pair {
    ring: Ring,
    model: Model,
}

struct Model {
    capacity: usize,
    page: usize,
    written: Vec<u8>,
    tail: u64,
    /// The offset that was written at place 0 in the latest lap that a rewind began, or would have been.
    origin: u64,
}

impl Model {
    fn new(capacity: usize, page: usize) -> Self {
        Self {
            capacity,
            page,
            written: Vec::new(),
            tail: 0,
            origin: 0,
        }
    }

    fn head(&self) -> u64 {
        self.written.len() as u64
    }

    /// The place of the next write.
    fn place(&self) -> usize {
        ((self.head() - self.origin) % self.capacity as u64) as usize
    }

    /// How much room a reserve gives, and what it costs.
    fn reserve(&mut self, max: usize) -> usize {
        let size = max.min(self.capacity - self.place());
        let kept_from = (self.head() + size as u64).saturating_sub(self.capacity as u64);
        self.tail = self.tail.max(kept_from);
        size
    }

    fn read_up_to(&self, cursor: u64, max: usize) -> Result<&[u8], Lagged> {
        if cursor < self.tail {
            return Err(Lagged { tail: self.tail });
        }
        let bytes = &self.written[cursor as usize..];
        Ok(&bytes[..max.min(bytes.len())])
    }
}

impl Pair {
    fn write(&mut self, script: &mut Script<'_>) {
        let max = script.pick(self.model.capacity + 4);
        let part = script.take_u8();
        self.write_at_most(max, part);
    }

    /// A writer that minds a reader: what it asked to keep must still be there.
    fn write_without_loss(&mut self, script: &mut Script<'_>) {
        let keep_from = self.model.tail + script.pick(self.ring.len() + 2) as u64;
        let room = self.ring.room(keep_from);
        let kept = self.model.head().saturating_sub(keep_from) as usize;
        assert_eq!(room, self.model.capacity - kept);
        self.write_at_most(room, script.take_u8());
        assert!(self.ring.tail() <= keep_from);
    }

    /// Reserves, scribbles over all of the room, and commits a part of it.
    fn write_at_most(&mut self, max: usize, part: u8) {
        let size = self.model.reserve(max);
        let room = self.ring.reserve(max);
        assert_eq!(room.len(), size);
        let mut stamp = self.model.written.len() as u64;
        for byte in room.iter_mut() {
            stamp = stamp
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            *byte = (stamp >> 56) as u8;
        }
        let committed = size - usize::from(part) % (size + 1);
        self.model.written.extend_from_slice(&room[..committed]);
        self.ring.commit(committed);
    }

    fn reserve_in_vain(&mut self, script: &mut Script<'_>) {
        let max = script.pick(self.model.capacity + 4);
        let size = self.model.reserve(max);
        assert_eq!(self.ring.tail_after(max), self.model.tail);
        let room = self.ring.reserve(max);
        assert_eq!(room.len(), size);
        room.fill(0xee);
    }

    fn rewind(&mut self, script: &mut Script<'_>) {
        let keep_from = self
            .model
            .head()
            .saturating_sub(script.pick(self.model.capacity + 4) as u64);
        let kept = self.model.head() - keep_from.max(self.model.tail);
        if let Some(start) = (self.model.place() as u64).checked_sub(kept) {
            self.model.tail = self.model.head() - kept;
            let first = self.model.tail % self.model.page as u64;
            if first < start {
                self.model.origin = self.model.tail - first;
            }
        }
        self.ring.rewind(keep_from);
        assert_eq!(self.ring.place(), self.model.place());
    }

    fn remove(&mut self, script: &mut Script<'_>) {
        let held = (self.model.head() - self.model.tail) as usize;
        let at = script.pick(held + 1);
        let count = script.pick(held - at + 1);
        let offset = self.model.tail as usize + at;
        self.model.written.drain(offset..offset + count);
        let (from, to) = ((offset + count) as u64, offset as u64);
        let after = (self.ring.head() - from) as usize;
        self.ring.move_up(from, to, after);
        self.ring.truncate(to + after as u64);
    }

    fn read(&mut self, script: &mut Script<'_>) {
        let cursor = self
            .model
            .head()
            .saturating_sub(script.pick(self.model.capacity + 4) as u64);
        self.compare(cursor, script.pick(self.model.capacity + 4));
    }

    fn compare(&self, cursor: u64, max: usize) {
        let read = self.ring.read_up_to(cursor, max);
        let expected = self.model.read_up_to(cursor, max);
        assert_eq!(
            read.map(|slices| slices.concat()),
            expected.map(<[u8]>::to_vec)
        );
        if let Ok([first, second]) = read {
            assert!(
                second.is_empty() || !first.is_empty(),
                "the first slice fills first"
            );
        }
    }

    fn check(&self) {
        let (ring, model) = (&self.ring, &self.model);
        assert_eq!((ring.tail(), ring.head()), (model.tail, model.head()));
        assert_eq!(ring.len() as u64, model.head() - model.tail);
        assert_eq!(ring.is_empty(), model.head() == model.tail);
        assert!(ring.len() <= ring.capacity());
        assert_eq!(ring.room(model.tail), ring.capacity() - ring.len());
        self.compare(model.tail, usize::MAX);
        self.compare(model.tail.saturating_sub(1), usize::MAX);
        let all = ring.read(model.tail).map(|slices| slices.concat());
        assert_eq!(all.as_deref(), Ok(&model.written[model.tail as usize..]));
    }
}
