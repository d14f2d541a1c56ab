//! The feed's records: what a line holds, and how whole ones are found in a stream that is cut anywhere.
//!
//! ```text
//! car 07  lap 12  58.214  #271 @54200123456 NUL NUL ... LF        32 KiB in all
//!                         │    └ when it was sent, in nanoseconds of the program's own clock
//!                         └ its number
//! ```
//!
//! The NULs stand for telemetry: they make the feed large enough that a receiver which stops reading is seen to lag
//! within seconds, though kernels buffer, and a terminal shows nothing of them.

use crate::base::time::Time;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its number, the first being 1.
    pub(super) seq: u64,
    /// When it was sent.
    pub(super) sent: Time,
    /// What happened: "car 07  lap 12  58.214".
    pub(super) text: String,
}

impl Record {
    /// The record with this number: cars pass one after the other, lap by lap.
    pub(super) fn new(seq: u64, sent: Time) -> Self {
        let (car, lap) = (seq % CARS + 1, seq / CARS + 1);
        let millis = FASTEST_MS + seq * SPREAD % RANGE_MS;
        let text = format!(
            "car {car:02}  lap {lap:2}  {}.{:03}",
            millis / 1000,
            millis % 1000
        );
        Self { seq, sent, text }
    }

    /// Writes it in place of what `into` holds.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let Self { seq, sent, text } = self;
        into.clear();
        into.extend_from_slice(format!("{text}  #{seq} @{}", sent.nanos()).as_bytes());
        into.resize(RECORD_BYTES - 1, 0);
        into.push(b'\n');
    }

    /// Reads a record's beginning, `None` if it is none.
    fn parse(head: &[u8]) -> Option<Self> {
        let end = head.iter().position(|byte| *byte == 0)?;
        let head = str::from_utf8(&head[..end]).ok()?;
        let (text, marks) = head.split_once("  #")?;
        let (seq, sent) = marks.split_once(" @")?;
        Some(Self {
            seq: seq.parse().ok()?,
            sent: Time::from_nanos(sent.parse().ok()?),
            text: text.to_owned(),
        })
    }
}

/// Finds whole records. What is not whole, such as the rest of one in whose middle the stream was joined, is skipped.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    head: Vec<u8>,
    /// Bytes of the line that has not ended yet.
    line: usize,
}

impl Scanner {
    /// Hands the stream's next bytes over; `each` gets every record that is whole with them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Record)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let wanted = piece.len().min(HEAD_MAX - self.head.len());
            self.head.extend_from_slice(&piece[..wanted]);
            self.line = self.line.saturating_add(piece.len());
            if !piece.ends_with(b"\n") {
                continue;
            }
            if self.line == RECORD_BYTES
                && let Some(record) = Record::parse(&self.head)
            {
                each(record);
            }
            self.head.clear();
            self.line = 0;
        }
    }
}

/// The length of every record.
pub(super) const RECORD_BYTES: usize = 32 << 10;
/// Room for the text and the largest numbers, and one byte more.
const HEAD_MAX: usize = 128;
const CARS: u64 = 24;
const FASTEST_MS: u64 = 57_800;
const RANGE_MS: u64 = 2_600;
/// A prime, so that neighbours differ.
const SPREAD: u64 = 7_919;

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seqs: std::ops::Range<u64>) -> Vec<u8> {
        let mut all = Vec::new();
        let mut one = Vec::new();
        for seq in seqs {
            Record::new(seq, Time::from_millis(seq)).write(&mut one);
            all.extend_from_slice(&one);
        }
        all
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Record> {
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for piece in pieces {
            scanner.feed(piece, |record| found.push(record));
        }
        found
    }

    #[test]
    fn a_record_reads_as_a_line_and_comes_back_as_it_was() {
        let record = Record::new(271, Time::from_nanos(54_200_123_456));
        assert_eq!(record.text, "car 08  lap 12  58.849");
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        assert_eq!(bytes.len(), RECORD_BYTES);
        assert!(bytes.starts_with(b"car 08  lap 12  58.849  #271 @54200123456\0"));
        assert_eq!(scan([&bytes[..]]), [record]);
        let largest = Record::new(u64::MAX / SPREAD, Time::from_nanos(u64::MAX));
        largest.write(&mut bytes);
        assert_eq!(scan([&bytes[..]]), [largest]);
    }

    #[test]
    fn how_the_stream_was_cut_changes_nothing() {
        let bytes = stream(1..4);
        let whole = scan([&bytes[..]]);
        assert_eq!(whole.len(), 3);
        for size in [7, 100, 4096, RECORD_BYTES - 1, RECORD_BYTES + 1] {
            assert_eq!(scan(bytes.chunks(size)), whole, "pieces of {size}");
        }
    }

    #[test]
    fn only_whole_records_count() {
        let bytes = stream(1..4);
        let seqs = |bytes: &[u8]| {
            scan([bytes])
                .iter()
                .map(|record| record.seq)
                .collect::<Vec<_>>()
        };
        assert_eq!(seqs(&bytes[10..]), [2, 3], "joined in the middle");
        assert_eq!(seqs(&bytes[..bytes.len() - 1]), [1, 2], "cut at the end");
        let mut hole = bytes;
        hole.drain(RECORD_BYTES + 1000..RECORD_BYTES + 1001);
        assert_eq!(seqs(&hole), [1, 3], "a byte is missing");
    }
}
