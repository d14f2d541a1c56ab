//! Lives of the reverse tunnel in which something went wrong once, each as short as it gets, in virtual time and
//! without a fault. All that is looked at in every life is looked at here too.

use std::cell::RefMut;

use super::roles::{Party, party};
use super::*;
use crate::base::secret::Secret;
use crate::proto::hello::{Answer, Asking, Hello, NONCE_LEN, Serving};
use crate::proto::yamux::{Flags, HEADER_LEN, Header, Kind as Type};
use crate::reactor::net::Close;
use crate::roles::tunnel::{Expose, Serve, Tokens};
use crate::sim::{Receiver, RemoteState, World};

/// A server, its backends of our own, and a network to make others in.
pub(super) struct Stage {
    pub(super) reactor: Reactor<Party>,
    pub(super) parties: Vec<RoleId>,
    handle: Handle,
    pub(super) over: usize,
    called: u16,
    is_proving: bool,
}

/// A backend that is moved by hand.
pub(super) struct Hand {
    pub(super) id: RemoteId,
    asking: Asking,
    /// What came behind the hello, and was not looked at yet.
    rest: Vec<u8>,
}

impl Stage {
    /// `tunnel serve 7000` with these flags and lines of tokens, and then one backend for each of the others.
    pub(super) fn new(flags: &str, tokens: Option<&str>, backends: &[&str]) -> Self {
        let mut server = party(format!("tunnel serve 7000 {flags}").trim());
        if let Party::Serve(serve) = &mut server {
            serve.orders().tokens = tokens.map(read);
        }
        let backends = backends.iter().map(|words| {
            let mut backend = party(&format!("tunnel expose 7000 {words}"));
            if let Party::Expose(expose) = &mut backend {
                expose.orders().token = tokens.map(|_| token());
            }
            backend
        });
        let all = std::iter::once(server).chain(backends).collect();
        Self::with(all, tokens.is_some())
    }

    pub(super) fn with(all: Vec<Party>, is_proving: bool) -> Self {
        let (net, handle) = SimNet::new(1, Faults::none());
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let parties = all.into_iter().map(|party| reactor.add(party)).collect();
        Self {
            reactor,
            parties,
            handle,
            over: 0,
            called: 0,
            is_proving,
        }
    }

    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.handle.world()
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.world().time() + time;
        self.world().stop_at(end);
        while !self.world().over() && self.over < self.parties.len() {
            let mut ended = Vec::new();
            self.reactor
                .turn(&mut ended)
                .expect("a simulated wait works");
            self.over += ended.len();
            check(&self.reactor, &self.parties);
        }
    }

    /// As long as what is under way takes.
    pub(super) fn settle(&mut self) {
        self.run_for(Duration::from_millis(20));
    }

    pub(super) fn serve(&self) -> &Serve {
        match self.reactor.role(self.parties[0]) {
            Some(Party::Serve(serve)) => serve,
            _ => panic!("the first one is the server"),
        }
    }

    fn set_tokens(&mut self, lines: &str) {
        self.reactor.with(self.parties[0], |party, cx| match party {
            Party::Serve(serve) => serve.set_tokens(cx, read(lines)),
            _ => panic!("the first one is the server"),
        });
        // What is closed is so at the end of the next turn.
        self.settle();
        self.settle();
    }

    pub(super) fn expose(&self, backend: usize) -> &Expose {
        match self.reactor.role(self.parties[backend]) {
            Some(Party::Expose(expose)) => expose,
            _ => panic!("the others are backends"),
        }
    }

    pub(super) fn clients(&self) -> usize {
        self.serve().view(self.world().time()).clients
    }

    /// Someone who connects to a port, and does nothing by itself.
    pub(super) fn caller(&mut self, port: u16) -> RemoteId {
        self.callers(port, 1)[0]
    }

    /// As many, at one moment.
    fn callers(&mut self, port: u16, count: usize) -> Vec<RemoteId> {
        let call = |_| {
            self.called += 1;
            let from = SocketAddr::from(([10, 2, 0, 1], 10_000 + self.called));
            let to = Addr::Tcp(at(port));
            self.world().try_connect_remote(to, from, Actor::Manual)
        };
        let ids = (0..count).map(call).collect();
        self.settle();
        ids
    }

    /// The first message of a hello; "": without a name.
    fn hello(&mut self, name: &str, port: u16) -> Hand {
        let id = self.caller(7000);
        let hello = Hello {
            name: (!name.is_empty()).then(|| name.parse().expect("a good name")),
            port,
            client_address: false,
        };
        let token = self.is_proving.then(token);
        let (asking, bytes) = Asking::new(&hello, [9; NONCE_LEN], token);
        assert_eq!(self.world().remote_send(id, &bytes), bytes.len());
        self.settle();
        Hand {
            id,
            asking,
            rest: Vec::new(),
        }
    }

    /// What the server has answered, if it has.
    fn heard(&mut self, hand: &mut Hand) -> Option<Answer> {
        let bytes = self.world().remote_read(hand.id, 1 << 20);
        let mut rest = &bytes[..];
        let answer = hand.asking.feed(&mut rest).expect("a good answer");
        hand.rest.extend_from_slice(rest);
        answer
    }

    /// The second message of a hello.
    fn prove(&mut self, hand: &mut Hand) {
        let Some(Answer::Prove(proof)) = self.heard(hand) else {
            panic!("it is not challenged");
        };
        self.world().remote_send(hand.id, &proof);
        self.settle();
    }

    /// Where it is public, or why not.
    fn verdict(&mut self, hand: &mut Hand) -> Result<String, String> {
        match self.heard(hand) {
            Some(Answer::Accepted { public, .. }) => Ok(public),
            Some(Answer::Refused { text, .. }) => Err(text),
            other => panic!("{other:?}"),
        }
    }

    /// A backend that is in, and does nothing more by itself.
    pub(super) fn backend(&mut self, name: &str, port: u16) -> Hand {
        let mut hand = self.hello(name, port);
        self.prove(&mut hand);
        self.verdict(&mut hand).expect("it is taken in");
        hand
    }

    /// Reads all that a backend was sent, which is headers only, and answers pings until no more come. Returns the
    /// other ones.
    pub(super) fn answer_pings(&mut self, hand: &mut Hand) -> Vec<Header> {
        let mut others = Vec::new();
        loop {
            let mut bytes = std::mem::take(&mut hand.rest);
            bytes.extend(self.world().remote_read(hand.id, 1 << 20));
            let headers = bytes.chunks_exact(HEADER_LEN).map(|header| {
                Header::decode(header.try_into().expect("as long as one")).expect("headers only")
            });
            let (asks, rest): (Vec<Header>, _) =
                headers.partition(|it| it.kind == Type::Ping && it.flags.has(Flags::SYN));
            others.extend(rest);
            for ask in &asks {
                self.send(hand, Type::Ping, Flags::ACK, 0, ask.length);
            }
            self.settle();
            if asks.is_empty() {
                return others;
            }
        }
    }

    pub(super) fn send(&self, hand: &Hand, kind: Type, flags: Flags, stream: u32, length: u32) {
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        self.world().remote_send(hand.id, &header.encode());
    }

    /// Whether someone was closed in order.
    pub(super) fn is_closed(&self, id: RemoteId) -> bool {
        self.world().saw_fin(id) && !self.world().saw_reset(id)
    }
}

fn read(lines: &str) -> Tokens {
    Tokens::parse(lines.as_bytes()).expect("lines of tokens")
}

fn token() -> Secret {
    Secret::from(TOKEN.as_bytes().to_vec())
}

const TOKEN: &str = "0123456789abcdef";

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Each takes the name from the other as soon as it may, and every time all clients are reset.
#[test]
fn two_backends_with_one_name_take_it_from_each_other_more_and_more_rarely() {
    let words = "--echo --name web --port 7001 --retry 0.2..30";
    let mut stage = Stage::new("", Some(&format!("web {TOKEN}")), &[words, words]);
    stage.run_for(secs(60));
    let sessions = [1, 2].map(|backend| stage.expose(backend).counts().sessions);
    let taken: u64 = sessions.iter().sum();
    assert!(
        (4..=30).contains(&taken),
        "{sessions:?} sessions in a minute"
    );
}

/// Who waits for a name and leaves is forgotten, though another takes its place in the table.
#[test]
fn a_rival_that_left_settles_nothing_for_whoever_has_its_place() {
    let mut stage = Stage::new("", None, &[]);
    stage.backend("web", 0);
    let mut rival = stage.hello("web", 0);
    stage.prove(&mut rival);
    stage.world().remote_close(rival.id);
    stage.settle();
    let mut stranger = stage.hello("db", 0);
    stage.run_for(secs(4));
    stage.prove(&mut stranger);
    assert_eq!(
        stage.verdict(&mut stranger),
        Ok("127.0.0.1:7002".to_owned())
    );
}

/// As above, where that one waits for a name itself, whose holder has more time yet.
#[test]
fn a_rival_that_left_settles_nothing_for_another_rival() {
    let mut stage = Stage::new("", None, &[]);
    stage.backend("web", 0);
    stage.backend("db", 0);
    let mut gone = stage.hello("web", 0);
    stage.prove(&mut gone);
    stage.world().remote_close(gone.id);
    stage.run_for(secs(1));
    let mut rival = stage.hello("db", 0);
    stage.prove(&mut rival);
    stage.run_for(Duration::from_millis(2500));
    assert_eq!(
        stage.heard(&mut rival),
        None,
        "its holder has half a second"
    );
    stage.run_for(secs(1));
    assert_eq!(stage.verdict(&mut rival), Ok("127.0.0.1:7002".to_owned()));
}

/// Otherwise each attempt of the one that gets no port would reset all clients of the one that has it.
#[test]
fn a_proven_return_ends_the_old_session_only_where_it_gets_a_port() {
    let lines = format!("web {TOKEN} 8001-8002\ndb {TOKEN} 8002");
    let mut stage = Stage::new("", Some(&lines), &["--echo --name web --port 8001"]);
    stage.settle();
    stage.backend("db", 0);
    let client = stage.caller(8001);
    for (port, why) in [
        (9999, "port 9999 is not among 8001-8002"),
        (8002, "port 8002 is another backend's"),
    ] {
        let mut other = stage.hello("web", port);
        stage.prove(&mut other);
        assert_eq!(stage.verdict(&mut other), Err(why.to_owned()));
        stage.world().remote_send(client, b"still there?");
        stage.settle();
    }
    assert_eq!(stage.world().received(client).len(), 0);
    let heard = stage.world().remote_read(client, 100);
    assert_eq!(heard, b"still there?still there?");
    assert_eq!(stage.expose(1).counts().sessions, 1);
    // With a port that it may have, it is in.
    let mut other = stage.hello("web", 8001);
    stage.prove(&mut other);
    assert_eq!(stage.verdict(&mut other), Ok("127.0.0.1:8001".to_owned()));
    assert!(stage.world().saw_reset(client));
}

#[test]
fn a_name_loses_a_port_that_the_tokens_do_not_grant_any_more() {
    let lines = |ports: &str| format!("db {TOKEN}\nweb {TOKEN} {ports}");
    let mut stage = Stage::new("", Some(&lines("8001-8002")), &["--echo --name web"]);
    stage.run_for(secs(1));
    assert_eq!(stage.expose(1).public(), "127.0.0.1:8001");
    let client = stage.caller(8001);
    stage.set_tokens(&lines("8001-8003"));
    assert_eq!(stage.expose(1).counts().sessions, 1, "it is among them");
    stage.set_tokens(&lines("8002"));
    assert!(stage.world().saw_reset(client));
    stage.run_for(secs(2));
    assert_eq!(stage.expose(1).public(), "127.0.0.1:8002");
    let late = stage.caller(8001);
    assert_eq!(stage.world().remote_state(late), RemoteState::Refused);

    // A name that may publish no more has no port either, and nobody waits for it.
    stage.set_tokens(&format!("db {TOKEN}"));
    let late = stage.caller(8002);
    assert_eq!(stage.world().remote_state(late), RemoteState::Refused);
    stage.set_tokens(&lines("8002"));
    stage.run_for(secs(2));
    assert_eq!(stage.expose(1).public(), "127.0.0.1:8002");
}

/// The tokens change while the backend is away and a client is held for it.
#[test]
fn a_name_that_is_away_loses_its_port_with_its_token() {
    let lines = format!("db {TOKEN}\nweb {TOKEN} 8001");
    let mut stage = Stage::new("", Some(&lines), &[]);
    let web = stage.backend("web", 0);
    stage.world().remote_close(web.id);
    stage.settle();
    let held = stage.caller(8001);
    assert!(stage.world().is_open(held) && !stage.is_closed(held));
    stage.set_tokens(&format!("db {TOKEN}"));
    assert!(stage.is_closed(held));
    assert_eq!(stage.clients(), 0);
    let late = stage.caller(8001);
    assert_eq!(stage.world().remote_state(late), RemoteState::Refused);
    // The port is free for another.
    stage.set_tokens(&format!("db {TOKEN} 8001"));
    stage.backend("db", 8001);
}

/// Who waits for the backend's sign of life is closed, and not reset, when there is none.
#[test]
fn a_client_that_leaves_lets_nobody_in_while_the_backend_is_asked() {
    let mut stage = Stage::new("", None, &[]);
    stage.backend("web", 0);
    let first = stage.caller(7001);
    stage.run_for(secs(2));
    let second = stage.caller(7001);
    stage.world().remote_reset(first);
    stage.run_for(secs(2));
    assert!(stage.is_closed(second));
}

#[test]
fn a_server_that_drains_says_so_though_clients_wait() {
    let mut stage = Stage::new("", None, &[]);
    let web = stage.backend("web", 0);
    let client = stage.caller(7001);
    stage.run_for(Duration::from_millis(1500));
    let waiting = stage.caller(7001);
    stage.world().remote_reset(client);
    stage.settle();
    stage.world().remote_read(web.id, 1 << 20);
    stage.world().signal(Signal::Terminate);
    stage.run_for(secs(3));
    assert_eq!(stage.over, 1);
    stage.world().run_for(secs(1));
    assert!(stage.is_closed(waiting));
    let goodbye = Header {
        kind: Type::GoAway,
        flags: Flags::NONE,
        stream: 0,
        length: 0,
    };
    let heard = stage.world().remote_read(web.id, 1 << 20);
    assert!(heard.ends_with(&goodbye.encode()), "{heard:?}");
}

/// A backend that answers pings and takes no streams: its clients wait like those of a service whose queue is full.
#[test]
fn a_client_whose_stream_can_not_be_opened_waits_for_a_while_and_is_seen_to_leave() {
    let mut stage = Stage::new("", None, &[]);
    let mut web = stage.backend("web", 0);
    let first = stage.callers(7001, 256);
    stage.answer_pings(&mut web);
    let (leaves, stays) = (stage.caller(7001), stage.caller(7001));
    stage.answer_pings(&mut web);
    assert_eq!(stage.clients(), 258);
    stage.world().remote_reset(leaves);
    stage.run_for(secs(2));
    assert_eq!(stage.clients(), 257);
    for _ in 0..70 {
        stage.run_for(secs(1));
        assert!(!stage.is_closed(stays));
        stage.answer_pings(&mut web);
    }
    stage.run_for(secs(5));
    assert!(stage.is_closed(stays));
    assert_eq!(stage.clients(), 256);
    // Room comes in time for the next one.
    stage.caller(7001);
    assert!(stage.answer_pings(&mut web).is_empty());
    stage.world().remote_reset(first[0]);
    stage.settle();
    let said = stage.answer_pings(&mut web);
    assert!(said.iter().any(|it| it.flags.has(Flags::SYN)), "{said:?}");
}

/// Connections that begin a hello and do not end it have places until others need them.
#[test]
fn half_a_hello_keeps_nobody_out() {
    let mut stage = Stage::new("", None, &[]);
    for id in stage.callers(7000, 300) {
        stage.world().remote_send(id, b"H");
    }
    let mut backend = stage.hello("web", 0);
    stage.run_for(Duration::from_millis(2500));
    stage.prove(&mut backend);
    stage.verdict(&mut backend).expect("it is taken in");
}

#[test]
fn names_that_prove_nothing_keep_256_ports_while_they_are_away() {
    let mut stage = Stage::new("--ports 0", None, &[]);
    let mut kept = stage.backend("kept", 0);
    let mut most = 0;
    for i in 0..300 {
        let hand = stage.backend(&format!("name{i}"), 0);
        stage.world().remote_close(hand.id);
        stage.answer_pings(&mut kept);
        most = most.max(stage.serve().sockets().count());
    }
    // The listener, one backend with its port, and the ports of those who are away.
    assert_eq!(most, 1 + 2 + 256);
    assert!(stage.world().is_open(kept.id));
}

/// Neither sooner nor later, whether the question got there or not.
#[test]
fn a_backend_that_owes_an_answer_is_dead_when_its_time_is_over() {
    for vanishes in [false, true] {
        let mut stage = Stage::new("", None, &[]);
        let web = stage.backend("web", 0);
        stage.run_for(secs(2));
        if vanishes {
            stage.world().remote_vanish(web.id);
        }
        let waiting = stage.caller(7001);
        stage.run_for(Duration::from_millis(2900));
        assert!(!stage.is_closed(waiting));
        stage.run_for(Duration::from_millis(200));
        assert!(stage.is_closed(waiting));
    }
}

/// What it said before it died may be heard after the question: nobody is left with the dead for that.
#[test]
fn what_was_on_its_way_before_a_backend_was_asked_is_no_sign_of_life() {
    let mut stage = Stage::new("", None, &[]);
    let web = stage.backend("web", 0);
    let client = stage.caller(7001);
    stage.send(&web, Type::Ping, Flags::ACK, 0, 0);
    stage.settle();
    stage.world().remote_vanish(web.id);
    stage.run_for(Duration::from_millis(2900));
    assert!(!stage.world().saw_reset(client));
    stage.run_for(Duration::from_millis(200));
    assert!(stage.world().saw_reset(client));
}

/// A ping behind much data takes as long as that does: the line is alive while it moves.
#[test]
fn a_backend_behind_a_thin_line_is_not_dead_while_the_line_moves() {
    for (alive_timeout, a_second, alive_at, dead_at) in
        [("3s", 20 << 10, 10, 20), ("60s", 10 << 10, 22, 45)]
    {
        let mut stage = Stage::new(&format!("--alive-timeout {alive_timeout}"), None, &[]);
        let mut web = stage.backend("web", 0);
        // So far it is alive, and knows of its first client.
        let client = stage.caller(7001);
        stage.answer_pings(&mut web);
        let thin = Receiver {
            bytes: a_second,
            every: secs(1),
            close_at_end: false,
            ..Receiver::eager()
        };
        stage.world().set_actor(web.id, Actor::Receiver(thin));
        let mut rng = Rng::new(1);
        let upload = source(1, 256 << 10, Ending::Stay, &mut rng);
        stage.world().set_actor(client, upload);
        stage.run_for(secs(2));
        let waiting = stage.caller(7001);
        stage.run_for(secs(alive_at - 2));
        assert!(stage.world().is_open(web.id), "{alive_timeout}");
        assert!(!stage.is_closed(waiting), "{alive_timeout}");
        // The question has arrived by now, and nothing comes of it.
        stage.run_for(secs(dead_at - alive_at));
        assert!(stage.is_closed(waiting), "{alive_timeout}");
        assert_eq!(stage.clients(), 0);
    }
}

/// What someone says, at which moments, and when it closes.
type Part = (Vec<(Duration, Vec<u8>)>, Duration);

/// A server by hand, which plays these parts to those who connect, one after the other, and the last one to all others.
fn a_server_that(parts: Vec<Part>, words: &str) -> Stage {
    let expose = party(&format!("tunnel expose 7000 {words}"));
    let stage = Stage::with(vec![expose], false);
    let serve = Behaviour::Serve(Box::new(move |number| {
        let (says, leaves) = parts[(number as usize).min(parts.len() - 1)].clone();
        Actor::Receiver(Receiver {
            says,
            leave_after: Some((leaves, Close::Orderly)),
            ..Receiver::eager()
        })
    }));
    stage.world().listen_remote(Addr::Tcp(at(7000)), serve);
    stage
}

pub(super) fn challenge() -> Vec<u8> {
    Serving::new().challenge([7; NONCE_LEN], false)
}

pub(super) fn accept() -> Vec<u8> {
    let mut serving = Serving::new();
    serving.challenge([7; NONCE_LEN], false);
    serving.accept(&[], "127.0.0.1:7001", 10, false)
}

/// A server asks the holder of a name for up to a minute.
#[test]
fn a_backend_waits_for_a_name_as_long_as_a_server_may_ask_its_holder() {
    let late = vec![(Duration::ZERO, challenge()), (secs(61), accept())];
    let mut stage = a_server_that(vec![(late, secs(100))], "--echo --name web");
    stage.run_for(secs(62));
    assert_eq!(stage.expose(0).public(), "127.0.0.1:7001");
    // One that does not even challenge is given up sooner.
    let mut stage = a_server_that(vec![(Vec::new(), secs(100))], "--echo --name web");
    stage.run_for(secs(25));
    assert!(stage.world().accepted_at(&Addr::Tcp(at(7000))).len() > 1);
}

/// One unlucky end of a connection is no reason to speak to a server in the way that knows no addresses.
#[test]
fn a_server_that_once_knew_the_hello_is_asked_again_by_a_hello() {
    let good = vec![(Duration::ZERO, challenge()), (Duration::ZERO, accept())];
    let lives = vec![(good, secs(1)), (Vec::new(), Duration::from_millis(1))];
    let mut stage = a_server_that(lives, "--echo --retry 0.2");
    stage.run_for(secs(3));
    let world = stage.world();
    let connections = world.accepted_at(&Addr::Tcp(at(7000)));
    assert!(connections.len() > 3);
    for id in connections {
        assert!(world.received(*id).starts_with(b"HYD\x01"));
    }
}

/// One that never did is spoken to in its own way, at once.
#[test]
fn a_server_that_knows_no_hello_is_spoken_to_in_its_own_way() {
    let closes = (Vec::new(), Duration::from_millis(1));
    let mut stage = a_server_that(vec![closes, (Vec::new(), secs(9))], "--echo");
    stage.run_for(Duration::from_millis(100));
    let world = stage.world();
    let [hello, plain] = world.accepted_at(&Addr::Tcp(at(7000))) else {
        panic!("there are two connections");
    };
    assert!(world.received(*hello).starts_with(b"HYD\x01"));
    assert_eq!(world.received(*plain).first(), Some(&0));
}

/// Reads slowly what comes behind `before`, and talks all the while, as a live peer does: a ping each time. Returns the
/// payload, once nothing comes any more.
fn read_on(stage: &mut Stage, id: RemoteId, mut before: Vec<u8>) -> usize {
    let ping = Header {
        kind: Type::Ping,
        flags: Flags::SYN,
        stream: 0,
        length: 7,
    };
    for _ in 0..100 {
        stage.world().remote_send(id, &ping.encode());
        match stage.over < stage.parties.len() {
            true => stage.settle(),
            false => stage.world().run_for(Duration::from_millis(20)),
        }
        before.extend(stage.world().remote_read(id, 8 << 10));
    }
    let mut rest = &before[..];
    let mut payload = 0;
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        let header = Header::decode(header).expect("a header");
        let len = match header.kind {
            Type::Data => {
                assert!(header.length <= 16 << 10, "a frame of {}", header.length);
                (header.length as usize).min(behind.len())
            }
            _ => 0,
        };
        payload += len;
        rest = &behind[len..];
    }
    payload
}

/// A socket that is closed would answer the ping with a reset, and what is under way would be lost.
#[test]
fn the_tail_arrives_at_a_backend_that_talks_while_the_server_stops() {
    let mut stage = Stage::new("", None, &[]);
    let mut web = stage.backend("web", 0);
    let client = stage.caller(7001);
    let said = stage.answer_pings(&mut web);
    let opened = said.iter().find(|it| it.flags.has(Flags::SYN));
    let stream = opened.expect("a stream is opened").stream;
    stage.send(&web, Type::WindowUpdate, Flags::ACK, stream, 0);
    stage.send(&web, Type::WindowUpdate, Flags::FIN, stream, 0);
    let upload = source(1, TAIL as u64, Ending::Close, &mut Rng::new(1));
    stage.world().set_actor(client, upload);
    stage.run_for(secs(1));
    assert_eq!(stage.clients(), 0, "all of it is on the carrier");
    stage.world().signal(Signal::Terminate);
    stage.settle();
    let rest = std::mem::take(&mut web.rest);
    assert_eq!(read_on(&mut stage, web.id, rest), TAIL);
    assert_eq!(stage.over, 1);
}

/// As above, for the other end: it stops, or its server goes away.
#[test]
fn the_tail_arrives_at_a_server_that_talks_while_the_backend_leaves() {
    for stops in [false, true] {
        let mut stage = Stage::with(vec![party("tunnel expose 7000 --echo --retry 60")], false);
        let manual = Behaviour::Serve(Box::new(|_| Actor::Manual));
        stage.world().listen_remote(Addr::Tcp(at(7000)), manual);
        stage.settle();
        let id = stage.world().accepted_at(&Addr::Tcp(at(7000)))[0];
        for part in [challenge(), accept()] {
            stage.world().remote_send(id, &part);
            stage.settle();
        }
        stage.world().remote_read(id, 1 << 20);
        let header = |kind, flags, stream, length| {
            Header {
                kind,
                flags,
                stream,
                length,
            }
            .encode()
        };
        let mut says = header(Type::WindowUpdate, Flags::SYN, 2, 0).to_vec();
        says.extend(header(Type::Data, Flags::FIN, 2, TAIL as u32));
        says.resize(says.len() + TAIL, b'x');
        if !stops {
            says.extend(header(Type::GoAway, Flags::NONE, 0, 0));
        }
        let mut rest = &says[..];
        while !rest.is_empty() {
            let taken = stage.world().remote_send(id, rest);
            rest = &rest[taken..];
            stage.settle();
        }
        stage.run_for(secs(1));
        if stops {
            stage.world().signal(Signal::Terminate);
            stage.settle();
        }
        assert_eq!(read_on(&mut stage, id, Vec::new()), TAIL, "{stops}");
        assert_eq!(stage.over, usize::from(stops));
    }
}

/// Fits into the buffers on the way, and is more than is read at once.
const TAIL: usize = 100_000;

/// A server that opens streams and resets them in one breath takes no descriptor from the others, and the service hears
/// nothing of it.
#[test]
fn streams_that_are_taken_back_at_once_are_not_dialled_for() {
    let (mut stage, server) = owed_tests::an_expose("");
    let open = stage.reactor.sockets().count();
    // What clients leave to the backend itself, beside its connection to the server, and two of theirs.
    stage.world().set_socket_limit(open + 7 + 2);
    let frame = |kind, flags, stream, length| {
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        header.encode()
    };
    let opened = |stream| frame(Type::WindowUpdate, Flags::SYN, stream, 0);
    let greeting = |stream| [&frame(Type::Data, Flags::NONE, stream, 5)[..], b"hello"].concat();
    let good = [&opened(2)[..], &greeting(2)].concat();
    stage.world().remote_send(server, &good);
    stage.settle();
    let mut breath = Vec::new();
    for stream in (4..204).step_by(2) {
        breath.extend(opened(stream));
        breath.extend(frame(Type::WindowUpdate, Flags::RST, stream, 0));
    }
    breath.extend(opened(204));
    breath.extend(greeting(204));
    breath.extend(greeting(2));
    assert_eq!(stage.world().remote_send(server, &breath), breath.len());
    stage.settle();
    stage.settle();
    let world = stage.world();
    let [first, second] = world.accepted_at(&Addr::Tcp(at(SERVICE_PORT))) else {
        panic!("two streams stay");
    };
    assert_eq!(world.arrived_total(*first), 10);
    assert_eq!(world.arrived_total(*second), 5);
    assert!(!world.saw_reset(*first) && !world.saw_reset(*second));
}
