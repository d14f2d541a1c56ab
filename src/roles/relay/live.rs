//! What may change while the relay runs: the options that the table marks as live, in place; and its source, for
//! which another one is dialled while the clients stay.

use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer};
use crate::roles::relay::Relay;
use crate::roles::relay::config::{DumpFormat, RelayConfig, Resume, Slow, Source};
use crate::roles::relay::failover::Dialler;
use crate::roles::relay::lag::Sampler;

impl RelayConfig {
    /// These orders, with all of `other`'s that may change while a relay runs.
    pub fn with_live_of(&self, other: &Self) -> Self {
        Self {
            retry: other.retry,
            connect_timeout: other.connect_timeout,
            upstream_send: other.upstream_send.clone(),
            dump: other.dump,
            backlog: other.backlog,
            resume: other.resume,
            hold: other.hold,
            max_lag: other.max_lag,
            stall_timeout: other.stall_timeout,
            idle_timeout: other.idle_timeout,
            failback: other.failback,
            upstream_loss: other.upstream_loss,
            allow_upstream: other.allow_upstream.clone(),
            allow: other.allow.clone(),
            max_clients_per_ip: other.max_clients_per_ip,
            origins: other.origins.clone(),
            takeover: other.takeover,
            max_clients: other.max_clients,
            drain: other.drain,
            stats: other.stats,
            ..self.clone()
        }
    }
}

impl Relay {
    /// Takes over what may change of other orders. Clients that are there stay, whatever would let them in now.
    ///
    /// # Errors
    /// That there are too few descriptors for so many clients, or that stdout, for the dump, can't be had; the rest
    /// holds all the same.
    pub fn set_options(&mut self, cx: &mut Cx<'_>, new: &RelayConfig) -> Result<(), String> {
        let old = std::mem::replace(
            &mut self.config,
            RelayConfig::new(Source::Stdin, Vec::new()),
        );
        self.config = old.with_live_of(new);
        // What there are descriptors for is found anew, and said only where it is worth a line.
        let limited = self.limit_clients(cx);
        if self.config.retry != old.retry {
            self.set_retries();
        }
        self.set_resumption();
        self.sampler.set_round(&Sampler::new(&self.config));
        if self.config.idle_timeout != old.idle_timeout {
            if let Some(timer) = self.upstream.idle.take() {
                cx.cancel(timer);
            }
            self.watch_idle(cx);
            self.look_at_standby(cx);
        }
        match (old.failback, self.config.failback) {
            (None, Some(_)) => self.dial_standby(cx),
            (Some(_), None) => self.stop_standby(cx),
            _ => {}
        }
        self.begin_stats(cx);
        self.refresh_gate(cx);
        let shown = match old.dump == self.config.dump {
            true => Ok(()),
            false => self.set_dump(cx, self.config.dump),
        };
        limited.and(shown)
    }

    /// `--retry` has changed: it holds from the next wait on.
    fn set_retries(&mut self) {
        let diallers = self
            .outputs
            .iter_mut()
            .filter_map(|outlet| outlet.dialled.as_mut());
        diallers.for_each(|dialler| dialler.redial.set_retry(self.config.retry));
        self.upstream.dialler.redial.set_retry(self.config.retry);
        self.standby.set_retry(self.config.retry);
    }

    /// `--resume` may have changed: it holds for those who come from now on.
    fn set_resumption(&mut self) {
        for outlet in &mut self.outputs {
            outlet.resume = resumption(&self.config, outlet.slow);
        }
    }

    /// Shows the payload on stdout from now on, or ends that.
    ///
    /// # Errors
    /// That stdout can't be had.
    pub fn set_dump(&mut self, cx: &mut Cx<'_>, format: Option<DumpFormat>) -> Result<(), String> {
        self.config.dump = format;
        if let (Some(dump), Some(format)) = (&mut self.dump, format) {
            // Stdout can't be had a second time before it is closed, and there is no need to.
            dump.show_as(format);
            cx.want_write(dump.sock(), true);
            return Ok(());
        }
        if let Some(dump) = self.dump.take() {
            cx.close(dump.sock(), Close::Orderly);
        }
        let started = self.start_dump(cx);
        if started.is_err() {
            self.config.dump = None;
        }
        started
    }

    /// Dials other places from now on. The connection that it has is closed, and its clients stay.
    pub fn set_source(&mut self, cx: &mut Cx<'_>, source: Source) {
        self.stop_standby(cx);
        self.upstream.dialler.redial.stop(cx);
        self.upstream.dialler = Dialler::new(self.config.retry);
        self.config.source = source;
        if let Some(mut conn) = self.upstream.active.take() {
            conn.close(cx);
            self.counts.discarded += self.records.begin_anew(&mut self.ring, 0);
        }
        self.upstream.down_since = Some(cx.now());
        let who = self.source_name(Peer::Stdio);
        self.journal
            .info(format!("the upstream is {who} from now on"));
        self.dial_upstream(cx);
        self.refresh_gate(cx);
    }
}

/// Where a dialled destination goes on that comes back.
pub(super) fn resumption(config: &RelayConfig, slow: Slow) -> Resume {
    config.resume.unwrap_or(match slow {
        Slow::Block => Resume::Acked,
        Slow::Drop | Slow::Skip => Resume::Live,
    })
}

#[cfg(test)]
mod tests {
    use super::super::options::{OPTIONS, build};
    use super::*;
    use crate::base::backoff::Retry;
    use crate::base::option::Values;
    use crate::roles::relay::redial::Redial;
    use std::time::Duration;

    #[test]
    fn whoever_is_dialled_goes_by_a_new_retry() {
        let words = ["a:1,b:1", ":2", "connect:c:3"].map(str::to_owned);
        let config = build(&Values::new(vec![OPTIONS]), &words, false);
        let mut relay = Relay::new(config.expect("it is right"));
        let mut like = Redial::new(relay.config.retry);
        let (min, max) = (Duration::from_millis(3), Duration::from_millis(5));
        relay.config.retry = Retry { min, max };
        relay.set_retries();
        like.set_retry(relay.config.retry);
        let mut outputs = relay.outputs.iter().filter_map(|it| it.dialled.as_ref());
        let shown = [
            format!("{:?}", relay.upstream.dialler.redial),
            format!("{:?}", relay.standby.redial()),
            format!("{:?}", outputs.next().expect("one is dialled").redial),
        ];
        assert_eq!(shown, [(); 3].map(|()| format!("{like:?}")));
    }
}
