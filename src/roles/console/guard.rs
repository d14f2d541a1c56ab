//! Who may ask. Pure: a request's head goes in, a right or a refusal comes out.
//!
//! ```text
//!   Host        one of ours: a name that somebody else has pointed here (DNS rebinding) is not
//!   Origin      if there is one, the very page that we serve at this Host
//!   Sec-Fetch   if a browser says that another site asks, nothing but the pages themselves is shown
//!   token       off loopback: the cookie that a token was exchanged for, or the token itself as a bearer
//! ```
//!
//! The cookie is not the token: it is a number that no other has, the time at which it is over, and what HMAC makes of
//! both with the token. So it opens nothing else, outlives a restart, and is worth nothing once the token is another.
//! One that was given back is refused from then on; that is remembered until the process ends.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base::secret::Secret;
use crate::proto::http1::{Request, Status};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Nothing but open a page and say who they are.
    Nothing,
    /// Look.
    View,
    /// Everything.
    All,
}

/// Who asks: what they may do, and by which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) right: Right,
    pub(super) session: Option<Session>,
}

/// Who asks, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) pass: Pass,
    /// The address for which wrong tokens count.
    pub(super) from: IpAddr,
    /// It is that of a proxy, which speaks for others and is not trusted in that.
    pub(super) is_proxy: bool,
}

/// What tells a cookie from all others of its token: when it is over, in seconds since 1970, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    until: u64,
    id: u64,
}

/// Cookies of a token that were given back before they were over.
#[derive(Debug, Default)]
struct Returned {
    sessions: BTreeSet<Session>,
    /// All up to here count as given back: more than are remembered were.
    floor: Option<Session>,
}

impl Returned {
    fn has(&self, session: &Session) -> bool {
        self.floor.is_some_and(|floor| *session <= floor) || self.sessions.contains(session)
    }

    fn add(&mut self, session: Session, now: u64) {
        self.sessions.retain(|session| session.until > now);
        self.sessions.insert(session);
        if self.sessions.len() > RETURNED_MAX {
            self.floor = self.sessions.pop_first();
        }
    }
}

/// What becomes of tokens that are said while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewTokens {
    /// They are those that hold already.
    Same,
    /// They hold.
    Taken,
    /// There is none where there was one, which still holds.
    Missing,
}

/// Why a request is refused, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) why: &'static str,
}

/// What decides.
#[derive(Debug)]
pub(super) struct Guard {
    /// The port that it really listens at; 0 before it does.
    port: u16,
    /// Names besides addresses and `localhost` that browsers reach it by.
    names: Vec<String>,
    token: Option<Secret>,
    view_token: Option<Secret>,
    /// Of the one, and of the other.
    returned: [Returned; 2],
}

impl Guard {
    pub(super) fn new(
        names: Vec<String>,
        token: Option<Secret>,
        view_token: Option<Secret>,
    ) -> Self {
        Self {
            port: 0,
            names,
            token,
            view_token,
            returned: Default::default(),
        }
    }

    /// Other tokens hold from now on. Where there is none any more, those that there were are kept: it still listens
    /// where it was begun, which whoever left the token out may not have had in mind.
    pub(super) fn set_tokens(
        &mut self,
        token: Option<Secret>,
        view_token: Option<Secret>,
    ) -> NewTokens {
        if (&self.token, &self.view_token) == (&token, &view_token) {
            return NewTokens::Same;
        }
        if token.is_none() {
            return NewTokens::Missing;
        }
        (self.token, self.view_token) = (token, view_token);
        self.returned = Default::default();
        NewTokens::Taken
    }

    pub(super) fn listens_at(&mut self, port: u16) {
        self.port = port;
    }

    /// Whether the request comes from where requests may come from. `is_page`: others may link to what is asked for.
    pub(super) fn admit(&self, request: &Request<'_>, is_page: bool) -> Result<(), Refusal> {
        let host = request.host.ok_or(NO_HOST)?;
        if !self.is_ours(host) {
            return Err(OTHER_HOST);
        }
        let origin = request.origin().map_err(|_| OTHER_ORIGIN)?;
        let same = |origin: &str| {
            let of = origin
                .strip_prefix("http://")
                .or(origin.strip_prefix("https://"));
            of.is_some_and(|of| of.eq_ignore_ascii_case(host))
        };
        if origin.is_some_and(|origin| !same(origin)) {
            return Err(OTHER_ORIGIN);
        }
        let site = field(request, "Sec-Fetch-Site");
        let is_elsewhere = site.is_some_and(|site| !["same-origin", "none"].contains(&site));
        let opens = is_page && field(request, "Sec-Fetch-Mode") == Some("navigate");
        match is_elsewhere && !opens {
            true => Err(OTHER_ORIGIN),
            false => Ok(()),
        }
    }

    /// Whether a token is said here, right or wrong, where one is asked for. A cookie is none: there are too many to
    /// try.
    pub(super) fn is_told_a_token(&self, request: &Request<'_>) -> bool {
        self.token.is_some() && request.bearer().ok().flatten().is_some()
    }

    /// Who sent this, at this time in seconds since 1970.
    pub(super) fn pass(&self, request: &Request<'_>, now: u64) -> Pass {
        let pass = |right, session| Pass { right, session };
        let Some(token) = &self.token else {
            return pass(Right::All, None);
        };
        let bearer = request.bearer().ok().flatten();
        let bears = |token: &Secret| {
            bearer
                .as_ref()
                .is_some_and(|bearer| is_same(bearer.0, token))
        };
        let cookie = cookie(request, &self.cookie_name());
        let holds = |token: &Secret, returned: &Returned| {
            let session = proven(cookie?, token)?;
            (session.until > now && !returned.has(&session)).then_some(session)
        };
        let [of_all, of_view] = &self.returned;
        if bears(token) {
            return pass(Right::All, None);
        }
        if let Some(session) = holds(token, of_all) {
            return pass(Right::All, Some(session));
        }
        let Some(token) = &self.view_token else {
            return pass(Right::Nothing, None);
        };
        match holds(token, of_view) {
            _ if bears(token) => pass(Right::View, None),
            Some(session) => pass(Right::View, Some(session)),
            None => pass(Right::Nothing, None),
        }
    }

    /// The cookie for somebody who has said this token, as a `Set-Cookie` field; `None` where it is wrong. `id` is a
    /// number that no other has, `now` is in seconds since 1970.
    pub(super) fn cookie_for(&self, said: &[u8], id: u64, now: u64) -> Option<String> {
        let mut tokens = self.token.iter().chain(&self.view_token);
        let token = tokens.find(|token| is_same(said, token))?;
        let until = now + u64::from(MONTH);
        let value = proof(token, Session { until, id });
        Some(format!(
            "{}={value}; {COOKIE}; Max-Age={MONTH}",
            self.cookie_name()
        ))
    }

    /// The cookie that somebody came by is worth nothing from now on.
    pub(super) fn log_out(&mut self, pass: Pass, now: u64) {
        let Some(session) = pass.session else { return };
        let [of_all, of_view] = &mut self.returned;
        match pass.right {
            Right::All => of_all.add(session, now),
            Right::View => of_view.add(session, now),
            Right::Nothing => {}
        }
    }

    /// The field that takes the cookie back.
    pub(super) fn no_cookie(&self) -> String {
        format!("{}=; {COOKIE}; Max-Age=0", self.cookie_name())
    }

    /// Cookies of one host are shared by all its ports: two consoles have two names.
    fn cookie_name(&self) -> String {
        format!("hydrant-{}", self.port)
    }

    /// An address can't be pointed here by somebody else's name server, so any of this machine's will do.
    fn is_ours(&self, host: &str) -> bool {
        let listed = |name: &String| name.eq_ignore_ascii_case(host);
        if self.names.iter().any(listed) {
            return true;
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        let literal = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let is_known = literal.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self
                .names
                .iter()
                .any(|listed| listed.eq_ignore_ascii_case(name));
        port == Some(self.port) && is_known
    }
}

/// The only field of this name, as text.
fn field<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    request
        .fields
        .all(name)
        .next()
        .and_then(|value| std::str::from_utf8(value).ok())
}

/// The value of a cookie (RFC 6265, section 4.2).
fn cookie<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    let all = request
        .fields
        .all("Cookie")
        .filter_map(|value| std::str::from_utf8(value).ok());
    let mut pairs = all
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// What stands in a cookie for a token.
fn proof(token: &Secret, session: Session) -> String {
    let Session { until, id } = session;
    let said = format!("{until:016x}{id:016x}");
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("a key may be of any length");
    mac.update(b"hydrant console cookie 2 ");
    mac.update(said.as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .fold(said, |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Which one of this token's a cookie is.
fn proven(cookie: &str, token: &Secret) -> Option<Session> {
    let number = |from: usize| u64::from_str_radix(cookie.get(from..from + 16)?, 16).ok();
    let (until, id) = (number(0)?, number(16)?);
    let session = Session { until, id };
    is_same(cookie.as_bytes(), proof(token, session).as_bytes()).then_some(session)
}

/// How long a guess takes says nothing of how much of it is right.
fn is_same(said: &[u8], secret: &[u8]) -> bool {
    bool::from(said.ct_eq(secret))
}

const NO_HOST: Refusal = Refusal {
    status: Status::BAD_REQUEST,
    why: "a request says whom it is for",
};
const OTHER_HOST: Refusal = Refusal {
    status: Status::FORBIDDEN,
    why: "this console does not go by that name; open it by its address, or add --allow-host",
};
const OTHER_ORIGIN: Refusal = Refusal {
    status: Status::FORBIDDEN,
    why: "another site can't ask here",
};
/// No script reads it, and no request that another site began carries it.
const COOKIE: &str = "Path=/; HttpOnly; SameSite=Strict";
/// Cookies given back that are remembered one by one.
const RETURNED_MAX: usize = 1024;
/// In seconds.
const MONTH: u32 = 30 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http1::HeadBuf;

    fn guard(token: Option<&str>) -> Guard {
        let secret = |text: &str| Secret::from(text.as_bytes().to_vec());
        let mut guard = Guard::new(
            vec!["ops.example".into(), "proxy.example:443".into()],
            token.map(secret),
            token.map(|_| secret("look")),
        );
        guard.listens_at(7700);
        guard
    }

    fn with<T>(fields: &str, look: impl Fn(&Request<'_>) -> T) -> T {
        let mut head = HeadBuf::new();
        let text = format!("GET /api/v1/state HTTP/1.1\r\n{fields}\r\n");
        head.feed(text.as_bytes()).expect("a head");
        look(&Request::parse(&head).expect("a request"))
    }

    fn admits(fields: &str) -> bool {
        with(fields, |request| guard(None).admit(request, false).is_ok())
    }

    #[test]
    fn it_goes_by_its_addresses_and_the_names_that_it_was_given() {
        for host in [
            "127.0.0.1:7700",
            "localhost:7700",
            "LOCALHOST:7700",
            "[::1]:7700",
            "10.0.0.5:7700",
            "ops.example:7700",
            "proxy.example:443",
            "ops.example",
        ] {
            assert!(admits(&format!("Host: {host}\r\n")), "{host}");
        }
        for host in [
            "evil.example:7700",
            "evil.example",
            "127.0.0.1",
            "127.0.0.1:7701",
            "127.0.0.1.evil.example:7700",
            "localhost.evil:7700",
            "[::1]",
            "localhost:",
            "proxy.example",
            "127.0.0.1:77000",
            "ops.example:80",
        ] {
            assert!(!admits(&format!("Host: {host}\r\n")), "{host}");
        }
    }

    #[test]
    fn another_site_gets_nothing() {
        let host = "Host: 127.0.0.1:7700\r\n";
        for fields in [
            "Origin: http://127.0.0.1:7700\r\n",
            "Sec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Site: none\r\n",
            "",
        ] {
            assert!(admits(&format!("{host}{fields}")), "{fields}");
        }
        for fields in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://127.0.0.1:7701\r\n",
            "Origin: http://localhost:7700\r\n",
            "Origin: http://127.0.0.1:7700.evil\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Origin: http://127.0.0.1:7700\r\nOrigin: http://evil\r\n",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
        ] {
            assert!(!admits(&format!("{host}{fields}")), "{fields}");
        }
    }

    #[test]
    fn others_may_link_to_a_page() {
        let link =
            "Host: 127.0.0.1:7700\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
        assert!(with(link, |request| guard(None)
            .admit(request, true)
            .is_ok()));
        let part =
            "Host: 127.0.0.1:7700\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
        assert!(with(part, |request| guard(None)
            .admit(request, true)
            .is_err()));
    }

    #[test]
    fn a_cookie_that_was_given_back_opens_nothing() {
        let mut guard = guard(Some("all of it"));
        let cookie = |guard: &Guard, id| {
            let set = guard
                .cookie_for(b"all of it", id, NOW)
                .expect("it is right");
            set.split(';').next().expect("a value").to_owned()
        };
        let pass = |guard: &Guard, cookie: &str, now| {
            with(
                &format!("Host: localhost:7700\r\nCookie: {cookie}\r\n"),
                |request| guard.pass(request, now),
            )
        };
        let (one, other) = (cookie(&guard, 1), cookie(&guard, u64::MAX));
        assert_ne!(one, other);
        let of_one = pass(&guard, &one, NOW);
        assert_eq!(of_one.right, Right::All);
        guard.log_out(of_one, NOW);
        assert_eq!(pass(&guard, &one, NOW).right, Right::Nothing);
        assert_eq!(pass(&guard, &other, NOW).right, Right::All);
        let over = NOW + u64::from(MONTH);
        assert_eq!(pass(&guard, &other, over - 1).right, Right::All);
        assert_eq!(pass(&guard, &other, over).right, Right::Nothing);
        // However many are given back, none of them is good again.
        for id in 2..RETURNED_MAX as u64 + 10 {
            let one = cookie(&guard, id);
            let pass = pass(&guard, &one, NOW);
            guard.log_out(pass, NOW);
        }
        assert!(guard.returned[0].sessions.len() <= RETURNED_MAX);
        for id in [1, 2, 500, RETURNED_MAX as u64 + 9] {
            let one = cookie(&guard, id);
            assert_eq!(pass(&guard, &one, NOW).right, Right::Nothing, "{id}");
        }
        assert_eq!(pass(&guard, &other, NOW).right, Right::All);
    }

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_token_opens_what_it_is_for() {
        let right = |fields: &str| {
            with(&format!("Host: localhost:7700\r\n{fields}"), |request| {
                guard(Some("all of it")).pass(request, NOW).right
            })
        };
        assert_eq!(
            with("Host: localhost:7700\r\n", |request| guard(None)
                .pass(request, NOW)
                .right),
            Right::All
        );
        assert_eq!(right(""), Right::Nothing);
        assert_eq!(right("Authorization: Bearer look\r\n"), Right::View);
        assert_eq!(right("Authorization: Bearer lock\r\n"), Right::Nothing);
        let cookie = |said: &[u8]| guard(Some("all of it")).cookie_for(said, 1, NOW);
        assert_eq!(cookie(b"all of"), None);
        assert_eq!(cookie(b""), None);
        for (said, expected) in [(&b"all of it"[..], Right::All), (b"look", Right::View)] {
            let set = cookie(said).expect("it is right");
            assert!(set.contains("; HttpOnly; SameSite=Strict"));
            assert!(
                !set.contains("look") && !set.contains("all of it"),
                "the token stays here"
            );
            let pair = set.split(';').next().unwrap();
            assert_eq!(right(&format!("Cookie: a=b; {pair}\r\n")), expected);
            assert_eq!(right(&format!("Cookie: {}0\r\n", pair)), Right::Nothing);
        }
        assert_eq!(
            guard(None).cookie_for(b"", 1, NOW),
            None,
            "without a token there is nothing to say"
        );
    }
}
