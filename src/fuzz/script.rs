//! Reads a fuzzer's bytes as decisions. It knows nothing of what is decided.
//!
//! A script never fails: past its end every decision is 0, so that any prefix of a script is one too and a fuzzer can
//! shorten what it found. A body runs until [`Script::is_empty`].

/// The bytes not yet used.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// A script of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes are used.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not yet used, all at once; the script is empty then.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next byte.
    pub fn take_u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    /// The next two bytes, the low one first.
    pub fn take_u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    /// The next eight bytes, the lowest one first.
    pub fn take_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A number below `choices` (0 if that is 0): out of one byte where one is enough, otherwise out of two or eight.
    pub fn pick(&mut self, choices: usize) -> usize {
        match choices {
            0 | 1 => 0,
            2..=0x100 => usize::from(self.take_u8()) % choices,
            0x101..=0x1_0000 => usize::from(self.take_u16()) % choices,
            _ => (self.take_u64() % choices as u64) as usize,
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (taken, rest) = self.rest.split_at(N.min(self.rest.len()));
        bytes[..taken.len()].copy_from_slice(taken);
        self.rest = rest;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_its_end_a_script_decides_zero() {
        let mut script = Script::new(&[7, 1, 2, 3]);
        assert_eq!(script.take_u8(), 7);
        assert_eq!(script.take_u16(), 0x0201);
        assert_eq!(script.take_u64(), 3);
        assert!(script.is_empty());
        assert_eq!((script.take_u8(), script.pick(9)), (0, 0));
    }

    #[test]
    fn a_pick_uses_no_more_bytes_than_it_needs() {
        let mut script = Script::new(&[255, 255, 255, 9]);
        assert_eq!(script.pick(1), 0);
        assert_eq!(script.pick(256), 255);
        assert_eq!(script.pick(257), 0xffff % 257);
        assert_eq!(script.take_rest(), [9]);
        assert!(script.is_empty());
    }
}
