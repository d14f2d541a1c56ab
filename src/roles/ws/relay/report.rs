//! SIGUSR1: what there is, in lines: one a WebSocket, one a connection, one for all.

use super::Relay;
use super::peers::Body;
use crate::base::units::{Bytes, Count, Span};
use crate::reactor::Cx;

impl Relay {
    pub(super) fn report(&self, cx: &Cx<'_>) {
        let now = cx.now();
        for (_, peer) in self.peers.iter().take(LINES_MAX) {
            let way = match &peer.body {
                Body::Mux(_) => "",
                Body::Plain(_) => " | plain",
            };
            self.journal.info(format!(
                "{} UP {}{way} | {} | {} to it, {} from it, {} held",
                peer.label(),
                Span(now.since(peer.since)),
                Count(peer.lanes.len(), "connection"),
                Bytes(peer.to),
                Bytes(peer.said),
                Bytes(peer.held as u64)
            ));
        }
        for (_, lane) in self.lanes.iter().take(LINES_MAX) {
            let (to, from) = lane.bytes();
            let state = match lane.host {
                None => " | waits for a host",
                Some(_) => "",
            };
            self.journal.info(format!(
                "connection of {} | {} to it, {} from it{state}",
                lane.label(),
                Bytes(to),
                Bytes(from)
            ));
        }
        let counts = &self.counts;
        let shown = self.peers.len().min(LINES_MAX) + self.lanes.len().min(LINES_MAX);
        let more = self.peers.len() + self.lanes.len() - shown;
        if more > 0 {
            self.journal
                .info(format!("and {}", Count(more, "more line")));
        }
        self.journal.info(format!(
            "{} | {} | refused: {} | {} held | in all {} to clients, {} from them",
            Count(self.peers.len(), "WebSocket"),
            Count(self.lanes.len(), "connection"),
            Count(counts.refused as usize, "request"),
            Bytes(self.held() as u64),
            Bytes(counts.to_clients),
            Bytes(counts.from_clients)
        ));
    }
}

/// Lines of one sort that a report has.
const LINES_MAX: usize = 256;
