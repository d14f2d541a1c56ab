//! UTF-8 that comes in pieces, refused at the first byte that no text can have there.

use std::str;

use super::violation::Violation;

/// Between two pieces: the beginning of a character, at most three bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    begun: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Looks at the next piece of the text.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while self.len > 0 {
            let Some((next, rest)) = bytes.split_first() else {
                return Ok(());
            };
            bytes = rest;
            let len = usize::from(self.len);
            self.begun[len] = *next;
            match begins(&self.begun[..=len])? {
                0 => self.len = 0,
                _ => self.len += 1,
            }
        }
        let rest = begins(bytes)?;
        self.begun[..rest].copy_from_slice(&bytes[bytes.len() - rest..]);
        self.len = rest as u8;
        Ok(())
    }

    /// The text is over. The next one can follow.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        match std::mem::take(&mut self.len) {
            0 => Ok(()),
            _ => Err(Violation::NotUtf8),
        }
    }
}

/// How many bytes at the end begin a character: 0 to 3.
fn begins(bytes: &[u8]) -> Result<usize, Violation> {
    match str::from_utf8(bytes) {
        Ok(_) => Ok(0),
        // Without a length of what is wrong, more bytes can still make it right.
        Err(error) if error.error_len().is_none() => Ok(bytes.len() - error.valid_up_to()),
        Err(_) => Err(Violation::NotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes are taken, fed one by one, and whether the end is accepted then.
    fn one_by_one(bytes: &[u8]) -> (usize, bool) {
        let mut utf8 = Utf8::default();
        let wrong = bytes.iter().position(|byte| utf8.feed(&[*byte]).is_err());
        (
            wrong.unwrap_or(bytes.len()),
            wrong.is_none() && utf8.end().is_ok(),
        )
    }

    #[test]
    fn the_first_impossible_byte_is_refused() {
        let cases: &[(&[u8], usize, bool)] = &[
            (b"", 0, true),
            ("κόσμε".as_bytes(), 10, true),
            (b"\xf4\x8f\xbf\xbf", 4, true), // U+10FFFF, the last one
            (b"\xf4\x90\x80\x80", 1, false),
            (b"\xed\x9f\xbf", 3, true),
            (b"\xed\xa0\x80", 1, false), // a surrogate
            (b"\xc0\xaf", 0, false),     // overlong
            (b"\xe0\x80\xaf", 1, false), // overlong
            (b"\xf0\x8f", 1, false),     // overlong
            (b"\xf5", 0, false),
            (b"a\x80", 1, false),
            (b"\xce\xba\xe1\xbd", 4, false),
        ];
        for (bytes, taken, whole) in cases {
            assert_eq!(one_by_one(bytes), (*taken, *whole), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(
            text in "\\PC{0,12}", wrong in proptest::collection::vec(any::<u8>(), 0..3), place in any::<u8>(),
            cuts in proptest::collection::vec(0usize..60, 0..5)
        ) {
            let mut bytes = text.into_bytes();
            let place = usize::from(place) % (bytes.len() + 1);
            bytes.splice(place..place, wrong);
            let mut utf8 = Utf8::default();
            let mut verdict = Ok(());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                verdict = verdict.and_then(|()| utf8.feed(&bytes[pair[0]..pair[1]]));
            }
            let verdict = verdict.and_then(|()| utf8.end());
            prop_assert_eq!(verdict.is_ok(), str::from_utf8(&bytes).is_ok());
        }
    }
}
