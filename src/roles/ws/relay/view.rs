//! What the relay shows of itself to those who watch.

use super::Relay;
use super::lane::{End, Lane};
use super::peers::Peer;
use crate::base::time::Time;
use crate::proto::hello::Name;
use crate::proto::websocket::CloseCode;
use crate::reactor::Cx;
use crate::reactor::view::{ClientPage, ClientRow, Figure, View};
use crate::roles::ws::tokens::Part;

impl Relay {
    /// Its figures; no work for a connection, and a look at each name.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let hosts = self.places.values().filter(|place| place.host.is_some());
        let figure = |name, help, only_grows, value| Figure {
            name,
            help,
            only_grows,
            value,
        };
        View {
            is_ending: self.draining.is_some(),
            listens: self
                .listens_at
                .iter()
                .map(|at| (at.clone(), "hosts and clients"))
                .collect(),
            clients: self.lanes.len(),
            clients_most: counts.connections_most,
            bytes_in: counts.from_clients,
            bytes_out: counts.to_clients,
            refused: vec![("request", counts.refused)],
            figures: vec![
                figure(
                    "hosts",
                    "Names whose host is connected",
                    false,
                    hosts.count() as u64,
                ),
                figure(
                    "websockets",
                    "WebSockets of hosts and clients",
                    false,
                    self.peers.len() as u64,
                ),
                figure(
                    "websockets_seen",
                    "WebSockets that were let in",
                    true,
                    counts.upgrades,
                ),
                figure(
                    "connections_made",
                    "Connections that were made between a client and a host",
                    true,
                    counts.connections,
                ),
                figure(
                    "held_bytes",
                    "Memory that bytes take which nobody has taken yet",
                    false,
                    self.held() as u64,
                ),
                figure(
                    "shed",
                    "Connections and WebSockets that were ended since all memory was taken",
                    true,
                    counts.shed,
                ),
            ],
            ..View::new("ws relay", now.since(self.started))
        }
    }

    /// The hosts, and the connections of clients, a page at a time.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        let hosts = self.peers.iter().filter(|(_, peer)| is_host(peer));
        let hosts = hosts.map(|(key, peer)| (key, Row::Host(peer)));
        let lanes = self.lanes.iter();
        let lanes = lanes.map(|(key, lane)| (key | LANES, Row::Lane(lane)));
        ClientPage::of(hosts.chain(lanes), from, |_, row| {
            Some(match row {
                Row::Host(peer) => host_row(peer, now),
                Row::Lane(lane) => self.lane_row(lane, now),
            })
        })
    }

    fn lane_row(&self, lane: &Lane, now: Time) -> ClientRow {
        let (to, from) = lane.bytes();
        let waits = if lane.host.is_none() { ", waits" } else { "" };
        let peer = match lane.client {
            End::Stream(peer, _) | End::Plain(peer) => self.peers.get(peer),
            End::Gone => None,
        };
        ClientRow {
            id: lane.number << 1 | IS_LANE,
            peer: peer.map_or_else(|| lane.label().to_owned(), Peer::address),
            label: format!("{}client{waits}", shown(&lane.name)),
            age: now.since(lane.since),
            bytes_in: Some(from),
            bytes_out: to,
            waiting: lane.down.queue.len() as u64,
            lag: None,
        }
    }

    /// Disconnects a host, or one connection of a client's. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let number = client >> 1;
        if client & IS_LANE != 0 {
            let mut lanes = self.lanes.iter();
            let Some((key, _)) = lanes.find(|(_, lane)| lane.number == number) else {
                return false;
            };
            self.reset_lane(cx, key, BY_HAND);
            return true;
        }
        let mut hosts = self.peers.iter();
        let is_it = |peer: &Peer| is_host(peer) && peer.number == number;
        let Some((key, _)) = hosts.find(|(_, peer)| is_it(peer)) else {
            return false;
        };
        self.close_peer(cx, key, CloseCode::POLICY, BY_HAND);
        true
    }
}

/// One of those who are connected.
enum Row<'a> {
    Host(&'a Peer),
    Lane(&'a Lane),
}

fn host_row(peer: &Peer, now: Time) -> ClientRow {
    ClientRow {
        id: peer.number << 1,
        peer: peer.address(),
        label: format!("{}host", shown(&peer.name)),
        age: now.since(peer.since),
        bytes_in: Some(peer.said),
        bytes_out: peer.to,
        waiting: 0,
        lag: None,
    }
}

fn is_host(peer: &Peer) -> bool {
    peer.part == Part::Host && !peer.is_leaving()
}

/// "game, ", where it has a name.
fn shown(name: &Option<Name>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!("{name}, "))
}

/// Connections stand behind all hosts.
const LANES: usize = 1 << 40;
/// Tells the id of a connection from that of a host.
const IS_LANE: u64 = 1;
/// Why somebody is sent away whom a person has disconnected.
const BY_HAND: &str = "disconnected by hand";
