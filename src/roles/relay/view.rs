//! What the relay shows of itself to those who watch, and what they may do to it while it runs.

use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Peer;
use crate::reactor::tabs::Payload;
use crate::reactor::view::{
    Away, ClientPage, ClientRow, Effort, Figure, Gone, Lag, Upstream, UpstreamState, View,
};
use crate::roles::relay::Relay;
use crate::roles::relay::admission::Refusal;
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{DumpFormat, Source, Way};
use crate::roles::relay::lag::Worst;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::outputs::Outlet;

impl Relay {
    /// Its figures; no work for a client.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let (rate_in, rate_out) = self.rates.of(now, counts);
        let worst = self.sampler.worst().filter(|worst| worst.bytes > 0);
        View {
            is_ending: self.flush.is_some(),
            listens: self
                .bound
                .iter()
                .map(|(at, whom)| (at.clone(), whom.word()))
                .collect(),
            upstream: Some(self.upstream_view(now)),
            away: self.outputs.iter().filter_map(|it| it.away(now)).collect(),
            clients: self.clients.len(),
            clients_most: counts.clients_most,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            rates: Some((rate_in.0, rate_out.0)),
            lag: Some(Lag {
                worst: worst.map(|Worst { age, bytes, peer }| (*age, *bytes, peer.to_string())),
                ages: self.sampler.ages.clone(),
            }),
            gone: Reason::ALL
                .iter()
                .map(|reason| self.gone(*reason))
                .collect(),
            refused: Refusal::ALL
                .iter()
                .map(|refusal| (refusal.word(), counts.refused[*refusal as usize]))
                .collect(),
            figures: self.figures(),
            dump: self
                .dump
                .as_ref()
                .and(self.config.dump)
                .map(|format| match format {
                    DumpFormat::Text => "text",
                    DumpFormat::Hex => "hex",
                    DumpFormat::Raw => "raw",
                }),
            ..View::new("relay", now.since(self.started))
        }
    }

    /// Its clients, a page at a time. The kernel is asked about each of them: a row says what is so now, and not what
    /// was so at the last look at all of them.
    pub fn client_page(&self, cx: &Cx<'_>, now: Time, from: u64) -> ClientPage {
        let entries = self
            .clients
            .iter()
            .map(|(id, client)| (id.key as usize, (id, client)));
        ClientPage::of(entries, from, |_, (id, client)| {
            Some(self.row(cx, id, client, now))
        })
    }

    /// Disconnects a client. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let id = ClientId {
            key: client as u32,
            serial: (client >> 32) as u32,
        };
        let is_there = self.clients.get(id).is_some();
        self.drop_client(cx, id, Reason::Kicked, None);
        is_there
    }

    /// What has flowed, from an offset on or at the newest. Where that is more than `max` bytes, the newest of them:
    /// whoever looks has eyes, and no use for what was long ago.
    pub fn payload(&self, from: Option<u64>, max: usize) -> Payload {
        let (tail, whole) = (self.ring.tail(), self.records.whole());
        let wanted = from.unwrap_or(whole).min(whole);
        let offset = wanted.max(tail).max(whole.saturating_sub(max as u64));
        let pieces = self.ring.read_up_to(offset, (whole - offset) as usize);
        Payload {
            offset,
            bytes: pieces.map_or_else(|_| Vec::new(), |pieces| pieces.concat()),
            skipped: offset - wanted,
        }
    }

    fn row(&self, cx: &Cx<'_>, id: ClientId, client: &Client, now: Time) -> ClientRow {
        let left = match client.acked < client.cursor {
            true => cx.unacknowledged(client.sock),
            false => None,
        };
        let acked = client.acked_by(self.framed.as_deref(), left);
        let (bytes, age) = self.lag(acked.max(client.first), now);
        let age = age.min(now.since(client.joined));
        ClientRow {
            id: u64::from(id.serial) << 32 | u64::from(id.key),
            peer: client.peer.to_string(),
            label: self.outputs[usize::from(client.output)].name(),
            age: now.since(client.joined),
            bytes_in: None,
            bytes_out: acked.saturating_sub(client.first),
            waiting: bytes,
            lag: Some(age),
        }
    }

    fn gone(&self, reason: Reason) -> Gone {
        Gone {
            reason: reason.word(),
            times: self.counts.gone[reason as usize],
            is_drop: reason.is_drop(),
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |name, help, only_grows, value| Figure {
            name,
            help,
            only_grows,
            value,
        };
        let counts = &self.counts;
        vec![
            figure(
                "skipped_bytes",
                "Bytes that clients have skipped",
                true,
                counts.skipped,
            ),
            figure(
                "discarded_bytes",
                "Bytes of records that were not whole, which went to nobody",
                true,
                counts.discarded,
            ),
            figure(
                "clients_behind",
                "Clients that wait for bytes that are there",
                false,
                self.clients.behind() as u64,
            ),
            figure(
                "ring_bytes",
                "Size of the buffer that all clients share",
                false,
                self.config.ring as u64,
            ),
        ]
    }

    fn upstream_view(&self, now: Time) -> Upstream {
        let side = &self.upstream;
        let last_byte = side.last_byte.map(|at| now.since(at));
        let (state, peer, since) = match (&side.active, side.candidates.first(), side.down_since) {
            (Some(conn), ..) if conn.bytes == 0 && conn.peer != Peer::Stdio => {
                (UpstreamState::Silent, Some(conn.peer), conn.since)
            }
            (Some(conn), ..) => (UpstreamState::Up, Some(conn.peer), conn.since),
            (None, Some(conn), _) => (UpstreamState::Silent, Some(conn.peer), conn.since),
            (None, None, since) => (UpstreamState::Down, None, since.unwrap_or(self.started)),
        };
        let who = match (&self.config.source, peer) {
            (Source::Dial(_), _) => self.source_name(Peer::Stdio),
            (Source::Listen(at), None) => at.to_string(),
            (_, Some(peer)) => peer.to_string(),
            (Source::Stdin, None) => Peer::Stdio.to_string(),
        };
        let heard = side.last_byte.unwrap_or(since).max(since);
        let silence = now.since(heard.max(side.reading_since));
        let idle = self.config.idle_timeout;
        Upstream {
            state,
            who,
            since: now.since(since),
            last_byte,
            is_overdue: side.reading && idle.is_some_and(|idle| silence >= idle),
            connections: self.counts.upstreams,
            trouble: side.dialler.redial.trouble.clone(),
            effort: match self.config.source {
                Source::Dial(_) => side.dialler.redial.effort(now),
                Source::Listen(_) | Source::Stdin => Effort::Listening,
            },
        }
    }
}

impl Outlet {
    /// Itself, while it is a destination that is dialled and not connected.
    fn away(&self, now: Time) -> Option<Away> {
        let (Way::Dial(at), Some(dialled)) = (&self.way, &self.dialled) else {
            return None;
        };
        let is_away = self.clients == 0 && dialled.redial.is_under_way();
        is_away.then(|| Away {
            who: at.to_string(),
            since: now.since(dialled.down_since.unwrap_or(now)),
            trouble: dialled.redial.trouble.clone(),
            effort: dialled.redial.effort(now),
        })
    }
}
