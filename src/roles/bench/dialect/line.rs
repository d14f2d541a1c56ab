//! A line that ends in CR LF and may come in pieces.

/// Of a line that is longer than it holds, the rest is dropped: only what nobody reads to its end is so long.
#[derive(Debug)]
pub(super) struct Line {
    text: [u8; LINE_MAX],
    len: usize,
    /// What is held is whole, and was handed out.
    done: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            text: [0; LINE_MAX],
            len: 0,
            done: false,
        }
    }
}

impl Line {
    /// Takes the next bytes, up to the line's end. Returns how many, and the line without its end once it is whole:
    /// where it lies if it came in one piece.
    pub(super) fn take<'a>(&'a mut self, bytes: &'a [u8]) -> (usize, Option<&'a [u8]>) {
        if std::mem::take(&mut self.done) {
            self.len = 0;
        }
        let end = memchr::memchr(b'\n', bytes);
        if let Some(at) = end
            && self.len == 0
        {
            return (at + 1, Some(without_cr(&bytes[..at])));
        }
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let n = piece.len().min(LINE_MAX - self.len);
        self.text[self.len..self.len + n].copy_from_slice(&piece[..n]);
        self.len += n;
        match end {
            Some(at) => {
                self.done = true;
                (at + 1, Some(without_cr(&self.text[..self.len])))
            }
            None => (bytes.len(), None),
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Longer than any line that is understood; what a server says of itself, or why it refuses, may be longer.
const LINE_MAX: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_loses_its_end_only() {
        let long = [&[b'x'; 500][..], b"\r\n"].concat();
        let mut line = Line::default();
        assert_eq!(line.take(&long[..300]), (300, None));
        let (n, text) = line.take(&long[300..]);
        assert_eq!((n, text), (202, Some(&long[..LINE_MAX])));
        assert_eq!(line.take(b"next\r\nx"), (6, Some(&b"next"[..])));
        assert_eq!(line.take(b"\r"), (1, None));
        assert_eq!(line.take(b"\n"), (1, Some(&b""[..])));
    }
}
