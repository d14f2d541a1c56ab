//! The least that encrypting for many can cost, to compare a relay with: one loop that hands every client's session the
//! same bytes and writes what comes out, one client after the other, on connections that are waited for. It has no
//! timers, no limits and no policy, and whoever is slow holds up all. The sessions are those that hydrant's roles have.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::proto::tls::{Acceptor, Identity, Session};
use crate::reactor::mio_net::blocking::{Conn, Listener};
use crate::reactor::plain;
use crate::roles::bench::config::LoopOrders;

/// Runs until the source ends, or somebody ends it.
///
/// # Errors
/// What keeps it from it, in words.
pub fn run(orders: &LoopOrders) -> Result<(), String> {
    let path = orders.cert.display();
    let pem = read(orders).map_err(|error| format!("can't read {path}: {}", plain(&error)))?;
    let identity = Identity::from_pem(&pem, &pem).map_err(|fault| format!("{path} {fault}"))?;
    let acceptor = Acceptor::new(identity, None).map_err(|fault| format!("{path} {fault}"))?;
    let at = |what: &str, error: &io::Error| format!("{what}: {}", plain(error));
    let listener = Listener::new(address(&orders.dst)?)
        .map_err(|error| at(&format!("can't listen on {}", orders.dst), &error))?;
    let source = Conn::to(address(&orders.src)?)
        .and_then(|conn| conn.patience(LOOK).map(|()| conn))
        .map_err(|error| at(&format!("can't connect to {}", orders.src), &error))?;
    let all = Loop {
        acceptor,
        listener,
        source,
        clients: Vec::new(),
        buffer: vec![0; READ_MAX].into_boxed_slice(),
    };
    all.go_on(orders.once)
        .map_err(|error| at(&format!("{} can't be read", orders.src), &error))
}

/// No more of a file than certificates have, whatever it is.
fn read(orders: &LoopOrders) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    let file = File::open(&orders.cert)?;
    file.take(PEM_MAX).read_to_end(&mut pem)?;
    Ok(pem)
}

struct Loop {
    acceptor: Acceptor,
    listener: Listener,
    source: Conn,
    clients: Vec<Client>,
    buffer: Box<[u8]>,
}

struct Client {
    conn: Conn,
    session: Session,
}

impl Loop {
    /// `once`: the first bytes that come are sent again and again.
    fn go_on(mut self, once: bool) -> io::Result<()> {
        let mut full = 0;
        for round in 0_u64.. {
            if full == 0 || !once {
                full = match self.source.read(&mut self.buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                if once && full > 0 {
                    self.repeat(full);
                    full = READ_MAX;
                }
            }
            if full == 0 || round.is_multiple_of(ACCEPT_EACH) {
                self.accept();
            }
            let bytes = &self.buffer[..full];
            // Whoever fails has left, or speaks no TLS.
            self.clients.retain_mut(|client| client.send(bytes).is_ok());
        }
        Ok(())
    }

    /// Fills the buffer with what stands at its beginning.
    fn repeat(&mut self, n: usize) {
        let (first, rest) = self.buffer.split_at_mut(n);
        for part in rest.chunks_mut(n) {
            part.copy_from_slice(&first[..part.len()]);
        }
    }

    fn accept(&mut self) {
        while let Some(conn) = self.listener.accept() {
            let Ok(session) = self.acceptor.session() else {
                return;
            };
            let mut client = Client { conn, session };
            if client.shake().is_ok() {
                self.clients.push(client);
            }
        }
    }
}

impl Client {
    fn shake(&mut self) -> io::Result<()> {
        self.conn.patience(SHAKE_MAX)?;
        let mut bytes = [0; 4096];
        while self.session.is_handshaking() {
            let n = self.conn.read(&mut bytes)?;
            let fed = match n {
                0 => self.session.end().map(|()| 0),
                n => self.session.feed(&bytes[..n]),
            };
            self.flush()?;
            fed.map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.session.write([bytes, &[]]);
            bytes = &bytes[taken..];
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_send() {
            self.session.send(|slices| self.conn.write(slices))?;
        }
        Ok(())
    }
}

/// On this machine, since that is where a loop like this is of any use.
fn address(endpoint: &Endpoint) -> Result<SocketAddr, String> {
    match endpoint {
        Endpoint::Tcp {
            host: Host::Ip(ip),
            port,
            ..
        } => Ok(SocketAddr::new(*ip, *port)),
        Endpoint::Tcp {
            host: Host::Any,
            port,
            ..
        } => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), *port)),
        _ => Err(format!(
            "{endpoint}: the loop takes addresses, and no names"
        )),
    }
}

/// As large as hydrant's own reads are.
const READ_MAX: usize = 256 << 10;
/// How often it is looked for newcomers while bytes flow, in rounds.
const ACCEPT_EACH: u64 = 16;
const PEM_MAX: u64 = 1 << 20;
const LOOK: Duration = Duration::from_millis(10);
const SHAKE_MAX: Duration = Duration::from_secs(5);
