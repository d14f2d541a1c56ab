//! The console: pages for a browser, and the API that they, and scripts, speak. It serves HTTP, asks the owner of the
//! loop for everything that it shows, and hands on what is to be done. It knows no other role, and no settings file.
//!
//! ```text
//!   conn.rs: a connection ──> guard.rs: who may ──> routes.rs: what for ──┬─> assets.rs: the page's files
//!                                                                         ├─> ask.rs: Command ──> owner of the loop
//!   answer.rs <── state.rs, history.rs, roster.rs <── Reply ──────────────┘
//!   streams.rs: what is pushed to pages that are open
//! ```
//!
//! **Invariant.** No GET changes anything but for what is shown, and nothing is done for whoever may only look.
//!
//! **Invariant.** Connections, heads, bodies and what waits for a reader are bounded; one that stops reading is closed.

mod answer;
mod ask;
mod assets;
pub mod config;
mod conn;
mod guard;
mod history;
pub mod options;
mod roster;
mod routes;
mod state;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use slab::Slab;

use crate::base::time::Time;
use crate::proto::http1::{Fault, Request, Status};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::{Addr, Close, SockId};
use crate::reactor::tabs::{LogLine, Tab, TabCommand};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::journal::Journal;
use crate::roles::listening::listen;

use self::answer::{Answer, stream_head};
use self::ask::{Goal, STARTED, Waiting};
use self::config::ConsoleConfig;
use self::conn::{BODY_MAX, Conn, Next, Phase, Stream};
use self::guard::{Guard, Right};
use self::history::History;
use self::roster::Roster;
use self::routes::{Astray, Route};

/// A console that runs.
pub struct Console {
    config: ConsoleConfig,
    guard: Guard,
    conns: Slab<Conn>,
    serial: u64,
    bound: Vec<Addr>,
    /// What has been asked of the owner of the loop.
    asked: BTreeMap<Ticket, Goal>,
    /// Who waits for the tabs as they are now.
    waiting: Vec<Waiting>,
    listing: bool,
    tabs: Vec<Tab>,
    /// The state of everything, as it was sent last.
    state: Value,
    options: Value,
    history: History,
    rosters: Vec<Roster>,
    lines: VecDeque<LogLine>,
    line: u64,
    /// Tokens that were wrong within the last minute.
    wrong: u32,
    wrong_since: Time,
    started: u64,
    journal: Journal,
    buffer: Box<[u8]>,
}

/// A connection, and which of its place's tenants it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConnId {
    key: usize,
    serial: u64,
}

impl Console {
    /// A console with these orders. It does nothing before its first event.
    pub fn new(config: ConsoleConfig) -> Self {
        let guard = Guard::new(
            config.hosts.clone(),
            config.token.clone(),
            config.view_token.clone(),
        );
        Self {
            config,
            guard,
            conns: Slab::new(),
            serial: 0,
            bound: Vec::new(),
            asked: BTreeMap::new(),
            waiting: Vec::new(),
            listing: false,
            tabs: Vec::new(),
            state: Value::Null,
            options: Value::Null,
            history: History::default(),
            rosters: Vec::new(),
            lines: VecDeque::new(),
            line: 0,
            wrong: 0,
            wrong_since: Time::ZERO,
            started: 0,
            journal: Journal::new("console".to_owned()),
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    /// Where it listens, by the real addresses.
    pub fn listens_at(&self) -> &[Addr] {
        &self.bound
    }

    /// Where a browser on this machine finds it.
    pub fn url(&self) -> Option<String> {
        let at = self.bound.iter().find_map(|at| match at {
            Addr::Tcp(at) => Some(*at),
            Addr::Unix(_) => None,
        })?;
        let port = at.port();
        Some(match at.ip() {
            ip if ip.is_unspecified() => format!("http://127.0.0.1:{port}/"),
            ip => format!("http://{}/", SocketAddr::new(ip, port)),
        })
    }

    /// Every socket that it knows but its listeners.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.conns.iter().map(|(_, conn)| conn.sock)
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for (_, at) in listen(cx, &self.config.bind)? {
            if let Addr::Tcp(at) = &at {
                self.guard.listens_at(at.port());
            }
            self.journal.info(format!("listening on {at} for browsers"));
            self.bound.push(at);
        }
        self.started = cx.utc_millis();
        self.ask(cx, Goal::Options, TabCommand::Options);
        self.tick(cx);
        cx.timer(PUSH, Tick::Push as u32);
        Ok(())
    }

    /// Once a second: a sample of everything, and a look at who has had their time.
    fn tick(&mut self, cx: &mut Cx<'_>) {
        self.list(cx, Waiting::Sample);
        let now = cx.now();
        if now.since(self.wrong_since) > WRONG_FOR {
            self.wrong = 0;
        }
        let overdue: Vec<usize> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.is_overdue(now))
            .map(|(key, _)| key)
            .collect();
        for key in overdue {
            self.drop_conn(cx, key, Close::Reset);
        }
        self.rosters
            .retain(|roster| !roster.is_complete() || roster.is_fresh(now));
        self.journal.tick(now);
        cx.timer(SECOND, Tick::Second as u32);
    }

    fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if self.conns.len() >= self.config.max_connections {
            self.journal.warn(
                cx.now(),
                "full",
                format!(
                    "{} connections are enough (--max-connections)",
                    self.conns.len()
                ),
            );
            return cx.close(sock, Close::Reset);
        }
        self.serial += 1;
        let key = self.conns.insert(Conn::new(sock, self.serial, cx.now()));
        cx.set_tag(sock, key as u32);
        cx.want_read(sock, true);
    }

    fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(key) = self.key_of(cx, sock) else {
            return;
        };
        match cx.read(sock, &mut self.buffer) {
            Ok(None) => {}
            Ok(Some(n)) if n > 0 => {
                let conn = &mut self.conns[key];
                if conn.is_idle() {
                    conn.progress = cx.now();
                }
                let next = conn.feed(&self.buffer[..n]);
                self.go_on(cx, key, next);
            }
            _ => self.drop_conn(cx, key, Close::Orderly),
        }
    }

    fn writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if let Some(key) = self.key_of(cx, sock) {
            self.flush(cx, key);
        }
    }

    fn key_of(&self, cx: &Cx<'_>, sock: SockId) -> Option<usize> {
        let key = cx.tag(sock)? as usize;
        self.conns
            .get(key)
            .filter(|conn| conn.sock == sock)
            .map(|_| key)
    }

    /// Follows what came in as far as it goes.
    fn go_on(&mut self, cx: &mut Cx<'_>, key: usize, next: Next) {
        match next {
            Next::More => {}
            Next::Head => {
                let next = self.head(cx, key);
                if next != Next::More {
                    self.go_on(cx, key, next);
                }
            }
            Next::Request => self.request(cx, key),
            Next::Fault(fault) => self.refuse(cx, key, fault),
        }
    }

    /// A head is whole: how long may its body be?
    fn head(&mut self, cx: &mut Cx<'_>, key: usize) -> Next {
        let conn = &mut self.conns[key];
        let (length, keeps) = match Request::parse(&conn.head) {
            Ok(request) => (
                request.content_length.unwrap_or(0),
                request.is_1_1 && !request.fields.lists("Connection", "close"),
            ),
            Err(fault) => return Next::Fault(fault),
        };
        conn.keeps = keeps;
        match usize::try_from(length) {
            Ok(length) if length <= BODY_MAX => conn.expect_body(length),
            _ => {
                self.refuse(cx, key, Fault::Body);
                Next::More
            }
        }
    }

    /// A request is whole.
    fn request(&mut self, cx: &mut Cx<'_>, key: usize) {
        let conn = &mut self.conns[key];
        conn.phase = Phase::Waiting;
        cx.want_read(conn.sock, false);
        let head = std::mem::take(&mut conn.head);
        let body = std::mem::take(&mut conn.body);
        let answer = match Request::parse(&head) {
            Ok(request) => self.route(cx, key, &request, &body),
            Err(fault) => Some(Answer::error(fault.status(), &fault.to_string())),
        };
        if let Some(answer) = answer {
            self.answer(cx, key, answer);
        }
    }

    /// Answers what can be answered at once.
    fn route(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        request: &Request<'_>,
        body: &[u8],
    ) -> Option<Answer> {
        let route = Route::of(request.method, request.path, request.query);
        let is_page = matches!(&route, Ok(Route::Asset(asset)) if asset.is_page());
        if let Err(refusal) = self.guard.admit(request, is_page) {
            return Some(Answer::error(refusal.status, refusal.why));
        }
        let route = match route {
            Ok(route) => route,
            Err(Astray::Nowhere) => {
                return Some(Answer::error(Status::NOT_FOUND, "there is nothing here"));
            }
            Err(Astray::Method(method)) => {
                let answer = Answer::error(Status::METHOD_NOT_ALLOWED, "this takes another method");
                return Some(answer.with_allow(method));
            }
            Err(Astray::Query(key)) => {
                return Some(Answer::error(
                    Status::BAD_REQUEST,
                    &format!("{key} can't be that"),
                ));
            }
        };
        let right = self.guard.right(request);
        if right == Right::Nothing && !route.is_open() {
            return Some(Answer::error(Status::UNAUTHORIZED, "a token is needed"));
        }
        if right == Right::View && !route.is_for_viewers() {
            return Some(Answer::error(
                Status::FORBIDDEN,
                "this token is for looking only",
            ));
        }
        let body = match request.method {
            "POST" => match json_of(request, body) {
                Ok(body) => body,
                Err(answer) => return Some(answer),
            },
            _ => Value::Null,
        };
        if !self.is_meant(&body) {
            return Some(Answer::error(
                Status::CONFLICT,
                "hydrant was started again meanwhile: look at what runs now, and ask again",
            ));
        }
        self.serve(cx, key, route, &body, right)
    }

    /// Whether this run is the one whose relays are meant by their ids: another one gives the same ids to others.
    fn is_meant(&self, body: &Value) -> bool {
        body.get(STARTED)
            .is_none_or(|started| *started == self.started)
    }

    /// The head that was said is no good: the answer is the last thing on this connection.
    fn refuse(&mut self, cx: &mut Cx<'_>, key: usize, fault: Fault) {
        let conn = &mut self.conns[key];
        conn.keeps = false;
        conn.phase = Phase::Waiting;
        cx.want_read(conn.sock, false);
        self.answer(cx, key, Answer::error(fault.status(), &fault.to_string()));
    }

    fn answer(&mut self, cx: &mut Cx<'_>, key: usize, answer: Answer) {
        let conn = &mut self.conns[key];
        let bytes = answer.bytes(conn.keeps);
        conn.phase = Phase::Answering;
        conn.progress = cx.now();
        match conn.push(&bytes) {
            true => self.flush(cx, key),
            false => self.drop_conn(cx, key, Close::Reset),
        }
    }

    /// Begins a stream of events.
    fn stream(&mut self, cx: &mut Cx<'_>, key: usize, relay: Option<u64>, right: Right) {
        let conn = &mut self.conns[key];
        conn.phase = Phase::Streaming(Stream::new(relay, right));
        conn.progress = cx.now();
        // Its end is noticed at once; what it says is nothing to us.
        cx.want_read(conn.sock, true);
        let fits = conn.push(&stream_head());
        debug_assert!(fits, "nothing was before it");
        self.list(cx, Waiting::Streams);
    }

    fn flush(&mut self, cx: &mut Cx<'_>, key: usize) {
        let conn = &mut self.conns[key];
        match conn.flush(cx) {
            Err(_) => self.drop_conn(cx, key, Close::Reset),
            Ok(false) => {}
            Ok(true) => match conn.phase {
                Phase::Answering if conn.keeps => {
                    cx.want_read(conn.sock, true);
                    let next = conn.next_request(cx.now());
                    self.go_on(cx, key, next);
                }
                Phase::Answering => {
                    // The end follows the answer; what still comes in is not read, but waited for.
                    conn.phase = Phase::Closing;
                    conn.progress = cx.now();
                    match cx.shutdown(conn.sock) {
                        Ok(()) => cx.want_read(conn.sock, true),
                        Err(_) => self.drop_conn(cx, key, Close::Orderly),
                    }
                }
                _ => {}
            },
        }
    }

    fn drop_conn(&mut self, cx: &mut Cx<'_>, key: usize, how: Close) {
        let conn = self.conns.remove(key);
        cx.close(conn.sock, how);
    }

    fn id_of(&self, key: usize) -> ConnId {
        ConnId {
            key,
            serial: self.conns[key].serial,
        }
    }

    /// The connection, if it is still there.
    fn key_at(&self, id: ConnId) -> Option<usize> {
        let conn = self.conns.get(id.key)?;
        (conn.serial == id.serial).then_some(id.key)
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        match tag {
            tag if tag == Tick::Second as u32 => self.tick(cx),
            _ => {
                self.ask_for_streams(cx);
                cx.timer(PUSH, Tick::Push as u32);
            }
        }
    }
}

impl Role for Console {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, .. } => self.accepted(cx, sock),
            Event::Readable(sock) => self.readable(cx, sock),
            Event::Writable(sock) => self.writable(cx, sock),
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Reply {
                ticket,
                reply: Reply::Tab(reply),
            } => self.heard(cx, ticket, reply),
            Event::Drain(_) => cx.finish(End::Done),
            _ => {}
        }
    }
}

/// What a request's body says. Forms of other sites can't send this type unasked.
fn json_of(request: &Request<'_>, body: &[u8]) -> Result<Value, Answer> {
    let kind = request
        .fields
        .list("Content-Type")
        .next()
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Answer::error(
            Status::BAD_REQUEST,
            "a body is application/json here",
        ));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        _ => Err(Answer::error(
            Status::BAD_REQUEST,
            "the body is no JSON object",
        )),
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
enum Tick {
    Second,
    Push,
}

const SECOND: Duration = Duration::from_secs(1);
/// How often new lines of the log, and payload, are pushed.
const PUSH: Duration = Duration::from_millis(250);
const BUFFER: usize = 16 << 10;
/// How long wrong tokens are remembered.
const WRONG_FOR: Duration = Duration::from_secs(60);
