//! Durations, sizes and counts, as a user writes them and as a log line shows them.
//!
//! What is read is exact: nothing is guessed, and a mistake says what was given and what would do. What is shown for
//! people (`Bytes`, `Rate`, `Span`) is rounded down, so that no figure claims more than there was.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::secret::{is_address, shown};

/// Reads a duration: a decimal number of seconds, or one with `ms`, `s`, `m`, `h` or `d` behind it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::NotDuration(text.to_owned());
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_nanos: u128 = match &text[digits.len()..] {
        "ms" => 1_000_000,
        "" | "s" => NANOS_PER_SEC,
        "m" => 60 * NANOS_PER_SEC,
        "h" => 3_600 * NANOS_PER_SEC,
        "d" => 86_400 * NANOS_PER_SEC,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !is_decimal(whole) || !is_decimal(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return Err(wrong());
    }
    let too_large = |_| UnitError::TooLarge(text.to_owned());
    let whole: u64 = whole.parse().map_err(too_large)?;
    let scale = 10u128.pow(fraction.len() as u32);
    let fraction: u64 = fraction.parse().expect("at most 18 digits fit");
    let nanos = u128::from(whole) * unit_nanos + u128::from(fraction) * unit_nanos / scale;
    let secs =
        u64::try_from(nanos / NANOS_PER_SEC).map_err(|_| UnitError::TooLarge(text.to_owned()))?;
    Ok(Duration::new(secs, (nanos % NANOS_PER_SEC) as u32))
}

/// Reads a size in bytes: a whole number, or one with `K`, `M` or `G` (powers of 1024) behind it.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    if !is_decimal(digits) {
        return Err(UnitError::NotSize(text.to_owned()));
    }
    let number = digits.parse::<u64>().ok();
    number
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| UnitError::TooLarge(text.to_owned()))
}

/// Reads a whole number.
pub fn parse_count(text: &str) -> Result<u64, UnitError> {
    if !is_decimal(text) {
        return Err(UnitError::NotCount(text.to_owned()));
    }
    text.parse()
        .map_err(|_| UnitError::TooLarge(text.to_owned()))
}

/// A duration as a user would give it; `parse_duration` reads the same back.
pub fn write_duration(duration: Duration) -> String {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 {
        return match secs {
            0 => "0s".to_owned(),
            s if s % 86_400 == 0 => format!("{}d", s / 86_400),
            s if s % 3_600 == 0 => format!("{}h", s / 3_600),
            s if s % 60 == 0 => format!("{}m", s / 60),
            s => format!("{s}s"),
        };
    }
    if secs == 0 && nanos % 1_000_000 == 0 {
        return format!("{}ms", nanos / 1_000_000);
    }
    let fraction = format!("{nanos:09}");
    format!("{secs}.{}s", fraction.trim_end_matches('0'))
}

/// A size as a user would give it; `parse_size` reads the same back.
pub fn write_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        b if b % (1 << 30) == 0 => format!("{}G", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}M", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}K", b >> 10),
        b => b.to_string(),
    }
}

/// An amount of bytes for people: `512 B`, `48 KiB`, `16.0 MiB`, `1.2 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b if b < 1 << 10 => write!(f, "{b} B"),
            b if b < 1 << 20 => write!(f, "{} KiB", b >> 10),
            b => {
                let unit = ((b.ilog2() / 10) as usize).min(LARGE_UNITS.len() + 1);
                let tenths = (u128::from(b) * 10) >> (10 * unit);
                write!(
                    f,
                    "{}.{} {}",
                    tenths / 10,
                    tenths % 10,
                    LARGE_UNITS[unit - 2]
                )
            }
        }
    }
}

/// Bytes a second for people: `48 KiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Bytes(self.0))
    }
}

/// A length of time for people: `0.06 ms`, `12 ms`, `0.2 s`, `8.2 s`, `4m05s`, `2h03m`, `3d4h`. Whole seconds have no
/// decimal: `5 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match secs {
            0 if (1..1_000_000).contains(&nanos) => write!(f, "0.{:02} ms", nanos / 10_000),
            0 if (1_000_000..100_000_000).contains(&nanos) => write!(f, "{} ms", nanos / 1_000_000),
            s if s < 60 && nanos == 0 => write!(f, "{s} s"),
            s if s < 60 => write!(f, "{s}.{} s", nanos / 100_000_000),
            s if s < 3_600 => write!(f, "{}m{:02}s", s / 60, s % 60),
            s if s < 86_400 => write!(f, "{}h{:02}m", s / 3_600, s / 60 % 60),
            s => write!(f, "{}d{}h", s / 86_400, s / 3_600 % 24),
        }
    }
}

/// A duration that the user chose, told exactly: `5 s`, `150 ms`, `1.5 s`, `2 min`, `1 h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen(pub Duration);

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = write_duration(self.0);
        let unit = written.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &written[..written.len() - unit.len()];
        write!(f, "{number} {}", if unit == "m" { "min" } else { unit })
    }
}

/// So many of something: `1 client`, `2 clients`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a>(pub usize, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {what}{plural}")
    }
}

/// Whether a character drives what shows it, or passes for another or for nothing: controls, marks of direction, what
/// has no width, line separators, and spaces that are not the usual one. A name with one can mimic another name.
pub fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || letter != ' ' && letter.is_whitespace()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns a terminal gives a character (Unicode Standard Annex 11): two to those of East Asia and to
/// pictures, none to marks that go onto the letter before.
pub fn columns(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f => 0,
        0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xac00..=0xd7a3 => 2,
        0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 => 2,
        0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// What someone typed, safe to stand in a one-line message: as it is where it is plain, else quoted and escaped. Of an
/// address, what may be a secret is left out.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a>(pub &'a str);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match is_address(self.0) {
            true => TypedPlace(self.0).fmt(f),
            false => write_typed(f, self.0),
        }
    }
}

/// As [`Typed`], of what was typed where an address belongs.
#[derive(Clone, Copy, Debug)]
pub struct TypedPlace<'a>(pub &'a str);

impl fmt::Display for TypedPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_typed(f, &shown(self.0))
    }
}

fn write_typed(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    match plain {
        true => f.write_str(text),
        false => write!(f, "{text:?}"),
    }
}

/// Why a number with a unit can't be read. Each holds what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// It is not written as a duration.
    NotDuration(String),
    /// It is not written as a size.
    NotSize(String),
    /// It is not a whole number.
    NotCount(String),
    /// It is more than any option could take.
    TooLarge(String),
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDuration(given) => {
                write!(
                    f,
                    "{} is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d",
                    Typed(given)
                )
            }
            Self::NotSize(given) => write!(
                f,
                "{} is not a size: write 4096, 64K, 4M or 1G",
                Typed(given)
            ),
            Self::NotCount(given) => write!(f, "{} is not a whole number", Typed(given)),
            Self::TooLarge(given) => write!(f, "{} is too large", Typed(given)),
        }
    }
}

impl Error for UnitError {}

/// Whether `text` is digits and nothing else. Rust's own number parsers also take a leading `+`.
pub(crate) fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

const NANOS_PER_SEC: u128 = 1_000_000_000;
const FRACTION_DIGITS_MAX: usize = 18; // so that a fraction fits a u64, and times a day's nanoseconds a u128
const LARGE_UNITS: [&str; 5] = ["MiB", "GiB", "TiB", "PiB", "EiB"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_was_chosen_is_told_exactly() {
        let cases = [
            (0, "0 s"),
            (150, "150 ms"),
            (1_000, "1 s"),
            (1_250, "1.25 s"),
            (90_000, "90 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (86_400_000, "1 d"),
        ];
        for (millis, told) in cases {
            assert_eq!(Chosen(Duration::from_millis(millis)).to_string(), told);
        }
    }

    #[test]
    fn one_is_singular() {
        let told = [0, 1, 2].map(|n| Count(n, "client").to_string());
        assert_eq!(told, ["0 clients", "1 client", "2 clients"]);
    }

    #[test]
    fn durations_are_read() {
        let cases = [
            ("5", 5_000),
            ("0.2", 200),
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("0ms", 0),
            ("007", 7_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(millis(ms)), "{text}");
        }
        assert_eq!(parse_duration("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_duration("0.0000000019"), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let cases = [
            "",
            " ",
            "-1",
            "+1",
            ".5",
            "5.",
            "1e3",
            "inf",
            "nan",
            "soon",
            "5 s",
            "5S",
            "5sec",
            "1h30m",
            "1.2.3",
            "ms",
            "٣",
            "1µs",
            "0.1234567890123456789",
        ];
        for text in cases {
            assert_eq!(
                parse_duration(text),
                Err(UnitError::NotDuration(text.to_owned())),
                "{text:?}"
            );
        }
        for text in [
            "18446744073709551616",
            "18446744073709551615d",
            "999999999999999999999999h",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(UnitError::TooLarge(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("18446744073709551615"),
            Ok(Duration::from_secs(u64::MAX))
        );
    }

    #[test]
    fn sizes_and_counts_are_read() {
        let cases = [
            ("4096", 4096),
            ("64K", 64 << 10),
            ("4M", 4 << 20),
            ("1G", 1 << 30),
            ("64k", 64 << 10),
            ("0", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "K", "64KB", "64KiB", "64 K", "-1", "+1", "1.5G", "1T", "1e6", "４K",
        ] {
            assert_eq!(
                parse_size(text),
                Err(UnitError::NotSize(text.to_owned())),
                "{text:?}"
            );
        }
        assert_eq!(parse_size("17179869183G"), Ok(17_179_869_183 << 30));
        assert_eq!(
            parse_size("17179869184G"),
            Err(UnitError::TooLarge("17179869184G".into()))
        );
        assert_eq!(parse_count("10000"), Ok(10_000));
        for text in ["", "many", "-1", "+1", "1K", "1.0"] {
            assert_eq!(
                parse_count(text),
                Err(UnitError::NotCount(text.to_owned())),
                "{text:?}"
            );
        }
        assert_eq!(
            parse_count("18446744073709551616"),
            Err(UnitError::TooLarge("18446744073709551616".into()))
        );
    }

    #[test]
    fn bytes_are_shown() {
        let cases = [
            (0, "0 B"),
            (512, "512 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (48 << 10, "48 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1.0 MiB"),
            (16 << 20, "16.0 MiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (1_288_490_189, "1.2 GiB"),
            (3 << 40, "3.0 TiB"),
            (5 << 50, "5.0 PiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
        assert_eq!(Rate(48 << 10).to_string(), "48 KiB/s");
        assert_eq!(Rate(1_992_295).to_string(), "1.9 MiB/s");
    }

    #[test]
    fn spans_are_shown() {
        let cases = [
            (0, "0 s"),
            (1, "1 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (200, "0.2 s"),
            (5_000, "5 s"),
            (8_249, "8.2 s"),
            (3_040, "3.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1m00s"),
            (245_700, "4m05s"),
            (3_599_999, "59m59s"),
            (7_380_000, "2h03m"),
            (3_600_000, "1h00m"),
            (86_399_999, "23h59m"),
            (86_400_000, "1d0h"),
            (273_600_000, "3d4h"),
        ];
        for (ms, shown) in cases {
            assert_eq!(Span(millis(ms)).to_string(), shown);
        }
        assert_eq!(Span(Duration::from_micros(60)).to_string(), "0.06 ms");
        assert_eq!(Span(Duration::from_nanos(999_999)).to_string(), "0.99 ms");
    }

    #[test]
    fn what_was_typed_stays_on_one_line() {
        assert_eq!(Typed("--retry=5").to_string(), "--retry=5");
        assert_eq!(Typed("").to_string(), "\"\"");
        assert_eq!(Typed("a b").to_string(), "\"a b\"");
        assert_eq!(Typed("a\n\u{1b}[31m").to_string(), "\"a\\n\\u{1b}[31m\"");
    }

    #[test]
    fn mistakes_say_what_would_do() {
        let shown = |e: Result<_, UnitError>| e.map(|_: u64| ()).unwrap_err().to_string();
        assert_eq!(
            parse_duration("a b").unwrap_err().to_string(),
            "\"a b\" is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d"
        );
        assert_eq!(
            shown(parse_size("64KB")),
            "64KB is not a size: write 4096, 64K, 4M or 1G"
        );
        assert_eq!(shown(parse_count("many")), "many is not a whole number");
        assert_eq!(
            shown(parse_size("99999999999G")),
            "99999999999G is too large"
        );
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(secs in any::<u64>(), nanos in 0u32..1_000_000_000) {
            for d in [Duration::new(secs, nanos), Duration::from_millis(secs), Duration::from_secs(secs % 1_000_000)] {
                prop_assert_eq!(parse_duration(&write_duration(d)), Ok(d));
            }
        }

        #[test]
        fn a_written_size_reads_back(bytes in any::<u64>(), shift in 0u32..40) {
            let bytes = bytes >> shift << (shift / 2);
            prop_assert_eq!(parse_size(&write_size(bytes)), Ok(bytes));
        }

        #[test]
        fn nothing_typed_panics(text in "\\PC{0,12}|[0-9.]{0,30}[a-zA-Z]{0,3}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_count(&text), Typed(&text).to_string());
        }

        #[test]
        fn anything_can_be_shown(n in any::<u64>(), nanos in 0u32..1_000_000_000) {
            prop_assert!(Bytes(n).to_string().len() <= 10);
            prop_assert!(!Span(Duration::new(n, nanos)).to_string().is_empty());
        }
    }
}
