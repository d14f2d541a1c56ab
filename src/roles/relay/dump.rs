//! `--dump`: the payload on stdout, for eyes. One more reader of the ring, and the only one that neither leads, holds
//! nor is dropped: where it can't keep up it skips, and says how many bytes.

use std::io;

use crate::base::ring::Ring;
use crate::base::units::Bytes;
use crate::reactor::net::{Close, SockId, StdStream};
use crate::reactor::{Cx, plain};
use crate::roles::relay::config::DumpFormat;
use crate::roles::relay::{Kind, Relay};

/// The dump's place in the stream, and what of it stands formatted and has not been written yet.
#[derive(Debug)]
pub(super) struct Dump {
    sock: SockId,
    format: Formatter,
    cursor: u64,
    text: Vec<u8>,
    sent: usize,
    skipped: u64,
    shut: bool,
}

impl Dump {
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) fn sock(&self) -> SockId {
        self.sock
    }

    /// Goes on in another format, behind what has begun in the one before.
    pub(super) fn show_as(&mut self, format: DumpFormat) {
        self.format.finish(&mut self.text);
        self.format = Formatter::new(format);
    }

    /// Formats the next piece of what is `whole` if the last one is out.
    fn refill(&mut self, ring: &Ring, whole: u64) {
        if self.sent < self.text.len() {
            return;
        }
        self.text.clear();
        self.sent = 0;
        if self.cursor < ring.tail() {
            let lost = ring.tail() - self.cursor;
            self.cursor = ring.tail();
            self.skipped += lost;
            self.format.skip(lost, &mut self.text);
        }
        let max = PIECE.min(whole.saturating_sub(self.cursor) as usize);
        let Ok(pieces) = ring.read_up_to(self.cursor, max) else {
            return;
        };
        for piece in pieces {
            self.format.push(self.cursor, piece, &mut self.text);
            self.cursor += piece.len() as u64;
        }
    }

    fn is_idle(&self, whole: u64) -> bool {
        self.sent == self.text.len() && self.cursor >= whole
    }

    /// One write. Whether everything is out.
    fn write(&mut self, cx: &mut Cx<'_>, ring: &Ring, whole: u64) -> io::Result<bool> {
        self.refill(ring, whole);
        self.send(cx)?;
        let idle = self.is_idle(whole);
        cx.want_write(self.sock, !idle);
        Ok(idle)
    }

    fn send(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        if self.sent < self.text.len() {
            let rest = &self.text[self.sent..];
            self.sent += cx.write(self.sock, [rest, &[]])?.unwrap_or(0);
        }
        Ok(())
    }

    /// All payload is out: what stands incomplete in the formatter follows, and then the end.
    fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        self.format.finish(&mut self.text);
        self.send(cx)?;
        if self.sent < self.text.len() {
            cx.want_write(self.sock, true);
            return Ok(());
        }
        self.shut = true;
        cx.shutdown(self.sock)
    }
}

impl Relay {
    pub(super) fn start_dump(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let Some(format) = self.config.dump else {
            return Ok(());
        };
        let sock = cx
            .open_std(StdStream::Stdout)
            .map_err(|error| format!("can't write to stdout: {error}"))?;
        cx.set_tag(sock, Kind::Dump.tag(0));
        cx.want_read(sock, true);
        let format = Formatter::new(format);
        self.dump = Some(Box::new(Dump {
            sock,
            format,
            // What came before it was asked for is not shown.
            cursor: self.records.whole(),
            text: Vec::new(),
            sent: 0,
            skipped: 0,
            shut: false,
        }));
        Ok(())
    }

    /// Moves the dump on, as far as its reader takes it.
    pub(super) fn feed_dump(&mut self, cx: &mut Cx<'_>) {
        if self.dump.is_some() {
            self.move_dump(cx);
        }
    }

    #[inline(never)]
    fn move_dump(&mut self, cx: &mut Cx<'_>) {
        let Some(dump) = &mut self.dump else { return };
        let before = dump.skipped;
        match dump.write(cx, &self.ring, self.records.whole()) {
            Err(error) => return self.end_dump(cx, Some(&error)),
            Ok(true) if self.flush.is_some() && !dump.shut => {
                if let Err(error) = dump.finish(cx) {
                    return self.end_dump(cx, Some(&error));
                }
            }
            Ok(_) => {}
        }
        if dump.skipped > before {
            let text = format!(
                "the dump skipped {}: stdout is slower than the feed",
                Bytes(dump.skipped)
            );
            self.journal.warn(cx.now(), "dump", text);
        }
    }

    /// Stdout's reader is gone, or has everything, or it can't be written: either way the feed goes on without a dump.
    pub(super) fn end_dump(&mut self, cx: &mut Cx<'_>, error: Option<&io::Error>) {
        let Some(dump) = self.dump.take() else { return };
        cx.close(dump.sock, Close::Orderly);
        let is_reader = |error: &&io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match error.filter(|error| !is_reader(error)) {
            Some(error) => {
                let why = plain(error);
                let text =
                    format!("can't write to stdout: {why}; the dump ends, the relay goes on");
                self.journal.warn(cx.now(), "dump end", text);
            }
            None if dump.shut => {}
            None => self
                .journal
                .info("stdout is closed; the dump ends, the relay goes on".to_owned()),
        }
        self.check_flushed(cx);
    }
}

/// Payload that is formatted in one visit.
const PIECE: usize = 16 << 10;

/// Turns payload into what the user asked to see. Split-invariant: how the bytes were cut changes nothing.
#[derive(Debug)]
pub(super) struct Formatter {
    format: DumpFormat,
    /// The bytes of a UTF-8 sequence, or of a line of hex, that is not complete yet.
    partial: Vec<u8>,
    /// The offset of the first of them.
    at: u64,
}

impl Formatter {
    pub(super) fn new(format: DumpFormat) -> Self {
        Self {
            format,
            partial: Vec::new(),
            at: 0,
        }
    }

    /// Formats the bytes at `offset` of the stream.
    pub(super) fn push(&mut self, offset: u64, bytes: &[u8], out: &mut Vec<u8>) {
        match self.format {
            DumpFormat::Raw => out.extend_from_slice(bytes),
            DumpFormat::Text => self.push_text(bytes, out),
            DumpFormat::Hex => self.push_hex(offset, bytes, out),
        }
    }

    /// Says that so many bytes are missing here. Raw output has no place for words: the log has them.
    pub(super) fn skip(&mut self, bytes: u64, out: &mut Vec<u8>) {
        self.finish(out);
        if self.format != DumpFormat::Raw {
            out.extend_from_slice(format!("\n[{bytes} bytes skipped]\n").as_bytes());
        }
    }

    /// Shows what is incomplete, as it is.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.format {
            DumpFormat::Raw => {}
            DumpFormat::Text => self.partial.drain(..).for_each(|byte| escape(byte, out)),
            DumpFormat::Hex => {
                if !self.partial.is_empty() {
                    hex_line(self.at, &self.partial, out);
                    self.partial.clear();
                }
            }
        }
    }

    fn push_text(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let mut rest = bytes;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            rest = &joined;
        }
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => return text(valid, out),
                Err(error) => {
                    let (valid, tail) = rest.split_at(error.valid_up_to());
                    text(std::str::from_utf8(valid).expect("valid up to there"), out);
                    let Some(bad) = error.error_len() else {
                        return self.partial = tail.to_vec();
                    };
                    tail[..bad].iter().for_each(|byte| escape(*byte, out));
                    rest = &tail[bad..];
                }
            }
        }
    }

    fn push_hex(&mut self, mut offset: u64, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                self.at = offset;
            }
            let take = bytes.len().min(HEX_LINE - self.partial.len());
            self.partial.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            offset += take as u64;
            if self.partial.len() == HEX_LINE {
                hex_line(self.at, &self.partial, out);
                self.partial.clear();
            }
        }
    }
}

/// Bytes in a line of hex.
const HEX_LINE: usize = 16;

/// Valid text: as it is, but for control characters, which could drive the terminal.
fn text(valid: &str, out: &mut Vec<u8>) {
    for symbol in valid.chars() {
        if symbol.is_control() && !matches!(symbol, '\n' | '\t') {
            symbol
                .encode_utf8(&mut [0; 4])
                .bytes()
                .for_each(|byte| escape(byte, out));
        } else {
            out.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

/// `00000010  68 65 6c 6c 6f                                   |hello|`, the offset in the stream.
fn hex_line(at: u64, bytes: &[u8], out: &mut Vec<u8>) {
    let mut hex = String::with_capacity(3 * HEX_LINE);
    for (column, byte) in bytes.iter().enumerate() {
        hex.push_str(if column == HEX_LINE / 2 { "  " } else { " " });
        hex.push_str(&format!("{byte:02x}"));
    }
    let ascii: String = bytes
        .iter()
        .map(|&b| {
            if (32..127).contains(&b) {
                b as char
            } else {
                '.'
            }
        })
        .collect();
    out.extend_from_slice(
        format!(
            "{at:08x} {hex:<width$}  |{ascii}|\n",
            width = 3 * HEX_LINE + 1
        )
        .as_bytes(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(format: DumpFormat, pieces: &[&[u8]]) -> String {
        let mut formatter = Formatter::new(format);
        let mut out = Vec::new();
        let mut offset = 0;
        for piece in pieces {
            formatter.push(offset, piece, &mut out);
            offset += piece.len() as u64;
        }
        formatter.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_utf8_and_escapes_the_rest() {
        let shown = format(DumpFormat::Text, &["é\n\t".as_bytes(), b"\xff\x1b[2J\xc3"]);
        assert_eq!(shown, "é\n\t\\xff\\x1b[2J\\xc3");
    }

    #[test]
    fn how_the_bytes_were_cut_changes_nothing() {
        let bytes = "Zürich \u{1f3c1} \u{80}ab"
            .as_bytes()
            .iter()
            .copied()
            .chain([0xe2, 0x82, b'x'])
            .collect::<Vec<_>>();
        for kind in [DumpFormat::Text, DumpFormat::Hex, DumpFormat::Raw] {
            if kind == DumpFormat::Raw {
                continue; // what it shows is not text
            }
            let whole = format(kind, &[&bytes]);
            for cut in 0..=bytes.len() {
                assert_eq!(
                    format(kind, &[&bytes[..cut], &bytes[cut..]]),
                    whole,
                    "{kind:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn hex_lines_stand_under_each_other() {
        let shown = format(DumpFormat::Hex, &[b"0123456789abcdefhello\0"]);
        let expected = "\
00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
00000010  68 65 6c 6c 6f 00                                 |hello.|
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_gap_is_said_where_there_are_words() {
        let mut formatter = Formatter::new(DumpFormat::Text);
        let mut out = Vec::new();
        formatter.push(0, b"abc\xe2", &mut out);
        formatter.skip(1000, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "abc\\xe2\n[1000 bytes skipped]\n"
        );
    }
}
