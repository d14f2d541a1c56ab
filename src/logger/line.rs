//! From a record to the bytes of one line.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Record};
use simplelog::{ConfigBuilder, LevelPadding, WriteLogger, format_description};

/// Gives records their shape. `simplelog` writes a line in many pieces; here they are put together.
pub(super) struct Shape {
    logger: Box<WriteLogger<Pieces>>,
    pieces: Pieces,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shape")
    }
}

impl Shape {
    pub(super) fn new() -> Self {
        let time = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let config = ConfigBuilder::new()
            .set_time_format_custom(time)
            .set_level_padding(LevelPadding::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let pieces = Pieces::default();
        Self {
            logger: WriteLogger::new(LevelFilter::Trace, config, pieces.clone()),
            pieces,
        }
    }

    /// The record as one line with its end. What would break the line, or tell a terminal what to do, is escaped, and
    /// what is longer than [`LINE_MAX`] bytes is cut.
    pub(super) fn line(&mut self, record: &Record<'_>) -> Vec<u8> {
        self.logger.log(record);
        let mut raw = mem::take(&mut *self.pieces.lock());
        if raw.last() == Some(&b'\n') && raw.len() <= LINE_MAX + 1 {
            raw.pop();
        }
        let mut line = printable(&String::from_utf8_lossy(&raw), LINE_MAX).into_bytes();
        line.push(b'\n');
        line
    }

    /// A line of the logger's own.
    pub(super) fn own(&mut self, level: Level, message: fmt::Arguments<'_>) -> Vec<u8> {
        self.line(&Record::builder().level(level).args(message).build())
    }
}

/// `text` with its control characters as escapes, and no longer than `max` bytes; what was cut shows as dots.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > max {
            out.truncate(out.floor_char_boundary(max.saturating_sub(CUT.len())));
            out.push_str(CUT);
            break;
        }
    }
    out
}

/// Collects the pieces of a line, up to one byte more than the longest line and its end: so much shows that it is
/// longer.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<u8>>>);

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut line = self.lock();
        let room = (LINE_MAX + 2).saturating_sub(line.len());
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The longest line, in bytes, without its end.
pub(super) const LINE_MAX: usize = 64 << 10;

const CUT: &str = "...";
