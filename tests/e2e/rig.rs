//! A relay in one of its modes with both of its sides, so that one test can be told for all modes.

use std::net::{SocketAddr, TcpStream};

use crate::common::feed::{Feed, Taker};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, half_close, leave, reset};

/// One of the relay's sides.
#[derive(Debug)]
enum Side {
    /// It dials us.
    Dials(Place),
    /// We dial it.
    Listens(SocketAddr),
}

impl Side {
    fn arrive(&mut self) -> TcpStream {
        match self {
            Self::Dials(place) => place.accept(),
            Self::Listens(at) => connect(*at),
        }
    }

    fn leave(&mut self) {
        if let Self::Dials(place) = self {
            place.close();
        }
    }
}

/// A relay whose two sides have not arrived yet.
pub(crate) struct Rig {
    pub(crate) hydrant: Hydrant,
    pub(crate) feed: Feed,
    up: Side,
    down: Side,
}

impl Rig {
    /// A relay in this mode.
    pub(crate) fn new(mode: &str) -> Self {
        Self::with(mode, "")
    }

    /// A relay in this mode, with these flags. It dials again soon.
    pub(crate) fn with(mode: &str, flags: &str) -> Self {
        let (up, down) = mode.split_once('-').expect("a mode is two sides");
        let place = |side| (side == "connect").then(Place::new);
        let (up, down) = (place(up), place(down));
        let word = |place: &Option<Place>| {
            place
                .as_ref()
                .map_or("127.0.0.1:0".to_owned(), |place| place.at.to_string())
        };
        let line = format!(
            "{} {} --mode {mode} --retry 20ms {flags}",
            word(&up),
            word(&down)
        );
        let hydrant = hydrant(&line).start();
        let side = |place: Option<Place>, what| match place {
            Some(place) => Side::Dials(place),
            None => Side::Listens(hydrant.address_of(what)),
        };
        let up = side(up, "the upstream");
        let down = side(down, "clients");
        Self {
            hydrant,
            feed: Feed::default(),
            up,
            down,
        }
    }

    /// Whether the relay dials the downstream, for which the feed then waits.
    pub(crate) fn waits_for_downstream(&self) -> bool {
        matches!(self.down, Side::Dials(_))
    }

    /// Where clients connect.
    pub(crate) fn clients_at(&self) -> SocketAddr {
        match &self.down {
            Side::Listens(at) => *at,
            Side::Dials(place) => panic!("the relay dials {}", place.at),
        }
    }

    /// Where the upstream connects.
    pub(crate) fn upstream_at(&self) -> SocketAddr {
        match &self.up {
            Side::Listens(at) => *at,
            Side::Dials(place) => panic!("the relay dials {}", place.at),
        }
    }

    /// An upstream that the relay knows of.
    #[track_caller]
    pub(crate) fn upstream(&mut self) -> TcpStream {
        let stream = self.up.arrive();
        // Dialled, it is called as the user wrote it, which is our end too.
        let us = stream.local_addr().expect("it is connected");
        self.hydrant.wait_log(&format!("upstream {us} connected"));
        stream
    }

    /// An upstream of which the relay may think as it likes.
    pub(crate) fn second_upstream(&mut self) -> TcpStream {
        self.up.arrive()
    }

    /// A receiver that the relay knows of, and that expects the stream from where the feed is.
    #[track_caller]
    pub(crate) fn downstream(&mut self) -> Taker<TcpStream> {
        let stream = self.down.arrive();
        self.joined(stream)
    }

    /// As `downstream`, but one that has nothing to say from the first moment on.
    #[track_caller]
    pub(crate) fn downstream_that_half_closes(&mut self) -> Taker<TcpStream> {
        let stream = self.down.arrive();
        half_close(&stream);
        self.joined(stream)
    }

    #[track_caller]
    fn joined(&self, stream: TcpStream) -> Taker<TcpStream> {
        let us = stream.local_addr().expect("it is connected");
        let who = match self.down {
            Side::Dials(_) => "downstream",
            Side::Listens(_) => "client",
        };
        self.hydrant.wait_log(&format!("{who} {us} connected"));
        Taker::new(stream, self.feed.at)
    }

    /// The upstream goes, and whoever dials it is refused.
    pub(crate) fn upstream_goes(&mut self, stream: TcpStream) {
        self.up.leave();
        leave(&stream);
    }

    /// As `upstream_goes`, by a reset.
    pub(crate) fn upstream_resets(&mut self, stream: TcpStream) {
        self.up.leave();
        reset(stream);
    }

    /// The receiver goes, whoever dials it is refused, and the relay knows.
    #[track_caller]
    pub(crate) fn downstream_goes(&mut self, taker: Taker<TcpStream>) {
        self.down.leave();
        let us = taker.stream.local_addr().expect("it is connected");
        reset(taker.stream);
        self.hydrant.wait_log(&format!("{us} left"));
    }
}
