//! Whether a request may be granted, by what it says and by who sends it, and what it is told where not. The path, the
//! token and the addresses are read here and nowhere else.

use std::fmt;
use std::net::IpAddr;

use super::Relay;
use super::arrivals::Asked;
use crate::proto::hello::Name;
use crate::proto::http1::{Answer, Origin, Request, Status, Upgrade, client_address};
use crate::reactor::net::Peer;
use crate::roles::callers::address;
use crate::roles::ws::MUX;
use crate::roles::ws::tokens::{Part, Verdict};

/// A request that is answered in another way than by an upgrade.
pub(super) struct Refusal {
    pub(super) answer: Answer,
    /// What the log says; `None`: nothing was wrong.
    pub(super) why: Option<String>,
    pub(super) head_only: bool,
}

impl Refusal {
    pub(super) fn new(status: Status, why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            answer: Answer::new(status, &why),
            why: Some(why),
            head_only: false,
        }
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.answer = self.answer.field(name, value);
        self
    }
}

impl Relay {
    /// Whom a request comes from that `peer` has brought.
    pub(super) fn caller_of(&self, peer: Peer, request: &Request<'_>) -> Option<IpAddr> {
        let trusted = &self.config.trust_proxy;
        address(peer).map(|ip| client_address(ip, &request.fields, trusted))
    }

    /// Looks at a request that comes from this address.
    pub(super) fn read_request(
        &self,
        from: Option<IpAddr>,
        request: &Request<'_>,
    ) -> Result<Asked, Refusal> {
        if request.path == "/healthz" {
            return Err(self.health(request));
        }
        if from.is_some_and(|ip| !self.config.allow.allows(ip)) {
            return Err(Refusal::new(Status::FORBIDDEN, "not in --allow"));
        }
        let (part, name) = route(request.path).ok_or_else(|| {
            let why = "hosts connect to /host or /host/NAME, clients to /client or /client/NAME";
            Refusal::new(Status::NOT_FOUND, why)
        })?;
        if let Some(origin) = request.origin().map_err(fault)?
            && !self.lets_in_pages_of(origin)
        {
            let why = "pages of this origin may not connect (--origin)";
            return Err(Refusal::new(Status::FORBIDDEN, why));
        }
        let bearer = request.bearer().map_err(fault)?;
        if let Some(tokens) = &self.config.tokens {
            let token = bearer.map(|bearer| bearer.0).unwrap_or_default();
            match tokens.judge(&name, part, token) {
                Verdict::Good => {}
                Verdict::OtherPart => {
                    let why = format!("this token is not for a {part}");
                    return Err(Refusal::new(Status::FORBIDDEN, why));
                }
                Verdict::Bad => {
                    let why = match bearer {
                        Some(_) => "the token or the name is wrong",
                        None => "a token is needed: Authorization: Bearer TOKEN",
                    };
                    return Err(unauthorized(why));
                }
            }
        }
        let upgrade = Upgrade::of(request, &[MUX]).map_err(fault)?;
        let token = bearer.filter(|_| self.config.tokens.is_some());
        Ok(Asked {
            part,
            name,
            token: token.map(|bearer| bearer.0.to_vec().into()),
            from,
            upgrade,
            rest: Vec::new(),
        })
    }

    /// Whether a page from there may connect. Where nothing else keeps strangers out but that this is not reached from
    /// elsewhere, the browser of this machine must not let them in: only pages of its own may.
    fn lets_in_pages_of(&self, origin: &str) -> bool {
        let origins = &self.config.origins;
        match origins.is_empty() {
            false => Origin::allows(origins, origin),
            true if self.config.tokens.is_some() || self.config.no_auth => true,
            true => Origin::is_of_this_machine(origin),
        }
    }

    fn health(&self, request: &Request<'_>) -> Refusal {
        let answer = match (request.method, self.draining) {
            ("GET" | "HEAD", None) => Answer::new(Status::OK, "ok"),
            ("GET" | "HEAD", Some(_)) => Answer::new(Status::UNAVAILABLE, "about to end"),
            _ => Answer::new(Status::METHOD_NOT_ALLOWED, "GET it").field("Allow", "GET, HEAD"),
        };
        Refusal {
            answer,
            why: None,
            head_only: request.method == "HEAD",
        }
    }
}

/// It brings no token, or not the right one.
pub(super) fn unauthorized(why: &str) -> Refusal {
    Refusal::new(Status::UNAUTHORIZED, why).field("WWW-Authenticate", "Bearer")
}

/// A rule of HTTP, or of the upgrade, was broken.
pub(super) fn fault(fault: impl fmt::Display + Into<Answer>) -> Refusal {
    Refusal {
        why: Some(fault.to_string()),
        answer: fault.into(),
        head_only: false,
    }
}

/// Which part of which tunnel a path is for.
fn route(path: &str) -> Option<(Part, Option<Name>)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let rest = path.strip_prefix('/')?;
    let (part, name) = match rest.split_once('/') {
        Some((part, name)) => (part, Some(name.parse().ok()?)),
        None => (rest, None),
    };
    match part {
        "host" => Some((Part::Host, name)),
        "client" => Some((Part::Client, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_who_it_is_for() {
        let named = |name: &str| Some(name.parse::<Name>().unwrap());
        assert_eq!(route("/host"), Some((Part::Host, None)));
        assert_eq!(route("/client/"), Some((Part::Client, None)));
        assert_eq!(route("/host/web"), Some((Part::Host, named("web"))));
        assert_eq!(
            route("/client/a.b-c_1/"),
            Some((Part::Client, named("a.b-c_1")))
        );
        for path in [
            "/",
            "",
            "/hosts",
            "/Host",
            "/host/WEB",
            "/host/a/b",
            "//host",
            "/host//",
            "/host/%61",
            "*",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
