//! What happens to one relay: its orders, who feeds it, who listens, and what goes wrong. All of it is drawn out of a
//! script, whose zeros mean the plainest case: one upstream, one eager client, no faults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::access::Access;
use crate::base::backoff::Retry;
use crate::base::endpoint::{Endpoint, Host};
use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::reactor::net::{Addr, Close};
use crate::roles::relay::config::{
    DumpFormat, MaxLag, Output, RelayConfig, Resume, SENDS_A_VISIT, Slow, Source as From, Stats,
    Takeover, UpstreamLoss, Way,
};
use crate::sim::{Answer, Content, Ending, Faults, Receiver, Source};

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// The world's.
    pub(super) seed: u64,
    /// Until the chaos is over; none after it.
    pub(super) faults: Faults,
    pub(super) config: RelayConfig,
    /// The upstreams, in the order in which they come, or are dialled; by endpoint, if there are two.
    pub(super) lives: Vec<Vec<Life>>,
    /// Those who connect to the source's port and say nothing, and when they leave.
    pub(super) scans: Vec<(Duration, Duration)>,
    /// Receivers, by output: those who come, or those who are there when the relay dials.
    pub(super) guests: Vec<Vec<Guest>>,
    /// What stands at the addresses that the relay dials: at the source's two, then at each output's.
    pub(super) doors: Vec<Vec<(Duration, Door)>>,
    pub(super) names: Vec<(String, Vec<Answer>)>,
    /// Most descriptors.
    pub(super) descriptors: Option<usize>,
    /// When the chaos is over.
    pub(super) chaos: Duration,
    /// When the relay is told to stop; else once everything has been looked at.
    pub(super) drain: Option<Duration>,
    pub(super) report: Option<Duration>,
}

/// One life of the upstream.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// When it connects, if it does that.
    pub(super) at: Duration,
    pub(super) source: Source,
}

/// A receiver.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    /// When it connects, if it does that.
    pub(super) at: Duration,
    pub(super) receiver: Receiver,
}

/// What stands at an address that the relay dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Shut,
    Silent,
    Resetting,
}

impl Scenario {
    pub(super) fn draw(script: &mut Script<'_>) -> Self {
        let seed = script.take_u64();
        let faults = match script.pick(4) {
            0 => Faults::none(),
            1 => Faults::draw_harmless(&mut Rng::new(seed)),
            _ => Faults::draw(&mut Rng::new(seed)),
        };
        let chaos = Duration::from_millis(choose(script, &[1_000, 200, 5_000, 20_000]));
        let config = draw_config(script, chaos);
        let mut scenario = Self {
            seed,
            faults,
            lives: Vec::new(),
            scans: Vec::new(),
            guests: Vec::new(),
            doors: Vec::new(),
            names: Vec::new(),
            descriptors: choose(
                script,
                &[None, None, None, None, None, Some(104), Some(110)],
            ),
            chaos,
            drain: None,
            report: (script.pick(8) == 1).then(|| moment(script, chaos)),
            config,
        };
        scenario.draw_lives(script);
        scenario.draw_scans(script);
        scenario.draw_guests(script);
        scenario.draw_doors(script);
        scenario.draw_names(script);
        scenario.drain = (script.pick(6) == 1).then(|| moment(script, chaos));
        scenario.demand(script);
        scenario.config.sends_a_visit = choose(script, &[SENDS_A_VISIT, 1, 2]);
        let failback = choose(script, &[0, 0, 200, 1_000]).into_duration();
        scenario.config.failback = failback.filter(|_| scenario.lives.len() > 1);
        scenario
    }

    /// What a line of this network carries in a reasonable number of steps.
    fn bytes_max(&self) -> u64 {
        let buffer = self.faults.send_buffer.min(self.faults.receive_buffer);
        (buffer as u64 * WINDOWS).min(BYTES_MAX)
    }

    fn draw_lives(&mut self, script: &mut Script<'_>) {
        let (places, most) = match &self.config.source {
            From::Dial(endpoints) => (endpoints.len(), 4),
            From::Listen(_) => (1, 4),
            From::Stdin => (1, 1),
        };
        for place in 0..places {
            let count = 1 + script.pick(most);
            let lives = (0..count).map(|number| self.draw_life(script, life_of(place, number)));
            let lives = lives.collect();
            self.lives.push(lives);
        }
    }

    fn draw_life(&self, script: &mut Script<'_>, life: u16) -> Life {
        let chunk_max = choose(script, &[4 << 10, 1, 100, 16 << 10, 64 << 10]);
        let bytes = chunk_max as u64 * choose(script, &[20, 1, 100, 300, 0]);
        let endings = [
            Ending::Stay,
            Ending::Close,
            Ending::HalfClose,
            Ending::Reset,
        ];
        Life {
            at: moment(script, self.chaos),
            source: Source {
                content: Content::Pattern(life),
                from: 0,
                to: bytes.min(self.bytes_max()),
                chunk_max,
                gap_max: Duration::from_micros(choose(script, &[1_000, 10, 20_000])),
                ending: choose(script, &endings),
            },
        }
    }

    fn draw_scans(&mut self, script: &mut Script<'_>) {
        let count = choose(script, &[0, 0, 0, 1, 3, 80]);
        for _ in 0..count {
            let at = moment(script, self.chaos);
            self.scans.push((at, moment(script, self.chaos)));
        }
    }

    fn draw_guests(&mut self, script: &mut Script<'_>) {
        for index in 0..self.config.outputs.len() {
            let count = match self.config.outputs[index].way {
                Way::Stdout => 1,
                _ => choose(script, &[1, 1, 2, 4]),
            };
            let guests = (0..count).map(|_| Guest {
                at: moment(script, self.chaos),
                receiver: draw_receiver(script, self.chaos),
            });
            let mut guests: Vec<_> = guests.collect();
            if index == 0 || self.config.outputs[index].way == Way::Stdout {
                // It may read stdout, and that is no stream that goes both ways.
                guests[0].receiver.half_close_after = None;
                guests[0].receiver.says.clear();
            }
            self.guests.push(guests);
        }
    }

    fn draw_doors(&mut self, script: &mut Script<'_>) {
        for _ in 0..FIRST_OUTPUT + self.config.outputs.len() {
            let mut changes: Vec<_> = (0..script.pick(4))
                .map(|_| {
                    let doors = [Door::Open, Door::Shut, Door::Silent, Door::Resetting];
                    (moment(script, self.chaos), choose(script, &doors))
                })
                .collect();
            changes.sort_by_key(|(at, _)| *at);
            let first = choose(script, &[Door::Open, Door::Open, Door::Shut, Door::Silent]);
            let last = choose(script, &[Door::Open, Door::Open, Door::Open, Door::Shut]);
            changes.insert(0, (Duration::ZERO, first));
            changes.push((self.chaos, last));
            self.doors.push(changes);
        }
    }

    fn draw_names(&mut self, script: &mut Script<'_>) {
        let dead = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
        for (place, endpoint) in self.dialled() {
            let Endpoint::Tcp {
                host: Host::Name(name),
                ..
            } = endpoint
            else {
                continue;
            };
            let real = door_ip(place);
            let mut answers: Vec<_> = (0..script.pick(4))
                .map(|_| match script.pick(4) {
                    0 => Answer::with(&[dead, real]),
                    1 => Answer::with(&[dead]),
                    2 => Answer::failing(std::io::ErrorKind::TimedOut),
                    _ => Answer::failing(std::io::ErrorKind::NotFound),
                })
                .collect();
            answers.push(Answer::with(&[real]));
            for answer in &mut answers {
                answer.after = Duration::from_millis(choose(script, &[1, 0, 300, 3_000]));
            }
            // The last answer holds on, and must leave time for the attempt.
            let last = answers.last_mut().expect("one was pushed");
            last.after = last.after.min(self.config.connect_timeout / 3);
            self.names.push((name, answers));
        }
    }

    /// The endpoints that the relay dials, and the places of their doors.
    pub(super) fn dialled(&self) -> Vec<(usize, Endpoint)> {
        let source: &[Endpoint] = match &self.config.source {
            From::Dial(endpoints) => endpoints,
            _ => &[],
        };
        let source = source.iter().cloned().enumerate();
        let outputs = self.config.outputs.iter().enumerate();
        let outputs = outputs.filter_map(|(index, output)| match &output.way {
            Way::Dial(endpoint) => Some((FIRST_OUTPUT + index, endpoint.clone())),
            _ => None,
        });
        source.chain(outputs).collect()
    }
}

fn draw_config(script: &mut Script<'_>, chaos: Duration) -> RelayConfig {
    let source = match script.pick(6) {
        0 => From::Dial(vec![dialled(script, 0)]),
        1 => From::Dial(vec![dialled(script, 0), dialled(script, 1)]),
        2..=4 => From::Listen(listening(script, 0)),
        _ => From::Stdin,
    };
    let wants_dump = script.pick(6) == 1;
    let count = choose(script, &[1, 1, 2, 3]);
    let mut outputs: Vec<Output> = Vec::new();
    for index in 0..count {
        let stdout_taken = wants_dump || outputs.iter().any(|output| output.way == Way::Stdout);
        let way = match script.pick(7) {
            6 if !stdout_taken => Way::Stdout,
            4..=6 => Way::Dial(dialled(script, FIRST_OUTPUT + index)),
            _ => Way::Listen(listening(script, FIRST_OUTPUT + index)),
        };
        let slow = choose(script, &[Slow::Drop, Slow::Block]);
        outputs.push(Output {
            way,
            slow,
            websocket: false,
        });
    }
    let retry_min = choose(script, &[1_000, 50, 5_000]);
    let retry_max = retry_min * choose(script, &[1, 1, 8]);
    let formats = [DumpFormat::Raw, DumpFormat::Text, DumpFormat::Hex];
    let config = RelayConfig {
        retry: Retry {
            min: Duration::from_millis(retry_min),
            max: Duration::from_millis(retry_max),
        },
        connect_timeout: Duration::from_millis(choose(script, &[10_000, 1_000, 300])),
        dump: wants_dump.then(|| choose(script, &formats)),
        ring: choose(script, &[16 << 10, 64 << 10, 256 << 10, 4 << 10, 256]),
        hold: Duration::from_millis(choose(script, &[2_000, 0, 200, 1_000])),
        keepalive: choose(script, &[None, Some(Duration::from_secs(10))]),
        takeover: choose(
            script,
            &[Takeover::Replace, Takeover::Replace, Takeover::Refuse],
        ),
        max_clients: choose(script, &[None, None, Some(2), Some(1), Some(0)]),
        wait_clients: choose(script, &[0, 0, 1, 2]),
        drain: Duration::from_millis(choose(script, &[2_000, 0, 300])),
        stats: (script.pick(4) == 1).then(|| Stats {
            interval: chaos / 4,
            live: false,
        }),
        ..RelayConfig::new(source, outputs)
    };
    draw_rarer_options(script, config)
}

/// What few relays are told; each is absent from most.
fn draw_rarer_options(script: &mut Script<'_>, config: RelayConfig) -> RelayConfig {
    let age = Some(MaxLag::Age(Duration::from_millis(300)));
    let bytes = |bytes| Some(MaxLag::Bytes(bytes));
    let lags = [
        None,
        None,
        None,
        age,
        bytes(2_000),
        bytes(config.ring as u64 / 2),
    ];
    let resumes = [Resume::Acked, Resume::Written, Resume::Live].map(Some);
    let resumes = [None, None, None, resumes[0], resumes[1], resumes[2]];
    let [keep, close, exit] = [UpstreamLoss::Keep, UpstreamLoss::Close, UpstreamLoss::Exit];
    let seldom = |script: &mut Script<'_>| script.pick(16) == 1;
    let greetings = match config.source {
        From::Stdin => [0; 6],
        From::Dial(_) | From::Listen(_) => [0, 0, 0, 0, 5, 3_000],
    };
    let mut strangers = Access::ALL;
    strangers.push("10.0.0.0/8".parse().expect("a network"));
    let access = |shut| if shut { strangers.clone() } else { Access::ALL };
    RelayConfig {
        max_lag: choose(script, &lags),
        resume: choose(script, &resumes),
        backlog: choose(script, &[0, 0, 0, config.ring / 2, 100]),
        upstream_loss: choose(script, &[keep, keep, keep, keep, close, exit]),
        idle_timeout: choose(script, &[0, 0, 0, 0, 500, 3_000]).into_duration(),
        upstream_send: vec![b'!'; choose(script, &greetings)].into(),
        max_clients_per_ip: choose(script, &[None, None, None, Some(1), Some(2)]),
        allow: access(seldom(script)),
        allow_upstream: access(seldom(script)),
        ..config
    }
}

trait IntoDuration {
    fn into_duration(self) -> Option<Duration>;
}

impl IntoDuration for u64 {
    /// Zero stands for none.
    fn into_duration(self) -> Option<Duration> {
        (self > 0).then(|| Duration::from_millis(self))
    }
}

fn listening(script: &mut Script<'_>, place: usize) -> Endpoint {
    match script.pick(4) {
        3 => Endpoint::Unix(format!("/listen{place}").into()),
        2 => Endpoint::Tcp {
            host: Host::Any,
            port: LISTEN_PORT + place as u16,
            tls: false,
        },
        _ => Endpoint::Tcp {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port: LISTEN_PORT + place as u16,
            tls: false,
        },
    }
}

fn dialled(script: &mut Script<'_>, place: usize) -> Endpoint {
    match script.pick(4) {
        3 => Endpoint::Unix(format!("/dial{place}").into()),
        2 => Endpoint::Tcp {
            host: Host::Name(format!("host{place}.test")),
            port: DIAL_PORT,
            tls: false,
        },
        _ => Endpoint::Tcp {
            host: Host::Ip(door_ip(place)),
            port: DIAL_PORT,
            tls: false,
        },
    }
}

/// Where those who connect to a listening endpoint call.
pub(super) fn called(endpoint: &Endpoint) -> Addr {
    match endpoint {
        Endpoint::Unix(path) => Addr::Unix(path.clone()),
        Endpoint::Tcp { port, .. } => Addr::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port)),
    }
}

/// Where the door of a dialled endpoint stands.
pub(super) fn door_of(place: usize, endpoint: &Endpoint) -> Addr {
    match endpoint {
        Endpoint::Unix(path) => Addr::Unix(path.clone()),
        Endpoint::Tcp { .. } => Addr::Tcp(SocketAddr::new(door_ip(place), DIAL_PORT)),
    }
}

fn door_ip(place: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, place as u8 + 1))
}

fn draw_receiver(script: &mut Script<'_>, chaos: Duration) -> Receiver {
    let mut receiver = Receiver::eager();
    receiver.close_at_end = script.pick(2) == 0;
    match script.pick(10) {
        0..=1 => {}
        2 => {
            receiver.bytes = choose(script, &[64, 1 << 10, 16 << 10]);
            receiver.every = Duration::from_millis(choose(script, &[1, 10, 50]));
        }
        3..=4 => receiver.stall_after = Some(moment(script, chaos)),
        5 => {
            let stall = moment(script, chaos);
            receiver.stall_after = Some(stall);
            receiver.resume_after = Some(stall + moment(script, chaos));
        }
        6 => receiver.half_close_after = Some(moment(script, chaos) * script.pick(2) as u32),
        7 => receiver.leave_after = Some((moment(script, chaos), Close::Reset)),
        8 => receiver.leave_after = Some((moment(script, chaos), Close::Orderly)),
        _ => {
            let rubbish = vec![b'?'; choose(script, &[10, 3_000, 100_000])];
            receiver.says = vec![(moment(script, chaos), rubbish)];
        }
    }
    receiver
}

/// A moment of the chaos; early ones are likelier.
fn moment(script: &mut Script<'_>, chaos: Duration) -> Duration {
    let fraction = u32::from(script.take_u8());
    chaos * fraction * fraction / (256 * 256)
}

pub(super) fn choose<T: Copy>(script: &mut Script<'_>, from: &[T]) -> T {
    from[script.pick(from.len())]
}

/// The number of a life at a place of the source's.
pub(super) fn life_of(place: usize, number: usize) -> u16 {
    (place * LIVES_MAX + number + 1) as u16
}

/// The place and the number there of a life.
pub(super) fn place_of(life: u16) -> (usize, usize) {
    let index = usize::from(life) - 1;
    (index / LIVES_MAX, index % LIVES_MAX)
}

/// The place of the first output's door; those before are the source's.
pub(super) const FIRST_OUTPUT: usize = 2;
/// More lives than anybody lives at one place.
const LIVES_MAX: usize = 10_000;
const LISTEN_PORT: u16 = 1_000;
const DIAL_PORT: u16 = 3_000;
/// Windows of the receiver's that one life may fill.
const WINDOWS: u64 = 300;
const BYTES_MAX: u64 = 400_000;
