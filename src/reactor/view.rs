//! What roles show of themselves to those who watch: figures that are at hand, so that a look costs the same however
//! many clients there are, and rows that are asked for a page at a time. It knows no role.
//!
//! ```text
//!   role ──View, ClientRow──> app ──Reply──> whoever watches: metrics, status, a page
//! ```

use std::time::Duration;

use crate::reactor::net::Addr;

/// What a role shows of itself at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is, in the words of the command line: `relay`, `hub serve`, `tunnel serve`, ...
    pub kind: &'static str,
    /// How long it has run.
    pub age: Duration,
    /// It has been told to stop, or its source has ended, and it serves those who are left.
    pub is_ending: bool,
    /// Where it listens, by the real addresses, and for whom.
    pub listens: Vec<(Addr, &'static str)>,
    /// The side that bytes come from, or the server that it is connected to; `None` where a role has no such side.
    pub upstream: Option<Upstream>,
    /// Destinations that are dialled and are not connected.
    pub away: Vec<Away>,
    /// Clients at present.
    pub clients: usize,
    /// The most that there were at a time.
    pub clients_most: usize,
    /// Bytes that came in since its start.
    pub bytes_in: u64,
    /// Bytes that went out since its start, to all clients together.
    pub bytes_out: u64,
    /// Bytes a second in and out over the last seconds, where the role measures that.
    pub rates: Option<(u64, u64)>,
    /// How far clients are behind; `None` where a role has no such thing.
    pub lag: Option<Lag>,
    /// Clients that are gone, by each reason that there is.
    pub gone: Vec<Gone>,
    /// Connections that were turned away, by each reason that there is.
    pub refused: Vec<(&'static str, u64)>,
    /// What only roles of its kind count.
    pub figures: Vec<Figure>,
    /// How its payload is shown on stdout; `None` while it is not.
    pub dump: Option<&'static str>,
}

impl View {
    /// A role of this kind that has just begun and has counted nothing.
    pub fn new(kind: &'static str, age: Duration) -> Self {
        Self {
            kind,
            age,
            is_ending: false,
            listens: Vec::new(),
            upstream: None,
            away: Vec::new(),
            clients: 0,
            clients_most: 0,
            bytes_in: 0,
            bytes_out: 0,
            rates: None,
            lag: None,
            gone: Vec::new(),
            refused: Vec::new(),
            figures: Vec::new(),
            dump: None,
        }
    }

    /// Clients that were dropped, for whatever reason.
    pub fn drops(&self) -> u64 {
        let drops = self.gone.iter().filter(|gone| gone.is_drop);
        drops.map(|gone| gone.times).sum()
    }

    /// Whether it can do what it is for: its upstream is there, and not silent for longer than it may be.
    pub fn is_ready(&self) -> bool {
        !self.is_ending && self.upstream.as_ref().is_none_or(Upstream::is_ready)
    }
}

/// The side that bytes come from, or the server that a role is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// How it is connected.
    pub state: UpstreamState,
    /// Whom it is connected to, or dials; empty where nobody is known.
    pub who: String,
    /// For how long it has been so.
    pub since: Duration,
    /// How long ago its last byte came; `None` before the first.
    pub last_byte: Option<Duration>,
    /// It has been silent for longer than it may be (`--idle-timeout`).
    pub is_overdue: bool,
    /// Connections that there have been.
    pub connections: u64,
    /// What went wrong last. It stays while somebody is connected again, and before anything has it is `None`.
    pub trouble: Option<Trouble>,
    /// What is done to have somebody connected, while nobody is.
    pub effort: Effort,
}

impl Upstream {
    /// Whether bytes can be expected of it.
    pub fn is_ready(&self) -> bool {
        self.state != UpstreamState::Down && !self.is_overdue
    }
}

/// How the upstream is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamState {
    /// Not at all.
    Down,
    /// Somebody has connected and has sent nothing yet.
    Silent,
    /// It is.
    Up,
}

/// A destination that is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Whom it dials.
    pub who: String,
    /// For how long it has been away.
    pub since: Duration,
    /// What went wrong last, if anything has.
    pub trouble: Option<Trouble>,
    /// What is done to have it connected.
    pub effort: Effort,
}

/// Why nobody is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A clause, as the log has it: `upstream 10.0.0.5:5000 refused the connection`.
    pub what: String,
    /// What may be looked after, as a sentence; empty where nothing in particular comes to mind.
    pub advice: &'static str,
}

impl Trouble {
    /// Trouble that calls for no advice.
    pub fn plain(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            advice: "",
        }
    }
}

/// What is done to have somebody connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// It is dialled now.
    Dialling,
    /// It is dialled again after so long.
    Waiting(Duration),
    /// Whoever it is has to connect by itself.
    Listening,
}

/// How far clients are behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The client that was furthest behind when all were last looked at: how long, how many bytes, and who.
    pub worst: Option<(Duration, u64, String)>,
    /// How long clients were behind at each look, one a client about once a second.
    pub ages: Spread,
}

/// Times, counted by how long they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Those up to each bound of [`Spread::BOUNDS`] and above the one before.
    counts: [u64; Self::BOUNDS.len()],
    /// Those above the last bound.
    above: u64,
    sum: Duration,
}

impl Spread {
    /// The upper bounds, ascending.
    pub const BOUNDS: [Duration; 14] = [
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(60),
    ];

    /// Counts one more.
    pub fn note(&mut self, time: Duration) {
        self.sum += time;
        match Self::BOUNDS.iter().position(|bound| time <= *bound) {
            Some(at) => self.counts[at] += 1,
            None => self.above += 1,
        }
    }

    /// How many times are within each bound.
    pub fn within(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut so_far = 0;
        Self::BOUNDS
            .iter()
            .zip(&self.counts)
            .map(move |(bound, count)| {
                so_far += count;
                (*bound, so_far)
            })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// All of them added up.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// Clients that are gone for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The reason, in the words of the log.
    pub reason: &'static str,
    /// How many.
    pub times: u64,
    /// It was our doing, and not in the course of things.
    pub is_drop: bool,
}

/// A number that only roles of one kind have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name in small letters, its unit last: `skipped_bytes`.
    pub name: &'static str,
    /// What it is, as a clause without its full stop.
    pub help: &'static str,
    /// It only grows, but for a new start of the role.
    pub only_grows: bool,
    /// The number.
    pub value: u64,
}

/// A client of a role, or whoever else is connected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// What the role knows it by. No other client of the role ever has the same.
    pub id: u64,
    /// Its address, or where it was dialled.
    pub peer: String,
    /// The name that it said, or the way that it came, where there is such a thing.
    pub label: String,
    /// For how long it has been connected.
    pub age: Duration,
    /// Bytes that it sent, where somebody counts them.
    pub bytes_in: Option<u64>,
    /// Bytes that its kernel was given.
    pub bytes_out: u64,
    /// Bytes that wait for it.
    pub waiting: u64,
    /// How old the oldest of them is, where that is known.
    pub lag: Option<Duration>,
}

/// Some of a role's clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPage {
    /// At most [`PAGE_MAX`], in no order that means anything.
    pub rows: Vec<ClientRow>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<u64>,
}

impl ClientPage {
    /// A page of what a table holds from a place on: `row` makes a row of an entry, or none of one that does not count.
    pub fn of<T>(
        entries: impl Iterator<Item = (usize, T)>,
        from: u64,
        mut row: impl FnMut(usize, T) -> Option<ClientRow>,
    ) -> Self {
        let mut page = Self::default();
        // Places that are passed over cost something too.
        for (seen, (place, entry)) in entries
            .skip_while(|(place, _)| (*place as u64) < from)
            .enumerate()
        {
            if seen == PAGE_MAX {
                page.next = Some(place as u64);
                break;
            }
            page.rows.extend(row(place, entry));
        }
        page
    }
}

/// The most rows of a page.
pub const PAGE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_their_bounds() {
        let mut spread = Spread::default();
        for millis in [0, 1, 2, 60_000, 60_001] {
            spread.note(Duration::from_millis(millis));
        }
        let within: Vec<u64> = spread.within().map(|(_, count)| count).collect();
        assert_eq!(within, [1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(spread.count(), 5);
        assert_eq!(spread.sum(), Duration::from_millis(120_004));
        assert!(Spread::BOUNDS.is_sorted());
    }

    #[test]
    fn pages_join_without_gap_or_repeat() {
        let table: Vec<usize> = (0..1000).filter(|place| place % 3 > 0).collect();
        let mut seen = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let entries = table.iter().map(|place| (*place, ()));
            let page = ClientPage::of(entries, at, |place, ()| {
                seen.push(place);
                None
            });
            from = page.next;
        }
        assert_eq!(seen, table);
    }
}
