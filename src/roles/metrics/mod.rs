//! What others may ask of a running hydrant by HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz`.
//!
//! ```text
//!   http: connections ──request──> mod.rs ──ask──> the owner of the loop
//!            ^─────── answer ──── gather.rs <──Reply── (pages of at most 256 roles)
//!                                   └─ exposition.rs: text, a family a visit
//! ```
//!
//! It knows no role: all that it shows are [`crate::reactor::view::View`]s. Nothing here costs the feed anything but
//! its visits, each of which is short; whoever is slow to ask or to take an answer is dropped.

mod exposition;
mod gather;

use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::proto::http1::{Answer, HostField, Request, Status};
use crate::reactor::net::SockId;
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::http::{Limits, Server};
use crate::roles::journal::Journal;
use crate::roles::listening::listen;

use self::gather::{Gather, What};

/// What it is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// `--metrics`: where it listens.
    pub listen: Endpoint,
}

/// The role.
pub struct Metrics {
    config: MetricsConfig,
    server: Server,
    gather: Option<Gather>,
    served: u64,
    journal: Journal,
}

impl Metrics {
    /// Metrics with these orders. It does nothing before its first event.
    pub fn new(config: MetricsConfig) -> Self {
        Self {
            config,
            server: Server::new(Limits {
                connections: CONNECTIONS_MAX,
                body: 0,
                asking: ASKING,
                idle: None,
                waiting: WAITING,
                telling: TELLING,
                refusal: |fault| Answer::from(fault).into(),
            }),
            gather: None,
            served: 0,
            journal: Journal::new("metrics".to_owned()),
        }
    }

    /// Every socket that it knows but its listeners.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.server.sockets()
    }

    /// Requests that it has looked at.
    pub fn served(&self) -> u64 {
        self.served
    }

    /// Panics where an invariant does not hold. For tests and the simulator.
    pub fn check_invariants(&self) {
        self.server.check_invariants();
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for (_, at) in listen(cx, &self.config.listen)? {
            self.journal.info(format!("listening on {at} for metrics"));
        }
        Ok(())
    }

    /// The next request is answered at once, or when what it asks for has been gathered.
    fn serve(&mut self, cx: &mut Cx<'_>) {
        let Some(asked) = self.server.next() else {
            return;
        };
        self.served += 1;
        // Only programs of this machine reach it; a page elsewhere may have pointed a name of its own here.
        let is_private = is_loopback(&self.config.listen);
        let route = Request::parse(&asked.head).map_err(Answer::from);
        let is_fixed = |host| HostField::of(host).is_fixed();
        let route =
            route.and_then(
                |request| match is_private && !request.host.is_some_and(is_fixed) {
                    true => Err(Answer::new(Status::FORBIDDEN, "ask for it by its address")),
                    false => route_of(&request),
                },
            );
        match route {
            Err(answer) => self.server.answer(cx, asked.conn, answer.into()),
            Ok(Route::Alive) => self.server.answer(cx, asked.conn, ok("ok").into()),
            Ok(Route::Gathered(what)) => {
                let gather = self.gather.get_or_insert_with(|| Gather::begin(cx));
                gather.wait(asked.conn, what);
            }
        }
    }

    /// A request, or a piece of the text.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        let is_written = match &mut self.gather {
            Some(gather) if gather.is_whole() => gather.write_some(),
            _ => false,
        };
        if is_written && let Some(gather) = self.gather.take() {
            for (conn, content) in gather.answers() {
                self.server.answer(cx, conn, content);
            }
        }
        let is_writing = self.gather.as_ref().is_some_and(Gather::is_whole);
        self.server.woken(cx, is_writing);
        self.serve(cx);
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Alive,
    Gathered(What),
}

fn route_of(request: &Request<'_>) -> Result<Route, Answer> {
    request.without_body()?;
    if !["GET", "HEAD"].contains(&request.method) {
        let answer = Answer::new(
            Status::METHOD_NOT_ALLOWED,
            "only GET and HEAD are served here",
        );
        return Err(answer.field("Allow", "GET, HEAD"));
    }
    match request.path {
        "/metrics" => Ok(Route::Gathered(What::Metrics)),
        "/healthz" => Ok(Route::Alive),
        "/readyz" => Ok(Route::Gathered(What::Ready)),
        _ => Err(Answer::new(
            Status::NOT_FOUND,
            "there are /metrics, /healthz and /readyz",
        )),
    }
}

fn is_loopback(at: &Endpoint) -> bool {
    let is_any = matches!(
        at,
        Endpoint::Tcp {
            host: Host::Any,
            ..
        }
    );
    matches!(at, Endpoint::Tcp { .. }) && at.is_this_machine() && !is_any
}

fn ok(text: &str) -> Answer {
    Answer::new(Status::OK, text)
}

impl Role for Metrics {
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
                    self.journal.warn(cx.now(), "full", text);
                }
            }
            Event::Readable(sock) => self.server.readable(cx, sock),
            Event::Writable(sock) => {
                self.server.writable(cx, sock);
            }
            Event::Timer { tag, .. } => {
                if let Some(text) = self.server.overdue(cx, tag) {
                    self.journal.warn(cx.now(), "slow", text);
                }
            }
            Event::Reply { ticket, reply } => {
                let gather = self.gather.as_mut();
                if gather.is_some_and(|gather| gather.take_in(cx, ticket, *reply)) {
                    self.server.wake(cx);
                }
            }
            Event::Again => self.go_on(cx),
            Event::Drain(_) => cx.finish(End::Done),
            Event::Connected { .. } | Event::ConnectFailed { .. } => {}
            Event::Reload | Event::Report => {}
        }
    }
}

/// Connections at a time; one more takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to be whole.
const ASKING: Duration = Duration::from_secs(5);
/// How long an answer may take to be known.
const WAITING: Duration = Duration::from_secs(30);
/// How long a reader may take nothing of its answer.
const TELLING: Duration = Duration::from_secs(10);
