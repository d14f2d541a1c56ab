//! Receivers in a simulated network who speak TLS: each does what a [`Receiver`] is told to, with a session between it
//! and the network. The library draws its own randomness, so bytes differ between two runs of a seed; how many there
//! are, and so all that happens, does not: the certificate is one of Ed25519, whose signatures are all of one length.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hydrant::base::time::Time;
use hydrant::proto::tls::{Acceptor, Connector, Identity, Roots, Session, Trust, throwaway};
use hydrant::reactor::net::{Addr, Close};
use hydrant::sim::{Actor, Handle, Receiver, RemoteId, RemoteState, World};

/// What the relay shows, and those who trust nothing else.
pub(crate) fn authority() -> (Acceptor, Connector) {
    let pem = throwaway([7; 32]).expect("it can be signed");
    let pem = pem.as_bytes();
    let identity = Identity::from_pem(pem, pem).expect("it is well-formed");
    let acceptor = Acceptor::new(identity, None).expect("the key is its own");
    let trust = Trust::Roots(Roots::from_pem(pem).expect("it is well-formed"));
    let connector = Connector::new(trust, None).expect("it is usable");
    (acceptor, connector)
}

/// One of them.
pub(crate) struct Remote {
    pub(crate) id: RemoteId,
    /// What it has decrypted.
    pub(crate) plain: Vec<u8>,
    /// The relay has told it that no more will come.
    pub(crate) was_told: bool,
    /// What was wrong with what it got.
    pub(crate) wrong: Option<String>,
    session: Session,
    plan: Receiver,
    says: VecDeque<(Duration, Vec<u8>)>,
    /// What the network has not taken yet.
    out: Vec<u8>,
    began: Option<Time>,
    pause: Duration,
}

/// Somebody connects, and does what `plan` says.
pub(crate) fn connect(
    handle: &Handle,
    connector: &Connector,
    (to, from): (Addr, SocketAddr),
    plan: Receiver,
) -> Rc<RefCell<Remote>> {
    let id = handle.world().connect_remote(to, from, Actor::Manual);
    let remote = Rc::new(RefCell::new(Remote {
        id,
        plain: Vec::new(),
        was_told: false,
        wrong: None,
        session: connector.session("localhost").expect("a name"),
        says: plan.says.clone().into(),
        plan,
        out: Vec::new(),
        began: None,
        pause: LEAST,
    }));
    let actor = Rc::clone(&remote);
    handle.world().at(Time::ZERO, |world| step(world, actor));
    remote
}

/// Lets it act, and comes again: soon where something happens, else later and later.
fn step(world: &mut World, actor: Rc<RefCell<Remote>>) {
    let next = {
        let mut remote = actor.borrow_mut();
        match remote.act(world) {
            Some(true) => remote.pause = LEAST,
            Some(false) => remote.pause = (2 * remote.pause).min(MOST),
            None => return,
        }
        world.time() + remote.pause.max(remote.plan.every)
    };
    world.at(next, |world| step(world, actor));
}

impl Remote {
    /// Whether anything has happened; `None` once it is over.
    fn act(&mut self, world: &mut World) -> Option<bool> {
        match world.remote_state(self.id) {
            RemoteState::Open => {}
            RemoteState::Lost | RemoteState::Closed | RemoteState::Refused => return None,
            _ => return Some(false),
        }
        let here = world.time().since(*self.began.get_or_insert(world.time()));
        if let Some((_, how)) = self.plan.leave_after.filter(|(after, _)| here >= *after) {
            match how {
                Close::Reset => world.remote_reset(self.id),
                _ => world.remote_close(self.id),
            }
            return None;
        }
        let shaking = self.session.is_handshaking();
        let is_past = |moment: Option<Duration>| moment.is_some_and(|after| here >= after);
        let is_stalled = is_past(self.plan.stall_after) && !is_past(self.plan.resume_after);
        let bytes = match is_stalled {
            true => Vec::new(),
            false => world.remote_read(self.id, self.plan.bytes),
        };
        self.take(&bytes);
        // Within the handshake there is nothing to say yet, and the end of it neither: that would be to give up.
        let is_shaken = !self.session.is_handshaking();
        let closes = self.plan.half_close_after;
        let is_over = is_shaken && closes.is_some_and(|after| here >= after);
        while is_shaken
            && !is_over
            && let Some((at, _)) = self.says.front()
            && here >= *at
        {
            let (_, words) = self.says.pop_front().expect("it was there");
            assert_eq!(
                self.session.write([&words, &[]]),
                words.len(),
                "little is said"
            );
        }
        if is_over {
            self.session.close();
        }
        let sent = self.send(world);
        if world.saw_fin(self.id) && self.wrong.is_none() {
            world.remote_close(self.id);
            return None;
        }
        Some(!bytes.is_empty() || sent || shaking)
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let mut part = [0; 4096];
        while self.wrong.is_none() && (!bytes.is_empty() || self.session.holds_plaintext()) {
            match self.session.feed(bytes) {
                Ok(0) if !self.session.holds_plaintext() => break,
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => self.wrong = Some(error.to_string()),
            }
            while let Some(n @ 1..) = self.session.read(&mut part) {
                self.plain.extend_from_slice(&part[..n]);
            }
        }
        self.was_told |= self.session.peer_has_closed();
    }

    fn send(&mut self, world: &mut World) -> bool {
        let out = &mut self.out;
        while self.session.wants_send() {
            let sent = self.session.send(|slices| {
                slices.iter().for_each(|slice| out.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            });
            sent.expect("a vector takes all");
        }
        let sent = match self.out.is_empty() {
            true => 0,
            false => world.remote_send(self.id, &self.out),
        };
        self.out.drain(..sent);
        sent > 0
    }
}

const LEAST: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_millis(250);
