//! What can be asked for, and by which method. It knows paths and queries, not who asks.
//!
//! ```text
//!   GET   /                                   the console            GET  /wall    the screen on the wall
//!   GET   /api/v1/state                       everything at a moment
//!   GET   /api/v1/options                     the options that a relay has
//!   GET   /api/v1/events?wall=1               server-sent events: the state each second, and no log
//!   GET   /api/v1/events?relay=ID&line=N&started=T
//!                                             server-sent events: the state each second, the log, behind line N if the
//!                                             hydrant is still that of T, and a relay's payload
//!   GET   /api/v1/relays/ID/clients?...       some of its clients, sorted and searched
//!   GET   /api/v1/relays/ID/history           its last five minutes
//!   POST  /api/v1/login  {"token"}            POST /api/v1/logout
//!   POST  /api/v1/reload                      reads the run file again
//!   POST  /api/v1/relays {"after": ID}        a new one, chained from another
//!   POST  /api/v1/relays/ID {"src", ...}      changes its settings
//!   POST  /api/v1/relays/ID/start, stop, remove, dump {"on"}, kick {"client"}
//! ```
//!
//! A POST may say `started`, as the state does: it is refused by a hydrant that was started at another moment, since
//! that one's ids are those of other relays.

use super::assets::Asset;
use super::roster::{Page, Sort};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Asset(&'static Asset),
    State,
    Options,
    Events(Wanted),
    Clients { relay: u64, page: Page },
    History { relay: u64 },
    Login,
    Logout,
    Reload,
    Add,
    Change { relay: u64 },
    Act { relay: u64, act: Act },
}

impl Route {
    /// Whether the owner of the loop is asked for it.
    pub(super) fn asks(&self) -> bool {
        matches!(
            self,
            Self::Options
                | Self::Clients { .. }
                | Self::Reload
                | Self::Add
                | Self::Change { .. }
                | Self::Act { .. }
        )
    }
}

/// What a stream of events is to bring besides the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whose payload.
    pub(super) relay: Option<u64>,
    /// The last line of the log that is known.
    pub(super) line: Option<u64>,
    /// Which run of hydrant that line is of, as the state says it: the next one counts its lines afresh.
    pub(super) started: Option<u64>,
    /// The screen on the wall, which shows no log.
    pub(super) is_wall: bool,
}

/// What can be done with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Start,
    Stop,
    Remove,
    Dump,
    Kick,
}

/// Why nothing is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Astray {
    /// There is no such path.
    Nowhere,
    /// The path takes these methods only.
    Method(&'static str),
    /// The query says what can't be.
    Query(&'static str),
}

impl Route {
    pub(super) fn of(method: &str, path: &str, query: Option<&str>) -> Result<Self, Astray> {
        let (route, taken) = match path.strip_prefix("/api/v1/") {
            None => {
                let asset = Asset::at(path).ok_or(Astray::Nowhere)?;
                (Self::Asset(asset), GET)
            }
            Some(rest) => Self::of_api(rest, &Query::new(query))?,
        };
        // A HEAD is a GET whose answer has no body; that is left out where it is written.
        match (method, taken) {
            ("GET" | "HEAD", GET) | ("POST", POST) => Ok(route),
            (_, GET) => Err(Astray::Method("GET, HEAD")),
            _ => Err(Astray::Method(taken)),
        }
    }

    fn of_api(path: &str, query: &Query) -> Result<(Self, &'static str), Astray> {
        let parts: Vec<&str> = path.split('/').collect();
        Ok(match parts[..] {
            ["state"] => (Self::State, GET),
            ["options"] => (Self::Options, GET),
            ["events"] => {
                let wanted = Wanted {
                    relay: query.number("relay")?,
                    line: query.number("line")?,
                    started: query.number("started")?,
                    is_wall: query.get("wall").is_some(),
                };
                (Self::Events(wanted), GET)
            }
            ["login"] => (Self::Login, POST),
            ["logout"] => (Self::Logout, POST),
            ["reload"] => (Self::Reload, POST),
            ["relays"] => (Self::Add, POST),
            ["relays", relay] => {
                let relay = id(relay)?;
                (Self::Change { relay }, POST)
            }
            ["relays", relay, "clients"] => {
                let (relay, page) = (id(relay)?, query.page()?);
                (Self::Clients { relay, page }, GET)
            }
            ["relays", relay, "history"] => {
                let relay = id(relay)?;
                (Self::History { relay }, GET)
            }
            ["relays", relay, act] => {
                let relay = id(relay)?;
                let act = Act::of(act).ok_or(Astray::Nowhere)?;
                (Self::Act { relay, act }, POST)
            }
            _ => return Err(Astray::Nowhere),
        })
    }

    /// Whether those may have it who may only look: at what is on the wall, and no further.
    pub(super) fn is_for_viewers(&self) -> bool {
        match self {
            Self::Asset(_) | Self::Login | Self::Logout => true,
            Self::State | Self::Events(_) | Self::History { .. } => true,
            Self::Options | Self::Clients { .. } => false,
            Self::Reload | Self::Add | Self::Change { .. } | Self::Act { .. } => false,
        }
    }

    /// Whether everybody may have it: a page has to be there before anybody can say who they are.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Asset(_) | Self::Login | Self::Logout)
    }
}

impl Act {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "remove" => Self::Remove,
            "dump" => Self::Dump,
            "kick" => Self::Kick,
            _ => return None,
        })
    }
}

/// What stands behind the `?`, taken apart.
struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    fn new(query: Option<&str>) -> Self {
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        Self {
            pairs: pairs
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (decoded(key), decoded(value)))
                .collect(),
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &'static str) -> Result<Option<u64>, Astray> {
        let value = self.get(key).map(str::parse);
        value.transpose().map_err(|_| Astray::Query(key))
    }

    fn page(&self) -> Result<Page, Astray> {
        let sort = match self.get("sort") {
            None => Sort::Lag,
            Some(word) => Sort::of(word).ok_or(Astray::Query("sort"))?,
        };
        let is_descending = match self.get("order") {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(Astray::Query("order")),
        };
        let count = |key, default| Ok(self.number(key)?.map_or(default, |count| count as usize));
        Ok(Page {
            sort,
            is_descending,
            search: self.get("search").unwrap_or_default().to_ascii_lowercase(),
            offset: count("offset", 0)?,
            limit: count("limit", ROWS)?.min(ROWS_MAX),
        })
    }
}

fn id(word: &str) -> Result<u64, Astray> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let digits = if is_number { word } else { "" };
    digits.parse().map_err(|_| Astray::Nowhere)
}

/// `%3A` and `+`, as forms write them. What is no such sequence stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(match (value, byte) {
            (Some(value), _) => value,
            (None, b'+') => b' ',
            (None, byte) => *byte,
        });
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

const GET: &str = "GET";
const POST: &str = "POST";
/// Rows of a page of clients, where nothing else is asked for, and at most.
const ROWS: usize = 100;
const ROWS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, query: &str) -> Result<Route, Astray> {
        Route::of("GET", path, Some(query))
    }

    #[test]
    fn each_path_has_its_method() {
        assert_eq!(get("/api/v1/state", ""), Ok(Route::State));
        for path in [
            "login",
            "logout",
            "relays",
            "relays/1",
            "relays/1/start",
            "relays/1/kick",
        ] {
            let path = format!("/api/v1/{path}");
            assert_eq!(get(&path, ""), Err(Astray::Method("POST")), "{path}");
            assert!(Route::of("POST", &path, None).is_ok(), "{path}");
        }
        for path in ["/", "/wall", "/console.js", "/api/v1/events"] {
            assert_eq!(
                Route::of("POST", path, None),
                Err(Astray::Method("GET, HEAD"))
            );
            assert!(get(path, "").is_ok(), "{path}");
            assert_eq!(Route::of("HEAD", path, None), get(path, ""));
        }
    }

    #[test]
    fn a_stream_goes_on_behind_a_line() {
        let wanted = |relay, line, started| {
            Ok(Route::Events(Wanted {
                relay,
                line,
                started,
                is_wall: false,
            }))
        };
        let events = |query| get("/api/v1/events", query);
        assert_eq!(events(""), wanted(None, None, None));
        let is_wall = matches!(events("wall=1"), Ok(Route::Events(wanted)) if wanted.is_wall);
        assert!(is_wall);
        assert_eq!(
            events("relay=1&line=7&started=1795312500079"),
            wanted(Some(1), Some(7), Some(1_795_312_500_079))
        );
        assert_eq!(events("line=x"), Err(Astray::Query("line")));
        assert_eq!(events("started=-1"), Err(Astray::Query("started")));
    }

    #[test]
    fn what_is_not_there_is_nowhere() {
        for path in [
            "/x",
            "/api",
            "/api/v1/",
            "/api/v1/relays/x",
            "/api/v1/relays/1/fly",
            "/api/v1/relays/-1/stop",
            "/api/v1/relays/+1/clients",
            "/../Cargo.toml",
            "/console.js/",
            "//",
            "/api/v1/relays/1/clients/2",
            "/api/v2/state",
        ] {
            assert_eq!(Route::of("GET", path, None), Err(Astray::Nowhere), "{path}");
        }
    }

    #[test]
    fn a_page_of_clients_is_bounded() {
        let page = |query| match get("/api/v1/relays/7/clients", query) {
            Ok(Route::Clients { relay: 7, page }) => Ok(page),
            Ok(other) => panic!("{other:?}"),
            Err(astray) => Err(astray),
        };
        let plain = page("").unwrap();
        assert_eq!(
            (plain.sort, plain.is_descending, plain.offset, plain.limit),
            (Sort::Lag, true, 0, 100)
        );
        let all = page("sort=peer&order=asc&search=10.0.0.1%3A4&offset=9990&limit=99999").unwrap();
        assert_eq!(
            (all.sort, all.is_descending, all.search.as_str()),
            (Sort::Peer, false, "10.0.0.1:4")
        );
        assert_eq!((all.offset, all.limit), (9990, 256));
        assert_eq!(page("sort=rank"), Err(Astray::Query("sort")));
        assert_eq!(page("offset=-1"), Err(Astray::Query("offset")));
        assert_eq!(page("order=up"), Err(Astray::Query("order")));
    }

    #[test]
    fn a_query_is_read_as_forms_write_it() {
        assert_eq!(decoded("a+b%20c%3a"), "a b c:");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%ff"), "\u{fffd}");
        assert_eq!(decoded("%é"), "%é");
    }
}
