//! The feed as WebSocket messages, and over TLS, in a simulated network: 96 seeds, each with a network, a stream,
//! clients of its own, and 32 of them again by TLS.
//! Whatever goes wrong, a client gets good frames only, messages of the stream in order, and none is lost to those who
//! may lose nothing.

#[path = "sim_websocket/tls.rs"]
mod tls;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use hydrant::base::rng::Rng;
use hydrant::base::time::Time;
use hydrant::fuzz::websocket::{Told, told};
use hydrant::proto::http1::{Ask, HeadBuf, Response};
use hydrant::proto::websocket::{FrameHead, Key, Opcode, Side};
use hydrant::reactor::net::{Addr, Close, Signal};
use hydrant::reactor::{Options, Reactor, RoleId, Turn};
use hydrant::roles::relay::config::{MaxLag, Output, RelayConfig, Slow, Source, UpstreamLoss, Way};
use hydrant::roles::relay::{Reason, Refusal, Relay};
use hydrant::roles::tls::Tls;
use hydrant::sim::{
    Actor, Behaviour, Content, Ending, Faults, Handle, Receiver, RemoteId, SimNet, Source as Feed,
};

/// What one of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    Eager,
    Slow,
    Stalls,
    Leaves,
    Closes,
    BreaksRules,
    AsksBadly,
}

struct Life {
    rng: Rng,
    slow: Slow,
    is_raw: bool,
    stream: Vec<u8>,
}

/// What all lives together came to.
#[derive(Debug, Default)]
struct Sum {
    messages: usize,
    whole: usize,
    skips: u64,
    drops: u64,
    pongs: usize,
    pings: usize,
    refused: usize,
}

fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    // This key leaves everything as it is.
    let key = Some(Key([0; 4]));
    let head = FrameHead::new(opcode, true, payload.len() as u64, key);
    [&head, payload].concat()
}

fn ask() -> Vec<u8> {
    ASK.request().expect("it can be asked for")
}

const ASK: Ask<'static> = Ask {
    host: "relay",
    path: "/",
    offered: &[],
    bearer: None,
    nonce: b"the sample nonce",
};

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let slow = [Slow::Drop, Slow::Skip, Slow::Block][rng.below(3) as usize];
        let is_raw = rng.below(2) == 0;
        let longest = [3, 60, 400][rng.below(3) as usize];
        let mut stream = Vec::new();
        for number in 0.. {
            if stream.len() > 24_000 {
                break;
            }
            let padding = "x".repeat(rng.below(longest) as usize);
            stream.extend_from_slice(format!("{number:05}{padding}\n").as_bytes());
        }
        Self {
            rng,
            slow,
            is_raw,
            stream,
        }
    }

    /// The same, of a stream so long that no session's buffer swallows it.
    fn long(seed: u64) -> Self {
        let mut life = Self::new(seed);
        for number in 0..5000 {
            let padding = "y".repeat(number % 80);
            let record = format!("{number:05}{padding}\n");
            life.stream.extend_from_slice(record.as_bytes());
        }
        life
    }

    fn config(&mut self) -> RelayConfig {
        let ws = Output {
            way: Way::Listen(":1001".parse().unwrap()),
            slow: self.slow,
            websocket: true,
        };
        let plain = Output {
            way: Way::Listen(":1002".parse().unwrap()),
            slow: Slow::Drop,
            websocket: false,
        };
        let source = Source::Dial(vec!["10.0.0.1:5000".parse().unwrap()]);
        let mut config = RelayConfig::new(source, vec![plain, ws]);
        config.framing = if self.is_raw { "raw" } else { "line" }.parse().unwrap();
        config.record_max = 1000;
        config.ring = 2000 << self.rng.below(5);
        config.backlog = [0, 900][self.rng.below(2) as usize];
        config.upstream_loss = UpstreamLoss::Exit;
        config.hold = Duration::from_millis([0, 100, 2000][self.rng.below(3) as usize]);
        config.wait_clients = self.rng.below(2) as usize;
        config.retry.min = Duration::from_millis(100);
        config.retry.max = config.retry.min;
        config
    }

    fn feed(&mut self) -> Feed {
        Feed {
            content: Content::Bytes(Rc::from(&self.stream[..])),
            from: 0,
            to: self.stream.len() as u64,
            chunk_max: [10, 700, 4000][self.rng.below(3) as usize],
            gap_max: Duration::from_millis([1, 20][self.rng.below(2) as usize]),
            ending: Ending::Close,
        }
    }

    fn client(&mut self) -> (Temper, Receiver) {
        const ALL: [Temper; 9] = [
            Temper::Eager,
            Temper::Eager,
            Temper::Eager,
            Temper::Slow,
            Temper::Stalls,
            Temper::Leaves,
            Temper::Closes,
            Temper::BreaksRules,
            Temper::AsksBadly,
        ];
        let temper = ALL[self.rng.below(ALL.len() as u64) as usize];
        let mut receiver = Receiver::eager();
        let millis = Duration::from_millis;
        let mut ask = ask();
        let cut = self.rng.below(ask.len() as u64) as usize;
        let rest = ask.split_off(cut);
        receiver.says = vec![(millis(1), ask), (millis(2), rest)];
        let mut say = |after: u64, bytes: Vec<u8>| receiver.says.push((millis(after), bytes));
        let soon = 3 + self.rng.below(60);
        for n in 0..self.rng.below(4) {
            say(soon + n, framed(Opcode::Ping, &n.to_be_bytes()));
        }
        match temper {
            Temper::Closes => say(soon + 5, framed(Opcode::Close, &1000u16.to_be_bytes())),
            Temper::BreaksRules => say(soon + 5, b"\x83\x80mask".to_vec()),
            Temper::AsksBadly => receiver.says = vec![(millis(1), b"GET /\r\n\r\n".to_vec())],
            Temper::Slow => (receiver.bytes, receiver.every) = (50, millis(3)),
            Temper::Stalls => receiver.stall_after = Some(millis(soon)),
            Temper::Leaves => receiver.leave_after = Some((millis(soon), Close::Reset)),
            Temper::Eager => {}
        }
        (temper, receiver)
    }

    /// What a client has got is what it may get.
    fn check(&self, temper: Temper, received: &[u8], is_cut: bool, sum: &mut Sum) {
        let mut head = HeadBuf::new();
        let taken = head.feed(received).expect("a good head");
        if !head.is_complete() {
            return;
        }
        let response = Response::parse(&head).expect("a good head");
        if temper == Temper::AsksBadly {
            assert_eq!(response.status, 400);
            sum.refused += 1;
            return;
        }
        assert_eq!(ASK.granted(&response), Ok(None));
        let frames = &received[taken..];
        let all = frames.len();
        let mut messages = Vec::new();
        let mut closed = None;
        for told in told(Side::Client, u64::MAX, frames, &mut || all) {
            match told {
                Told::Message { bytes, ends, .. } => messages.push((bytes, ends)),
                Told::Pong(_) => sum.pongs += 1,
                Told::Ping(_) => sum.pings += 1,
                Told::Close(code, _) => closed = code.map(|code| code.number()),
                other => panic!("{other:?}"),
            }
        }
        sum.messages += messages.len();
        if self.is_raw && self.slow != Slow::Skip && !messages.is_empty() {
            // A few bytes alone may stand in many places.
            let all = messages.into_iter().flat_map(|(message, _)| message);
            messages = vec![(all.collect(), true)];
        }
        let mut at = None;
        for (message, ends) in &messages {
            let place = self.find(message, at.unwrap_or(0));
            let place = place.expect("it is a piece of the stream, and in order");
            if self.is_raw && self.slow == Slow::Skip {
                at = Some(place + message.len());
                continue;
            }
            let is_next = at.is_none_or(|at| at == place);
            assert!(
                is_next || self.slow == Slow::Skip,
                "{temper:?}: a gap before {place}"
            );
            if !self.is_raw && *ends {
                let begins = place == 0 || self.stream[place - 1] == b'\n';
                assert!(begins && message.ends_with(b"\n"), "a message is a record");
                assert_eq!(message.iter().filter(|byte| **byte == b'\n').count(), 1);
            }
            at = Some(place + message.len());
        }
        if temper == Temper::Eager && self.slow == Slow::Block && !is_cut {
            assert_eq!(closed, Some(1000), "it got its close");
            assert!(
                at.is_none_or(|at| at == self.stream.len()),
                "it got everything"
            );
            sum.whole += 1;
        }
        if temper == Temper::Closes && closed.is_some() && !is_cut {
            assert_eq!(closed, Some(1000));
        }
        if let (Temper::BreaksRules, Some(code)) = (temper, closed) {
            assert!(
                [1002, 1000].contains(&code),
                "at fault, or the feed was over before"
            );
        }
    }

    /// The same of one who gets bytes and no messages.
    fn check_bytes(&self, temper: Temper, got: &[u8], is_cut: bool, sum: &mut Sum) {
        if self.slow == Slow::Skip {
            // Pieces of it, each of which begins with a record.
            let mut at = 0;
            for record in got
                .split_inclusive(|byte| *byte == b'\n')
                .filter(|_| !self.is_raw)
            {
                let place = self.find(record, at).expect("it is a record, and in order");
                assert!(
                    place == 0 || self.stream[place - 1] == b'\n',
                    "it begins where one does"
                );
                at = place + record.len();
            }
            return;
        }
        if got.is_empty() {
            return;
        }
        let at = self.find(got, 0).expect("it is one piece of the stream");
        if temper == Temper::Eager && self.slow == Slow::Block && !is_cut {
            assert_eq!(at + got.len(), self.stream.len(), "it got everything");
            sum.whole += 1;
        }
        sum.messages += 1;
    }

    /// Where in the stream these bytes stand, not before `from`. Right at `from`, if they do.
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = &self.stream[from..];
        let mut windows = rest.windows(bytes.len().max(1));
        windows
            .position(|window| window == bytes)
            .map(|at| from + at)
    }
}

/// A life in which clients come by TLS, some to the feed as messages and some to its bytes. Others come to the same
/// place and speak no TLS, or stop within their handshake.
fn live_by_tls(seed: u64, sum: &mut Sum) {
    let mut life = Life::new(seed);
    if life.slow == Slow::Skip {
        life = Life::long(seed);
    }
    let (acceptor, connector) = tls::authority();
    let faults = Faults::draw_harmless(&mut life.rng);
    let (net, handle) = SimNet::new(seed, faults);
    let mut config = life.config();
    config.tls = Tls {
        acceptor: Some(acceptor),
        ..Tls::default()
    };
    if life.slow == Slow::Skip && life.rng.below(2) == 0 {
        config.max_lag = Some(MaxLag::Bytes(3000));
    }
    config.outputs[1].way = Way::Listen("tls://:1001".parse().unwrap());
    config.outputs.push(Output {
        way: Way::Listen("tls://:1003".parse().unwrap()),
        slow: life.slow,
        websocket: false,
    });
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(config));
    let mut feed = life.feed();
    if life.slow == Slow::Skip {
        (feed.chunk_max, feed.gap_max) = (4000, Duration::from_millis(2));
    }
    let at = |port: u16, number: u16| {
        let to = Addr::Tcp(([127, 0, 0, 1], port).into());
        (to, ([192, 168, 0, 1], 10_000 + number).into())
    };
    let clients: Vec<_> = (0..2 + life.rng.below(4) as u16)
        .map(|number| {
            let (temper, mut plan) = life.client();
            let port = [1001, 1003][usize::from(number % 2)];
            if port == 1003 {
                // Whatever it says, nobody heeds it.
                plan.says.truncate(1);
                plan.half_close_after =
                    (temper == Temper::Closes).then_some(Duration::from_millis(9));
            }
            (
                port,
                temper,
                tls::connect(&handle, &connector, at(port, number), plan),
            )
        })
        .collect();
    let strangers = [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\0",
        b"",
    ];
    let strangers = [
        (90, strangers[0]),
        (91, strangers[1]),
        (92, strangers[2]),
        (93, strangers[3]),
    ]
    .map(|(number, words)| {
        let mut receiver = Receiver::eager();
        receiver.says = vec![(Duration::from_millis(1), words.to_vec())];
        let (to, from) = at([1001, 1003][usize::from(number % 2)], number);
        handle
            .world()
            .connect_remote(to, from, Actor::Receiver(receiver))
    });
    let plain = {
        let (to, from) = at(1002, 99);
        let actor = Actor::Receiver(Receiver::eager());
        handle.world().connect_remote(to, from, actor)
    };
    let upstream = Addr::Tcp(([10, 0, 0, 1], 5000).into());
    let comes = Time::ZERO + Duration::from_millis(life.rng.below(50));
    handle.world().at(comes, move |world| {
        world.listen_remote(upstream, Behaviour::serve(Actor::Source(feed)));
    });
    let patience = Time::ZERO + Duration::from_secs(120);
    handle
        .world()
        .at(patience, |world| world.signal(Signal::Terminate));
    let mut ended = Vec::new();
    let mut counts = Default::default();
    let (mut now, mut turns) = (Time::ZERO, 0);
    while reactor.turn(&mut ended).expect("a simulated wait works") != Turn::Over {
        let relay = reactor.role(role).expect("it runs");
        relay.check_invariants();
        counts = relay.counts().clone();
        let before = std::mem::replace(&mut now, handle.world().time());
        turns = if now > before { 0 } else { turns + 1 };
        assert!(turns < TURNS_MAX, "it is busy and gets nowhere");
        assert!(now < patience + Duration::from_secs(10), "it never ends");
    }
    let was_stopped = handle.world().time() >= patience;
    sum.skips += counts.skipped;
    sum.drops += counts.drops();
    handle.world().run_for(Duration::from_secs(60));
    for (port, temper, remote) in clients {
        let (remote, world) = (remote.borrow(), handle.world());
        assert_eq!(remote.wrong, None, "{temper:?} at {port}");
        let was_reset = world.saw_reset(remote.id);
        let is_cut = was_reset || was_stopped;
        if port == 1001 {
            life.check(temper, &remote.plain, is_cut, sum);
        } else {
            life.check_bytes(temper, &remote.plain, is_cut, sum);
        }
        // An end that is no accident is one of TLS, too.
        let saw_end = world.saw_fin(remote.id) && !was_reset && temper != Temper::Leaves;
        let has_begun = !remote.plain.is_empty();
        assert!(
            !saw_end || !has_begun || remote.was_told,
            "{temper:?}: cut without a word"
        );
    }
    let world = handle.world();
    for stranger in strangers {
        assert!(
            world.saw_fin(stranger) || world.saw_reset(stranger),
            "a stranger stays"
        );
    }
    let got = world.received(plain);
    assert!(got.is_empty() || life.find(got, 0).is_some());
}

/// So many turns within one moment are no work any more.
const TURNS_MAX: u32 = 10_000;

fn live(seed: u64, sum: &mut Sum) {
    let mut life = Life::new(seed);
    let faults = Faults::draw_harmless(&mut life.rng);
    let (net, handle) = SimNet::new(seed, faults);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(life.config()));
    let feed = life.feed();
    let count = 1 + life.rng.below(5);
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let (temper, receiver) = life.client();
            let port = 10_000 + number as u16;
            let to = Addr::Tcp(([127, 0, 0, 1], 1001).into());
            let from = ([192, 168, 0, 1], port).into();
            let remote: RemoteId =
                handle
                    .world()
                    .connect_remote(to, from, Actor::Receiver(receiver));
            (temper, remote)
        })
        .collect();
    let upstream = Addr::Tcp(([10, 0, 0, 1], 5000).into());
    let comes = Time::ZERO + Duration::from_millis(life.rng.below(50));
    handle.world().at(comes, move |world| {
        let actor = Actor::Source(feed);
        world.listen_remote(upstream, Behaviour::serve(actor));
    });
    // Under `block` a client that stalls, or nobody at all, is waited for as long as it takes.
    let patience = Time::ZERO + Duration::from_secs(900);
    handle
        .world()
        .at(patience, |world| world.signal(Signal::Terminate));
    let end = patience + Duration::from_secs(10);
    let mut ended = Vec::new();
    let mut counts = Default::default();
    while reactor.turn(&mut ended).expect("a simulated wait works") != Turn::Over {
        let relay = reactor.role(role).expect("it runs");
        relay.check_invariants();
        counts = relay.counts().clone();
        assert!(handle.world().time() < end, "it never ends");
    }
    let was_stopped = handle.world().time() >= patience;
    sum.skips += counts.skipped;
    sum.drops += counts.drops();
    handle.world().run_for(Duration::from_secs(60));
    for (temper, remote) in clients {
        let world = handle.world();
        let is_cut = world.saw_reset(remote) || was_stopped;
        life.check(temper, world.received(remote), is_cut, sum);
    }
}

/// The first `count` of them, or the one that `HYDRANT_SEED` names.
fn seeds(count: u64) -> Range<u64> {
    match std::env::var("HYDRANT_SEED").map(|seed| seed.parse()) {
        Ok(Ok(seed)) => seed..seed + 1,
        _ => 0..count,
    }
}

/// Lives so many lives. What they came to, where it was not just one of them.
fn play(count: u64, live: fn(u64, &mut Sum)) -> Option<Sum> {
    let mut sum = Sum::default();
    let seeds = seeds(count);
    let all = seeds.end - seeds.start > 1;
    for seed in seeds {
        // The harness shows this with a failure, and so names the seed that failed.
        println!("HYDRANT_SEED={seed}");
        live(seed, &mut sum);
    }
    println!("{sum:?}");
    all.then_some(sum)
}

impl Sum {
    /// Panics where something never happened that every kind of life has.
    fn check(&self) {
        let each = [self.messages, self.whole, self.pongs, self.refused];
        let happened = each.iter().all(|count| *count > 0);
        let happened = happened && self.skips > 0 && self.drops > 0;
        assert!(happened, "something never happened");
    }
}

#[test]
fn clients_get_what_they_may_get() {
    if let Some(sum) = play(96, live) {
        sum.check();
    }
}

#[test]
fn clients_by_tls_get_what_they_may_get() {
    if let Some(sum) = play(32, live_by_tls) {
        sum.check();
    }
}

/// The stream that a first WebSocket is to begin with is framed in many turns, and nobody waits for that.
#[test]
fn a_long_backlog_is_framed_little_by_little() {
    const BACKLOG: usize = 256 << 10;
    let mut life = Life::new(3);
    life.stream = vec![b'x'; BACKLOG + 100];
    let (net, handle) = SimNet::new(3, Faults::none());
    let mut config = life.config();
    config.framing = "fixed:1".parse().unwrap();
    config.ring = 2 * BACKLOG;
    config.backlog = BACKLOG;
    config.upstream_loss = UpstreamLoss::Keep;
    config.wait_clients = 0;
    config.outputs[1].slow = Slow::Drop;
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(config));
    let mut feed = life.feed();
    (feed.chunk_max, feed.gap_max) = (64 << 10, Duration::from_millis(1));
    feed.ending = Ending::Stay;
    let upstream = Addr::Tcp(([10, 0, 0, 1], 5000).into());
    handle
        .world()
        .listen_remote(upstream, Behaviour::serve(Actor::Source(feed)));
    let asks_at = Duration::from_secs(2);
    let mut receiver = Receiver::eager();
    receiver.says = vec![(asks_at, ask())];
    let to = Addr::Tcp(([127, 0, 0, 1], 1001).into());
    let from = ([192, 168, 0, 1], 1).into();
    let remote = handle
        .world()
        .connect_remote(to, from, Actor::Receiver(receiver));
    let (mut ended, mut turns) = (Vec::new(), 0);
    while reactor.role(role).expect("it runs").client_count() == 0 {
        reactor.turn(&mut ended).expect("a simulated wait works");
        let now = handle.world().time();
        turns += u64::from(now >= Time::ZERO + asks_at);
        assert!(now < Time::ZERO + 2 * asks_at, "it never joins");
    }
    assert!(turns > 50, "all is framed within {turns} turns");
    let end = handle.world().time() + asks_at;
    while handle.world().time() < end {
        reactor.turn(&mut ended).expect("a simulated wait works");
        reactor.role(role).expect("it runs").check_invariants();
    }
    let received = handle.world().received(remote).to_vec();
    let mut head = HeadBuf::new();
    let taken = head.feed(&received).expect("a good head");
    let frames = received.len() - taken;
    assert_eq!(frames, 3 * BACKLOG, "each record is a message");
}

/// A client is pinged every 25 s. One that answers lives on, and one that answers neither of two is dropped.
#[test]
fn whoever_answers_no_ping_is_dropped() {
    let mut life = Life::new(7);
    let (net, handle) = SimNet::new(7, Faults::none());
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(life.config()));
    let seconds = Duration::from_secs;
    let connect = |port: u16, says: Vec<(Duration, Vec<u8>)>| {
        let mut receiver = Receiver::eager();
        receiver.says = says;
        let to = Addr::Tcp(([127, 0, 0, 1], 1001).into());
        let from = ([192, 168, 0, 1], port).into();
        let actor = Actor::Receiver(receiver);
        handle.world().connect_remote(to, from, actor)
    };
    let silent = connect(1, vec![(seconds(1), ask())]);
    let pong = || framed(Opcode::Pong, b"");
    let answers = [26, 51, 76, 101, 126].map(|at| (seconds(at), pong()));
    let alive = connect(2, [vec![(seconds(1), ask())], answers.to_vec()].concat());
    handle.world().at(Time::ZERO + seconds(140), |world| {
        world.signal(Signal::Terminate)
    });
    let mut ended = Vec::new();
    let mut dead_at = None;
    while reactor.turn(&mut ended).expect("a simulated wait works") != Turn::Over {
        let relay = reactor.role(role).expect("it runs");
        let now = handle.world().time();
        if relay.counts().gone[Reason::Dead as usize] == 1 {
            dead_at.get_or_insert(now);
        }
        assert!(now < Time::ZERO + seconds(150), "it never ends");
    }
    let dead_after = dead_at.expect("it is dropped").since(Time::ZERO);
    assert!(
        dead_after >= seconds(75) && dead_after < seconds(76),
        "{dead_after:?}"
    );
    let pings = |remote: RemoteId| {
        let world = handle.world();
        let received = world.received(remote).to_vec();
        let mut head = HeadBuf::new();
        let taken = head.feed(&received).expect("a good head");
        let all = received.len();
        let told = told(Side::Client, u64::MAX, &received[taken..], &mut || all);
        let pings = told.iter().filter(|told| matches!(told, Told::Ping(_)));
        pings.count()
    };
    assert_eq!((pings(silent), pings(alive)), (2, 5));
}

/// One WebSocket client, plainly or by TLS, and somebody beside it who takes all there is, in a network that keeps
/// little on its way.
struct Scene {
    life: Life,
    handle: Handle,
    reactor: Reactor<Relay>,
    role: RoleId,
    client: Who,
    beside: RemoteId,
}

enum Who {
    Plain(RemoteId),
    Secure(Rc<RefCell<tls::Remote>>),
}

impl Scene {
    fn new(
        slow: Slow,
        by_tls: bool,
        plan: Receiver,
        arrange: impl FnOnce(&mut RelayConfig),
    ) -> Self {
        let mut life = Life::long(0);
        (life.slow, life.is_raw) = (slow, false);
        let faults = Faults {
            send_buffer: 2000,
            receive_buffer: 2000,
            ..Faults::none()
        };
        let (net, handle) = SimNet::new(0, faults);
        let (acceptor, connector) = tls::authority();
        let mut config = life.config();
        (config.ring, config.backlog, config.wait_clients) = (8000, 0, 2);
        config.hold = Duration::from_secs(2);
        if by_tls {
            config.tls.acceptor = Some(acceptor);
            config.outputs[1].way = Way::Listen("tls://:1001".parse().unwrap());
        }
        arrange(&mut config);
        let mut feed = life.feed();
        (feed.chunk_max, feed.gap_max) = (700, Duration::from_millis(1));
        if config.upstream_loss == UpstreamLoss::Keep {
            feed.ending = Ending::Stay;
        }
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(Relay::new(config));
        let upstream = Addr::Tcp(([10, 0, 0, 1], 5000).into());
        handle
            .world()
            .listen_remote(upstream, Behaviour::serve(Actor::Source(feed)));
        let at = |port: u16| {
            let to = Addr::Tcp(([127, 0, 0, 1], port).into());
            (to, ([192, 168, 0, 1], port).into())
        };
        let (to, from) = at(1001);
        let client = match by_tls {
            true => Who::Secure(tls::connect(&handle, &connector, (to, from), plan)),
            false => {
                let actor = Actor::Receiver(plan);
                Who::Plain(handle.world().connect_remote(to, from, actor))
            }
        };
        let (to, from) = at(1002);
        let actor = Actor::Receiver(Receiver::eager());
        let beside = handle.world().connect_remote(to, from, actor);
        Self {
            life,
            handle,
            reactor,
            role,
            client,
            beside,
        }
    }

    /// Goes on until this moment, or until the relay has ended.
    fn run_until(&mut self, end: Duration) {
        let mut ended = Vec::new();
        while self.handle.world().time() < Time::ZERO + end {
            let turn = self.reactor.turn(&mut ended);
            if turn.expect("a simulated wait works") == Turn::Over {
                return self.handle.world().run_for(Duration::from_secs(9));
            }
            let relay = self.reactor.role(self.role).expect("it runs");
            relay.check_invariants();
        }
    }

    fn beside(&self) -> usize {
        self.handle.world().received(self.beside).len()
    }

    /// How many clients have gone of themselves.
    fn left(&self) -> u64 {
        let relay = self.reactor.role(self.role).expect("it runs");
        relay.counts().gone[Reason::Left as usize]
    }

    /// What the client has got besides the answer to its request.
    fn told(&self) -> Vec<Told> {
        let received = match &self.client {
            Who::Plain(remote) => self.handle.world().received(*remote).to_vec(),
            Who::Secure(remote) => remote.borrow().plain.clone(),
        };
        let mut head = HeadBuf::new();
        let taken = head.feed(&received).expect("a good head");
        let all = received.len();
        told(Side::Client, u64::MAX, &received[taken..], &mut || all)
    }
}

/// Whoever has said that it closes holds nobody up, whatever it still does not take. What it had begun to get it gets
/// to the end of the message, and the answer to its close.
#[test]
fn whoever_closes_holds_the_upstream_no_more() {
    let seconds = Duration::from_secs;
    let soon = Duration::from_millis(100);
    for (slow, by_tls, max_lag) in [
        (Slow::Block, false, None),
        (Slow::Block, true, None),
        (Slow::Block, false, Some(MaxLag::Bytes(500))),
        (Slow::Block, true, Some(MaxLag::Bytes(500))),
        (Slow::Block, false, Some(MaxLag::Age(soon))),
        (Slow::Skip, false, Some(MaxLag::Age(soon))),
    ] {
        let mut plan = Receiver::eager();
        let close = framed(Opcode::Close, &1000u16.to_be_bytes());
        plan.says = vec![(Duration::from_millis(1), ask()), (seconds(1), close)];
        plan.stall_after = Some(Duration::from_millis(20));
        plan.resume_after = Some(Duration::from_millis(2500));
        let mut scene = Scene::new(slow, by_tls, plan, |config| {
            (config.max_lag, config.upstream_loss) = (max_lag, UpstreamLoss::Keep);
        });
        scene.run_until(Duration::from_millis(990));
        let held = scene.beside();
        assert!(
            held < 150_000 || slow == Slow::Skip,
            "{by_tls} {max_lag:?}: it holds the upstream up: {held}"
        );
        scene.run_until(Duration::from_millis(2400));
        assert_eq!(
            scene.beside(),
            scene.life.stream.len(),
            "{by_tls} {max_lag:?}"
        );
        scene.run_until(seconds(8));
        assert_eq!(scene.left(), 1);
        let told = scene.told();
        let (last, messages) = told.split_last().expect("it got something");
        assert!(
            matches!(last, Told::Close(Some(code), _) if code.number() == 1000),
            "{last:?}"
        );
        assert!(
            matches!(messages.last(), Some(Told::Message { ends: true, .. })),
            "{messages:?}"
        );
    }
}

/// Whoever says that it closes, and then takes nothing, is not waited for: as long as one is at the end of the feed.
#[test]
fn whoever_closes_and_stalls_is_let_go() {
    let seconds = Duration::from_secs;
    for (slow, by_tls, patience) in [
        (Slow::Block, true, 30),
        (Slow::Block, false, 30),
        (Slow::Drop, false, 2),
        (Slow::Skip, true, 2),
    ] {
        let mut plan = Receiver::eager();
        let close = framed(Opcode::Close, &1000u16.to_be_bytes());
        plan.says = vec![
            (Duration::from_millis(1), ask()),
            (Duration::from_millis(25), close),
        ];
        plan.stall_after = Some(Duration::from_millis(20));
        let mut scene = Scene::new(slow, by_tls, plan, |config| {
            config.upstream_loss = UpstreamLoss::Keep;
        });
        scene.run_until(seconds(patience) - Duration::from_millis(500));
        assert_eq!(scene.left(), 0, "{slow:?}");
        scene.run_until(seconds(patience + 4));
        assert_eq!(scene.left(), 1, "{slow:?}");
    }
}

/// A client that has skipped, and takes nothing until the feed is over, gets the rest of what it had begun, the newest,
/// and the close that says that it was all.
#[test]
fn whoever_skips_to_the_end_is_told_of_it() {
    let seconds = Duration::from_secs;
    for (by_tls, max_lag) in [
        (false, None),
        (true, None),
        (false, Some(MaxLag::Bytes(500))),
        (true, Some(MaxLag::Bytes(500))),
        (false, Some(MaxLag::Age(Duration::from_millis(100)))),
        (true, Some(MaxLag::Age(Duration::from_millis(100)))),
    ] {
        let mut plan = Receiver::eager();
        plan.says = vec![(Duration::from_millis(1), ask())];
        plan.stall_after = Some(Duration::from_millis(20));
        plan.resume_after = Some(Duration::from_millis(1500));
        let mut scene = Scene::new(Slow::Skip, by_tls, plan, |config| config.max_lag = max_lag);
        scene.run_until(Duration::from_millis(1400));
        assert_eq!(scene.beside(), scene.life.stream.len(), "the feed is over");
        scene.run_until(seconds(8));
        let told = scene.told();
        let (mut at, mut received) = (0, 0);
        for told in &told {
            if let Told::Message { bytes, ends, .. } = told {
                assert!(ends, "a message is whole");
                let place = scene.life.find(bytes, at).expect("and a record, in order");
                (at, received) = (place + bytes.len(), received + bytes.len());
            }
        }
        assert_eq!(at, scene.life.stream.len(), "it got the newest");
        assert!(received < scene.life.stream.len(), "it has skipped");
        let last = told.last().expect("it got something");
        assert!(
            matches!(last, Told::Close(Some(code), _) if code.number() == 1000),
            "{last:?}"
        );
    }
}

/// More than 1,024 upstreams that shake hands, or do not, are never there at once: of those who say nothing the oldest
/// go, and of those who all have something to say the next are left waiting. One that is good gets in.
#[test]
fn upstreams_that_shake_hands_are_so_many_at_most() {
    const CROWD: u16 = 1100;
    let (net, handle) = SimNet::new(0, Faults::none());
    let (acceptor, connector) = tls::authority();
    let source = Source::Listen("tls://:1003".parse().unwrap());
    let mut config = RelayConfig::new(source, Life::new(0).config().outputs);
    config.tls.acceptor = Some(acceptor);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(config));
    let mut ended = Vec::new();
    let to = || Addr::Tcp(([127, 0, 0, 1], 1003).into());
    let from = |number: u16| ([192, 168, (number >> 8) as u8, number as u8], 1).into();
    let mut run_until = |end: Duration| {
        while handle.world().time() < Time::ZERO + end {
            reactor.turn(&mut ended).expect("a simulated wait works");
            let open = handle.world().open_sockets().len();
            assert!(open <= LISTENERS + HANDSHAKES_MAX, "{open} sockets");
        }
        reactor.role(role).expect("it runs").counts().clone()
    };
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            let mut receiver = Receiver::eager();
            if number % 2 == 1 {
                receiver.says = vec![(Duration::from_micros(1), b"\x16\x03\x01".to_vec())];
            }
            let actor = Actor::Receiver(receiver);
            handle.world().connect_remote(to(), from(number), actor)
        })
        .collect();
    let counts = run_until(Duration::from_secs(2));
    let gone = |remote: &&RemoteId| handle.world().saw_fin(**remote);
    let gone = crowd.iter().filter(gone).count();
    assert_eq!(gone, usize::from(CROWD) - HANDSHAKES_MAX);
    assert_eq!(counts.refused[Refusal::Tls as usize], gone as u64);
    let mut plan = Receiver::eager();
    plan.says = vec![(Duration::from_millis(1), b"news".to_vec())];
    let good = tls::connect(&handle, &connector, (to(), from(CROWD)), plan);
    let counts = run_until(Duration::from_secs(3));
    assert_eq!((counts.bytes_in, good.borrow().wrong.as_ref()), (4, None));
    // Nobody stays for ever, either.
    run_until(Duration::from_secs(9));
    assert!(crowd.iter().all(|remote| handle.world().saw_fin(*remote)));
}

const HANDSHAKES_MAX: usize = 1024;
const LISTENERS: usize = 3;

/// Descriptors may be too few by the time when options change: that is said, and whatever else has changed holds.
#[test]
fn of_new_options_one_that_can_not_be_keeps_no_other_back() {
    let seconds = Duration::from_secs;
    let (net, handle) = SimNet::new(0, Faults::none());
    let mut config = Life::new(0).config();
    (config.wait_clients, config.upstream_loss) = (0, UpstreamLoss::Keep);
    let mut new = config.clone();
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Relay::new(config));
    let upstream = Addr::Tcp(([10, 0, 0, 1], 5000).into());
    let silent = Actor::Receiver(Receiver::eager());
    handle
        .world()
        .listen_remote(upstream.clone(), Behaviour::serve(silent));
    let mut ended = Vec::new();
    let mut run_until = |reactor: &mut Reactor<Relay>, end: Duration| {
        while handle.world().time() < Time::ZERO + end {
            reactor.turn(&mut ended).expect("a simulated wait works");
        }
        handle.world().accepted_at(&upstream).len()
    };
    assert_eq!(run_until(&mut reactor, seconds(20)), 1);
    handle.world().set_socket_limit(4);
    new.max_clients = Some(5000);
    new.idle_timeout = Some(seconds(2));
    let held = reactor.with(role, |relay, cx| relay.set_options(cx, &new));
    let said = held.expect("it runs").expect_err("there are too few");
    assert!(said.starts_with("too few file descriptors"), "{said}");
    assert!(
        run_until(&mut reactor, seconds(30)) > 2,
        "it is not dialled again"
    );
}
