//! The demo's voice: lines on stdout, with the time in front where something happened. A reader of stdout who is slow
//! misses lines; nothing waits for him.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::{SockId, StdStream};
use crate::roles::demo::Kind;

/// Stdout, and what it has still to take.
#[derive(Debug)]
pub(super) struct Screen {
    sock: SockId,
    since: Time,
    waiting: Vec<u8>,
    /// The last line has been said.
    last: bool,
    shut: bool,
}

impl Screen {
    pub(super) fn open(cx: &mut Cx<'_>) -> io::Result<Self> {
        let sock = cx.open_std(StdStream::Stdout)?;
        cx.set_tag(sock, Kind::Stdout as u32);
        cx.want_read(sock, true);
        Ok(Self {
            sock,
            since: cx.now(),
            waiting: Vec::new(),
            last: false,
            shut: false,
        })
    }

    /// How long the demo has run.
    pub(super) fn elapsed(&self, now: Time) -> Duration {
        now.since(self.since)
    }

    /// Says what has happened just now.
    pub(super) fn news(&mut self, cx: &mut Cx<'_>, text: fmt::Arguments<'_>) -> io::Result<()> {
        let at = Minutes(self.elapsed(cx.now()));
        self.say(cx, format_args!("{at}  {text}"))
    }

    /// Says something, with a line's end behind it.
    pub(super) fn say(&mut self, cx: &mut Cx<'_>, text: fmt::Arguments<'_>) -> io::Result<()> {
        if self.waiting.len() < WAITING_MAX {
            self.waiting
                .extend_from_slice(format!("{text}\n").as_bytes());
        }
        self.writable(cx)
    }

    /// Nothing more will be said. [`Screen::readable`] tells when all is out.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        self.last = true;
        self.writable(cx)
    }

    pub(super) fn writable(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let sent = cx.write(self.sock, [&self.waiting, &[]])?.unwrap_or(0);
            self.waiting.drain(..sent);
        }
        cx.want_write(self.sock, !self.waiting.is_empty());
        if self.last && self.waiting.is_empty() && !self.shut {
            self.shut = true;
            cx.shutdown(self.sock)?;
        }
        Ok(())
    }

    /// Whether stdout has ended: by our own doing with all that was said, or because its reader has gone.
    pub(super) fn readable(&mut self, cx: &mut Cx<'_>) -> io::Result<bool> {
        Ok(cx.read(self.sock, &mut [0; 16])?.is_some())
    }
}

/// "00:10": minutes and seconds.
struct Minutes(Duration);

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        write!(f, "{:02}:{:02}", secs / 60, secs % 60)
    }
}

/// Text beyond this is skipped while stdout takes none.
const WAITING_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_go_on_after_the_hour() {
        let at = |secs| Minutes(Duration::from_secs(secs)).to_string();
        assert_eq!(
            [at(0), at(9), at(75), at(6_001)],
            ["00:00", "00:09", "01:15", "100:01"]
        );
    }
}
