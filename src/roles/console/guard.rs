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
use crate::proto::http1::{HostField, Request, Status};

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
        // They are in the order of their ends.
        while self
            .sessions
            .first()
            .is_some_and(|first| first.until <= now)
        {
            self.sessions.pop_first();
        }
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
    token: Option<Key>,
    view_token: Option<Key>,
    /// Those that were others before, of which something was given back: one of them may come again.
    former: Vec<Key>,
}

/// A token, and what was given back of it.
#[derive(Debug)]
struct Key {
    secret: Secret,
    returned: Returned,
}

impl Key {
    fn new(secret: Secret) -> Self {
        Self {
            secret,
            returned: Returned::default(),
        }
    }

    /// By which of its cookies somebody comes, if it is one that opens something at this time.
    fn session(&self, cookie: &[u8], now: u64) -> Option<Session> {
        let session = proven(cookie, &self.secret)?;
        (session.until > now && !self.returned.has(&session)).then_some(session)
    }
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
            token: token.map(Key::new),
            view_token: view_token.map(Key::new),
            former: Vec::new(),
        }
    }

    /// Other tokens hold from now on. Where there is none any more, those that there were are kept: it still listens
    /// where it was begun, which whoever left the token out may not have had in mind. What was given back of a token
    /// stays so whatever becomes of the other.
    pub(super) fn set_tokens(
        &mut self,
        token: Option<Secret>,
        view_token: Option<Secret>,
    ) -> NewTokens {
        let known = |key: &Option<Key>, token: &Option<Secret>| {
            key.as_ref().map(|key| &key.secret) == token.as_ref()
        };
        if known(&self.token, &token) && known(&self.view_token, &view_token) {
            return NewTokens::Same;
        }
        if token.is_none() {
            return NewTokens::Missing;
        }
        let mut before = std::mem::take(&mut self.former);
        before.extend(
            [self.token.take(), self.view_token.take()]
                .into_iter()
                .flatten(),
        );
        let mut key = |token: Secret| {
            let same = before.iter().position(|key| key.secret == token);
            same.map_or_else(|| Key::new(token), |at| before.remove(at))
        };
        self.token = token.map(&mut key);
        self.view_token = view_token.map(&mut key);
        before.retain(|key| !key.returned.sessions.is_empty());
        before.drain(..before.len().saturating_sub(FORMER_MAX));
        self.former = before;
        NewTokens::Taken
    }

    /// Whether nobody is asked for a token.
    pub(super) fn is_open(&self) -> bool {
        self.token.is_none()
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
            // RFC 6454 7.3: browsers leave the port of the scheme out; who passes a request on may add it to Host.
            let of = |scheme: &str, port: &str| {
                let bare =
                    |host: &'_ str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
                origin
                    .strip_prefix(scheme)
                    .is_some_and(|of| bare(of) == bare(host))
            };
            of("http://", ":80") || of("https://", ":443")
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
        let bears = |key: &Key| {
            bearer
                .as_ref()
                .is_some_and(|bearer| is_same(bearer.0, &key.secret))
        };
        let name = self.cookie_name();
        let holds = |key: &Key| cookies(request, &name).find_map(|cookie| key.session(cookie, now));
        let by_right = [
            (Right::All, Some(token)),
            (Right::View, self.view_token.as_ref()),
        ];
        for (right, key) in by_right {
            let Some(key) = key else { continue };
            if bears(key) {
                return pass(right, None);
            }
            if let Some(session) = holds(key) {
                return pass(right, Some(session));
            }
        }
        pass(Right::Nothing, None)
    }

    /// The cookie for somebody who has said this token, as a `Set-Cookie` field; `None` where it is wrong. `id` is a
    /// number that no other has, `now` is in seconds since 1970.
    pub(super) fn cookie_for(&self, said: &[u8], id: u64, now: u64) -> Option<String> {
        let mut keys = self.token.iter().chain(&self.view_token);
        let key = keys.find(|key| is_same(said, &key.secret))?;
        let until = now + u64::from(MONTH);
        let value = proof(&key.secret, Session { until, id });
        Some(format!(
            "{}={value}; {COOKIE}; Max-Age={MONTH}",
            self.cookie_name()
        ))
    }

    /// The cookie that somebody came by is worth nothing from now on.
    pub(super) fn log_out(&mut self, pass: Pass, now: u64) {
        let Some(session) = pass.session else { return };
        let key = match pass.right {
            Right::All => &mut self.token,
            Right::View => &mut self.view_token,
            Right::Nothing => return,
        };
        if let Some(key) = key {
            key.returned.add(session, now);
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
        let host = HostField::of(host);
        let port = host.port.map_or(Some(80), |port| port.parse().ok());
        let is_listed = self
            .names
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(host.name));
        // Who passes requests on by that name may say the port that everybody has there.
        if is_listed && matches!(port, Some(80 | 443)) {
            return true;
        }
        port == Some(self.port) && (host.is_fixed() || is_listed)
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

/// The values of all cookies of a name (RFC 6265, section 4.2). Whatever else runs on this host, at whichever port, can
/// set more of them, and others beside them in any bytes.
fn cookies<'a>(request: &Request<'a>, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = request
        .fields
        .all("Cookie")
        .flat_map(|value| value.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
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
fn proven(cookie: &[u8], token: &Secret) -> Option<Session> {
    // What can't be one costs no HMAC.
    if cookie.len() != COOKIE_LEN {
        return None;
    }
    let number = |from: usize| {
        let digits = std::str::from_utf8(cookie.get(from..from + 16)?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    };
    let (until, id) = (number(0)?, number(16)?);
    let session = Session { until, id };
    is_same(cookie, proof(token, session).as_bytes()).then_some(session)
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
/// Two numbers and a SHA-256, in hex.
const COOKIE_LEN: usize = 16 + 16 + 64;
/// Cookies given back that are remembered one by one.
const RETURNED_MAX: usize = 1 << 16;
/// Tokens that held before and may hold again.
const FORMER_MAX: usize = 16;
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
            "ops.example:80",
            "OPS.example:443",
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
            "127.0.0.1:443",
            "localhost:80",
            "ops.example:8443",
            "proxy.example:80",
        ] {
            assert!(!admits(&format!("Host: {host}\r\n")), "{host}");
        }
    }

    /// A browser leaves out the port that its scheme has anyway, and a proxy may say it.
    #[test]
    fn an_origin_may_leave_out_the_port_of_its_scheme() {
        for (host, origin, is_same) in [
            ("ops.example:443", "https://ops.example", true),
            ("ops.example", "https://ops.example:443", true),
            ("ops.example:80", "http://ops.example", true),
            ("ops.example", "http://Ops.example", true),
            ("ops.example:443", "http://ops.example", false),
            ("ops.example:80", "https://ops.example", false),
            ("ops.example:7700", "https://ops.example", false),
            ("ops.example:443", "https://evil.example", false),
        ] {
            let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
            assert_eq!(admits(&fields), is_same, "{fields}");
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
        let until = over;
        let key = guard.token.as_mut().expect("there is one");
        for id in 2..RETURNED_MAX as u64 + 10 {
            key.returned.add(Session { until, id }, NOW);
        }
        assert!(
            guard
                .token
                .as_ref()
                .is_some_and(|key| key.returned.sessions.len() <= RETURNED_MAX)
        );
        for id in [1, 2, 500, RETURNED_MAX as u64 + 9] {
            let one = cookie(&guard, id);
            assert_eq!(pass(&guard, &one, NOW).right, Right::Nothing, "{id}");
        }
        assert_eq!(pass(&guard, &other, NOW).right, Right::All);
    }

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::from(text.as_bytes().to_vec()))
    }

    fn cookie_of(guard: &Guard, token: &str, id: u64) -> String {
        let set = guard.cookie_for(token.as_bytes(), id, NOW);
        let set = set.expect("it is right");
        set.split(';').next().expect("a value").to_owned()
    }

    fn pass_of(guard: &Guard, fields: &str) -> Pass {
        with(&format!("Host: localhost:7700\r\n{fields}"), |request| {
            guard.pass(request, NOW)
        })
    }

    #[test]
    fn a_cookie_that_was_given_back_stays_so_when_the_other_token_changes() {
        let mut guard = guard(Some("all of it"));
        let cookies = [("all of it", 1), ("look", 2)].map(|(token, id)| {
            let cookie = format!("Cookie: {}\r\n", cookie_of(&guard, token, id));
            let pass = pass_of(&guard, &cookie);
            assert_ne!(pass.right, Right::Nothing);
            guard.log_out(pass, NOW);
            cookie
        });
        let rights = |guard: &Guard| [0, 1].map(|of| pass_of(guard, &cookies[of]).right);
        // Each changes in its turn, they change places, and the one goes and comes back.
        for (token, view_token) in [
            ("all of it", Some("see")),
            ("all", Some("see")),
            ("all of it", Some("look")),
            ("look", Some("all of it")),
            ("look", None),
            ("look", Some("see")),
        ] {
            let view_token = view_token.and_then(secret);
            assert_eq!(
                guard.set_tokens(secret(token), view_token),
                NewTokens::Taken
            );
            assert_eq!(rights(&guard), [Right::Nothing; 2], "{token}");
        }
    }

    #[test]
    fn cookies_of_others_do_not_hide_ours() {
        let guard = guard(Some("all of it"));
        let ours = cookie_of(&guard, "all of it", 1);
        let forged = "hydrant-7700=0";
        for (fields, expected) in [
            (format!("Cookie: {forged}; {ours}\r\n"), Right::All),
            (
                format!("Cookie: {forged}\r\nCookie: {ours}\r\n"),
                Right::All,
            ),
            (format!("Cookie: {ours}; {forged}\r\n"), Right::All),
            (format!("Cookie: caf\u{e9}=\u{e9};{ours}\r\n"), Right::All),
            (format!("Cookie: {forged}; {forged}\r\n"), Right::Nothing),
        ] {
            assert_eq!(pass_of(&guard, &fields).right, expected, "{fields}");
        }
        let mut head = HeadBuf::new();
        let mut bytes = b"GET / HTTP/1.1\r\nHost: localhost:7700\r\nCookie: a=\xff\xe9; ".to_vec();
        bytes.extend(format!("{ours}\r\n\r\n").bytes());
        head.feed(&bytes).expect("a head");
        let request = Request::parse(&head).expect("a request");
        assert_eq!(guard.pass(&request, NOW).right, Right::All);
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
