//! Gives memory back that much was held in: the allocator keeps it otherwise, since something small may still lie
//! behind it.

use crate::reactor::Cx;

/// How much a role held at most since it last gave memory back.
#[derive(Debug, Default)]
pub struct Tide {
    most: usize,
}

impl Tide {
    /// So many bytes are held now. To be told each second or so.
    pub fn look(&mut self, cx: &mut Cx<'_>, held: usize) {
        if self.has_ebbed(held) {
            cx.trim_memory();
        }
    }

    fn has_ebbed(&mut self, held: usize) -> bool {
        self.most = self.most.max(held);
        let ebbed = self.most >= MUCH && held <= self.most / 8;
        if ebbed {
            self.most = held;
        }
        ebbed
    }
}

/// Less is soon used again, and not worth a look through all of the heap.
const MUCH: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_once_when_much_of_it_is_free_again() {
        let mut tide = Tide::default();
        let looks = [0, 1, 7, 0, 8, 64, 9, 8, 1, 0, 7, 0].map(|held| tide.has_ebbed(held << 20));
        let ebbed: Vec<usize> = (0..looks.len()).filter(|at| looks[*at]).collect();
        // The 8 MiB that are left of 64 are much themselves.
        assert_eq!(ebbed, [7, 8]);
    }
}
