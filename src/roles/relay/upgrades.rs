//! Those who have connected to a `ws://` or `wss://` destination and are not WebSocket clients yet: each has to ask for
//! it, by the rules and in time.
//!
//! ```text
//!   accepted ──good request──> client (the grant is the first that it gets)
//!      │ └──good request, and much of the stream is to be framed first──> granted ──framed──> client
//!      │ └──bad request, or none in time──> answered (a status that says why) ──its end, or the deadline──> closed
//!      └──its end──> closed
//! ```

use std::io;
use std::time::Duration;

use slab::Slab;

use crate::base::time::Time;
use crate::base::units::Typed;
use crate::base::wheel::TimerKey;
use crate::proto::http1::{Answer, HeadBuf, Origin, Request, Status, Upgrade};
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};
use crate::roles::link::{is_truncation, tls_error};
use crate::roles::relay::admission::Refusal;
use crate::roles::relay::encrypted::part;
use crate::roles::relay::{Kind, Relay, Tick};
use crate::roles::tls::Secured;

/// All of them.
#[derive(Default)]
pub(super) struct Upgrades {
    table: Slab<Pending>,
    /// Those that are granted and wait until the stream is framed as far as it goes, in their order.
    granted: Vec<usize>,
}

/// One of them.
struct Pending {
    sock: SockId,
    peer: Peer,
    output: usize,
    since: Time,
    deadline: TimerKey,
    /// TLS, which is agreed on already.
    tls: Option<Box<Secured>>,
    head: HeadBuf,
    /// What it is answered and how much of it was sent, if it is refused.
    answer: Option<(Vec<u8>, usize)>,
    /// What it is told if it is granted, and what it has said already behind its request.
    grant: Option<(Vec<u8>, Vec<u8>)>,
}

impl Upgrades {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether any is granted and waits.
    pub(super) fn are_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.table.iter().map(|(_, pending)| pending.sock)
    }
}

impl Relay {
    /// A connection that was let in, and has to ask for an upgrade now.
    pub(super) fn await_upgrade(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        if self.upgrades.len() >= UPGRADES_MAX {
            let oldest = self.upgrades.table.iter();
            let oldest = oldest.filter(|(_, pending)| pending.grant.is_none());
            let oldest = oldest.min_by_key(|(_, pending)| pending.since);
            if let Some(key) = oldest.map(|(key, _)| key) {
                let why =
                    format!("has not asked for a WebSocket yet, and {UPGRADES_MAX} others wait");
                self.say_refused(cx, key, Refusal::NoUpgrade, &why);
                self.drop_upgrade(cx, key);
            }
        }
        // The request may have come with the last flight of the handshake.
        let holds = tls.as_ref().is_some_and(|tls| tls.holds());
        let place = self.upgrades.table.vacant_entry();
        let key = place.key() as u32;
        place.insert(Pending {
            sock,
            peer,
            output,
            since: cx.now(),
            deadline: cx.timer(DEADLINE, Tick::Upgrade.tag(key)),
            head: HeadBuf::new(),
            tls,
            answer: None,
            grant: None,
        });
        cx.set_tag(sock, Kind::Upgrade.tag(key));
        cx.want_read(sock, true);
        if holds {
            cx.revisit(sock);
        }
    }

    /// Bytes of a request, or of whatever comes behind one that was refused.
    pub(super) fn upgrade_readable(&mut self, cx: &mut Cx<'_>, key: u32) {
        let key = key as usize;
        let pending = self.upgrades.table.get_mut(key);
        let Some(pending) = pending.filter(|pending| pending.grant.is_none()) else {
            return;
        };
        let read = match &mut pending.tls {
            None => cx.read(pending.sock, &mut self.scratch),
            Some(tls) => tls.read(cx, pending.sock, &mut self.scratch, &mut self.cipher),
        };
        let count = match read {
            Ok(None) => return,
            Ok(Some(0)) => return self.drop_upgrade(cx, key),
            Ok(Some(count)) => count,
            Err(error) => return self.upgrade_failed(cx, key, &error),
        };
        if pending.answer.is_some() {
            return;
        }
        let taken = match pending.head.feed(&self.scratch[..count]) {
            Ok(taken) => taken,
            Err(fault) => return self.refuse_upgrade(cx, key, fault.into(), &fault.to_string()),
        };
        if !pending.head.is_complete() {
            return;
        }
        match judge(&pending.head, &self.config.origins) {
            Ok(upgrade) => self.grant_upgrade(cx, key, &upgrade, taken..count),
            Err((answer, why)) => self.refuse_upgrade(cx, key, answer, &why),
        }
    }

    /// It can't be read. What TLS has against it is told, unless it was refused for something else, or has just left.
    fn upgrade_failed(&mut self, cx: &mut Cx<'_>, key: usize, error: &io::Error) {
        if self.upgrades.table[key].answer.is_none()
            && !is_truncation(error)
            && let Some(error) = tls_error(error)
        {
            self.say_refused(cx, key, Refusal::Tls, &error.to_string());
        }
        self.drop_upgrade(cx, key);
    }

    /// The rest of an answer.
    pub(super) fn upgrade_writable(&mut self, cx: &mut Cx<'_>, key: u32) {
        self.send_answer(cx, key as usize);
    }

    /// The time is over.
    pub(super) fn upgrade_overdue(&mut self, cx: &mut Cx<'_>, key: u32) {
        let key = key as usize;
        let Some(pending) = self.upgrades.table.get_mut(key) else {
            return;
        };
        if pending.answer.is_none() {
            let why = "no request within 5 s";
            self.refuse_upgrade(cx, key, Answer::new(Status::TIMEOUT, why), why);
        }
        // A second chance to read the answer would need a second deadline.
        self.drop_upgrade(cx, key);
    }

    /// Closes all of them.
    pub(super) fn close_upgrades(&mut self, cx: &mut Cx<'_>) {
        let keys: Vec<_> = self.upgrades.table.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.drop_upgrade(cx, key));
    }

    /// It is a client from now on. What it has sent behind its request is the first that it says.
    fn grant_upgrade(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        upgrade: &Upgrade,
        said: std::ops::Range<usize>,
    ) {
        let pending = &mut self.upgrades.table[key];
        cx.cancel(pending.deadline);
        cx.want_read(pending.sock, false);
        pending.grant = Some((upgrade.grant(), self.scratch[said].to_vec()));
        self.upgrades.granted.push(key);
        self.admit_granted(cx);
    }

    /// Takes those in who are granted, once the stream is framed for them; else goes on with that in the next visit.
    pub(super) fn admit_granted(&mut self, cx: &mut Cx<'_>) {
        let Some(first) = self.upgrades.granted.first() else {
            return;
        };
        let output = self.upgrades.table[*first].output;
        if !self.follow_messages(output) {
            return cx.again();
        }
        self.join_granted(cx);
    }

    /// Takes in at once all who are granted: the relay ends, and what there is is theirs.
    pub(super) fn hurry_granted(&mut self, cx: &mut Cx<'_>) {
        while let Some(first) = self.upgrades.granted.first() {
            let output = self.upgrades.table[*first].output;
            if self.follow_messages(output) {
                self.join_granted(cx);
            }
        }
    }

    fn join_granted(&mut self, cx: &mut Cx<'_>) {
        for key in std::mem::take(&mut self.upgrades.granted) {
            let pending = self.upgrades.table.remove(key);
            let (grant, said) = pending.grant.expect("it is among those that are granted");
            let (output, sock, peer) = (pending.output, pending.sock, pending.peer);
            let id = self.join(cx, output, sock, peer, pending.tls, grant);
            self.scratch[..said.len()].copy_from_slice(&said);
            self.heed(cx, id, said.len());
        }
    }

    fn refuse_upgrade(&mut self, cx: &mut Cx<'_>, key: usize, answer: Answer, why: &str) {
        self.say_refused(cx, key, Refusal::NoUpgrade, why);
        if let Some(pending) = self.upgrades.table.get_mut(key) {
            pending.answer = Some((answer.bytes(), 0));
            self.send_answer(cx, key);
        }
    }

    fn send_answer(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(pending) = self.upgrades.table.get_mut(key) else {
            return;
        };
        let Some((bytes, sent)) = &mut pending.answer else {
            return;
        };
        let sock = pending.sock;
        let written = match &mut pending.tls {
            None => cx.write(sock, [&bytes[*sent..], &[]]),
            Some(tls) => tls.write(cx, sock, [&bytes[*sent..], &[]]),
        };
        match written {
            Ok(count) => *sent += count.unwrap_or(0),
            Err(_) => return self.drop_upgrade(cx, key),
        }
        let mut is_sent = *sent == bytes.len();
        if let (true, Some(tls)) = (is_sent, &mut pending.tls) {
            tls.close();
            is_sent = matches!(tls.flush(cx, sock), Ok(true));
        }
        cx.want_write(sock, !is_sent);
        // Closed at once, it might not read the answer: bytes that nobody takes turn a close into a reset.
        if is_sent && cx.shutdown(sock).is_err() {
            self.drop_upgrade(cx, key);
        }
    }

    fn say_refused(&mut self, cx: &Cx<'_>, key: usize, refusal: Refusal, why: &str) {
        if let Some(pending) = self.upgrades.table.get(key) {
            self.note_refused(cx.now(), "client", pending.peer, refusal, why);
        }
    }

    fn drop_upgrade(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(mut pending) = self.upgrades.table.try_remove(key) else {
            return;
        };
        cx.cancel(pending.deadline);
        if pending.grant.is_some() {
            self.upgrades.granted.retain(|granted| *granted != key);
            self.end_messages();
        }
        part(cx, pending.sock, pending.tls.as_deref_mut(), Close::Orderly);
        self.dismiss_client(pending.peer);
    }
}

/// What a request comes to: an upgrade, or an answer, and the same for the log.
fn judge(head: &HeadBuf, origins: &[Origin]) -> Result<Upgrade, (Answer, String)> {
    let asked = Request::parse(head);
    let asked = asked.and_then(|request| Ok((request.origin()?, request)));
    let (origin, request) = asked.map_err(|fault| (fault.into(), fault.to_string()))?;
    let is_foreign = |page: &&str| !origins.is_empty() && !Origin::allows(origins, page);
    if let Some(page) = origin.filter(is_foreign) {
        let why = format!("pages of {} may not, only those of --origin", Typed(page));
        return Err((Answer::new(Status::FORBIDDEN, &why), why));
    }
    Upgrade::of(&request, &[]).map_err(|fault| {
        let why = fault.to_string();
        (fault.into(), why)
    })
}

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many may be under way: one more takes the place of the oldest.
const UPGRADES_MAX: usize = 256;
