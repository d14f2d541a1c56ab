//! Bytes that wait for one receiver, in the order in which they came.
//!
//! Small pieces are gathered in chunks, so that many of them cost one allocation and one write; a large piece that has
//! memory of its own is moved in and never copied. What has been taken goes chunk by chunk, and an empty queue holds no
//! memory at all.
//!
//! ```text
//!   consume ─> [....xxxxxx] [xxxxxxxxxxxxxxxxx] [xxxxx.....] <─ push
//!               └ head        moved in, full      └ the tail has room
//! ```

use std::collections::VecDeque;

/// The queue. No chunk in it is empty.
#[derive(Debug, Default)]
pub struct ByteQueue {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk has been taken.
    head: usize,
    len: usize,
    held: usize,
}

impl ByteQueue {
    /// A queue with nothing in it.
    pub const fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            head: 0,
            len: 0,
            held: 0,
        }
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes of memory it takes, those included that are taken already or not used yet.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Adds a copy of these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        let mut rest = bytes;
        if let Some(tail) = self.chunks.back_mut() {
            let before = tail.capacity();
            if before - tail.len() < rest.len() && before < CHUNK_MAX {
                // Doubling: what is copied again costs no more than what is copied once.
                let size = (2 * before).max(tail.len() + rest.len()).min(CHUNK_MAX);
                tail.reserve_exact(size - tail.len());
                self.held += tail.capacity() - before;
            }
            let fits;
            (fits, rest) = rest.split_at(rest.len().min(tail.capacity() - tail.len()));
            tail.extend_from_slice(fits);
        }
        if !rest.is_empty() {
            let mut chunk = Vec::with_capacity(rest.len().max(CHUNK_MIN));
            chunk.extend_from_slice(rest);
            self.add(chunk);
        }
    }

    /// Puts a copy of these bytes in front of all others.
    pub fn push_front(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(first) = self.chunks.front_mut() {
            first.drain(..std::mem::take(&mut self.head));
        }
        self.len += bytes.len();
        self.held += bytes.len();
        self.chunks.push_front(bytes.to_vec());
    }

    /// Adds bytes that have memory of their own, and keeps them there, unless they are so few that a copy is cheaper.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if bytes.len() < OWNED_MIN {
            return self.push(&bytes);
        }
        if let Some(tail) = self.chunks.back_mut()
            && tail.capacity() > 2 * tail.len()
        {
            // Nothing is added to it any more: what it has no use for must not stay behind with each large piece.
            self.held -= tail.capacity();
            tail.shrink_to_fit();
            self.held += tail.capacity();
        }
        self.len += bytes.len();
        self.add(bytes);
    }

    /// The first bytes that wait, for one write. The second slice is empty only where all that waits is in the first.
    pub fn front(&self) -> [&[u8]; 2] {
        let mut chunks = self.chunks.iter().map(Vec::as_slice);
        let first = chunks.next().unwrap_or_default();
        [&first[self.head..], chunks.next().unwrap_or_default()]
    }

    /// Takes the first `count` bytes out.
    ///
    /// # Panics
    /// If fewer wait.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len, "more is taken than waits");
        self.len -= count;
        self.head += count;
        while let Some(first) = self.chunks.front()
            && self.head >= first.len()
        {
            self.head -= first.len();
            self.held -= first.capacity();
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    fn add(&mut self, chunk: Vec<u8>) {
        self.held += chunk.capacity();
        self.chunks.push_back(chunk);
    }
}

/// A chunk in which pieces are gathered has so many bytes at first, and grows up to so many.
const CHUNK_MIN: usize = 1 << 10;
const CHUNK_MAX: usize = 64 << 10;
/// Fewer bytes than this are copied into a chunk with others.
const OWNED_MIN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        PushOwned(usize, usize),
        PushFront(usize),
        Consume(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..3000).prop_map(Step::Push),
            (0usize..300).prop_map(Step::Push),
            (0usize..10_000, 0usize..100).prop_map(|(len, spare)| Step::PushOwned(len, spare)),
            (0usize..300).prop_map(Step::PushFront),
            (0usize..15_000).prop_map(Step::Consume),
        ]
    }

    proptest! {
        #[test]
        fn it_is_as_its_model(steps in vec(step(), 0..40)) {
            let (mut queue, mut model) = (ByteQueue::new(), VecDeque::new());
            let mut next = 0u8;
            let mut bytes = |len: usize| -> Vec<u8> {
                (0..len).map(|_| { next = next.wrapping_mul(5).wrapping_add(1); next }).collect()
            };
            for step in steps {
                match step {
                    Step::Push(len) => {
                        let bytes = bytes(len);
                        queue.push(&bytes);
                        model.extend(bytes);
                    }
                    Step::PushOwned(len, spare) => {
                        let mut bytes = bytes(len);
                        model.extend(&bytes);
                        bytes.reserve_exact(spare);
                        let at = bytes.as_ptr();
                        queue.push_owned(bytes);
                        let moved = queue.chunks.back().is_some_and(|tail| tail.as_ptr() == at);
                        prop_assert_eq!(moved, len >= OWNED_MIN);
                    }
                    Step::PushFront(len) => {
                        let bytes = bytes(len);
                        queue.push_front(&bytes);
                        bytes.iter().rev().for_each(|byte| model.push_front(*byte));
                    }
                    Step::Consume(count) => {
                        let count = count.min(model.len());
                        queue.consume(count);
                        model.drain(..count);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                let held: usize = queue.chunks.iter().map(Vec::capacity).sum();
                prop_assert_eq!(queue.held(), held);
                prop_assert!(held <= 2 * model.len() + 2 * CHUNK_MAX);
                let waiting: &[u8] = model.make_contiguous();
                let chunks: Vec<&[u8]> = queue.chunks.iter().map(Vec::as_slice).collect();
                prop_assert!(chunks.concat()[queue.head..] == *waiting);
                let [first, second] = queue.front();
                prop_assert!(waiting.starts_with(&[first, second].concat()));
                prop_assert!(waiting.is_empty() || !first.is_empty());
                prop_assert!(!second.is_empty() || first.len() == waiting.len());
            }
        }
    }

    #[test]
    fn many_small_pieces_are_few_chunks_and_nothing_is_kept_when_all_is_taken() {
        let mut queue = ByteQueue::new();
        for _ in 0..1000 {
            queue.push(&[7; 128]);
        }
        assert_eq!(queue.chunks.len(), 2);
        assert!(queue.held() <= queue.len() + CHUNK_MAX);
        queue.consume(128_000);
        assert_eq!((queue.held(), queue.chunks.capacity()), (0, 0));
    }
}
