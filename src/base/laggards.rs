//! Who is behind: finds, among the clients that have not taken everything, those the ring has overtaken and the one
//! that is furthest behind.
//!
//! It owns a heap of lower bounds and refuses to be told of progress: a client that takes bytes touches nothing here.
//! Its entry goes stale, still being a bound because cursors only grow, and is put right when it comes to the top. So
//! what is spent follows the clients at the edge and never all that are connected.
//!
//! ```text
//!                 ring       tail ================================ head
//!   bounds   b1 ... b2 ......   ...... b3
//!            |      +-- really here --------------> c2     put back, with c2 as its bound
//!            +-- really here, or here: c1                  overtaken, and handed to the caller
//! ```
//!
//! The contract: the caller keeps the real cursors, and for each client a flag that says whether it is in the heap. It
//! sets the flag with [`Laggards::push`]; it clears it for a client that [`Laggards::pop_below`] returns, and within
//! the closure whenever that answers [`Real::Gone`], which is how a client that caught up leaves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Where a client really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Real {
    /// Behind, with this cursor.
    At(u64),
    /// No longer behind, or no longer there. Its entry is dropped, and the caller must take note of it.
    Gone,
}

/// The clients that are behind, under keys of the caller's choice. Clients with equal bounds come up by key.
#[derive(Debug)]
pub struct Laggards<K> {
    heap: BinaryHeap<Reverse<(u64, K)>>,
}

impl<K: Copy + Ord> Laggards<K> {
    /// Nobody is behind.
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }

    /// Entries held, the stale ones counted.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// A client falls behind; its cursor is `cursor` now and will never be less. O(log n). Pushing one that is in the
    /// heap already does no harm but costs an entry.
    pub fn push(&mut self, cursor: u64, key: K) {
        self.heap.push(Reverse((cursor, key)));
    }

    /// Takes out one client whose cursor is below `tail`; called until it returns `None`, it finds them all. O(log n)
    /// for each entry whose bound is below `tail`, and no such entry is left over for the next call.
    pub fn pop_below(&mut self, tail: u64, real: impl FnMut(K) -> Real) -> Option<K> {
        let Reverse((bound, _)) = self.heap.peek()?;
        if *bound >= tail {
            return None;
        }
        self.find_below(tail, real)
    }

    #[inline(never)]
    fn find_below(&mut self, tail: u64, mut real: impl FnMut(K) -> Real) -> Option<K> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let Reverse((bound, key)) = *top;
            if bound >= tail {
                return None;
            }
            match real(key) {
                Real::At(cursor) if cursor >= tail => *top = Reverse((cursor, key)),
                Real::At(_) => {
                    PeekMut::pop(top);
                    return Some(key);
                }
                Real::Gone => {
                    PeekMut::pop(top);
                }
            }
        }
    }

    /// The least cursor of all who are behind. O(log n) for each entry that had gone stale below it, which is then put
    /// right, so asking again costs nothing.
    pub fn min(&mut self, real: impl FnMut(K) -> Real) -> Option<u64> {
        self.hindmost(real).map(|(cursor, _)| cursor)
    }

    /// The same cursor, and whose it is.
    pub fn hindmost(&mut self, mut real: impl FnMut(K) -> Real) -> Option<(u64, K)> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let Reverse((bound, key)) = *top;
            match real(key) {
                Real::At(cursor) if cursor > bound => *top = Reverse((cursor, key)),
                Real::At(cursor) => return Some((cursor, key)),
                Real::Gone => {
                    PeekMut::pop(top);
                }
            }
        }
    }

    /// Keeps only the entries that `keep` names. O(n): for a sweep once the heap has outgrown those who are behind.
    pub fn retain(&mut self, mut keep: impl FnMut(K) -> bool) {
        self.heap.retain(|entry| keep(entry.0.1));
    }
}

impl<K: Copy + Ord> Default for Laggards<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

    /// A client as the caller keeps it. `behind` is what the model knows and the heap has to find out.
    #[derive(Clone, Copy, Default)]
    struct Client {
        cursor: u64,
        behind: bool,
        flagged: bool,
    }

    #[derive(Default)]
    struct Caller {
        laggards: Laggards<usize>,
        clients: [Client; CLIENTS],
        asked: usize,
    }

    const CLIENTS: usize = 8;

    /// The closure of the contract, over the clients and a count of questions.
    macro_rules! real {
        ($caller:ident) => {
            |key: usize| {
                $caller.asked += 1;
                let client = &mut $caller.clients[key];
                client.flagged &= client.behind;
                if client.behind {
                    Real::At(client.cursor)
                } else {
                    Real::Gone
                }
            }
        };
    }

    impl Caller {
        fn fall_behind(&mut self, key: usize) {
            let client = &mut self.clients[key];
            client.behind = true;
            if !std::mem::replace(&mut client.flagged, true) {
                self.laggards.push(client.cursor, key);
            }
        }

        fn min(&mut self) -> Option<u64> {
            self.laggards.min(real!(self))
        }

        fn pop_below(&mut self, tail: u64) -> Option<usize> {
            let key = self.laggards.pop_below(tail, real!(self))?;
            self.clients[key].flagged = false;
            self.clients[key].behind = false;
            Some(key)
        }

        fn expected(&self) -> Vec<u64> {
            let behind = self.clients.iter().filter(|client| client.behind);
            behind.map(|client| client.cursor).collect()
        }

        fn check(&self) {
            let flagged = self.clients.iter().filter(|client| client.flagged).count();
            assert_eq!(self.laggards.len(), flagged, "one entry for each flag");
            let lost = self
                .clients
                .iter()
                .any(|client| client.behind && !client.flagged);
            assert!(!lost, "who is behind is in the heap");
        }
    }

    #[test]
    fn one_who_advanced_is_put_back_and_one_overtaken_is_handed_over() {
        let mut caller = Caller::default();
        for (key, cursor) in [(0, 10), (1, 20), (2, 30)] {
            caller.clients[key].cursor = cursor;
            caller.fall_behind(key);
        }
        caller.clients[0].cursor = 25;
        assert_eq!(caller.pop_below(22), Some(1));
        assert_eq!(caller.pop_below(22), None);
        assert_eq!(caller.min(), Some(25));
        caller.clients[0].behind = false;
        assert_eq!(caller.min(), Some(30));
        assert!(!caller.clients[0].flagged, "the caller has been told");
        assert_eq!(caller.laggards.len(), 1);
    }

    #[test]
    fn the_ones_above_the_tail_are_not_asked() {
        let mut caller = Caller::default();
        for key in 0..CLIENTS {
            caller.clients[key].cursor = 100 + key as u64;
            caller.fall_behind(key);
        }
        assert_eq!(caller.pop_below(100), None);
        assert_eq!(caller.asked, 0);
        assert_eq!(caller.pop_below(102), Some(0));
        assert_eq!(caller.pop_below(102), Some(1));
        assert_eq!(caller.pop_below(102), None);
        assert_eq!(caller.asked, 2);
    }

    #[test]
    fn a_stale_entry_is_paid_for_once() {
        let mut caller = Caller::default();
        for key in 0..CLIENTS {
            caller.fall_behind(key);
            caller.clients[key].cursor = 50 + key as u64;
        }
        assert_eq!(caller.min(), Some(50));
        let first = caller.asked;
        assert!(first <= CLIENTS + 1);
        assert_eq!(caller.min(), Some(50));
        assert_eq!(caller.asked, first + 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        FallBehind(usize),
        Take(usize, u64),
        CatchUp(usize),
        Shed(u64),
        AskMin,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..CLIENTS).prop_map(Step::FallBehind),
            (0..CLIENTS, 1..40u64).prop_map(|(key, size)| Step::Take(key, size)),
            (0..CLIENTS).prop_map(Step::CatchUp),
            (1..20u64).prop_map(Step::Shed),
            Just(Step::AskMin),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_whom_a_search_of_all_would(steps in vec(step(), 0..200)) {
            let mut caller = Caller::default();
            let mut tail = 0;
            for step in steps {
                match step {
                    Step::FallBehind(key) => {
                        caller.clients[key].cursor = caller.clients[key].cursor.max(tail);
                        caller.fall_behind(key);
                    }
                    Step::Take(key, size) => caller.clients[key].cursor += size,
                    Step::CatchUp(key) => caller.clients[key].behind = false,
                    Step::AskMin => assert_eq!(caller.expected().into_iter().min(), caller.min()),
                    Step::Shed(by) => {
                        tail += by;
                        let overtaken = caller.expected().into_iter().filter(|cursor| *cursor < tail);
                        let mut overtaken: Vec<_> = overtaken.collect();
                        let mut found = Vec::new();
                        while let Some(key) = caller.pop_below(tail) {
                            found.push(caller.clients[key].cursor);
                        }
                        overtaken.sort();
                        found.sort();
                        assert_eq!(found, overtaken);
                    }
                }
                caller.check();
            }
        }
    }
}
