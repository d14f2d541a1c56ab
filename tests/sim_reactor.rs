//! The loop in a simulated network: dials, accepting, readiness, timers and fairness, a directed case for each.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hydrant::base::endpoint::Endpoint;
use hydrant::base::time::Time;
use hydrant::reactor::command::{Command, Reply};
use hydrant::reactor::net::{Addr, Close, Signal, SockId};
use hydrant::reactor::{Cx, DialError, End, Event, Options, Reactor, Role, RoleId, Turn};
use hydrant::sim::{Actor, Answer, Behaviour, Faults, Handle, Receiver, RemoteId, SimNet, Source};

type OnEvent = Box<dyn FnMut(&mut Cx<'_>, &Event)>;

/// A role that does what a case tells it to, and notes what it was told and when.
struct Puppet {
    on: OnEvent,
    told: Rc<RefCell<Vec<(Time, Event)>>>,
}

impl Role for Puppet {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        (self.on)(cx, &event);
        self.told.borrow_mut().push((cx.now(), event));
    }
}

/// A loop with one puppet on it, and the world around it.
struct Rig {
    reactor: Reactor<Puppet>,
    role: RoleId,
    world: Handle,
    told: Rc<RefCell<Vec<(Time, Event)>>>,
    turns: u64,
}

impl Rig {
    fn new(faults: Faults, on: impl FnMut(&mut Cx<'_>, &Event) + 'static) -> Self {
        Self::set(faults, |_| (), on)
    }

    /// A world with things in it from before the loop begins.
    fn set(
        faults: Faults,
        stage: impl FnOnce(&Handle),
        on: impl FnMut(&mut Cx<'_>, &Event) + 'static,
    ) -> Self {
        let (net, world) = SimNet::new(1, faults);
        stage(&world);
        let told = Rc::new(RefCell::new(Vec::new()));
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let puppet = Puppet {
            on: Box::new(on),
            told: Rc::clone(&told),
        };
        let role = reactor.add(puppet);
        Self {
            reactor,
            role,
            world,
            told,
            turns: 0,
        }
    }

    fn turn(&mut self) -> Turn {
        let turn = self.reactor.turn(&mut Vec::new()).expect("a wait works");
        self.turns += 1;
        self.reactor.check_invariants();
        let mut known: Vec<_> = self.reactor.sockets().collect();
        known.sort();
        assert_eq!(self.world.world().open_sockets(), known);
        turn
    }

    fn now(&self) -> Time {
        self.world.world().time()
    }

    /// Turns until so much time is over.
    fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        self.world.world().stop_at(end);
        let before = self.turns;
        while self.now() < end {
            self.turn();
            assert!(self.turns - before < TURNS_MAX, "it spins");
        }
    }

    /// What was told that `pick` picks, with the times.
    fn told<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<(Time, T)> {
        let told = self.told.borrow();
        let picked = told
            .iter()
            .filter_map(|(at, event)| Some((*at, pick(event)?)));
        picked.collect()
    }

    /// How the dials ended: the peer, or what went wrong.
    fn answers(&self) -> Vec<(Time, String)> {
        self.told(|event| match event {
            Event::Connected { peer, .. } => Some(peer.to_string()),
            Event::ConnectFailed { error, .. } => Some(error.to_string()),
            _ => None,
        })
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn addr(text: &str) -> Addr {
    Addr::Tcp(text.parse().expect("an address"))
}

fn ips<const N: usize>(texts: [&str; N]) -> [IpAddr; N] {
    texts.map(|text| text.parse().expect("an address"))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn listener(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn serve(world: &Handle, at: &str) {
    let eager = Actor::Receiver(Receiver::eager());
    world
        .world()
        .listen_remote(addr(at), Behaviour::serve(eager));
}

fn name(world: &Handle, answers: impl IntoIterator<Item = Answer>) {
    world.world().set_name("host.test", answers);
}

/// More turns than any case takes.
const TURNS_MAX: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Dials `host.test:5` at once.
fn dial_by_name(cx: &mut Cx<'_>, event: &Event) {
    if let Event::Start = event {
        cx.dial(&endpoint("host.test:5"), PATIENCE);
    }
}

mod dials {
    use super::*;

    #[test]
    fn families_alternate_a_quarter_of_a_second_apart() {
        let all = ips(["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"]);
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                name(world, [Answer::with(&all)]);
                for ip in ["10.0.0.1", "10.0.0.2", "[fd00::1]"] {
                    world
                        .world()
                        .listen_remote(addr(&format!("{ip}:5")), Behaviour::Ignore);
                }
                serve(world, "[fd00::2]:5");
            },
            dial_by_name,
        );
        rig.run(millis(900));
        // The resolver takes a millisecond, and the fourth address in turn is the third of the list after it.
        let answers = rig.answers();
        assert_eq!(answers.len(), 1);
        let (at, peer) = &answers[0];
        assert_eq!(peer, "[fd00::2]:5");
        assert!(
            millis(751) <= at.since(Time::ZERO) && at.since(Time::ZERO) < millis(760),
            "{at}"
        );
        assert_eq!(rig.reactor.sockets().count(), 1, "the losers are closed");
    }

    #[test]
    fn a_refusal_is_followed_by_the_next_address_at_once() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                name(world, [Answer::with(&ips(["10.0.0.1", "10.0.0.2"]))]);
                serve(world, "10.0.0.2:5");
            },
            dial_by_name,
        );
        rig.run(millis(200));
        let answers = rig.answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1, "10.0.0.2:5");
        assert!(answers[0].0.since(Time::ZERO) < millis(10));
    }

    #[test]
    fn the_last_refusal_is_the_answer() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| name(world, [Answer::with(&ips(["10.0.0.1", "10.0.0.2"]))]),
            dial_by_name,
        );
        rig.run(millis(200));
        let told = rig.told(|event| match event {
            Event::ConnectFailed { error, .. } => Some(error.is_refused()),
            _ => None,
        });
        assert_eq!(told.len(), 1);
        assert!(told[0].1);
        assert_eq!(rig.reactor.sockets().count(), 0);
    }

    #[test]
    fn silence_ends_with_the_time_that_was_given() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                world
                    .world()
                    .listen_remote(addr("10.0.0.1:5"), Behaviour::Ignore)
            },
            |cx, event| {
                if let Event::Start = event {
                    cx.dial(&endpoint("10.0.0.1:5"), millis(700));
                }
            },
        );
        rig.run(millis(690));
        assert_eq!(rig.answers(), []);
        rig.run(millis(20));
        let told = rig.told(|event| match event {
            Event::ConnectFailed { error, .. } => Some(matches!(error, DialError::Timeout)),
            _ => None,
        });
        assert_eq!(
            told.iter().map(|(_, timeout)| *timeout).collect::<Vec<_>>(),
            [true]
        );
        assert_eq!(rig.reactor.sockets().count(), 0);
    }

    #[test]
    fn a_look_up_counts_towards_the_time_and_its_late_answer_is_nobodys() {
        let mut late = Answer::with(&ips(["10.0.0.1"]));
        late.after = millis(800);
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                name(world, [late]);
                serve(world, "10.0.0.1:5");
            },
            |cx, event| {
                if let Event::Start = event {
                    cx.dial(&endpoint("host.test:5"), millis(500));
                }
            },
        );
        rig.run(millis(2_000));
        let answers = rig.answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1, "did not answer in time");
        assert_eq!(rig.reactor.sockets().count(), 0);
    }

    #[test]
    fn each_attempt_asks_for_the_name_anew() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                let answers = [
                    Answer::failing(ErrorKind::NotFound),
                    Answer::with(&ips(["10.0.0.1"])),
                    Answer::with(&ips(["10.0.0.2"])),
                ];
                name(world, answers);
                serve(world, "10.0.0.2:5");
            },
            |cx, event| {
                if matches!(event, Event::Start | Event::ConnectFailed { .. }) {
                    cx.dial(&endpoint("host.test:5"), PATIENCE);
                }
            },
        );
        rig.run(millis(500));
        let answers: Vec<_> = rig
            .answers()
            .into_iter()
            .map(|(_, answer)| answer)
            .collect();
        assert_eq!(answers.len(), 3);
        assert!(answers[0].starts_with("can't be resolved"), "{answers:?}");
        assert_eq!(answers[1..], ["refused the connection", "10.0.0.2:5"]);
    }

    #[test]
    fn a_dial_is_never_answered_from_inside_of_itself() {
        // Nobody listens at that path, and connect says so at once.
        let mut rig = Rig::new(Faults::none(), |cx, event| {
            if let Event::Start = event {
                cx.dial(&endpoint("unix:/nobody"), PATIENCE);
            }
        });
        // It begins when a turn ends.
        rig.turn();
        assert!(rig.answers().is_empty());
        rig.turn();
        let answers = rig.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
    }

    /// Whoever asks for much and takes it back in one breath costs no descriptor, and no look-up.
    #[test]
    fn a_dial_that_is_taken_back_within_its_turn_opens_nothing() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                name(world, [Answer::with(&ips(["10.0.0.1"]))]);
                world.world().trace(true);
            },
            |cx, event| {
                if let Event::Start = event {
                    for to in ["10.0.0.1:5", "host.test:5", "unix:/nobody"] {
                        let dial = cx.dial(&endpoint(to), PATIENCE);
                        cx.cancel_dial(dial);
                    }
                }
            },
        );
        rig.run(millis(100));
        assert!(rig.answers().is_empty());
        let world = rig.world.world();
        let calls = |line: &str| line.contains("connect") || line.contains("resolve");
        let calls: Vec<_> = world.trace_lines().filter(|line| calls(line)).collect();
        assert!(calls.is_empty(), "{calls:?}");
    }

    #[test]
    fn a_dial_gets_the_descriptor_that_its_turn_sets_free() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                serve(world, "10.0.0.1:5");
                world.world().set_socket_limit(1);
            },
            |cx, event| match event {
                Event::Start => drop(cx.dial(&endpoint("10.0.0.1:5"), PATIENCE)),
                Event::Connected { sock, .. } if cx.now() < Time::from_millis(20) => {
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                    cx.close(*sock, Close::Orderly);
                }
                _ => {}
            },
        );
        rig.run(millis(100));
        let answers = rig.answers();
        assert!(answers.len() > 2);
        assert!(
            answers.iter().all(|(_, answer)| answer == "10.0.0.1:5"),
            "{answers:?}"
        );
    }

    #[test]
    fn a_dial_that_is_cancelled_is_not_answered() {
        let dial = Rc::new(RefCell::new(None));
        let mut rig = Rig::set(
            Faults::none(),
            |world| serve(world, "10.0.0.1:5"),
            move |cx, event| match event {
                Event::Start => {
                    *dial.borrow_mut() = Some(cx.dial(&endpoint("10.0.0.1:5"), PATIENCE));
                    cx.dial(&endpoint("unix:/nobody"), PATIENCE);
                }
                Event::ConnectFailed { .. } => cx.cancel_dial(dial.borrow().expect("dialled")),
                _ => {}
            },
        );
        rig.run(millis(100));
        assert_eq!(rig.answers().len(), 1, "only the other was answered");
        assert_eq!(rig.reactor.sockets().count(), 0);
    }

    /// The dial has won, or failed, and that waits for its delivery when the role changes its mind in the same turn.
    #[test]
    fn a_dial_that_is_cancelled_with_its_answer_under_way_is_not_answered() {
        for to in ["10.0.0.1:5", "10.0.0.2:5"] {
            let dial = Rc::new(RefCell::new(None));
            let mut rig = Rig::set(
                Faults::none(),
                |world| serve(world, "10.0.0.1:5"),
                move |cx, event| match event {
                    Event::Start => {
                        *dial.borrow_mut() = Some(cx.dial(&endpoint(to), PATIENCE));
                        cx.timer(millis(50), 0);
                    }
                    Event::Timer { .. } => cx.cancel_dial(dial.borrow().expect("dialled")),
                    _ => {}
                },
            );
            // The loop is busy elsewhere, and finds the answer and the timer in one turn.
            rig.world.world().run_for(millis(100));
            rig.run(millis(100));
            assert_eq!(rig.answers(), []);
            assert_eq!(rig.reactor.sockets().count(), 0);
        }
    }

    /// A role that begins while the loop turns has the names at which it listens looked up before.
    #[test]
    fn nobody_waits_for_a_name_to_listen_at() {
        let stage = |world: &Handle| {
            let mut late = Answer::with(&ips(["127.0.0.1"]));
            late.after = millis(5000);
            name(world, [late]);
        };
        let mut rig = Rig::set(Faults::none(), stage, |_, _| ());
        rig.turn();
        let at = endpoint("host.test:80");
        let error = rig.reactor.reserve(&at, &[]).expect_err("nobody knows it");
        assert_eq!(error.to_string(), "the name has not been looked up");
        let answer = rig.reactor.look_up("host.test");
        rig.run(millis(4000));
        assert!(answer.try_recv().is_err());
        rig.run(millis(2000));
        let known = answer.try_recv().expect("it is known by now");
        rig.reactor.know_hosts([("host.test".to_owned(), known)]);
        let place = rig.reactor.reserve(&at, &[]).expect("it is free");
        rig.reactor.cancel(vec![place]);
    }

    #[test]
    fn a_slow_resolver_delays_no_byte() {
        let mut slow = Answer::with(&ips(["10.0.0.1"]));
        slow.after = Duration::from_secs(8);
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                name(world, [slow]);
                let source = Actor::Source(Source::pattern(1, 40_000));
                world
                    .world()
                    .listen_remote(addr("10.0.0.2:5"), Behaviour::serve(source));
            },
            |cx, event| match event {
                Event::Start => {
                    cx.dial(&endpoint("host.test:5"), PATIENCE);
                    cx.dial(&endpoint("10.0.0.2:5"), PATIENCE);
                }
                Event::Connected { sock, .. } => cx.want_read(*sock, true),
                Event::Readable(sock) => {
                    if let Ok(Some(0)) = cx.read(*sock, &mut [0; 64 << 10]) {
                        cx.close(*sock, Close::Orderly);
                    }
                }
                _ => {}
            },
        );
        rig.run(millis(500));
        let remote = rig.world.world().accepted_at(&addr("10.0.0.2:5"))[0];
        assert_eq!(rig.world.world().sent_total(remote), 40_000);
        assert_eq!(rig.reactor.sockets().count(), 0, "it was read to its end");
        rig.run(Duration::from_secs(8));
        let answers = rig.answers();
        assert_eq!(
            answers.last().map(|(_, answer)| answer.as_str()),
            Some("refused the connection")
        );
    }
}

mod accepting {
    use super::*;

    fn listen(cx: &mut Cx<'_>, event: &Event) {
        if let Event::Start = event {
            cx.listen_at(&endpoint("127.0.0.1:7"))
                .expect("the port is free");
        }
    }

    fn crowd(world: &Handle, count: u16) -> Vec<RemoteId> {
        let mut world = world.world();
        let one = |port| {
            let from = SocketAddr::from(([192, 168, 0, 1], port));
            world.connect_remote(Addr::Tcp(listener(7)), from, Actor::Manual)
        };
        (1..=count).map(one).collect()
    }

    fn accepted(rig: &Rig) -> Vec<(Time, SockId)> {
        rig.told(|event| match event {
            Event::Accepted { sock, .. } => Some(*sock),
            _ => None,
        })
    }

    #[test]
    fn a_storm_is_taken_by_64_a_turn() {
        let mut rig = Rig::set(Faults::none(), |world| drop(crowd(world, 200)), listen);
        let mut taken = Vec::new();
        while accepted(&rig).len() < 200 {
            let before = accepted(&rig).len();
            rig.turn();
            taken.push(accepted(&rig).len() - before);
            assert!(taken.len() < 20, "{taken:?}");
        }
        taken.retain(|count| *count > 0);
        assert_eq!(taken, [64, 64, 64, 8]);
    }

    #[test]
    fn out_of_descriptors_it_pauses_and_loses_nobody() {
        let stage = |world: &Handle| {
            world.world().set_socket_limit(6);
            crowd(world, 8);
        };
        let mut rig = Rig::set(Faults::none(), stage, |cx, event| {
            listen(cx, event);
            match event {
                Event::Accepted { .. } => {
                    cx.timer(Duration::from_secs(5), 0);
                }
                Event::Timer { .. } => {
                    let open: Vec<u32> = (0..20).collect();
                    let first = open.into_iter().find_map(|key| {
                        let id = SockId { key, generation: 0 };
                        cx.tag(id).filter(|_| key > 0).map(|_| id)
                    });
                    if let Some(id) = first {
                        cx.close(id, Close::Orderly);
                    }
                }
                _ => {}
            }
        });
        rig.run(Duration::from_secs(4));
        assert_eq!(accepted(&rig).len(), 5);
        let turns = rig.turns;
        rig.run(millis(900));
        assert!(
            rig.turns - turns <= 30,
            "a tenth of a second between two looks"
        );
        rig.run(Duration::from_secs(1));
        assert_eq!(
            accepted(&rig).len(),
            8,
            "as descriptors come free, the rest is taken"
        );
    }

    /// Each newcomer announces itself; none of them may bring another look before the pause is over, nor a pause of
    /// its own.
    #[test]
    fn a_crowd_at_the_door_makes_no_more_looks() {
        let stage = |world: &Handle| {
            world.world().set_socket_limit(1);
            for i in 0..500 {
                world.world().at(Time::from_millis(i), |world| {
                    let from = SocketAddr::from(([192, 168, 0, 1], 1));
                    world.connect_remote(Addr::Tcp(listener(7)), from, Actor::Manual);
                });
            }
            world.world().trace(true);
        };
        let mut rig = Rig::set(Faults::none(), stage, listen);
        rig.run(Duration::from_secs(2));
        let world = rig.world.world();
        let looks = world
            .trace_lines()
            .filter(|line| line.contains(" accept "))
            .count();
        assert!((15..=22).contains(&looks), "{looks} looks in two seconds");
    }
}

mod visits {
    use super::*;

    /// Dials a source and reads it by so many bytes a visit.
    fn reader(bytes: usize) -> impl FnMut(&mut Cx<'_>, &Event) {
        move |cx, event| match event {
            Event::Start => {
                cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
            }
            Event::Connected { sock, .. } => cx.want_read(*sock, true),
            Event::Readable(sock) => {
                let read = cx.read(*sock, &mut vec![0; bytes]);
                if !matches!(read, Ok(Some(1..) | None)) {
                    cx.close(*sock, Close::Orderly);
                }
            }
            _ => {}
        }
    }

    fn source(world: &Handle, bytes: u64) {
        let source = Source {
            chunk_max: 64 << 10,
            ..Source::pattern(1, bytes)
        };
        let behaviour = Behaviour::serve(Actor::Source(source));
        world.world().listen_remote(addr("10.0.0.1:5"), behaviour);
    }

    #[test]
    fn one_bounded_read_a_visit_reads_it_all() {
        let mut rig = Rig::set(Faults::none(), |world| source(world, 20_000), reader(100));
        rig.run(millis(100));
        assert_eq!(rig.reactor.sockets().count(), 0, "it was read to its end");
    }

    /// A read that says that nothing more is there is not made again before there is.
    #[test]
    fn nobody_asks_only_to_be_told_that_there_is_nothing() {
        let stage = |world: &Handle| {
            let talker = Behaviour::serve(Actor::Manual);
            world.world().listen_remote(addr("10.0.0.1:5"), talker);
        };
        let mut rig = Rig::set(Faults::none(), stage, reader(1_000));
        rig.run(millis(10));
        let remote = rig.world.world().accepted_at(&addr("10.0.0.1:5"))[0];
        rig.world.world().trace(true);
        for _ in 0..10 {
            rig.world.world().remote_send(remote, &[7; 100]);
            rig.run(millis(10));
        }
        let world = rig.world.world();
        let reads = world.trace_lines().filter(|line| line.contains(" read #"));
        assert_eq!(reads.count(), 10);
    }

    /// Whoever has an endless supply is visited once a turn, like everybody else.
    #[test]
    fn a_busy_socket_starves_nobody() {
        let visits = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&visits);
        let doors = ["10.0.0.1:5", "10.0.0.2:5"];
        let stage = |world: &Handle| {
            world.world().faults().delay = Duration::ZERO;
            for door in doors {
                world
                    .world()
                    .listen_remote(addr(door), Behaviour::serve(Actor::Manual));
            }
        };
        let mut rig = Rig::set(Faults::none(), stage, move |cx, event| match event {
            Event::Start => {
                for door in doors {
                    cx.dial(&endpoint(door), PATIENCE);
                }
            }
            Event::Connected { sock, .. } => cx.want_read(*sock, true),
            Event::Readable(sock) => {
                noted.borrow_mut().push(*sock);
                let _ = cx.read(*sock, &mut [0; 100]);
            }
            _ => {}
        });
        for turn in 0..200 {
            rig.turn();
            // The second has something to say only now and then.
            let quiet = if turn % 10 == 0 { 2 } else { 1 };
            for door in &doors[..quiet] {
                let remote = rig.world.world().accepted_at(&addr(door)).first().copied();
                if let Some(remote) = remote {
                    rig.world.world().remote_send(remote, &[7; 1_000]);
                }
            }
        }
        let visits = visits.borrow();
        let rows = visits.chunk_by(|one, other| one == other).map(<[_]>::len);
        let busy = visits[0];
        let quiet = visits.iter().filter(|sock| **sock != busy).count();
        assert!(quiet >= 190, "{quiet} visits of {}", visits.len());
        assert!(rows.max() <= Some(10), "a turn is a visit");
    }

    #[test]
    fn what_is_not_wanted_is_not_visited() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| source(world, 20_000),
            |cx, event| match event {
                Event::Start => {
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                }
                Event::Connected { sock, .. } => {
                    cx.want_read(*sock, true);
                    cx.want_read(*sock, false);
                }
                Event::Readable(_) => panic!("nobody wanted that"),
                _ => {}
            },
        );
        rig.run(millis(100));
        assert!(rig.turns < 50, "{} turns", rig.turns);
    }

    #[test]
    fn reading_that_is_wanted_again_goes_on_where_it_was() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| source(world, 20_000),
            |cx, event| match event {
                Event::Start => {
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                }
                Event::Connected { .. } => {
                    cx.timer(millis(50), 0);
                }
                Event::Timer { .. } => {
                    cx.want_read(
                        SockId {
                            key: 0,
                            generation: 0,
                        },
                        true,
                    );
                }
                Event::Readable(sock) => {
                    if let Ok(Some(0)) = cx.read(*sock, &mut [0; 64 << 10]) {
                        cx.close(*sock, Close::Orderly);
                    }
                }
                _ => {}
            },
        );
        rig.run(millis(200));
        assert_eq!(rig.reactor.sockets().count(), 0, "it was read to its end");
    }

    /// Events of a socket that is gone come again and again, while another connection has taken its place.
    #[test]
    fn a_stale_event_reaches_no_newcomer() {
        let faults = Faults {
            stale: 1000,
            ..Faults::none()
        };
        let stage = |world: &Handle| {
            for i in 0..40 {
                world.world().at(Time::from_millis(i * 10), move |world| {
                    let from = SocketAddr::from(([192, 168, 0, 1], 1_000 + i as u16));
                    let leaves = i % 2 == 0;
                    let mut receiver = Receiver::eager();
                    receiver.leave_after = leaves.then_some((millis(5), Close::Orderly));
                    let actor = Actor::Receiver(receiver);
                    world.connect_remote(Addr::Tcp(listener(7)), from, actor);
                });
            }
        };
        let mut rig = Rig::set(faults, stage, |cx, event| match event {
            Event::Start => {
                cx.listen_at(&endpoint("127.0.0.1:7"))
                    .expect("the port is free");
            }
            Event::Accepted { sock, .. } => cx.want_read(*sock, true),
            Event::Readable(sock) => match cx.read(*sock, &mut [0; 10]) {
                Ok(Some(0)) => cx.close(*sock, Close::Orderly),
                read => panic!("an event for nothing: {sock:?} {read:?}"),
            },
            _ => {}
        });
        rig.run(millis(500));
        let reused = rig.told(|event| match event {
            Event::Accepted { sock, .. } => (sock.generation > 0).then_some(()),
            _ => None,
        });
        assert!(reused.len() > 10, "places were taken again");
        assert_eq!(rig.reactor.sockets().count(), 21);
    }

    /// Of those that put their visits off one has its turn at the end of each, behind all others.
    #[test]
    fn visits_that_are_put_off_are_made_one_a_turn() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&order);
        let mut busy = None;
        let stage = |world: &Handle| {
            for door in 1..=9 {
                serve(world, &format!("10.0.0.{door}:5"));
            }
        };
        let mut rig = Rig::set(Faults::none(), stage, move |cx, event| match event {
            Event::Start => {
                for door in 1..=9 {
                    cx.dial(&endpoint(&format!("10.0.0.{door}:5")), PATIENCE);
                }
            }
            Event::Connected { sock, .. } => {
                let busy = *busy.get_or_insert(*sock);
                cx.revisit(busy);
                cx.revisit(*sock);
            }
            Event::Readable(sock) if busy == Some(*sock) => {
                noted.borrow_mut().push('.');
                cx.revisit(*sock);
            }
            Event::Readable(_) if cx.is_deferred() => noted.borrow_mut().push('!'),
            Event::Readable(sock) => cx.defer(*sock),
            _ => {}
        });
        for _ in 0..40 {
            rig.turn();
        }
        let order: String = order.borrow().iter().collect();
        assert_eq!(order.matches('!').count(), 8, "{order}");
        assert!(!order.contains("!!"), "two in one turn: {order}");
    }

    #[test]
    fn a_press_is_one_visit() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| serve(world, "10.0.0.1:5"),
            |cx, event| match event {
                Event::Start => {
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                }
                Event::Connected { sock, .. } => {
                    cx.revisit(*sock);
                    cx.revisit(*sock);
                    cx.again();
                }
                _ => {}
            },
        );
        rig.run(millis(100));
        let count = |pick: fn(&Event) -> bool| rig.told(|event| pick(event).then_some(())).len();
        assert_eq!(count(|event| matches!(event, Event::Readable(_))), 1);
        assert_eq!(count(|event| matches!(event, Event::Again)), 1);
    }

    #[test]
    fn a_closed_socket_gets_no_event_though_it_was_due_in_the_same_turn() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| source(world, 20_000),
            |cx, event| match event {
                Event::Start => {
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                }
                Event::Connected { sock, .. } => {
                    cx.want_read(*sock, true);
                    cx.want_write(*sock, true);
                }
                Event::Readable(sock) => cx.close(*sock, Close::Orderly),
                Event::Writable(sock) => {
                    cx.want_write(*sock, false);
                    // By the time of the next visit there is something to read, and room to write.
                    cx.timer(millis(20), sock.key);
                }
                Event::Timer { tag, .. } => {
                    let sock = SockId {
                        key: *tag,
                        generation: 0,
                    };
                    cx.want_write(sock, true);
                }
                _ => {}
            },
        );
        rig.run(millis(100));
        let told = rig.told.borrow();
        let closed = told
            .iter()
            .position(|(_, event)| matches!(event, Event::Readable(_)));
        let after = &told[closed.expect("it was readable") + 1..];
        let spoken_of = |event: &Event| matches!(event, Event::Readable(_) | Event::Writable(_));
        assert!(
            !after.iter().any(|(_, event)| spoken_of(event)),
            "{after:?}"
        );
    }
}

mod timers {
    use super::*;

    #[test]
    fn they_come_in_order_and_not_early() {
        let faults = Faults {
            wake_early: 500,
            oversleep: 500,
            clock_creep: Duration::from_micros(2),
            ..Faults::none()
        };
        let mut rig = Rig::new(faults, |cx, event| {
            if let Event::Start = event {
                for after in [70, 5, 300, 5, 0] {
                    cx.timer(millis(after), after as u32);
                }
            }
        });
        rig.run(millis(400));
        let told = rig.told(|event| match event {
            Event::Timer { tag, .. } => Some(*tag),
            _ => None,
        });
        let tags: Vec<_> = told.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(tags, [0, 5, 5, 70, 300]);
        for (at, tag) in told {
            let late = at.since(Time::ZERO).saturating_sub(millis(u64::from(tag)));
            assert!(
                at >= Time::from_millis(u64::from(tag)) && late < millis(5),
                "{tag}: {at}"
            );
        }
        assert!(rig.turns < 60, "{} turns", rig.turns);
    }

    /// Nothing wakes the loop for the sake of a role that is over.
    #[test]
    fn they_end_with_their_role() {
        let mut rig = Rig::new(Faults::none(), |_, _| ());
        let passing = Puppet {
            on: Box::new(|cx, event| match event {
                Event::Start => drop([5, 5000].map(|after| cx.timer(millis(after), 0))),
                Event::Timer { .. } => cx.finish(End::Done),
                _ => {}
            }),
            told: Rc::default(),
        };
        rig.reactor.add(passing);
        while !rig.world.world().stuck() {
            rig.turn();
            assert!(rig.turns < 10, "there is something to wait for");
        }
        assert!(rig.now() < Time::from_millis(5000), "{}", rig.now());
    }

    #[test]
    fn one_that_is_due_already_can_be_taken_back() {
        let other = Rc::new(RefCell::new(None));
        let mut rig = Rig::new(Faults::none(), move |cx, event| match event {
            Event::Start => {
                let first = cx.timer(millis(5), 1);
                let second = cx.timer(millis(5), 2);
                *other.borrow_mut() = Some([first, second]);
            }
            Event::Timer { key, .. } => {
                let both = other.borrow().expect("set at the start");
                for timer in both.into_iter().filter(|timer| timer != key) {
                    cx.cancel(timer);
                }
            }
            _ => {}
        });
        rig.run(millis(100));
        let told = rig.told(|event| matches!(event, Event::Timer { .. }).then_some(()));
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn nothing_to_do_is_done_by_nobody() {
        let mut rig = Rig::new(Faults::none(), |_, _| ());
        rig.turn();
        assert!(
            rig.world.world().stuck(),
            "it sleeps for as long as it takes"
        );
    }
}

mod ends {
    use super::*;

    #[test]
    fn a_role_that_is_over_leaves_nothing_and_hears_nothing() {
        let mut rig = Rig::set(
            Faults::none(),
            |world| {
                serve(world, "10.0.0.1:5");
                let mut world = world.world();
                world.listen_remote(addr("10.0.0.2:5"), Behaviour::Ignore);
                let from = SocketAddr::from(([192, 168, 0, 1], 1));
                world.connect_remote(Addr::Tcp(listener(7)), from, Actor::Manual);
            },
            |cx, event| match event {
                Event::Start => {
                    cx.listen_at(&endpoint("127.0.0.1:7"))
                        .expect("the port is free");
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                    cx.dial(&endpoint("10.0.0.2:5"), PATIENCE);
                    cx.timer(millis(50), 0);
                    cx.timer(millis(50), 1);
                }
                Event::Timer { .. } => {
                    cx.finish(End::Done);
                    cx.again();
                }
                _ => {}
            },
        );
        let mut ended = Vec::new();
        while rig.reactor.turn(&mut ended).expect("a wait works") != Turn::Over {}
        assert_eq!(ended, [(rig.role, End::Done)]);
        assert!(rig.reactor.role(rig.role).is_none());
        assert_eq!(rig.world.world().open_sockets(), []);
        let told = rig.told.borrow();
        let last = &told.last().expect("it was told something").1;
        let timers = told
            .iter()
            .filter(|(_, event)| matches!(event, Event::Timer { .. }));
        assert_eq!(
            timers.count(),
            1,
            "the other timer was due in the same turn"
        );
        assert!(matches!(last, Event::Timer { .. }), "{last:?}");
    }

    #[test]
    fn a_second_signal_cuts() {
        let mut rig = Rig::new(Faults::none(), |_, _| ());
        rig.world.world().signal(Signal::Report);
        rig.world.world().signal(Signal::HangUp);
        rig.world.world().signal(Signal::Interrupt);
        assert_eq!(rig.turn(), Turn::Reloading);
        rig.world.world().signal(Signal::Terminate);
        assert_eq!(rig.turn(), Turn::Cut(Signal::Terminate));
        let told = rig.told.borrow();
        let told: Vec<_> = told.iter().map(|(_, event)| format!("{event:?}")).collect();
        assert_eq!(told, ["Start", "Report", "Reload", "Drain(Interrupt)"]);
    }
}

mod places {
    use super::*;

    /// Roles that come and go for ever need no more room than those that are there at a time, and what comes late for
    /// one that is gone is never told to the one that stands in its place: whatever it has dialled, asked or set.
    #[test]
    fn a_role_has_the_place_of_one_that_is_gone_and_hears_nothing_that_was_for_it() {
        const STARTS: usize = 10_000;
        let (net, world) = SimNet::new(1, Faults::none());
        serve(&world, "10.0.0.1:5");
        let mut reactor: Reactor<Puppet> = Reactor::new(Box::new(net), Options::default());
        reactor.stay(true);
        let told = Rc::new(RefCell::new(Vec::new()));
        let puppet = |on: OnEvent| Puppet {
            on,
            told: Rc::clone(&told),
        };
        let watcher = reactor.add(puppet(Box::new(|_, _| ())));
        let (mut before, mut ended, mut highest) = (None, Vec::new(), 0);
        for at in 0..STARTS {
            let role = reactor.add(puppet(Box::new(move |cx, event| match event {
                Event::Start => {
                    cx.ask(Command::Process);
                    cx.timer(millis(1), 7);
                    cx.timer(millis(60_000), 8);
                    cx.dial(&endpoint("10.0.0.1:5"), PATIENCE);
                    cx.dial(&endpoint("10.0.0.2:5"), PATIENCE);
                    cx.listen_at(&endpoint("127.0.0.1:0")).expect("a place");
                    // Some are over before any of it has come to anything, some in the midst of it.
                    if at % 2 == 0 {
                        cx.again();
                        cx.finish(End::Done);
                    }
                }
                _ => {
                    cx.again();
                    cx.finish(End::Done);
                }
            })));
            assert_ne!(Some(role), before);
            highest = highest.max(role.key);
            let asked = reactor.asked();
            told.borrow_mut().clear();
            if let Some(before) = before.replace(role) {
                let rows = Vec::new();
                let late = Reply::Roles { rows, next: None };
                reactor.answer(before, asked[0].1, late);
                reactor.tell(before, Event::Report);
                assert!(reactor.role(before).is_none());
                assert_eq!(reactor.with(before, |_, _| ()), None);
            }
            let is_late = |event: &Event| matches!(event, Event::Reply { .. } | Event::Report);
            for _ in 0..TURNS_MAX {
                reactor.turn(&mut ended).expect("a wait works");
                if ended.iter().any(|(over, _)| *over == role) {
                    break;
                }
            }
            let told = told.borrow();
            assert!(!told.iter().any(|(_, event)| is_late(event)), "{told:?}");
            // Of those that are over at once none is told anything more, not even by what another one has set.
            assert!(told.len() <= at % 2, "{told:?}");
            assert_eq!(std::mem::take(&mut ended), [(role, End::Done)]);
            assert_eq!(reactor.sockets().count(), 0);
        }
        assert!(highest <= watcher.key + 1, "{highest}");
    }
}
