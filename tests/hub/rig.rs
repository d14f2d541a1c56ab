//! A hub that runs, and clients that are plain sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::connect;

/// The hub.
pub(crate) struct Hub {
    pub(crate) run: Hydrant,
    pub(crate) at: SocketAddr,
}

impl Hub {
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_at(0, flags)
    }

    pub(crate) fn start_at(port: u16, flags: &str) -> Self {
        // Who is to say a name in time may be kept from it by a busy machine.
        let patience = match flags.contains("--name-timeout") {
            true => "",
            false => "--name-timeout 60",
        };
        let run = hydrant(&format!("hub serve {port} {patience} {flags}")).start();
        let at = run.address_of("clients");
        Self { run, at }
    }

    /// A connection that has said nothing.
    pub(crate) fn connect(&self) -> Client {
        Client(connect(self.at))
    }

    /// A client as the seed's are.
    #[track_caller]
    pub(crate) fn plain(&self, name: &str) -> Client {
        let mut client = self.connect();
        // Its own message comes back when it is registered.
        client.send(format!("{name}|{name}|1|."));
        client.gets(".");
        client
    }

    /// A client with the envelope, without a token.
    #[track_caller]
    pub(crate) fn enveloped(&self, name: &str) -> Client {
        let mut client = self.connect();
        client.send(format!("|8|envelope{name}|"));
        client.gets("|2|ok");
        client
    }

    /// Waits until a line of the log has all of these in it.
    #[track_caller]
    pub(crate) fn logs(&self, parts: &[&str]) {
        self.run.wait_logs(parts);
    }
}

/// A client.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// Its own address, which the hub's log names.
    pub(crate) fn us(&self) -> SocketAddr {
        self.0.local_addr().expect("it is connected")
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the hub reads");
    }

    /// The next bytes are these.
    #[track_caller]
    pub(crate) fn gets(&mut self, bytes: impl AsRef<[u8]>) {
        let mut got = vec![0; bytes.as_ref().len()];
        self.0.read_exact(&mut got).expect("bytes come");
        assert!(
            got == bytes.as_ref(),
            "{} is not {}",
            got[..got.len().min(200)].escape_ascii(),
            bytes.as_ref()[..got.len().min(200)].escape_ascii()
        );
    }

    /// The next message of the envelope: whom it is from, and what it is.
    #[track_caller]
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        let mut word = || {
            let mut word = Vec::new();
            let mut byte = [0];
            loop {
                self.0.read_exact(&mut byte).expect("bytes come");
                match byte {
                    [b'|'] => return String::from_utf8(word).expect("text"),
                    [byte] => word.push(byte),
                }
            }
        };
        let from = word();
        let mut body = vec![0; word().parse().expect("a LENGTH")];
        self.0.read_exact(&mut body).expect("bytes come");
        (from, body)
    }

    /// No more bytes come: the end does.
    #[track_caller]
    pub(crate) fn ends(mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an orderly end");
        assert_eq!(rest, b"", "before the end");
    }

    /// These bytes come, and then the end.
    #[track_caller]
    pub(crate) fn ends_with(mut self, bytes: &str) {
        self.gets(bytes);
        self.ends();
    }

    /// The connection is over, in whatever way, with whatever bytes before.
    #[track_caller]
    pub(crate) fn goes(mut self) {
        let mut into = vec![0; 64 << 10];
        loop {
            match self.0.read(&mut into) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("it is still open: {error}"),
            }
        }
    }
}
