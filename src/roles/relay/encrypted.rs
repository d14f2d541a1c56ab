//! The relay's connections that speak TLS. The ring's bytes are encrypted for a client only as it can take them: what
//! its kernel has not taken of that stays with the client, 64 KiB at most, and the rest stays in the ring. So a client
//! is behind, is overtaken and is dropped by the rules that hold for all.

use std::io;

use crate::base::endpoint::Endpoint;
use crate::proto::tls::{TlsError, looks_like_tls};
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};
use crate::roles::relay::Relay;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::config::{RelayConfig, Source};
use crate::roles::relay::fanout::Sent;
use crate::roles::tls::{INSECURE, Secured};

impl Relay {
    /// One send of at most `max` bytes to a client that speaks TLS.
    pub(super) fn send_encrypted(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        max: usize,
    ) -> io::Result<Sent> {
        let whole = self.records.whole();
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(Sent::All);
        };
        let withheld = client.withheld > 0;
        let end = match withheld {
            true => client.cursor,
            false => whole.min(client.until),
        };
        let sock = client.sock;
        let Some(tls) = &mut client.tls else {
            return Ok(Sent::All);
        };
        if let Some(aside) = &mut client.aside {
            let n = tls.write(cx, sock, [aside.rest(), &[]])?.unwrap_or(0);
            self.counts.bytes_out += n as u64;
            if aside.went(n) {
                client.aside = None;
            }
            return Ok(Sent::Part);
        }
        if client.websocket.is_some() {
            return self.send_messages(cx, id, max);
        }
        if client.cursor < end {
            let max = max.min((end - client.cursor) as usize);
            let from = self
                .ring
                .read_up_to(client.cursor, max)
                .expect("whom the ring overtakes is dropped at once");
            let n = tls.write(cx, sock, from)?.unwrap_or(0);
            client.cursor += n as u64;
            self.counts.bytes_out += n as u64;
            self.effort += n / TLS_SEND;
        }
        let cursor = client.cursor;
        if cursor == client.until {
            tls.close();
        }
        let flushed = tls.flush(cx, sock)?;
        let sent = match cursor {
            _ if !flushed => Sent::Part,
            _ if cursor == client.until => Sent::End,
            _ if withheld => Sent::Withheld,
            _ if cursor == end => Sent::All,
            _ => Sent::Part,
        };
        self.clients.moved_to(cursor);
        Ok(sent)
    }

    /// A client that speaks TLS has every byte there will be: it is told so, and then it is as any other.
    pub(super) fn end_encrypted(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        match self.send_encrypted(cx, id, 0) {
            Ok(Sent::End) => self.finish_client(cx, id),
            Ok(_) => {
                self.clients.fall_behind(id);
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, true);
                }
            }
            Err(error) => self.drop_failed(cx, id, &error),
        }
    }

    /// A read from a client, whose bytes nobody wants unless they are a WebSocket's: those are in the scratch.
    pub(super) fn read_client(&mut self, cx: &mut Cx<'_>, id: ClientId) -> io::Result<Heard> {
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(Heard::Nothing);
        };
        let (sock, is_websocket) = (client.sock, client.websocket.is_some());
        let Some(tls) = &mut client.tls else {
            return Ok(match cx.read(sock, &mut self.scratch)? {
                Some(0) => Heard::End,
                Some(count) if is_websocket => Heard::Frames(count),
                Some(count) if looks_like_tls(&self.scratch[..count]) => {
                    self.hint_tls(cx, id);
                    Heard::Nothing
                }
                _ => Heard::Nothing,
            });
        };
        match tls.read(cx, sock, &mut self.scratch, &mut self.cipher) {
            Ok(Some(0)) => Ok(Heard::End),
            Ok(Some(count)) if is_websocket => Ok(Heard::Frames(count)),
            Ok(_) => Ok(Heard::Nothing),
            // Whoever just closes his side may still want to receive, though it is not what TLS asks for.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Heard::End),
            Err(error) => Err(error),
        }
    }

    /// A plain way out has got the first bytes of somebody who speaks TLS.
    fn hint_tls(&mut self, cx: &Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let who = self.outputs[usize::from(client.output)].called(client.peer);
        let text =
            format!("{who} speaks TLS, which is not spoken here: write tls:// before the DST");
        self.journal.warn(cx.now(), "TLS on a plain port", text);
    }

    /// As [`Relay::hint_tls`], for the upstream.
    pub(super) fn hint_upstream_tls(&mut self, cx: &Cx<'_>, peer: Peer) {
        let who = self.source_name(peer);
        let text = format!(
            "upstream {who} speaks TLS, which is passed on as it is: write tls:// before the SRC"
        );
        self.journal.warn(cx.now(), "TLS on a plain port", text);
    }

    /// Says what is given up for `--tls-insecure`.
    pub(super) fn warn_of_insecurity(&mut self, cx: &Cx<'_>) {
        if self.config.tls.insecure {
            self.journal.warn(cx.now(), "insecure", INSECURE.to_owned());
        }
    }
}

/// What a read from a client has come to.
pub(super) enum Heard {
    /// Nothing that anybody wants.
    Nothing,
    /// So many bytes of a WebSocket's frames.
    Frames(usize),
    /// Its end, in whichever way.
    End,
}

/// Closes a connection. Where it speaks TLS and the end is no accident, the peer is told so first, as far as the kernel
/// takes it.
pub(super) fn part(cx: &mut Cx<'_>, sock: SockId, tls: Option<&mut Secured>, how: Close) {
    if let (Some(tls), Close::Orderly) = (tls, how) {
        tls.close();
        // It is over in any case.
        let _ = tls.flush(cx, sock);
    }
    cx.close(sock, how);
}

/// Whether the peer ended the connection by an alert: then it may never have looked at what its kernel took.
pub(super) fn is_alert(error: Option<&io::Error>) -> bool {
    let inside = error.and_then(io::Error::get_ref);
    let tls = inside.and_then(|inside| inside.downcast_ref::<TlsError>());
    matches!(tls, Some(TlsError::Alert { .. }))
}

/// Room for what comes in over TLS, if anything does: as much as one read of the upstream takes.
pub(super) fn room(config: &RelayConfig, read_max: usize) -> Box<[u8]> {
    let upstream = match &config.source {
        Source::Listen(at) => at.is_tls(),
        Source::Dial(places) => places.iter().any(Endpoint::is_tls),
        Source::Stdin => false,
    };
    let room = match config.speaks_tls() {
        (false, false) => 0,
        _ if upstream => read_max.max(LITTLE),
        _ => LITTLE,
    };
    vec![0; room].into_boxed_slice()
}

/// Enough for one read of what clients say.
const LITTLE: usize = 16 << 10;
/// So many bytes are as much work to encrypt and send as one send of plain ones.
pub(super) const TLS_SEND: usize = 4 << 10;
