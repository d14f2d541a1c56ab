//! What the source and the clients speak with the relay: nothing, where it passes on plain streams, or the protocol of
//! a broker. There each message of the source is published to one channel, and every client subscribes to it.
//!
//! ```text
//!                redis (RESP 2)                                  NATS
//! source says                                                   CONNECT {...}
//!   and then     *3 $7 PUBLISH $5 bench $SIZE MESSAGE            PUB bench SIZE, MESSAGE
//! client says    *2 $9 SUBSCRIBE $5 bench                        CONNECT {...}, SUB bench 1, PING
//!   and hears    *3 $9 subscribe $5 bench :1                     PONG: it is subscribed
//!   and then     *3 $7 message $5 bench $SIZE MESSAGE            MSG bench 1 SIZE, MESSAGE
//! both hear      :COUNT for each PUBLISH, -WHY                   INFO {...}, PING (they say PONG), -ERR WHY
//! ```
//!
//! Sources: redis.io/docs/reference/protocol-spec (RESP) and redis.io/docs/interact/pubsub; docs.nats.io, "Client
//! Protocol". Readers know no socket: they take bytes as they come, and hold nothing but a line that is not whole.

mod line;
mod nats;
mod publisher;
mod redis;
mod subscriber;

pub(super) use self::publisher::Publisher;
pub(super) use self::subscriber::Subscriber;

/// What is spoken with a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Bytes as they are.
    #[default]
    Plain,
    /// RESP, with `PUBLISH` and `SUBSCRIBE`.
    Redis,
    /// The client protocol of NATS, with `PUB` and `SUB`.
    Nats,
}

impl Dialect {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 3] = [
        ("plain", Self::Plain),
        ("redis", Self::Redis),
        ("nats", Self::Nats),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let is_it = |(_, dialect): &&(_, Self)| *dialect == self;
        let (name, _) = Self::ALL.iter().find(is_it).expect("all have a name");
        name
    }

    /// The one of this name.
    pub fn named(word: &str) -> Option<Self> {
        let is_it = |(name, _): &&(&str, _)| *name == word;
        Self::ALL.iter().find(is_it).map(|(_, dialect)| *dialect)
    }

    /// What a program speaks, as far as its name tells.
    pub fn of(program: &str) -> Self {
        match program {
            "redis-server" | "valkey-server" => Self::Redis,
            "nats-server" => Self::Nats,
            _ => Self::Plain,
        }
    }

    /// Whether a broker speaks it: one that is dialled by both sides, and holds nobody back.
    pub fn is_brokers(self) -> bool {
        self != Self::Plain
    }

    /// What stands before and behind a published message of `size` bytes.
    pub(super) fn wrap(self, size: usize) -> [Vec<u8>; 2] {
        match self {
            Self::Plain => [Vec::new(), Vec::new()],
            Self::Redis => [redis::publish(size), b"\r\n".to_vec()],
            Self::Nats => [nats::publish(size), b"\r\n".to_vec()],
        }
    }

    /// When such a broker cuts a client off that has done nothing wrong.
    pub(super) fn why_cut(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Redis => Some(
                "as redis does where more waits for one than its client-output-buffer-limit allows",
            ),
            Self::Nats => Some(
                "as NATS does where more waits for one than its max_pending, or longer than its write_deadline",
            ),
        }
    }

    /// How a source begins.
    fn greeting(self) -> &'static [u8] {
        match self {
            Self::Plain | Self::Redis => b"",
            Self::Nats => nats::CONNECT,
        }
    }

    /// How a client begins.
    fn subscription(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Redis => redis::SUBSCRIBE,
            Self::Nats => nats::SUBSCRIBE,
        }
    }
}

/// What a broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard<'a> {
    /// What needs no answer and means nothing here, or the beginning of something.
    Other,
    /// We are subscribed.
    Subscribed,
    /// It asks whether we are there.
    Ping,
    /// Bytes of a message.
    Body(&'a [u8]),
    /// We are not wanted, or not understood, or do not understand.
    Refused(String),
}

/// Follows what a broker says.
#[derive(Debug)]
enum Reader {
    Redis(redis::Reader),
    Nats(nats::Reader),
}

impl Reader {
    /// `None`: there is nothing to be understood.
    fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Plain => None,
            Dialect::Redis => Some(Self::Redis(redis::Reader::default())),
            Dialect::Nats => Some(Self::Nats(nats::Reader::default())),
        }
    }

    /// Takes some of the next bytes, at least one if there are any. Returns how many, and what they say.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Heard<'a>) {
        match self {
            Self::Redis(reader) => reader.take(bytes),
            Self::Nats(reader) => reader.take(bytes),
        }
    }

    /// Bytes of a message that are still to come: so many may be thrown away unseen, and the [`TAIL`] behind them.
    fn left(&self) -> usize {
        match self {
            Self::Redis(reader) => reader.left(),
            Self::Nats(reader) => reader.left(),
        }
    }

    /// So many of them were.
    fn skip(&mut self, bytes: usize) {
        match self {
            Self::Redis(reader) => reader.skip(bytes),
            Self::Nats(reader) => reader.skip(bytes),
        }
    }
}

/// How long the line's end behind a message is.
const TAIL: usize = 2;

/// What it says where it is to be shown.
fn quoted(line: &[u8]) -> String {
    let shown = |c: char| match c.is_control() {
        true => '\u{fffd}',
        false => c,
    };
    String::from_utf8_lossy(line).chars().map(shown).collect()
}

/// A whole number of bytes or things.
fn number(digits: &[u8]) -> Option<usize> {
    let add = |sum: usize, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    match digits.is_empty() {
        true => None,
        false => digits.iter().try_fold(0, add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is heard, with the pieces of a message joined; and how many bytes were messages'.
    fn hear(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<String>, usize) {
        let mut reader = Reader::of(dialect).expect("it has one");
        let (mut said, mut bodies, mut skipped) = (Vec::new(), 0, false);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let left = reader.left();
                let (n, heard) = reader.take(rest);
                assert!(n > 0, "it goes on");
                match heard {
                    Heard::Body(body) => {
                        assert_eq!(body, &rest[..n]);
                        assert!(body.len() <= left, "what is left is known");
                        bodies += n;
                        let text = String::from_utf8_lossy(body);
                        match said.last_mut() {
                            Some(last) if skipped => *last += text.as_ref(),
                            _ => said.push(text.into_owned()),
                        }
                        skipped = reader.left() > 0;
                    }
                    Heard::Other => {}
                    heard => said.push(format!("{heard:?}")),
                }
                rest = &rest[n..];
            }
        }
        (said, bodies)
    }

    fn cases() -> [(Dialect, &'static [u8], Vec<&'static str>); 3] {
        [
            (
                Dialect::Redis,
                b"*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n\
                  *3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$7\r\na\r\n*3\r\n\r\n\
                  *3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$12\r\n$5\r\nbench\r\n-\r\n\
                  *3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n:100\r\n\
                  -ERR max number of clients reached\r\n",
                vec![
                    "Subscribed",
                    "a\r\n*3\r\n",
                    "$5\r\nbench\r\n-",
                    "Refused(\"-ERR max number of clients reached\")",
                ],
            ),
            (
                Dialect::Nats,
                b"INFO {\"server_id\":\"N\",\"max_payload\":1048576}\r\nPONG\r\n\
                  MSG bench 1 7\r\na\r\nMSG\n\r\nPING\r\n+OK\r\n\
                  MSG bench 1 answers.here 3\r\n-E\r\r\n\
                  -ERR 'Slow Consumer'\r\n",
                vec![
                    "Subscribed",
                    "a\r\nMSG\n",
                    "Ping",
                    "-E\r",
                    "Refused(\"-ERR 'Slow Consumer'\")",
                ],
            ),
            (
                Dialect::Nats,
                b"HTTP/1.1 400 Bad Request\r\n",
                vec!["Refused(\"HTTP/1.1 400 Bad Request\")"],
            ),
        ]
    }

    #[test]
    fn what_they_say_is_understood_however_it_is_cut() {
        for (dialect, bytes, expected) in cases() {
            let whole = hear(dialect, &[bytes]);
            assert_eq!(whole.0, expected);
            for at in 0..=bytes.len() {
                let cut = hear(dialect, &[&bytes[..at], &bytes[at..]]);
                assert_eq!(cut, whole, "{dialect:?} cut at {at}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(hear(dialect, &single), whole, "{dialect:?} by single bytes");
        }
    }

    #[test]
    fn a_message_that_nobody_looks_at_is_passed_over() {
        for (dialect, head) in [
            (Dialect::Nats, &b"MSG bench 1 65536\r\n"[..]),
            (
                Dialect::Redis,
                b"*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$65536\r\n",
            ),
        ] {
            let mut reader = Reader::of(dialect).expect("it has one");
            let say = |reader: &mut Reader, mut bytes: &[u8]| {
                while !bytes.is_empty() {
                    let (n, heard) = reader.take(bytes);
                    assert_eq!(heard, Heard::Other, "{dialect:?}");
                    bytes = &bytes[n..];
                }
            };
            for _ in 0..3 {
                say(&mut reader, head);
                assert_eq!(reader.left(), 65_536);
                reader.skip(65_000);
                assert_eq!(reader.left(), 536);
                reader.skip(536);
                assert_eq!(reader.left(), 0);
                say(&mut reader, b"\r\n");
            }
            for (taken, tail) in [(65_536, &b"\r\n"[..]), (65_537, b"\n"), (65_538, b"")] {
                say(&mut reader, head);
                reader.skip(taken);
                assert_eq!(reader.left(), 0);
                say(&mut reader, tail);
            }
        }
    }

    /// A broker that sends anything else than what it is to send is not believed, and nothing panics.
    #[test]
    fn nonsense_is_refused() {
        for (dialect, bytes) in [
            (Dialect::Redis, &b"HELLO\r\n"[..]),
            (Dialect::Redis, b"*3\r\n*1\r\n"),
            (Dialect::Redis, b"*3\r\n$7\r\nmess\r\n"),
            (Dialect::Redis, b"$99999999999999999999999\r\n"),
            (
                Dialect::Redis,
                b"*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$2\r\nabc\r\n",
            ),
            (Dialect::Nats, b"MSG bench 1 x\r\n"),
            (Dialect::Nats, b"MSG bench 1 99999999999999999999999\r\n"),
            (Dialect::Nats, b"MSG bench 1 2\r\nabc\r\n"),
            (Dialect::Nats, b"\r\n"),
        ] {
            let (said, _) = hear(dialect, &[bytes]);
            let refused = |text: &String| text.starts_with("Refused(");
            assert!(said.iter().any(refused), "{dialect:?} {said:?}");
        }
    }

    #[test]
    fn a_message_is_wrapped_as_each_wants_it() {
        let wrapped = |dialect: Dialect| {
            let [before, behind] = dialect.wrap(256);
            String::from_utf8([before, b"...".to_vec(), behind].concat()).expect("ASCII")
        };
        assert_eq!(wrapped(Dialect::Plain), "...");
        assert_eq!(wrapped(Dialect::Nats), "PUB bench 256\r\n...\r\n");
        assert_eq!(
            wrapped(Dialect::Redis),
            "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$256\r\n...\r\n"
        );
    }

    #[test]
    fn a_programs_name_tells_what_it_speaks() {
        for (program, dialect) in [
            ("redis-server", Dialect::Redis),
            ("valkey-server", Dialect::Redis),
            ("nats-server", Dialect::Nats),
            ("hydrant", Dialect::Plain),
        ] {
            assert_eq!(Dialect::of(program), dialect, "{program}");
        }
        for (name, dialect) in Dialect::ALL {
            assert_eq!(Dialect::named(name), Some(dialect));
            assert_eq!(dialect.name(), name);
        }
    }
}
