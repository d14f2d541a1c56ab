//! Feeds of records as they are met in the field, made on the spot: each record has its number in it, so that a
//! receiver can tell what is missing, twice or torn.

use std::io::{ErrorKind, Read};

/// A kind of feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NMEA 0183: lines with a checksum.
    Nmea,
    /// Market data: a length of two bytes, the highest first, that counts what follows it.
    Market,
    /// MPEG-TS: packets of 188 bytes with continuity counters, every eighth one a PAT.
    MpegTs,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Nmea, Self::Market, Self::MpegTs];

    /// What `--framing` takes.
    pub(crate) fn framing(self) -> &'static str {
        match self {
            Self::Nmea => "line",
            Self::Market => "len:u16be",
            Self::MpegTs => "mpegts",
        }
    }

    /// A record.
    pub(crate) fn record(self, number: u64) -> Vec<u8> {
        match self {
            Self::Nmea => nmea(number),
            Self::Market => market(number),
            Self::MpegTs => packet(number),
        }
    }

    /// Records, one after the other.
    pub(crate) fn records(self, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let records = numbers.into_iter().map(|number| self.record(number));
        records.collect::<Vec<_>>().concat()
    }

    /// The length of the first record in these bytes, if they are enough to tell.
    fn len(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Nmea => Some(bytes.iter().position(|byte| *byte == b'\n')? + 1),
            Self::Market => {
                Some(usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])) + 2)
            }
            Self::MpegTs => Some(188),
        }
    }

    /// The numbers of all whole records in these bytes, which begin with one.
    #[track_caller]
    pub(crate) fn numbers(self, mut bytes: &[u8]) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(len) = self.len(bytes).filter(|len| *len <= bytes.len()) {
            let (record, rest) = bytes.split_at(len);
            let number = self.number(record);
            numbers.push(number.unwrap_or_else(|| panic!("no record: {}", record.escape_ascii())));
            bytes = rest;
        }
        numbers
    }

    /// The number of what should be a whole record.
    fn number(self, record: &[u8]) -> Option<u64> {
        let number = match self {
            Self::Nmea => {
                let text = std::str::from_utf8(record).ok()?;
                text.split(',').nth(1)?.parse().ok()?
            }
            Self::Market => u64::from_be_bytes(record.get(2..10)?.try_into().ok()?),
            Self::MpegTs => u64::from_be_bytes(record.get(180..)?.try_into().ok()?),
        };
        (self.record(number) == record).then_some(number)
    }
}

/// `$GPGLL,7,4717.1123,N,00833.9157,E*5B`
fn nmea(number: u64) -> Vec<u8> {
    let (minutes, east) = (scattered(number) % 600_000, scattered(number + 1) % 600_000);
    let body = format!("GPGLL,{number},47{minutes:06},N,008{east:06},E");
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}\r\n").into_bytes()
}

fn market(number: u64) -> Vec<u8> {
    let rest = (scattered(number) % 90) as usize;
    let mut record = (8 + rest as u16).to_be_bytes().to_vec();
    record.extend(number.to_be_bytes());
    // Bytes that look like lengths, should anybody lose the thread.
    record.extend((0..rest).map(|at| scattered(number + at as u64) as u8));
    record
}

fn packet(number: u64) -> Vec<u8> {
    let is_pat = number.is_multiple_of(8);
    let pid: u16 = if is_pat { 0 } else { 0x1fff };
    let [high, low] = pid.to_be_bytes();
    let counter = (number % 16) as u8;
    let mut packet = vec![0x47, high | u8::from(is_pat) << 6, low, 0x10 | counter];
    if is_pat {
        // One programme, its map on PID 0x100; the section's CRC is nobody's business here.
        packet.extend([0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0, 0, 0, 0, 0]);
    }
    // Sync bytes where none belongs are part of any real stream, but not in the same place of each packet.
    let rest = 180 - packet.len() as u64;
    packet.extend((0..rest).map(|at| match (at + 7 * number) % 31 {
        0 => 0x47,
        _ => scattered(number + at) as u8,
    }));
    packet.extend(number.to_be_bytes());
    packet
}

/// Numbers without a pattern.
pub(crate) fn scattered(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// Receives records, and checks that each is whole.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    kind: Kind,
    pub(crate) stream: S,
    bytes: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub(crate) fn new(kind: Kind, stream: S) -> Self {
        let bytes = Vec::new();
        Self {
            kind,
            stream,
            bytes,
        }
    }

    /// The number of the next record; none at an orderly end, which is between two records.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<u64> {
        loop {
            if let Some(len) = self
                .kind
                .len(&self.bytes)
                .filter(|len| *len <= self.bytes.len())
            {
                let record: Vec<u8> = self.bytes.drain(..len).collect();
                let number = self.kind.number(&record);
                return Some(
                    number.unwrap_or_else(|| panic!("no record: {}", record.escape_ascii())),
                );
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    assert!(self.bytes.is_empty(), "torn: {}", self.bytes.escape_ascii());
                    return None;
                }
                Ok(n) => self.bytes.extend(&piece[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no record: {error}"),
            }
        }
    }

    /// Takes exactly these records.
    #[track_caller]
    pub(crate) fn take(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            assert_eq!(self.next(), Some(number));
        }
    }

    /// Everything up to an orderly end.
    #[track_caller]
    pub(crate) fn take_rest(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
