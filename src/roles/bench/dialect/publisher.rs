//! The source's side of a broker's protocol, apart from the messages themselves.

use super::{Dialect, Heard, Reader, nats};

/// What the source still has to say beside its messages, and what it hears.
#[derive(Debug)]
pub(in crate::roles::bench) struct Publisher {
    reader: Reader,
    /// To be said between two messages.
    out: Vec<u8>,
}

impl Publisher {
    /// `None`: there is nothing to be said but messages.
    pub(in crate::roles::bench) fn of(dialect: Dialect) -> Option<Self> {
        Reader::of(dialect).map(|reader| Self {
            reader,
            out: dialect.greeting().to_vec(),
        })
    }

    /// Takes what the broker says.
    ///
    /// # Errors
    /// In the broker's words, when it does not take what it gets.
    pub(in crate::roles::bench) fn hear(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (n, heard) = self.reader.take(bytes);
            match heard {
                Heard::Ping => self.out.extend_from_slice(nats::PONG),
                Heard::Refused(text) => return Err(text),
                // It has not subscribed to anything.
                Heard::Subscribed | Heard::Body(_) | Heard::Other => {}
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// What waits to be said.
    pub(in crate::roles::bench) fn out(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes of it were.
    pub(in crate::roles::bench) fn took(&mut self, bytes: usize) {
        self.out.drain(..bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_gets_its_answers() {
        assert!(Publisher::of(Dialect::Plain).is_none());
        let mut nats = Publisher::of(Dialect::Nats).expect("it has one");
        assert!(nats.out().starts_with(b"CONNECT {") && nats.out().ends_with(b"}\r\n"));
        nats.took(nats.out().len());
        nats.hear(b"INFO {}\r\nPIN").expect("all is well");
        assert_eq!(nats.out(), b"");
        nats.hear(b"G\r\nPING\r\n").expect("all is well");
        nats.took(7);
        assert_eq!(nats.out(), b"ONG\r\n");
        let refused = nats.hear(b"-ERR 'Maximum Payload Violation'\r\n");
        assert_eq!(refused, Err("-ERR 'Maximum Payload Violation'".to_owned()));
        let mut redis = Publisher::of(Dialect::Redis).expect("it has one");
        assert_eq!(redis.out(), b"");
        assert_eq!(redis.hear(b":0\r\n:100\r\n"), Ok(()));
        let refused = redis.hear(b"-NOAUTH Authentication required.\r\n");
        assert_eq!(refused, Err("-NOAUTH Authentication required.".to_owned()));
    }
}
