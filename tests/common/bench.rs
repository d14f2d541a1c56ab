//! One bench for every `Net`: the net itself, peers on its other side, and a user who remembers what is ready.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hydrant::base::time::Time;
use hydrant::reactor::mio_net::{MioNet, Options};
use hydrant::reactor::net::{Addr, Io, Lookup, Net, Peer, Ready, SockId};
use hydrant::sim::{Actor, Answer, Behaviour, Faults, Handle, RemoteId, SimNet};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// A net and the world behind it. All that a far end does has a deadline.
pub(crate) trait Bench: Sized {
    type Net: Net;
    /// A peer, connected to the net's side.
    type Far;
    /// Where a peer listens.
    type Door;

    fn start() -> (Self::Net, Self);

    /// An address where nobody listens.
    fn nobody(&mut self) -> Addr;

    fn open_door(&mut self) -> (Self::Door, Addr);
    fn take(&mut self, door: &mut Self::Door) -> Self::Far;
    fn dial(&mut self, to: &Addr) -> Self::Far;

    /// Sends all of it.
    fn send(&mut self, far: &mut Self::Far, bytes: &[u8]);

    /// Reads until there are `count` bytes, or the end.
    fn receive(&mut self, far: &mut Self::Far, count: usize) -> io::Result<Vec<u8>>;

    /// Ends the far direction; the near one stays open.
    fn finish(&mut self, far: &mut Self::Far);

    /// From now on nothing reaches the far end, and nobody is told.
    fn vanish(&mut self, far: &mut Self::Far);

    fn close(&mut self, far: Self::Far);
    fn reset(&mut self, far: Self::Far);
}

/// A net, its peers, and what is known to be ready.
pub(crate) struct Rig<B: Bench> {
    pub(crate) net: B::Net,
    pub(crate) bench: B,
    ready: BTreeMap<SockId, Way>,
    answers: BTreeMap<Lookup, io::Result<Vec<IpAddr>>>,
}

/// Readable, writable.
type Way = [bool; 2];

impl<B: Bench> Rig<B> {
    pub(crate) fn new() -> Self {
        let (net, bench) = B::start();
        Self {
            net,
            bench,
            ready: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Looks what happens for at most `time`, and adds it to what is ready.
    pub(crate) fn look(&mut self, time: Duration) {
        let mut found = Vec::new();
        let end = self.net.clock() + time;
        self.net.wait(Some(end), &mut found).expect("a wait works");
        for ready in found {
            match ready {
                Ready::Sock {
                    id,
                    readable,
                    writable,
                } => {
                    let way = self.ready.entry(id).or_default();
                    *way = [way[0] | readable, way[1] | writable];
                }
                Ready::Resolved(lookup, answer) => {
                    assert!(
                        self.answers.insert(lookup, answer).is_none(),
                        "{lookup:?} is answered once"
                    );
                }
                Ready::Signal(signal) => panic!("nobody sent {signal:?}"),
            }
        }
    }

    /// Waits until something holds.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let end = self.net.clock() + DEADLINE;
        loop {
            if let Some(found) = holds(self) {
                return found;
            }
            assert!(self.net.clock() < end, "{what}: not within {DEADLINE:?}");
            self.look(Duration::from_millis(5));
        }
    }

    /// Waits for an event that says `id` is readable, and uses it up.
    pub(crate) fn readable(&mut self, id: SockId) {
        self.until("readable", |rig| rig.used_up(id, 0));
    }

    /// Waits for an event that says `id` is writable, and uses it up.
    pub(crate) fn writable(&mut self, id: SockId) {
        self.until("writable", |rig| rig.used_up(id, 1));
    }

    fn used_up(&mut self, id: SockId, way: usize) -> Option<()> {
        let ready = self.ready.get_mut(&id)?;
        std::mem::take(&mut ready[way]).then_some(())
    }

    /// Whether no event comes for `id` while nothing happens.
    pub(crate) fn is_quiet(&mut self, id: SockId) -> bool {
        let end = self.net.clock() + QUIET;
        while self.net.clock() < end {
            self.look(QUIET);
        }
        self.ready.get(&id).is_none_or(|way| !way[0] && !way[1])
    }

    /// Forgets the events that have come for `id`.
    pub(crate) fn forget(&mut self, id: SockId) {
        self.ready.remove(&id);
    }

    pub(crate) fn accept(&mut self, listener: SockId) -> (SockId, Peer) {
        self.until("a connection", |rig| rig.net.accept(listener).ok())
    }

    pub(crate) fn connect(&mut self, to: &Addr) -> io::Result<(SockId, Peer)> {
        let id = self.net.connect(to)?;
        self.writable(id);
        let peer = self.until("connected", |rig| rig.net.connected(id).transpose())?;
        Ok((id, peer))
    }

    /// Listens, and has a peer connect to it.
    pub(crate) fn pair(&mut self) -> (SockId, B::Far) {
        let (listener, at) = self.net.listen(&local()).expect("port 0 is free");
        let far = self.bench.dial(&at);
        let (id, _) = self.accept(listener);
        (id, far)
    }

    /// Reads as the contract has it: again while there may be more, and else after the next event.
    pub(crate) fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io> {
        loop {
            match self.net.read(id, into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable(id),
                outcome => return outcome,
            }
        }
    }

    /// Reads to the end, by buffers of `size`, and asks again only when told to.
    pub(crate) fn read_to_end(&mut self, id: SockId, size: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut into = vec![0; size];
        loop {
            let io = self.read(id, &mut into)?;
            all.extend(&into[..io.bytes]);
            if io.bytes == 0 {
                return Ok(all);
            }
            if !io.more {
                self.readable(id);
            }
        }
    }

    /// Writes until nothing is taken any more, and says how much was.
    pub(crate) fn fill(&mut self, id: SockId) -> usize {
        let bytes = [7; 16 << 10];
        let mut written = 0;
        loop {
            match self.net.write(id, [&bytes, &bytes[..100]]) {
                Ok(io) => written += io.bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn answer(&mut self, lookup: Lookup) -> io::Result<Vec<IpAddr>> {
        self.until("an answer", |rig| rig.answers.remove(&lookup))
    }
}

/// A port of our own on the loopback.
pub(crate) fn local() -> Addr {
    Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// The path of a Unix socket that is not there yet.
pub(crate) fn fresh_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!(
        "hydrant-conformance-{}-{count}",
        std::process::id()
    ))
}

/// The real thing, on the loopback.
pub(crate) struct Loopback {
    // Bound, and never told to listen.
    silent: Vec<Socket>,
}

impl Bench for Loopback {
    type Net = MioNet;
    type Far = Socket;
    type Door = Socket;

    fn start() -> (MioNet, Self) {
        (
            MioNet::new(Options::default()).expect("a poll can be made"),
            Self { silent: Vec::new() },
        )
    }

    fn nobody(&mut self) -> Addr {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any_port.into()).expect("port 0 is free");
        let at = socket
            .local_addr()
            .expect("it is bound")
            .as_socket()
            .expect("to a TCP address");
        self.silent.push(socket);
        Addr::Tcp(at)
    }

    fn open_door(&mut self) -> (Socket, Addr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port 0 is free");
        let at = Addr::Tcp(listener.local_addr().expect("it is bound"));
        let door = Socket::from(listener);
        door.set_read_timeout(Some(DEADLINE))
            .expect("a timeout can be set");
        (door, at)
    }

    fn take(&mut self, door: &mut Socket) -> Socket {
        with_deadline(door.accept().expect("somebody calls").0)
    }

    fn dial(&mut self, to: &Addr) -> Socket {
        let (domain, to) = match to {
            Addr::Tcp(to) => (Domain::for_address(*to), (*to).into()),
            Addr::Unix(path) => (Domain::UNIX, SockAddr::unix(path).expect("a short path")),
        };
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket can be made");
        socket
            .connect_timeout(&to, DEADLINE)
            .expect("somebody listens");
        with_deadline(socket)
    }

    fn send(&mut self, far: &mut Socket, bytes: &[u8]) {
        far.write_all(bytes).expect("the near end takes it");
    }

    fn receive(&mut self, far: &mut Socket, count: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        far.take(count as u64).read_to_end(&mut all)?;
        Ok(all)
    }

    fn finish(&mut self, far: &mut Socket) {
        far.shutdown(Shutdown::Write).expect("it is connected");
    }

    fn vanish(&mut self, far: &mut Socket) {
        let nothing = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
        far.attach_filter(&[nothing])
            .expect("a socket takes a filter");
    }

    fn close(&mut self, far: Socket) {
        drop(far);
    }

    fn reset(&mut self, far: Socket) {
        far.set_linger(Some(Duration::ZERO))
            .expect("an option can be set");
    }
}

fn with_deadline(socket: Socket) -> Socket {
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout can be set");
    socket
        .set_write_timeout(Some(DEADLINE))
        .expect("a timeout can be set");
    socket
}

/// The simulated one, where nothing goes wrong.
pub(crate) struct Simulated {
    handle: Handle,
    doors: u16,
}

/// A simulated peer's door, and how many have been taken from it.
pub(crate) struct SimDoor {
    at: Addr,
    taken: usize,
}

impl Simulated {
    fn until<T>(&mut self, what: &str, mut holds: impl FnMut(&Handle) -> Option<T>) -> T {
        let end = self.handle.world().time() + DEADLINE;
        loop {
            if let Some(found) = holds(&self.handle) {
                return found;
            }
            let now: Time = self.handle.world().time();
            assert!(now < end, "{what}: not within {DEADLINE:?}");
            self.handle.world().run_for(Duration::from_millis(1));
        }
    }
}

impl Bench for Simulated {
    type Net = SimNet;
    type Far = RemoteId;
    type Door = SimDoor;

    fn start() -> (SimNet, Self) {
        let (net, handle) = SimNet::new(1, Faults::none());
        let loopback = Answer::with(&[Ipv4Addr::LOCALHOST.into()]);
        handle.world().set_name("localhost", [loopback]);
        (
            net,
            Self {
                handle,
                doors: 1000,
            },
        )
    }

    fn nobody(&mut self) -> Addr {
        self.doors += 1;
        Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.doors)))
    }

    fn open_door(&mut self) -> (SimDoor, Addr) {
        let at = self.nobody();
        self.handle
            .world()
            .listen_remote(at.clone(), Behaviour::serve(Actor::Manual));
        (
            SimDoor {
                at: at.clone(),
                taken: 0,
            },
            at,
        )
    }

    fn take(&mut self, door: &mut SimDoor) -> RemoteId {
        let far = self.until("a call", |handle| {
            handle
                .world()
                .accepted_at(&door.at)
                .get(door.taken)
                .copied()
        });
        door.taken += 1;
        far
    }

    fn dial(&mut self, to: &Addr) -> RemoteId {
        let from = SocketAddr::from(([10, 0, 0, 1], 5000));
        let far = self
            .handle
            .world()
            .try_connect_remote(to.clone(), from, Actor::Manual);
        self.until("connected", |handle| {
            handle.world().is_open(far).then_some(far)
        })
    }

    fn send(&mut self, far: &mut RemoteId, bytes: &[u8]) {
        let mut left = bytes;
        self.until("sent", |handle| {
            left = &left[handle.world().remote_send(*far, left)..];
            left.is_empty().then_some(())
        });
    }

    fn receive(&mut self, far: &mut RemoteId, count: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.until("received", |handle| {
            let mut world = handle.world();
            all.extend(world.remote_read(*far, count - all.len()));
            let ended = world.saw_fin(*far);
            if all.len() == count || ended {
                return Some(Ok(()));
            }
            world
                .saw_reset(*far)
                .then(|| Err(ErrorKind::ConnectionReset.into()))
        })
        .map(|()| all)
    }

    fn finish(&mut self, far: &mut RemoteId) {
        self.handle.world().remote_shutdown(*far);
    }

    fn vanish(&mut self, far: &mut RemoteId) {
        self.handle.world().remote_vanish(*far);
    }

    fn close(&mut self, far: RemoteId) {
        self.handle.world().remote_close(far);
    }

    fn reset(&mut self, far: RemoteId) {
        self.handle.world().remote_reset(far);
    }
}

/// Nothing takes longer, but for a defect.
const DEADLINE: Duration = Duration::from_secs(10);

/// Events that come at all come sooner.
const QUIET: Duration = Duration::from_millis(20);
