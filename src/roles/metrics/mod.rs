//! What others may ask of a running hydrant by HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz`.
//!
//! ```text
//!   server.rs: connections ──request──> mod.rs ──ask──> the owner of the loop
//!                   ^─────── answer ──── gather.rs <──Reply── (pages of at most 256 roles)
//!                                          └─ exposition.rs: text, a family a visit
//! ```
//!
//! It knows no role: all that it shows are [`crate::reactor::view::View`]s. Nothing here costs the feed anything but
//! its visits, each of which is short; whoever is slow to ask or to take an answer is dropped.

mod exposition;
mod gather;
mod server;

use std::net::IpAddr;

use crate::base::endpoint::{Endpoint, Host};
use crate::proto::http1::{Answer, Request, Status};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::journal::Journal;
use crate::roles::listening::listen;

use self::gather::{Gather, What};
use self::server::{Content, Server};

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
    journal: Journal,
}

impl Metrics {
    /// Metrics with these orders. It does nothing before its first event.
    pub fn new(config: MetricsConfig) -> Self {
        Self {
            config,
            server: Server::new(),
            gather: None,
            journal: Journal::new("metrics".to_owned()),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for (sock, at) in listen(cx, &self.config.listen)? {
            self.server.listens(cx, sock);
            self.journal.info(format!("listening on {at} for metrics"));
        }
        Ok(())
    }

    /// A request is whole: it is answered at once, or when what it asks for has been gathered.
    fn serve(&mut self, cx: &mut Cx<'_>, key: usize) {
        // Only programs of this machine reach it; a page elsewhere may have pointed a name of its own here.
        let is_private = is_loopback(&self.config.listen);
        let asked = self.server.head(key).map(|head| {
            let request = Request::parse(head)?;
            match is_private && !is_by_address(request.host) {
                true => Err(Answer::new(Status::FORBIDDEN, "ask for it by its address")),
                false => route(&request),
            }
        });
        match asked {
            None => {}
            Some(Err(answer)) => self.server.answer(cx, key, answer.into()),
            Some(Ok(Route::Alive)) => self.server.answer(cx, key, ok("ok").into()),
            Some(Ok(Route::Gathered(what))) => {
                let gather = self.gather.get_or_insert_with(|| Gather::begin(cx));
                gather.wait(key, what);
            }
        }
    }

    /// Everything has been gathered, and is written down piece by piece.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(gather) = &mut self.gather else {
            return;
        };
        if !gather.write_some() {
            return cx.again();
        }
        let Some(gather) = self.gather.take() else {
            return;
        };
        for (key, content) in gather.answers() {
            self.server.answer(cx, key, content);
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Alive,
    Gathered(What),
}

fn route(request: &Request<'_>) -> Result<Route, Answer> {
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

/// Whether the Host field is an address or `localhost`, which no name server can point elsewhere.
fn is_by_address(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let name = inner.unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn ok(text: &str) -> Answer {
    Answer::new(Status::OK, text)
}

impl Role for Metrics {
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
            Event::Readable(sock) => {
                if let Some(key) = self.server.readable(cx, sock) {
                    self.serve(cx, key);
                }
            }
            Event::Writable(sock) => self.server.writable(cx, sock),
            Event::Timer { tag, .. } => {
                if let Some(text) = self.server.overdue(cx, tag) {
                    self.journal.warn(cx.now(), "slow", text);
                }
            }
            Event::Reply { ticket, reply } => {
                let gather = self.gather.as_mut();
                if gather.is_some_and(|gather| gather.take_in(cx, ticket, reply)) {
                    cx.again();
                }
            }
            Event::Again => self.go_on(cx),
            Event::Drain(_) => cx.finish(End::Done),
            Event::Connected { .. } | Event::ConnectFailed { .. } => {}
            Event::Reload | Event::Report => {}
        }
    }
}

impl From<Answer> for Content {
    fn from(answer: Answer) -> Self {
        Self::whole(answer.bytes())
    }
}
