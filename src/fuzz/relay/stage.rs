//! Sets a scenario up in a world: who comes when, what stands at which address, and who is who.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::scenario::{Door, FIRST_OUTPUT, Life, Scenario, called, door_of, life_of, place_of};
use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::proto::record::Framing;
use crate::reactor::net::{Addr, Signal};
use crate::roles::relay::config::{Output, Resume, Slow, Source as From, Way};
use crate::sim::{Actor, Behaviour, Ending, Handle, Receiver, RemoteId, SimNet, Source, World};

/// Who a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The upstream's life with this number, from 1 on.
    Life(u16),
    /// Somebody who connects to the source's port and says nothing.
    Scan,
    /// The guest with this number at this output.
    Guest { output: usize, number: usize },
}

/// Everybody, and where they are.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) scenario: Rc<Scenario>,
    pub(super) handle: Handle,
    came: Rc<RefCell<BTreeMap<RemoteId, Who>>>,
    /// The places that the relay dials, and their addresses.
    doors: Rc<[(usize, Addr)]>,
    calm: Rc<Cell<bool>>,
}

impl Stage {
    /// A world for this scenario, and the net that leads into it.
    pub(super) fn set(scenario: Scenario, traced: bool) -> (SimNet, Self) {
        let (net, handle) = SimNet::new(scenario.seed, scenario.faults.clone());
        let dialled = scenario.dialled().into_iter();
        let stage = Self {
            doors: dialled
                .map(|(place, at)| (place, door_of(place, &at)))
                .collect(),
            scenario: Rc::new(scenario),
            handle,
            came: Rc::default(),
            calm: Rc::default(),
        };
        let world = &mut *stage.handle.world();
        world.trace(traced);
        if let Some(limit) = stage.scenario.descriptors {
            world.set_socket_limit(limit);
        }
        for (name, answers) in &stage.scenario.names {
            world.set_name(name, answers.iter().cloned());
        }
        stage.set_source(world);
        stage.set_guests(world);
        stage.set_doors(world);
        stage.set_signals(world);
        (net, stage.clone())
    }

    fn set_source(&self, world: &mut World) {
        match &self.scenario.config.source {
            From::Dial(_) => {}
            From::Listen(at) => {
                let at = called(at);
                for (number, life) in self.scenario.lives[0].iter().enumerate() {
                    let actor = Actor::Source(life.source.clone());
                    let who = Who::Life(life_of(0, number));
                    self.enter(world, life.at, at.clone(), actor, who);
                }
                for (came, leaves) in &self.scenario.scans {
                    let mut scanner = Receiver::eager();
                    scanner.leave_after = Some((*leaves, crate::reactor::net::Close::Orderly));
                    let actor = Actor::Receiver(scanner);
                    self.enter(world, *came, at.clone(), actor, Who::Scan);
                }
            }
            From::Stdin => {
                let stdin = world.stdin();
                self.came
                    .borrow_mut()
                    .insert(stdin, Who::Life(life_of(0, 0)));
                let Life { at, source } = self.scenario.lives[0][0].clone();
                world.at(Time::ZERO + at, move |world| {
                    world.set_actor(stdin, Actor::Source(source));
                });
            }
        }
    }

    fn set_guests(&self, world: &mut World) {
        for (output, guests) in self.scenario.guests.iter().enumerate() {
            match &self.scenario.config.outputs[output].way {
                Way::Dial(_) => {}
                Way::Listen(at) => {
                    for (number, guest) in guests.iter().enumerate() {
                        let actor = Actor::Receiver(guest.receiver.clone());
                        let who = Who::Guest { output, number };
                        self.enter(world, guest.at, called(at), actor, who);
                    }
                }
                Way::Stdout => {
                    let stdout = world.stdout();
                    let who = Who::Guest { output, number: 0 };
                    self.came.borrow_mut().insert(stdout, who);
                    world.set_actor(stdout, Actor::Receiver(guests[0].receiver.clone()));
                }
            }
        }
        if self.scenario.config.dump.is_some() {
            let reader = self.scenario.guests[0][0].receiver.clone();
            let stdout = world.stdout();
            world.set_actor(stdout, Actor::Receiver(reader));
        }
    }

    /// Somebody connects.
    fn enter(&self, world: &mut World, at: Duration, to: Addr, actor: Actor, who: Who) {
        let came = Rc::clone(&self.came);
        world.at(Time::ZERO + at, move |world| {
            let port = 10_000 + came.borrow().len() as u16;
            let from = SocketAddr::from(([192, 168, 0, 1], port));
            let remote = world.connect_remote(to, from, actor);
            came.borrow_mut().insert(remote, who);
        });
    }

    fn set_doors(&self, world: &mut World) {
        for (place, addr) in self.doors.iter() {
            for (at, door) in self.scenario.doors[*place].clone() {
                let (place, addr, stage) = (*place, addr.clone(), self.clone());
                world.at(Time::ZERO + at, move |world| {
                    world.listen_remote(addr, stage.behaviour(place, door));
                });
            }
        }
    }

    fn behaviour(&self, place: usize, door: Door) -> Behaviour {
        let (scenario, calm) = (Rc::clone(&self.scenario), Rc::clone(&self.calm));
        match door {
            Door::Open => Behaviour::Serve(Box::new(move |earlier| {
                let number = usize::try_from(earlier).expect("few callers");
                match place {
                    FIRST_OUTPUT.. if calm.get() => Actor::Receiver(Receiver::eager()),
                    _ => scenario.actor_at(place, number),
                }
            })),
            Door::Shut => Behaviour::Refuse,
            Door::Silent => Behaviour::Ignore,
            Door::Resetting => Behaviour::Reset,
        }
    }

    fn set_signals(&self, world: &mut World) {
        let signals = [
            (self.scenario.report, Signal::Report),
            (self.scenario.drain, Signal::Terminate),
        ];
        for (at, signal) in signals {
            if let Some(at) = at {
                world.at(Time::ZERO + at, move |world| world.signal(signal));
            }
        }
    }

    /// The chaos is over: nothing goes wrong any more, and whoever is not stalled for ever reads eagerly.
    pub(super) fn calm_down(&self) {
        self.calm.set(true);
        let receivers: Vec<_> = self.guests().collect();
        let world = &mut *self.handle.world();
        *world.faults() = crate::sim::Faults {
            delay: self.scenario.faults.delay,
            jitter: self.scenario.faults.jitter,
            send_buffer: self.scenario.faults.send_buffer,
            receive_buffer: self.scenario.faults.receive_buffer,
            ..crate::sim::Faults::none()
        };
        for (remote, who) in receivers {
            if !self.is_stalled(who) {
                world.set_actor(remote, Actor::Receiver(Receiver::eager()));
            }
        }
    }

    /// Who a peer is; `None` for stdout's reader, if that reads the dump.
    pub(super) fn who(&self, world: &World, remote: RemoteId) -> Option<Who> {
        if let Some(who) = self.came.borrow().get(&remote) {
            return Some(*who);
        }
        self.doors.iter().find_map(|(place, addr)| {
            let callers = world.accepted_at(addr);
            let number = callers.iter().position(|caller| *caller == remote)?;
            Some(who_at(*place, number))
        })
    }

    /// How many of the relay's calls were answered by somebody with a plan.
    pub(super) fn answered(&self, world: &World) -> u64 {
        let calls = |(place, addr): &(usize, Addr)| {
            let planned = match place.checked_sub(FIRST_OUTPUT) {
                None => self.scenario.lives[*place].len(),
                Some(output) => self.scenario.guests[output].len(),
            };
            world.accepted_at(addr).len().min(planned) as u64
        };
        self.doors.iter().map(calls).sum()
    }

    /// Every receiver that has come, or was called, so far.
    pub(super) fn guests(&self) -> impl Iterator<Item = (RemoteId, Who)> {
        let mut all: Vec<_> = self
            .came
            .borrow()
            .iter()
            .map(|(id, who)| (*id, *who))
            .collect();
        let world = self.handle.world();
        for (place, addr) in self.doors.iter() {
            let callers = world.accepted_at(addr);
            all.extend((0..).zip(callers).map(|(n, id)| (*id, who_at(*place, n))));
        }
        let is_guest = |(_, who): &(RemoteId, Who)| matches!(who, Who::Guest { .. });
        all.into_iter().filter(is_guest)
    }

    /// The plan of a life, if there is one: beyond the plan, upstreams stay and say nothing.
    pub(super) fn life(&self, number: u16) -> Option<&Life> {
        let (place, number) = place_of(number);
        self.scenario.lives.get(place)?.get(number)
    }

    /// Whether a guest stops to read for ever at some time.
    pub(super) fn is_stalled(&self, who: Who) -> bool {
        self.receiver(who).is_some_and(|receiver| {
            receiver.stall_after.is_some() && receiver.resume_after.is_none()
        })
    }

    /// The plan of a guest, if there is one: beyond the plan, guests are eager.
    pub(super) fn receiver(&self, who: Who) -> Option<&Receiver> {
        match who {
            Who::Guest { output, number } => {
                Some(&self.scenario.guests[output].get(number)?.receiver)
            }
            _ => None,
        }
    }
}

impl Scenario {
    fn actor_at(&self, place: usize, number: usize) -> Actor {
        if let Some(output) = place.checked_sub(FIRST_OUTPUT) {
            let guest = self.guests[output].get(number);
            return Actor::Receiver(
                guest.map_or(Receiver::eager(), |guest| guest.receiver.clone()),
            );
        }
        let silent = Source {
            ending: Ending::Stay,
            ..Source::pattern(0, 0)
        };
        let life = self.lives[place].get(number);
        Actor::Source(life.map_or(silent, |life| life.source.clone()))
    }

    /// How far behind the head there may be a byte that somebody has a right to, and the upstream is read all the same.
    pub(super) fn room_behind(&self) -> u64 {
        let config = &self.config;
        // A record is kept whole, and with it those before it from which it is found again.
        let before = match config.framing {
            Framing::Raw => 0,
            _ => config.record_max + config.ring / 8,
        };
        config.ring.saturating_sub(before) as u64
    }

    /// Whether somebody stands at a dialled place at the end.
    pub(super) fn is_open_at_last(&self, place: usize) -> bool {
        self.doors[place]
            .last()
            .is_some_and(|(_, door)| *door == Door::Open)
    }

    pub(super) fn writes_to_stdout(&self) -> bool {
        let mut outputs = self.config.outputs.iter();
        outputs.any(|output| output.way == Way::Stdout)
    }

    /// Where a dialled output goes on that comes back.
    pub(super) fn resumes(&self, output: usize) -> Option<Resume> {
        let Output { way, slow, .. } = &self.config.outputs[output];
        let preset = match slow {
            Slow::Block => Resume::Acked,
            Slow::Drop | Slow::Skip => Resume::Live,
        };
        matches!(way, Way::Dial(_)).then_some(self.config.resume.unwrap_or(preset))
    }

    /// How long a client of an output that has every byte may take nothing before the rest is left to the kernel.
    pub(super) fn patience(&self, output: usize) -> Duration {
        let (config, slow) = (&self.config, self.config.outputs[output].slow);
        let hold = Some(config.hold).filter(|hold| slow != Slow::Block && !hold.is_zero());
        let patience = config.stall_timeout.or(hold);
        patience.unwrap_or(Duration::from_secs(30))
    }

    /// Whether an output is a Unix socket or a standard stream, of which nobody knows what the peer has acknowledged.
    pub(super) fn is_local(&self, output: usize) -> bool {
        matches!(
            self.config.outputs[output].way,
            Way::Stdout | Way::Listen(Endpoint::Unix(_)) | Way::Dial(Endpoint::Unix(_))
        )
    }
}

fn who_at(place: usize, number: usize) -> Who {
    match place.checked_sub(FIRST_OUTPUT) {
        None => Who::Life(life_of(place, number)),
        Some(output) => Who::Guest { output, number },
    }
}
