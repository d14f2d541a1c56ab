//! `hydrant status` in a simulated network: how long it waits for whom.

use std::path::PathBuf;
use std::time::Duration;

use crate::reactor::net::Addr;
use crate::reactor::{End, Options, Reactor, RoleId};
use crate::roles::status::config::{Act, StatusConfig};
use crate::roles::status::{Order, Status};
use crate::sim::{Actor, Behaviour, Faults, Handle, SimNet};

/// Someone who asks one process, which answers by hand.
struct Play {
    reactor: Reactor<Status>,
    role: RoleId,
    handle: Handle,
    ended: Vec<(RoleId, End)>,
}

impl Play {
    fn new(act: Act) -> Self {
        let (net, handle) = SimNet::new(1, Faults::none());
        let by_hand = Behaviour::serve(Actor::Manual);
        handle.world().listen_remote(socket(), by_hand);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        reactor.turn_within(Some(SECOND));
        let config = StatusConfig {
            folder: None,
            pid: None,
            act,
            watches: false,
            json: false,
        };
        let sockets = vec![("7".to_owned(), PathBuf::from(SOCKET))];
        let role = reactor.add(Status::new(config, sockets, Order::AsGiven));
        Self {
            reactor,
            role,
            handle,
            ended: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.handle.world().time() + time;
        while self.ended.is_empty() && self.handle.world().time() < end {
            let turned = self.reactor.turn(&mut self.ended);
            turned.expect("a simulated wait works");
        }
    }

    /// Answers the question of this number.
    fn answer(&mut self, number: usize, body: &str) {
        self.pass(SECOND);
        let mut world = self.handle.world();
        let asked = world.accepted_at(&socket())[number];
        // What nobody has read would make a reset of the end.
        assert!(!world.remote_read(asked, 4 << 10).is_empty());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = head + body;
        assert_eq!(world.remote_send(asked, answer.as_bytes()), answer.len());
        world.remote_close(asked);
        drop(world);
        self.pass(SECOND);
    }

    fn said(&mut self) -> (String, Option<End>) {
        let said = self.reactor.with(self.role, |status, _| {
            (status.take_shown(), status.take_end())
        });
        said.expect("it goes on")
    }
}

fn socket() -> Addr {
    Addr::Unix(SOCKET.into())
}

#[test]
fn a_deed_is_given_the_time_that_it_may_take() {
    let mut play = Play::new(Act::Reload);
    play.answer(0, NO_ROLES);
    play.pass(Duration::from_secs(27));
    assert_eq!(play.said(), (String::new(), None));
    play.answer(1, "{}");
    assert_eq!(play.said(), ("read again\n".to_owned(), Some(End::Done)));
}

/// As one that was stopped for a while, and goes on then: it is asked first what runs in it.
#[test]
fn who_alone_can_be_meant_is_waited_for_as_long() {
    let mut play = Play::new(Act::Reload);
    play.pass(Duration::from_secs(27));
    assert_eq!(play.said(), (String::new(), None));
    play.answer(0, NO_ROLES);
    play.pass(Duration::from_secs(27));
    play.answer(1, "{}");
    assert_eq!(play.said(), ("read again\n".to_owned(), Some(End::Done)));
    for act in [Act::Reload, Act::Stop { role: None }] {
        let mut play = Play::new(act);
        play.pass(Duration::from_secs(31));
        let why = "process 7 does not answer: nothing was done".to_owned();
        assert_eq!(play.said(), (String::new(), Some(End::Failed(why))));
    }
}

/// It may have been done, or may still be.
#[test]
fn a_deed_that_nobody_answers_for_is_not_said_to_be_undone() {
    let why = "it has not answered for 30 s; whether that was done is not known: hydrant status shows \
               what runs";
    for (act, state) in [(Act::Reload, NO_ROLES), (Act::Stop { role: None }, ROLES)] {
        let mut play = Play::new(act);
        play.answer(0, state);
        play.pass(Duration::from_secs(31));
        assert_eq!(play.ended, [(play.role, End::Failed(why.to_owned()))]);
    }
}

/// What is only shown is not worth as long a wait.
#[test]
fn who_does_not_answer_is_named_soon() {
    let mut play = Play::new(Act::Show);
    play.pass(Duration::from_secs(6));
    let why = "process 7 does not answer".to_owned();
    assert_eq!(play.said(), (String::new(), Some(End::Failed(why))));
}

const SOCKET: &str = "/run/7.sock";
/// The state of a process with one role.
const NO_ROLES: &str = r#"{"roles": []}"#;
const ROLES: &str = r#"{"roles":[{"name":"a","id":1}]}"#;
const SECOND: Duration = Duration::from_secs(1);
