//! The demo's feed: a listener on this machine that sends every receiver the same records, five a second.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::{Addr, Close, SockId};
use crate::roles::demo::record::Record;
use crate::roles::demo::{Kind, Tick};

/// The feed's side of its connections.
#[derive(Debug, Default)]
pub(super) struct Feed {
    receivers: Vec<Receiver>,
    /// The number of the latest record, its bytes, and when it was due.
    seq: u64,
    record: Vec<u8>,
    due: Time,
}

#[derive(Debug)]
struct Receiver {
    sock: SockId,
    /// What it has not taken of the latest record.
    rest: Vec<u8>,
}

impl Feed {
    /// Begins to listen. Returns where.
    pub(super) fn open(&mut self, cx: &mut Cx<'_>) -> io::Result<SocketAddr> {
        let any_port = Endpoint::Tcp {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port: 0,
            tls: false,
        };
        for (sock, at) in cx.listen_at(&any_port)? {
            cx.set_tag(sock, Kind::Listener as u32);
            if let Addr::Tcp(at) = at {
                return Ok(at);
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// From now on a record is sent at each beat.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>) {
        self.due = cx.now();
        self.arm(cx);
    }

    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if self.receivers.len() == RECEIVERS_MAX {
            return cx.close(sock, Close::Orderly);
        }
        cx.set_tag(sock, Kind::Receiver as u32);
        cx.want_read(sock, true);
        self.receivers.push(Receiver {
            sock,
            rest: Vec::new(),
        });
    }

    /// It is time for the next record. A receiver that has not even taken the last one is cut off.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        self.seq += 1;
        Record::new(self.seq, cx.clock()).write(&mut self.record);
        let record = &self.record;
        self.receivers.retain_mut(|receiver| {
            let sent = match receiver.rest.is_empty() {
                true => cx.write(receiver.sock, [record, &[]]),
                false => Err(io::ErrorKind::TimedOut.into()),
            };
            match sent {
                Ok(sent) => {
                    receiver
                        .rest
                        .extend_from_slice(&record[sent.unwrap_or(0)..]);
                    cx.want_write(receiver.sock, !receiver.rest.is_empty());
                    true
                }
                Err(_) => {
                    cx.close(receiver.sock, Close::Reset);
                    false
                }
            }
        });
        self.arm(cx);
    }

    /// Nobody is supposed to send anything but an end.
    pub(super) fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if matches!(cx.read(sock, &mut [0; 512]), Ok(Some(0)) | Err(_)) {
            self.remove(cx, sock);
        }
    }

    pub(super) fn writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let is_it = |receiver: &&mut Receiver| receiver.sock == sock;
        let Some(receiver) = self.receivers.iter_mut().find(is_it) else {
            return;
        };
        match cx.write(sock, [&receiver.rest, &[]]) {
            Ok(sent) => {
                receiver.rest.drain(..sent.unwrap_or(0));
                cx.want_write(sock, !receiver.rest.is_empty());
            }
            Err(_) => self.remove(cx, sock),
        }
    }

    fn remove(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        self.receivers.retain(|receiver| receiver.sock != sock);
        cx.close(sock, Close::Orderly);
    }

    /// The beats keep their distance though each comes a little late. After a pause of the whole program they start
    /// anew.
    fn arm(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        self.due = (self.due + BEAT).max(now);
        cx.timer(self.due.since(now), Tick::Beat as u32);
    }
}

/// The time between two records.
const BEAT: Duration = Duration::from_millis(200);
/// Relays, or whoever else dials the feed, at a time.
const RECEIVERS_MAX: usize = 64;
