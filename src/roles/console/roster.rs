//! The clients of a relay as a page looks at them: all of them gathered in pieces, then searched, and as much sorted as
//! is looked at. It is asked for and gathered afresh when it is older than a second, however many pages look.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::time::Time;
use crate::reactor::view::ClientRow;

use super::ask::Look;

/// What of the clients is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) sort: Sort,
    pub(super) is_descending: bool,
    /// In small letters; stands somewhere in the address or the label.
    pub(super) search: String,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// By what they are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Lag,
    Behind,
    Bytes,
    Joined,
    Peer,
    /// By the name that it said, or the way that it came.
    Label,
    /// By the bytes that it sent.
    Sent,
}

impl Sort {
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "lag" => Self::Lag,
            "behind" => Self::Behind,
            "bytes" => Self::Bytes,
            "joined" => Self::Joined,
            "peer" => Self::Peer,
            "label" => Self::Label,
            "sent" => Self::Sent,
            _ => return None,
        })
    }

    fn compare(self, one: &Row, other: &Row) -> Ordering {
        let (a, b) = (&one.row, &other.row);
        match self {
            Self::Lag => a.lag.cmp(&b.lag).then(a.waiting.cmp(&b.waiting)),
            Self::Behind => a.waiting.cmp(&b.waiting),
            Self::Bytes => a.bytes_out.cmp(&b.bytes_out),
            Self::Joined => a.age.cmp(&b.age),
            Self::Peer => match (one.address, other.address) {
                (Some(one), Some(other)) => one.cmp(&other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.peer.cmp(&b.peer),
            },
            Self::Label => a.label.cmp(&b.label),
            Self::Sent => a.bytes_in.cmp(&b.bytes_in),
        }
        // Equals keep their places from one look to the next.
        .then(b.id.cmp(&a.id))
    }
}

/// A relay's clients.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) tab: u64,
    /// Who waits for all of them.
    pub(super) looks: Vec<Look>,
    /// Which gathering this is: what an older one still brings is not taken.
    pub(super) serial: u64,
    rows: Vec<Row>,
    begun: Time,
    /// When the last of them came; `None` while more are to come.
    gathered: Option<Time>,
}

impl Roster {
    pub(super) fn new(tab: u64, serial: u64, now: Time) -> Self {
        Self {
            tab,
            looks: Vec::new(),
            serial,
            begun: now,
            rows: Vec::new(),
            gathered: None,
        }
    }

    /// Takes some more.
    pub(super) fn take(&mut self, rows: Vec<ClientRow>) {
        self.rows.extend(rows.into_iter().map(Row::new));
    }

    /// There are no more.
    pub(super) fn complete(&mut self, now: Time) {
        self.gathered = Some(now);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.gathered.is_some()
    }

    /// Whether it is of no use any more: too old, or never to be whole.
    pub(super) fn is_over(&self, now: Time) -> bool {
        match self.gathered {
            Some(_) => !self.is_fresh(now),
            None => now.since(self.begun) > GIVEN_UP,
        }
    }

    pub(super) fn is_fresh(&self, now: Time) -> bool {
        self.gathered.is_some_and(|at| now.since(at) < FRESH)
    }

    /// What a page looks at.
    pub(super) fn json(&self, page: &Page) -> Value {
        let fits = |row: &&Row| page.search.is_empty() || row.searched.contains(&page.search);
        let mut found: Vec<&Row> = self.rows.iter().filter(fits).collect();
        let matched = found.len();
        let compare = |a: &&Row, b: &&Row| match page.is_descending {
            true => page.sort.compare(b, a),
            false => page.sort.compare(a, b),
        };
        let from = page.offset.min(matched);
        let to = page.offset.saturating_add(page.limit).min(matched);
        // Only what is shown is sorted: of ten thousand that takes a tenth of the time.
        if to < matched {
            found.select_nth_unstable_by(to, compare);
            found.truncate(to);
        }
        if from > 0 && from < found.len() {
            found.select_nth_unstable_by(from, compare);
        }
        let shown = &mut found[from..];
        shown.sort_unstable_by(compare);
        let rows: Vec<Value> = shown.iter().map(|row| client(&row.row)).collect();
        json!({ "total": self.rows.len(), "matched": matched, "offset": from, "rows": rows })
    }
}

/// A client, and what it is searched and sorted by: made once, however often that is done.
#[derive(Debug)]
struct Row {
    row: ClientRow,
    /// In small letters.
    searched: String,
    /// Its numbers go before letters: 9.0.0.1 stands in front of 10.0.0.1. `None` where it has another kind of name.
    address: Option<SocketAddr>,
}

impl Row {
    fn new(row: ClientRow) -> Self {
        let mut searched = format!("{}\n{}", row.peer, row.label);
        searched.make_ascii_lowercase();
        let address = row.peer.parse().ok();
        Self {
            row,
            searched,
            address,
        }
    }
}

fn client(row: &ClientRow) -> Value {
    json!({
        // A number of 64 bits is no number of a page's.
        "id": row.id.to_string(),
        "peer": row.peer,
        "label": row.label,
        "lag": row.lag.map_or(0.0, |lag| lag.as_secs_f64()),
        "behind": row.waiting,
        "bytes": row.bytes_out,
        "sent": row.bytes_in,
        "joined": row.age.as_secs_f64(),
    })
}

const FRESH: Duration = Duration::from_millis(900);
/// After how long a gathering that does not end is forgotten.
const GIVEN_UP: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64) -> ClientRow {
        ClientRow {
            id,
            peer: format!("10.0.{}.{}:4{id:04}", id / 250, id % 250),
            label: String::new(),
            age: Duration::from_secs(id),
            bytes_in: None,
            bytes_out: id * 7919 % 10_000,
            waiting: id % 3,
            lag: (id % 1000 == 7).then(|| Duration::from_millis(id)),
        }
    }

    fn page(sort: Sort, is_descending: bool, offset: usize, limit: usize) -> Page {
        Page {
            sort,
            is_descending,
            search: String::new(),
            offset,
            limit,
        }
    }

    fn ids(value: &Value) -> Vec<u64> {
        let rows = value["rows"].as_array().unwrap();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn pages_are_pieces_of_what_is_sorted() {
        let mut roster = Roster::new(1, 0, Time::ZERO);
        roster.take((0..10_000).map(row).collect());
        assert_eq!(
            ids(&roster.json(&page(Sort::Lag, true, 0, 3))),
            [9007, 8007, 7007]
        );
        for sort in [
            Sort::Lag,
            Sort::Behind,
            Sort::Bytes,
            Sort::Joined,
            Sort::Peer,
            Sort::Label,
            Sort::Sent,
        ] {
            for is_descending in [true, false] {
                let all = roster.json(&page(sort, is_descending, 0, 10_000));
                let all = ids(&all);
                assert_eq!(all.len(), 10_000);
                for offset in [0, 1, 5000, 9950, 9999] {
                    let piece = roster.json(&page(sort, is_descending, offset, 50));
                    let end = (offset + 50).min(10_000);
                    assert_eq!(ids(&piece), all[offset..end], "{sort:?} {offset}");
                }
            }
        }
        assert!(ids(&roster.json(&page(Sort::Lag, true, 10_001, 50))).is_empty());
        assert!(ids(&roster.json(&page(Sort::Lag, true, usize::MAX, 50))).is_empty());
    }

    #[test]
    fn they_are_searched_by_address() {
        let mut roster = Roster::new(1, 0, Time::ZERO);
        roster.take((0..1000).map(row).collect());
        let mut search = page(Sort::Joined, false, 0, 10);
        search.search = "10.0.3.".to_owned();
        let found = roster.json(&search);
        assert_eq!(
            (&found["total"], &found["matched"]),
            (&json!(1000), &json!(250))
        );
        assert_eq!(ids(&found)[0], 750);
    }

    #[test]
    fn addresses_are_sorted_by_their_numbers() {
        let peers = [
            "9.0.0.1:80",
            "10.0.0.2:900",
            "10.0.0.2:4000",
            "10.0.0.10:80",
            "[2001:db8::9]:80",
            "[2001:db8::10]:80",
            "unix",
            "\u{fc}ber",
        ];
        let mut roster = Roster::new(1, 0, Time::ZERO);
        let rows = peers.iter().zip(1..).map(|(peer, number)| ClientRow {
            peer: (*peer).to_owned(),
            ..row(number * 5 % 8)
        });
        roster.take(rows.collect());
        let sorted = roster.json(&page(Sort::Peer, false, 0, 10));
        let shown = sorted["rows"].as_array().unwrap().iter();
        let shown: Vec<&str> = shown.map(|row| row["peer"].as_str().unwrap()).collect();
        assert_eq!(shown, peers);
    }

    #[test]
    fn it_is_fresh_for_a_moment() {
        let mut roster = Roster::new(1, 0, Time::ZERO);
        assert!(!roster.is_complete() && !roster.is_fresh(Time::ZERO));
        roster.complete(Time::ZERO);
        assert!(roster.is_fresh(Time::ZERO));
        assert!(!roster.is_fresh(Time::ZERO + Duration::from_secs(1)));
    }

    #[test]
    fn one_that_is_never_whole_is_forgotten() {
        let roster = Roster::new(1, 0, Time::ZERO);
        assert!(!roster.is_over(Time::ZERO + GIVEN_UP));
        assert!(roster.is_over(Time::ZERO + GIVEN_UP + Duration::from_millis(1)));
    }
}
