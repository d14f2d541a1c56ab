//! TLS: whatever comes in, in the handshake or after it, a session neither panics nor holds more than it may, and what
//! it gives out is what was put in.

use std::sync::OnceLock;

use crate::fuzz::script::Script;
use crate::proto::tls::{Acceptor, BUFFER_MAX, Connector, Identity, Session, TlsError, Trust};

/// Two sessions, and a network that the script has in its hands: it passes on what one of them sends, cuts, changes and
/// makes up bytes.
///
/// # Panics
/// When a session takes more than it was given or holds more than it may, goes on after an error, or gives out
/// plaintext that nobody has put in.
pub fn tls_record(data: &[u8]) {
    play(data);
}

/// The two as they are in the end.
fn play(data: &[u8]) -> [End; 2] {
    let mut script = Script::new(data);
    let (acceptor, connector) = ends();
    let server = acceptor.session().expect("there is randomness");
    let client = connector.session("feed.example").expect("a good name");
    let mut ends = match script.take_u8() & 1 {
        0 => [End::new(client), End::new(server)],
        _ => [End::new(server), End::new(client)],
    };
    while !script.is_empty() {
        let [one, two] = &mut ends;
        let (from, to) = match script.take_u8() & 1 {
            0 => (one, two),
            _ => (two, one),
        };
        step(&mut script, from, to);
    }
    ends
}

fn step(script: &mut Script<'_>, from: &mut End, to: &mut End) {
    match script.take_u8() % 7 {
        0 => {
            let made_up: Vec<u8> = (0..script.pick(64)).map(|_| script.take_u8()).collect();
            to.tampered = true;
            to.feed(&made_up);
        }
        1 => {
            let n = script.pick(1 << 16);
            let bytes = from.out(n);
            to.feed(&bytes);
        }
        2 => {
            let mut bytes = from.out(script.pick(1 << 12));
            let at = script.pick(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= script.take_u8();
                to.tampered = true;
            }
            to.feed(&bytes);
        }
        3 => from.write(script.pick(1 << 16)),
        4 => from.close(),
        5 => {
            let ended = to.session.end();
            let truncated = ended == Err(TlsError::Truncated);
            assert!(ended.is_ok() || truncated || to.session.feed(b"x").is_err());
        }
        _ => {
            // Everything at once, so that few decisions lead through the handshake.
            let bytes = from.out(usize::MAX);
            to.feed(&bytes);
        }
    }
}

struct End {
    session: Session,
    /// Ciphertext that it has given out and that has not been passed on.
    wire: Vec<u8>,
    written: u64,
    read: u64,
    /// What it gets is not what was sent.
    tampered: bool,
    /// It has said its last, and may not be fed what breaks the protocol: the library asserts that it sends no alert
    /// then, wherever assertions are on.
    closed: bool,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            wire: Vec::new(),
            written: 0,
            read: 0,
            tampered: false,
            closed: false,
        }
    }

    fn close(&mut self) {
        if !self.session.is_handshaking() {
            self.session.close();
            self.closed = true;
        }
    }

    fn write(&mut self, len: usize) {
        let bytes: Vec<u8> = (self.written..).take(len).map(|at| at as u8).collect();
        let taken = self.session.write([&bytes, &[]]);
        assert!(taken <= len.min(BUFFER_MAX));
        self.written += taken as u64;
    }

    /// The next bytes that the network gets from it.
    fn out(&mut self, len: usize) -> Vec<u8> {
        let unsent = self.session.unsent();
        assert!(unsent <= 2 * BUFFER_MAX, "{unsent} bytes wait");
        let wire = &mut self.wire;
        while self.session.wants_send() {
            let sent = self.session.send(|slices| {
                slices
                    .iter()
                    .for_each(|slice| wire.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            });
            assert!(sent.is_ok_and(|sent| sent > 0));
        }
        wire.drain(..len.min(wire.len())).collect()
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        if self.closed && self.tampered {
            return;
        }
        let mut into = [0; 4096];
        while !bytes.is_empty() {
            let Ok(taken) = self.session.feed(bytes) else {
                assert!(self.session.feed(bytes).is_err(), "an error was forgotten");
                assert_eq!(self.session.write([b"x", &[]]), 0);
                self.tampered = true;
                return;
            };
            assert!(
                taken > 0 || self.session.holds_plaintext(),
                "it makes no progress"
            );
            bytes = &bytes[taken..];
            while let Some(n @ 1..) = self.session.read(&mut into) {
                for byte in &into[..n] {
                    assert_eq!(*byte, self.read as u8, "nobody has put that in");
                    self.read += 1;
                }
            }
        }
    }
}

fn ends() -> &'static (Acceptor, Connector) {
    static ENDS: OnceLock<(Acceptor, Connector)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let identity =
            Identity::from_pem(CERTIFICATE, KEY).expect("they are kept beside this file");
        let acceptor = Acceptor::new(identity, None).expect("they fit");
        let connector = Connector::new(Trust::Anyone, None).expect("nothing is asked of it");
        (acceptor, connector)
    })
}

/// For nothing but this: anybody can read the key.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_may_lead_through_the_handshake_and_beyond() {
        let input = include_bytes!("../../fuzz/corpus/tls_record/handshake-then-bytes-both-ways");
        let [client, server] = play(input);
        assert_eq!((client.written, client.read), (3_000, 60_000));
        assert_eq!((server.written, server.read), (60_000, 3_000));
        assert!(!client.tampered && !server.tampered);
    }
}
