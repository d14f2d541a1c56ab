//! Dialling the upstream, or one of several: the next one is tried when one fails, and only when all have failed is
//! there a wait.
//!
//! ```text
//!   a ──fails, or is lost──> b ──fails──> (--retry) ──> a ...
//! ```

use std::time::Duration;

use crate::base::backoff::Retry;
use crate::base::units::Chosen;
use crate::reactor::net::{Peer, SockId};
use crate::reactor::{Cx, DialError, DialId};
use crate::roles::relay::config::{RelayConfig, Source};
use crate::roles::relay::conn::conn;
use crate::roles::relay::redial::Redial;
use crate::roles::relay::{Relay, Tick};
use crate::roles::tls::Secured;

/// The state of the dialled upstream while it is not connected.
#[derive(Debug)]
pub(super) struct Dialler {
    /// Which of the endpoints is in use, or is tried now.
    pub(super) at: usize,
    /// Its attempts count from the loss of the connection on.
    pub(super) redial: Redial,
    /// Endpoints that have failed one after the other since the last wait.
    failed: usize,
}

impl Dialler {
    pub(super) fn new(retry: Retry) -> Self {
        Self {
            at: 0,
            redial: Redial::new(retry),
            failed: 0,
        }
    }
}

impl Relay {
    pub(super) fn is_upstream_dial(&self, dial: DialId) -> bool {
        self.upstream.dialler.redial.is(dial)
    }

    /// Dials the endpoint whose turn it is.
    pub(super) fn dial_upstream(&mut self, cx: &mut Cx<'_>) {
        let Source::Dial(endpoints) = &self.config.source else {
            return;
        };
        let dialler = &mut self.upstream.dialler;
        let to = &endpoints[dialler.at];
        dialler.redial.dial(cx, to, self.config.connect_timeout);
    }

    pub(super) fn upstream_connected(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        self.upstream.dialler.redial.answered();
        self.upstream.active = Some(conn(cx, sock, peer, tls));
        self.attach(cx, sock);
        let who = self.source_name(peer);
        self.journal.forget(cx.now(), &down_key(&who));
        let text = format!("upstream {who} connected{}", self.outage(cx.now()));
        self.journal.upstream(cx.now(), text);
        self.upstream_is_up();
        if self.upstream.dialler.at == 0 {
            self.stop_standby(cx);
        } else if !self.standby.is_under_way() {
            self.dial_standby(cx);
        }
    }

    pub(super) fn upstream_dial_failed(&mut self, cx: &mut Cx<'_>, error: &DialError) {
        let Source::Dial(endpoints) = &self.config.source else {
            return;
        };
        let dialler = &mut self.upstream.dialler;
        let endpoint = endpoints[dialler.at].clone();
        let what = format!("upstream {endpoint} {error}");
        let first = dialler.redial.attempts == 1;
        let next = match endpoints.len() {
            1 => format!("retrying until it answers ({})", every(&self.config)),
            n => format!("trying {}", endpoints[(dialler.at + 1) % n]),
        };
        let text = format!("{what}; {next}");
        dialler.redial.failed(what, error);
        self.journal
            .warn(cx.now(), &down_key(&endpoint.to_string()), text);
        if first && error.is_refused() && endpoint.is_this_machine() {
            let mode = self.listen_mode();
            let text = format!(
                "connection to {endpoint} refused; to have the upstream connect there: --mode {mode}"
            );
            self.journal.hint(cx.now(), text);
        }
        self.try_next_upstream(cx);
    }

    /// The active upstream is gone. One that had lasted longer than the wait did not fail: then the next attempt is
    /// made at once.
    pub(super) fn redial_upstream(&mut self, cx: &mut Cx<'_>, lasted: Duration) {
        let several = self.upstreams() > 1;
        let dialler = &mut self.upstream.dialler;
        dialler.redial.attempts = 0;
        let had_lasted = dialler.redial.had_lasted(lasted);
        if had_lasted {
            dialler.failed = 0;
        }
        if several || !had_lasted {
            self.try_next_upstream(cx);
        } else {
            self.dial_upstream(cx);
        }
    }

    /// Dials the next endpoint: at once, unless all of them have failed since the last wait.
    fn try_next_upstream(&mut self, cx: &mut Cx<'_>) {
        let upstreams = self.upstreams();
        let dialler = &mut self.upstream.dialler;
        dialler.failed += 1;
        dialler.at = (dialler.at + 1) % upstreams;
        if self.promote_standby(cx) {
            let text = format!(
                "upstream {} was ready on the side, and is in use again",
                self.source_name(Peer::Stdio)
            );
            return self.journal.info(text);
        }
        let dialler = &mut self.upstream.dialler;
        if dialler.failed < upstreams {
            return self.dial_upstream(cx);
        }
        dialler.failed = 0;
        dialler.redial.wait(cx, Tick::UpstreamRetry.tag(0));
    }

    fn upstreams(&self) -> usize {
        match &self.config.source {
            Source::Dial(endpoints) => endpoints.len(),
            Source::Listen(_) | Source::Stdin => 1,
        }
    }
}

/// Under which the failures to reach an endpoint are collapsed.
fn down_key(endpoint: &str) -> String {
    format!("upstream down: {endpoint}")
}

/// "every 5 s", or the range.
pub(super) fn every(config: &RelayConfig) -> String {
    let retry = config.retry;
    match retry.min == retry.max {
        true => format!("every {}", Chosen(retry.min)),
        false => format!("every {} to {}", Chosen(retry.min), Chosen(retry.max)),
    }
}
