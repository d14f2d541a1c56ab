//! The console: pages for a browser, and the API that they, and scripts, speak. It serves HTTP, asks the owner of the
//! loop for everything that it shows, and hands on what is to be done. It knows no other role, and no settings file.
//!
//! ```text
//!   http: a request ──> guard.rs: who may ──> routes.rs: what for ──┬─> assets.rs: the page's files
//!                                                                   ├─> ask.rs: Command ──> owner of the loop
//!   answer.rs <── survey.rs (state.rs, history.rs), roster.rs <── Reply ────┘
//!   streams.rs: what is pushed to pages that are open
//! ```
//!
//! **Invariant.** No GET changes anything but for what is shown, and nothing is done for whoever may only look.
//!
//! **Invariant.** Connections, heads, bodies and what waits for a reader are bounded; one that stops reading is closed.
//! A turn serves one request, and a piece of the state that does not grow with the number of roles or of those who
//! look.

mod answer;
mod ask;
mod assets;
pub mod config;
mod guard;
mod guesses;
mod history;
pub mod options;
mod roster;
mod routes;
mod state;
mod streams;
mod survey;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use crate::base::time::Time;
use crate::proto::http1::{Fault, Request, Status, client_address};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::net::{Addr, Close, Peer, SockId};
use crate::reactor::tabs::TabReply;
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::http::{Asked, ConnId, Content, Limits, Server, Trust};
use crate::roles::journal::Journal;
use crate::roles::listening::{TRUSTS_EVERYBODY, listen};

use self::answer::error;
use self::ask::{Goal, Look, STARTED};
use self::config::ConsoleConfig;
use self::guard::{Caller, Guard, Right};
use self::guesses::{Guesses, WRONG_MAX};
use self::history::History;
use self::roster::Roster;
use self::routes::{Astray, Route};
use self::streams::{Line, Stream};
use self::survey::{Survey, Waiting};

pub use self::survey::Work;

/// A console that runs.
pub struct Console {
    config: ConsoleConfig,
    guard: Guard,
    server: Server,
    streams: Vec<Stream>,
    bound: Vec<Addr>,
    listeners: Vec<SockId>,
    /// It has been told to stop, and those are waited for who wait for an answer.
    is_leaving: bool,
    /// What has been asked of the owner of the loop.
    asked: BTreeMap<Ticket, Goal>,
    survey: Survey,
    /// When somebody asked for the state: a private console looks at itself as long as that goes on.
    state_asked: Option<Time>,
    /// `Null` until somebody wants them.
    options: Value,
    history: History,
    rosters: Vec<Roster>,
    /// Who is to be shown clients that are gathered.
    looks: VecDeque<Look>,
    /// How often clients have been gathered.
    gatherings: u64,
    lines: VecDeque<Line>,
    line: u64,
    served: u64,
    guesses: Guesses,
    /// Those who may only look, and log out again and again. All cookies that are given back are remembered, as far as
    /// there is room: nobody may fill it, at the cost of all others who look.
    partings: Guesses,
    started: u64,
    journal: Journal,
}

impl Console {
    /// A console with these orders. It does nothing before its first event.
    pub fn new(mut config: ConsoleConfig) -> Self {
        // The guard has them alone: they may be others later.
        let (token, view_token) = (config.token.take(), config.view_token.take());
        let guard = Guard::new(config.hosts.clone(), token, view_token);
        let server = Server::new(Limits {
            connections: config.max_connections,
            body: BODY_MAX,
            asking: ASKING,
            idle: Some(IDLE),
            waiting: WAITING,
            telling: STALL,
            refusal,
        });
        Self {
            guard,
            server,
            streams: Vec::new(),
            bound: Vec::new(),
            listeners: Vec::new(),
            is_leaving: false,
            asked: BTreeMap::new(),
            survey: Survey::default(),
            state_asked: None,
            options: Value::Null,
            history: match config.is_private {
                true => History::patchy(),
                false => History::default(),
            },
            rosters: Vec::new(),
            looks: VecDeque::new(),
            gatherings: 0,
            lines: VecDeque::new(),
            line: 0,
            served: 0,
            guesses: Guesses::default(),
            partings: Guesses::default(),
            started: 0,
            journal: Journal::new("console".to_owned()),
            config,
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
        self.server.sockets()
    }

    /// Requests that it has looked at, and looks at clients that it has shown.
    pub fn served(&self) -> u64 {
        self.served
    }

    /// What it has written of the state so far, and whom it has told. For tests and the simulator.
    pub fn work(&self) -> Work {
        self.survey.work()
    }

    /// Panics where an invariant does not hold. For tests and the simulator.
    pub fn check_invariants(&self) {
        self.server.check_invariants();
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for (listener, at) in listen(cx, &self.config.bind)? {
            self.listeners.push(listener);
            if let Addr::Tcp(at) = &at {
                self.guard.listens_at(at.port());
            }
            match self.config.is_private {
                true => log::debug!("hydrant: listening on {at} for hydrant status"),
                false => self.journal.info(format!("listening on {at} for browsers")),
            }
            self.bound.push(at);
        }
        self.started = cx.utc_millis();
        if self.config.trust_proxy.has_everybody() {
            let text = TRUSTS_EVERYBODY.to_owned();
            self.journal.warn(cx.now(), "proxy", text);
        }
        self.tick(cx);
        if !self.config.is_private {
            cx.timer(PUSH, Tick::Push as u32);
        }
        Ok(())
    }

    /// Once a second: a sample of everything, if that is of use to anybody.
    fn tick(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        if self
            .state_asked
            .is_some_and(|asked| now.since(asked) > WATCHED)
        {
            self.state_asked = None;
            self.history.forget();
        }
        if !self.config.is_private || self.state_asked.is_some() {
            self.list(cx, Waiting::Sample);
        }
        self.rosters.retain(|roster| !roster.is_over(now));
        self.journal.tick(now);
        cx.timer(SECOND, Tick::Second as u32);
    }

    /// What takes time: a piece of the look at all tabs; lines for a few pages; and a look at clients, or the next
    /// request.
    fn serve_next(&mut self, cx: &mut Cx<'_>) {
        let is_busy = self.survey.is_busy();
        self.feed_some(cx);
        let is_more = is_busy || self.has_unfed() || !self.looks.is_empty();
        self.server.woken(cx, is_more);
        if is_busy {
            self.survey_on(cx);
        }
        if let Some(look) = self.looks.pop_front() {
            self.served += 1;
            return self.show(cx, look);
        }
        let Some(asked) = self.server.next() else {
            return;
        };
        self.served += 1;
        let judged = Request::parse(&asked.head)
            .map_err(|fault| error(fault.status(), &fault.to_string()))
            .and_then(|request| {
                let (route, caller) = self.judge(cx, &asked, &request)?;
                let body = match request.method {
                    "POST" if asked.is_whole => json_of(&request, &asked.body)?,
                    _ => Value::Null,
                };
                Ok((route, caller, body))
            });
        let answer = match judged {
            // Nothing is wrong so far: its body may come.
            Ok(_) if !asked.is_whole => return self.server.go_ahead(cx, asked),
            Ok(_) if self.is_leaving => Some(error(Status::UNAVAILABLE, "hydrant stops")),
            Ok((_, _, body)) if !self.is_meant(&body) => {
                let why =
                    "hydrant was started again meanwhile: look at what runs now, and ask again";
                Some(error(Status::PRECONDITION_FAILED, why))
            }
            Ok((route, caller, body)) => self.serve(cx, &asked, route, &body, caller),
            Err(answer) => Some(answer),
        };
        if let Some(answer) = answer {
            self.server.answer(cx, asked.conn, answer);
        }
    }

    /// What is asked for by whom, if they may: a request's head says it all.
    fn judge(
        &mut self,
        cx: &mut Cx<'_>,
        asked: &Asked,
        request: &Request<'_>,
    ) -> Result<(Route, Caller), Content> {
        let route = Route::of(request.method, request.path, request.query);
        let is_page = matches!(&route, Ok(Route::Asset(asset)) if asset.is_page());
        self.guard
            .admit(request, is_page)
            .map_err(|refusal| error(refusal.status, refusal.why))?;
        let route = route.map_err(nowhere)?;
        let caller = self.caller(cx, asked.peer, request)?;
        let right = caller.pass.right;
        if right == Right::Nothing && !route.is_open() {
            return Err(error(Status::UNAUTHORIZED, "a token is needed"));
        }
        if right == Right::View && !route.is_for_viewers() {
            return Err(error(Status::FORBIDDEN, "this token is for looking only"));
        }
        match right {
            Right::Nothing => {}
            Right::View => self.server.vouch(asked.conn, Trust::Viewer),
            Right::All => self.server.vouch(asked.conn, Trust::Owner),
        }
        if self.config.is_private && matches!(route, Route::Events(_) | Route::History { .. }) {
            return Err(error(Status::NOT_FOUND, "this is for pages"));
        }
        Ok((route, caller))
    }

    /// Who asks. A wrong token counts, and behind too many of them none is looked at.
    fn caller(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<Caller, Content> {
        let (from, is_proxy) = match peer {
            Peer::Tcp(at) => {
                let trusted = &self.config.trust_proxy;
                let from = client_address(at.ip(), &request.fields, trusted);
                let is_same = from == at.ip().to_canonical();
                (from, is_same && request.fields.has("X-Forwarded-For"))
            }
            Peer::Unix | Peer::Stdio => (Ipv4Addr::UNSPECIFIED.into(), false),
        };
        let is_said = self.guard.is_told_a_token(request);
        if is_said && !self.guesses.may(from, cx.now()) {
            return Err(error(Status::TOO_MANY, TOO_MANY));
        }
        let pass = self.guard.pass(request, cx.utc_millis() / 1000);
        let caller = Caller {
            pass,
            from,
            is_proxy,
        };
        if is_said && pass.right == Right::Nothing {
            self.guessed(cx, caller);
        }
        Ok(caller)
    }

    /// Somebody has said a wrong token.
    fn guessed(&mut self, cx: &mut Cx<'_>, caller: Caller) {
        let Caller { from, is_proxy, .. } = caller;
        if !self.guesses.count(from, cx.now()) {
            return;
        }
        let way_out = match is_proxy {
            true => format!("; is it a proxy? --trust-proxy {from} tells its users apart"),
            false => String::new(),
        };
        let text = format!(
            "{from} has said {WRONG_MAX} wrong tokens: none is looked at for a minute{way_out}"
        );
        self.journal.refused(cx.now(), &from.to_string(), text);
    }

    /// Whether this run is the one whose relays are meant by their ids: another one gives the same ids to others.
    fn is_meant(&self, body: &Value) -> bool {
        body.get(STARTED)
            .is_none_or(|started| *started == self.started)
    }

    /// Nobody comes in any more, and whoever waits for an answer gets it, within [`LEAVE`].
    fn leave(&mut self, cx: &mut Cx<'_>) {
        if std::mem::replace(&mut self.is_leaving, true) {
            return;
        }
        for listener in self.listeners.drain(..) {
            cx.close(listener, Close::Orderly);
        }
        self.streams.clear();
        self.server.leave(cx);
        cx.timer(LEAVE, Tick::Leave as u32);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        match tag {
            tag if tag == Tick::Second as u32 => self.tick(cx),
            tag if tag == Tick::Leave as u32 => cx.finish(End::Done),
            tag if tag == Tick::Push as u32 => {
                self.ask_for_streams(cx);
                cx.timer(PUSH, Tick::Push as u32);
            }
            tag => {
                if let Some(text) = self.server.overdue(cx, tag) {
                    self.journal.warn(cx.now(), "slow", text);
                }
            }
        }
    }
}

impl Role for Console {
    #[inline(never)]
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, peer, .. } => {
                if let Some(text) = self.server.accepted(cx, sock, peer) {
                    self.journal
                        .warn(cx.now(), "full", format!("{text} (--max-connections)"));
                }
            }
            Event::Readable(sock) => self.server.readable(cx, sock),
            Event::Writable(sock) => {
                if let Some(conn) = self.server.writable(cx, sock) {
                    self.push_lines(cx, conn);
                }
            }
            Event::Again => self.serve_next(cx),
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Reply { ticket, reply } => {
                let reply = match *reply {
                    Reply::Tab(reply) => reply,
                    _ => TabReply::Refused("there was no answer".to_owned()),
                };
                self.heard(cx, ticket, reply);
            }
            Event::Drain(_) => self.leave(cx),
            Event::Connected { .. } | Event::ConnectFailed { .. } => {}
            Event::Reload | Event::Report => {}
        }
        if self.is_leaving && self.server.is_empty() {
            cx.finish(End::Done);
        }
    }
}

/// What is not there, or not to be had like this.
fn nowhere(astray: Astray) -> Content {
    match astray {
        Astray::Nowhere => error(Status::NOT_FOUND, "there is nothing here"),
        Astray::Method(method) => {
            let answer = error(Status::METHOD_NOT_ALLOWED, "this takes another method");
            answer.with("Allow", method)
        }
        Astray::Query(key) => error(Status::BAD_REQUEST, &format!("{key} can't be that")),
    }
}

/// What is no request.
fn refusal(fault: Fault) -> Content {
    match fault {
        Fault::Body => error(fault.status(), "the body is longer than 64 KiB"),
        fault => error(fault.status(), &fault.to_string()),
    }
}

/// What a request's body says. Forms of other sites can't send this type unasked.
fn json_of(request: &Request<'_>, body: &[u8]) -> Result<Value, Content> {
    let kind = request
        .fields
        .list("Content-Type")
        .next()
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(error(
            Status::BAD_REQUEST,
            "a body is application/json here",
        ));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        _ => Err(error(Status::BAD_REQUEST, "the body is no JSON object")),
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
enum Tick {
    Second,
    Push,
    Leave,
}

/// What is said to whoever has said too many wrong tokens.
const TOO_MANY: &str = "too many wrong tokens: wait a minute";
/// What is said to whoever has logged out too often.
const TOO_MANY_PARTINGS: &str = "too many have logged out here: wait a minute";
const SECOND: Duration = Duration::from_secs(1);
/// How long those are waited for at the end who wait for an answer: longer than whoever answers waits for a disk then.
pub(crate) const LEAVE: Duration = Duration::from_secs(5);
/// How long after a look by `hydrant status` the next one may come, for what flowed meanwhile to be known.
const WATCHED: Duration = Duration::from_secs(10);
/// How often new lines of the log, and payload, are pushed.
const PUSH: Duration = Duration::from_millis(250);
/// The longest that a body may be: a relay's settings are far shorter.
const BODY_MAX: usize = 64 << 10;
/// How long a request may take to come in.
const ASKING: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(60);
/// How long an answer may take to be known.
pub(crate) const WAITING: Duration = Duration::from_secs(30);
/// How long a reader may take nothing while bytes wait for it.
const STALL: Duration = Duration::from_secs(10);
