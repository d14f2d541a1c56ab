//! A stage for lives that are told step by step: roles in virtual time, and peers that do what the test says.

use std::net::SocketAddr;
use std::time::Duration;

use super::roles::{Party, party, relay};
use super::{CLIENT_PORT, RELAY_PORT, SERVICE_PORT, at};
use crate::base::time::Time;
use crate::proto::http1::{Ask, HeadBuf, Request, Response, Upgrade};
use crate::proto::websocket::{Event, FrameHead, Key, Opcode, Reader, Side};
use crate::proto::yamux::{Flags, Header, Kind};
use crate::reactor::net::{Addr, Signal};
use crate::reactor::{Cx, End, Options, Reactor, RoleId};
use crate::roles::ws::{Adapter, Relay, Tokens};
use crate::sim::{Actor, Behaviour, Faults, Handle, RemoteId, SimNet};

/// Roles, and a world round them.
pub(super) struct Stage {
    reactor: Reactor<Party>,
    handle: Handle,
    roles: Vec<RoleId>,
    callers: u16,
    /// Roles that have ended.
    pub(super) over: usize,
}

/// Somebody who speaks WebSocket with a relay.
pub(super) struct Caller {
    pub(super) id: RemoteId,
    head: HeadBuf,
    reader: Reader,
    /// The status of the answer to its request.
    pub(super) status: Option<u16>,
    /// What came in messages.
    pub(super) heard: Vec<u8>,
    pub(super) pings: usize,
    /// The code of the close that came.
    pub(super) close: Option<u16>,
}

impl Caller {
    fn new(id: RemoteId) -> Self {
        Self {
            id,
            head: HeadBuf::new(),
            reader: Reader::new(Side::Client, u64::MAX),
            status: None,
            heard: Vec::new(),
            pings: 0,
            close: None,
        }
    }
}

impl Stage {
    /// A relay with these flags, and with these tokens where there are any, in a network that is as it should be.
    pub(super) fn relay(flags: &str, tokens: &str) -> Self {
        Self::of(relay(flags, tokens), Faults::none())
    }

    /// One role, in a network of this character.
    pub(super) fn of(role: Party, faults: Faults) -> Self {
        let (net, handle) = SimNet::new(7, faults);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let roles = vec![reactor.add(role)];
        let mut stage = Self {
            reactor,
            handle,
            roles,
            callers: 0,
            over: 0,
        };
        stage.run(Duration::from_millis(1));
        stage
    }

    /// One more role, by its command line.
    pub(super) fn add(&mut self, line: &str) {
        self.roles.push(self.reactor.add(party(line)));
        self.run(Duration::from_millis(1));
    }

    pub(super) fn world(&self) -> std::cell::RefMut<'_, crate::sim::World> {
        self.handle.world()
    }

    pub(super) fn now(&self) -> Time {
        self.handle.world().time()
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        self.handle.world().stop_at(end);
        let mut turns = 0;
        while !self.handle.world().over() && self.over < self.roles.len() {
            let mut ended = Vec::new();
            self.reactor
                .turn(&mut ended)
                .expect("a simulated wait works");
            for (_, end) in ended {
                assert_eq!(end, End::Done);
                self.over += 1;
            }
            self.reactor.check_invariants();
            for id in &self.roles {
                if let Some(role) = self.reactor.role(*id) {
                    role.check_invariants();
                }
            }
            turns += 1;
            assert!(turns < 1_000_000, "it never comes to rest");
        }
        let left = end.since(self.now());
        self.handle.world().run_for(left);
    }

    /// Something is done with the relay that is the first role.
    pub(super) fn with_relay<T>(&mut self, act: impl FnOnce(&mut Relay, &mut Cx<'_>) -> T) -> T {
        let done = self.reactor.with(self.roles[0], |role, cx| match role {
            Party::Relay(relay) => act(relay, cx),
            Party::Adapter(_) => panic!("it is no relay"),
        });
        done.expect("it runs")
    }

    /// The end that is the first role.
    pub(super) fn adapter(&self) -> &Adapter {
        match self.reactor.role(self.roles[0]) {
            Some(Party::Adapter(adapter)) => adapter,
            _ => panic!("it is no end that runs"),
        }
    }

    /// Something is done with the end that is the first role.
    pub(super) fn with_adapter<T>(
        &mut self,
        act: impl FnOnce(&mut Adapter, &mut Cx<'_>) -> T,
    ) -> T {
        let done = self.reactor.with(self.roles[0], |role, cx| match role {
            Party::Adapter(adapter) => act(adapter, cx),
            Party::Relay(_) => panic!("it is no end"),
        });
        done.expect("it runs")
    }

    pub(super) fn set_tokens(&mut self, text: &str) {
        let tokens = Tokens::parse(text).expect("they are good");
        self.with_relay(|relay, cx| relay.set_tokens(cx, tokens));
    }

    pub(super) fn terminate(&mut self) {
        self.handle.world().signal(Signal::Terminate);
    }

    /// Somebody connects to the relay, and says nothing.
    pub(super) fn call(&mut self) -> RemoteId {
        self.call_at(RELAY_PORT)
    }

    /// A program connects to a client.
    pub(super) fn program(&mut self) -> RemoteId {
        self.call_at(CLIENT_PORT)
    }

    fn call_at(&mut self, port: u16) -> RemoteId {
        self.callers += 1;
        let from = SocketAddr::from(([127, 0, 0, 9], 20_000 + self.callers));
        let mut world = self.handle.world();
        world.connect_remote(Addr::Tcp(at(port)), from, Actor::Manual)
    }

    /// A service that does nothing by itself.
    pub(super) fn service(&mut self) {
        let serve = Behaviour::serve(Actor::Manual);
        let mut world = self.handle.world();
        world.listen_remote(Addr::Tcp(at(SERVICE_PORT)), serve);
    }

    /// Whoever has been called at this port the latest.
    pub(super) fn called(&self, port: u16) -> RemoteId {
        let world = self.handle.world();
        let all = world.accepted_at(&Addr::Tcp(at(port)));
        *all.last().expect("somebody was called")
    }

    /// Somebody asks for a WebSocket in the plain way, with a token where it is not empty.
    pub(super) fn ask(&mut self, path: &str, token: &str) -> Caller {
        self.ask_for(path, token, &[])
    }

    pub(super) fn ask_for(&mut self, path: &str, token: &str, offered: &[&'static str]) -> Caller {
        let id = self.call();
        self.run(STEP);
        let bearer = Some(token.as_bytes()).filter(|token| !token.is_empty());
        let ask = Ask {
            host: "relay",
            path,
            offered,
            bearer,
            nonce: &[7; 16],
        };
        self.send(id, &ask.request().expect("it can be asked"));
        let mut caller = Caller::new(id);
        for _ in 0..20 {
            self.hear(&mut caller);
            if caller.status.is_some() {
                break;
            }
        }
        caller
    }

    /// Somebody is let in.
    #[track_caller]
    pub(super) fn admitted(&mut self, path: &str, token: &str) -> Caller {
        let caller = self.ask(path, token);
        assert_eq!(caller.status, Some(101), "{path}");
        caller
    }

    /// Bytes as they are, and a moment for them to arrive.
    #[track_caller]
    pub(super) fn send(&mut self, id: RemoteId, bytes: &[u8]) {
        let mut rest = bytes;
        let end = self.now() + Duration::from_secs(5);
        while !rest.is_empty() {
            let sent = self.handle.world().remote_send(id, rest);
            rest = &rest[sent..];
            self.run(STEP);
            assert!(self.now() < end, "{} bytes are not taken", rest.len());
        }
    }

    /// A message of a client's, with a mask of zeros: it stays as it is.
    #[track_caller]
    pub(super) fn say(&mut self, caller: &Caller, bytes: &[u8]) {
        self.send(caller.id, &Self::message(bytes));
    }

    /// A message of a client's.
    pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
        let mut frame = frame(Opcode::Binary, bytes.len());
        frame.extend_from_slice(bytes);
        frame
    }

    /// A message of a relay's.
    pub(super) fn served(bytes: &[u8]) -> Vec<u8> {
        let mut frame = FrameHead::new(Opcode::Binary, true, bytes.len() as u64, None).to_vec();
        frame.extend_from_slice(bytes);
        frame
    }

    /// Plays the relay for whoever has dialled one: lets it in, with one of these protocols if it offers any.
    pub(super) fn granted(&mut self, spoken: &[&'static str]) -> Caller {
        let id = self.called(RELAY_PORT);
        let mut head = HeadBuf::new();
        let request = self.world().remote_read(id, 4096);
        head.feed(&request).expect("it is a head");
        let request = Request::parse(&head).expect("it is a request");
        let upgrade = Upgrade::of(&request, spoken).expect("it is asked well");
        self.send(id, &upgrade.grant());
        Caller {
            status: Some(101),
            reader: Reader::new(Side::Server, u64::MAX),
            ..Caller::new(id)
        }
    }

    /// As much of a message as is taken within a moment.
    pub(super) fn stuff(&mut self, caller: &Caller, len: usize) {
        let mut bytes = frame(Opcode::Binary, len);
        bytes.resize(bytes.len() + len, b'x');
        self.stuff_bytes(caller.id, &bytes);
    }

    /// As much of these bytes as is taken within a moment.
    pub(super) fn stuff_bytes(&mut self, id: RemoteId, bytes: &[u8]) {
        let mut at = 0;
        for _ in 0..20 {
            at += self.handle.world().remote_send(id, &bytes[at..]);
            self.run(STEP);
        }
    }

    /// A close frame.
    pub(super) fn close(&mut self, caller: &Caller, code: u16) {
        let mut frame = frame(Opcode::Close, 2);
        frame.extend_from_slice(&code.to_be_bytes());
        self.send(caller.id, &frame);
    }

    /// Reads all that has come.
    pub(super) fn hear(&mut self, caller: &mut Caller) {
        self.hear_some(caller, usize::MAX);
        self.run(STEP);
        self.hear_some(caller, usize::MAX);
    }

    /// Reads so much of what has come, at most.
    pub(super) fn hear_some(&mut self, caller: &mut Caller, max: usize) {
        let mut bytes = self.handle.world().remote_read(caller.id, max);
        let mut at = 0;
        if caller.status.is_none() {
            at = caller.head.feed(&bytes).expect("it is a head");
            if !caller.head.is_complete() {
                return;
            }
            let response = Response::parse(&caller.head).expect("it is an answer");
            caller.status = Some(response.status);
        }
        while caller.status == Some(101) && at < bytes.len() {
            let (taken, event) = caller.reader.feed(&mut bytes[at..]).expect("it is well");
            at += taken;
            match event {
                Some(Event::Data { bytes, .. }) => caller.heard.extend_from_slice(bytes),
                Some(Event::Ping(_)) => caller.pings += 1,
                Some(Event::Close(close)) => caller.close = close.code.map(|code| code.number()),
                Some(Event::Pong(_)) | None => {}
            }
        }
    }

    /// Reads what comes for so long, in bits of this length.
    pub(super) fn hear_slowly(&mut self, caller: &mut Caller, bit: usize, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.hear_some(caller, bit);
            self.run(Duration::from_millis(100));
        }
    }

    /// Whether the connection is over, by whichever end.
    pub(super) fn is_over(&self, id: RemoteId) -> bool {
        let world = self.handle.world();
        world.saw_fin(id) || world.saw_reset(id)
    }
}

/// The head of a client's frame, with a mask of zeros.
fn frame(opcode: Opcode, len: usize) -> Vec<u8> {
    FrameHead::new(opcode, true, len as u64, Some(Key([0; 4]))).to_vec()
}

/// Time for what was sent to arrive, and for what follows from that.
const STEP: Duration = Duration::from_millis(1);

/// Of a frame of a session.
pub(super) fn header(kind: Kind, flags: Flags, stream: u32, length: usize) -> Vec<u8> {
    let header = Header {
        kind,
        flags,
        stream,
        length: length as u32,
    };
    header.encode().to_vec()
}
