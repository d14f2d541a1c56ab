//! The two sides of a hello: who asks, and who serves.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::message::{Builder, Gather, Malformed, Message, Type, tag};
use super::{Code, NONCE_LEN, Name};
use crate::base::secret::Secret;

/// What a backend asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it is; `None`: nobody in particular.
    pub name: Option<Name>,
    /// The public port that it had last, or wants; 0: any.
    pub port: u16,
    /// It wants to know each client's address, in front of each stream.
    pub client_address: bool,
}

/// `serve`'s side.
#[derive(Debug, Default)]
pub struct Serving {
    gather: Gather,
    /// All messages so far, in the order of types.
    transcript: Vec<u8>,
    /// Where the mac of the proof begins, and what it is.
    proof: Option<(usize, Vec<u8>)>,
    asks_proof: bool,
}

/// What a backend has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Who it is: [`Serving::challenge`] answers.
    Hello(Hello),
    /// Its proof: [`Serving::verify`] says whether it holds.
    Proof,
}

/// Whether a proof holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// None was asked for.
    NotAsked,
    /// The backend holds the token.
    Yes,
    /// It does not.
    No,
}

impl Serving {
    /// Before the backend has said anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the backend says off `input`, up to the end of its next message.
    ///
    /// # Errors
    /// With the code that it is to be refused with.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Asked>, (Code, Malformed)> {
        let malformed = |why| (Code::Malformed, why);
        let Some(bytes) = self.gather.feed(input).map_err(malformed)? else {
            return Ok(None);
        };
        let message = Message::parse(&bytes).map_err(malformed)?;
        let asked = match self.transcript.is_empty() {
            true => Asked::Hello(read_hello(&message)?),
            false => {
                message.expect(Type::Proof).map_err(malformed)?;
                let (at, mac) = message.mac().map_err(malformed)?;
                self.proof = Some((self.transcript.len() + at, mac.to_vec()));
                Asked::Proof
            }
        };
        self.transcript.extend_from_slice(&bytes);
        Ok(Some(asked))
    }

    /// The answer to the hello. Whether a proof is asked for must not tell whether the name is known.
    pub fn challenge(&mut self, nonce: [u8; NONCE_LEN], asks_proof: bool) -> Vec<u8> {
        self.asks_proof = asks_proof;
        let message = Builder::new(Type::Challenge)
            .field(tag::VERSION, &[VERSION])
            .field(tag::NONCE, &nonce)
            .field(tag::AUTH, &[u8::from(asks_proof)])
            .done();
        self.transcript.extend_from_slice(&message);
        message
    }

    /// Whether the proof is the one that this token makes. Where the name is unknown, any token will do that nobody
    /// else knows: it takes as long.
    pub fn verify(&self, token: &[u8]) -> Proven {
        if !self.asks_proof {
            return Proven::NotAsked;
        }
        let Some((end, given)) = &self.proof else {
            return Proven::No;
        };
        let mac = sign(token, BACKEND, &self.transcript[..*end]);
        match bool::from(mac.ct_eq(given)) {
            true => Proven::Yes,
            false => Proven::No,
        }
    }

    /// Takes the backend in. `token` is the one that its proof was verified with; nothing where none was asked for.
    pub fn accept(
        &self,
        token: &[u8],
        public: &str,
        linger_secs: u32,
        client_address: bool,
    ) -> Vec<u8> {
        let message = Builder::new(Type::Accept)
            .field(tag::PUBLIC, public.as_bytes())
            .field(tag::LINGER, &linger_secs.to_be_bytes())
            .field(tag::FEATURES, &[u8::from(client_address)]);
        let mac = Signature::new(self.asks_proof, token, SERVE, &self.transcript);
        mac.end(message)
    }
}

/// Turns a backend away, with a text for people.
pub fn refuse(code: Code, text: &str) -> Vec<u8> {
    Builder::new(Type::Refuse)
        .field(tag::CODE, &[code.get()])
        .field(tag::TEXT, text.as_bytes())
        .done()
}

/// The backend's side.
#[derive(Debug)]
pub struct Asking {
    gather: Gather,
    transcript: Vec<u8>,
    token: Option<Secret>,
    challenged: Option<bool>,
}

/// What `serve` has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A challenge; these bytes answer it.
    Prove(Vec<u8>),
    /// The backend is taken in: from the next byte on, it is yamux.
    Accepted {
        /// The public `HOST:PORT`.
        public: String,
        /// For how long clients are held while the backend is away, in seconds.
        linger_secs: u32,
        /// Each stream begins with its client's address.
        client_address: bool,
    },
    /// It is turned away.
    Refused {
        /// Why.
        code: Code,
        /// The same, for people. It may hold anything.
        text: String,
    },
}

/// Why a backend ends its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The other side breaks the rules.
    Malformed(Malformed),
    /// It chose a version that was not offered.
    Version(u8),
    /// It asks for no proof, though we hold a token: whoever that is, it is not who we are looking for.
    NoProofAsked,
    /// It asks for a proof, and we have no token.
    NoToken,
    /// Its own proof is wrong: it does not hold the token.
    Imposter,
}

impl From<Malformed> for Fault {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl Asking {
    /// Begins: these bytes are the hello.
    pub fn new(hello: &Hello, nonce: [u8; NONCE_LEN], token: Option<Secret>) -> (Self, Vec<u8>) {
        let mut message = Builder::new(Type::Hello)
            .field(tag::VERSION, &[VERSION])
            .field(tag::NONCE, &nonce);
        if let Some(name) = &hello.name {
            message = message.field(tag::NAME, name.as_str().as_bytes());
        }
        let message = message
            .field(tag::PORT, &hello.port.to_be_bytes())
            .field(tag::FEATURES, &[u8::from(hello.client_address)])
            .done();
        let asking = Self {
            gather: Gather::default(),
            transcript: message.clone(),
            token,
            challenged: None,
        };
        (asking, message)
    }

    /// Takes what `serve` says off `input`, up to the end of its next message.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Answer>, Fault> {
        let Some(bytes) = self.gather.feed(input)? else {
            return Ok(None);
        };
        let message = Message::parse(&bytes)?;
        if message.kind == Type::Refuse {
            let [code] = message.need_array(tag::CODE)?;
            let text = String::from_utf8_lossy(message.need(tag::TEXT)?).into_owned();
            let code = Code::of(code);
            return Ok(Some(Answer::Refused { code, text }));
        }
        match self.challenged {
            None => self.on_challenge(&message, &bytes),
            Some(with_proof) => self.on_accept(&message, &bytes, with_proof),
        }
        .map(Some)
    }

    fn on_challenge(&mut self, message: &Message<'_>, bytes: &[u8]) -> Result<Answer, Fault> {
        message.expect(Type::Challenge)?;
        let [version] = message.need_array(tag::VERSION)?;
        message.need_array::<NONCE_LEN>(tag::NONCE)?;
        let [auth] = message.need_array(tag::AUTH)?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let with_proof = match (auth, &self.token) {
            (0, None) => false,
            (0, Some(_)) => return Err(Fault::NoProofAsked),
            (1, Some(_)) => true,
            (1, None) => return Err(Fault::NoToken),
            _ => return Err(Malformed::Value(tag::AUTH).into()),
        };
        self.challenged = Some(with_proof);
        self.transcript.extend_from_slice(bytes);
        let token = self.token.as_deref().unwrap_or_default();
        let mac = Signature::new(with_proof, token, BACKEND, &self.transcript);
        let proof = mac.end(Builder::new(Type::Proof));
        self.transcript.extend_from_slice(&proof);
        Ok(Answer::Prove(proof))
    }

    fn on_accept(
        &mut self,
        message: &Message<'_>,
        bytes: &[u8],
        with_proof: bool,
    ) -> Result<Answer, Fault> {
        message.expect(Type::Accept)?;
        let public = message.need(tag::PUBLIC)?;
        let public = str::from_utf8(public).map_err(|_| Malformed::Value(tag::PUBLIC))?;
        if public.is_empty() || public.len() > PUBLIC_MAX || public.contains(char::is_control) {
            return Err(Malformed::Value(tag::PUBLIC).into());
        }
        let linger = message.need_array(tag::LINGER)?;
        let [features] = message.need_array(tag::FEATURES)?;
        let (at, given) = message.mac()?;
        if with_proof {
            let token = self.token.as_deref().unwrap_or_default();
            self.transcript.extend_from_slice(&bytes[..at]);
            let mac = sign(token, SERVE, &self.transcript);
            if !bool::from(mac.ct_eq(given)) {
                return Err(Fault::Imposter);
            }
        }
        Ok(Answer::Accepted {
            public: public.to_owned(),
            linger_secs: u32::from_be_bytes(linger),
            client_address: features & CLIENT_ADDRESS != 0,
        })
    }
}

fn read_hello(message: &Message<'_>) -> Result<Hello, (Code, Malformed)> {
    let malformed = |why| (Code::Malformed, why);
    message.expect(Type::Hello).map_err(malformed)?;
    let versions = message.need(tag::VERSION).map_err(malformed)?;
    message
        .need_array::<NONCE_LEN>(tag::NONCE)
        .map_err(malformed)?;
    let name = message.get(tag::NAME).map(|name| {
        let name = str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        name.ok_or(malformed(Malformed::Value(tag::NAME)))
    });
    let port = message.need_array(tag::PORT).map_err(malformed)?;
    let [features] = message.need_array(tag::FEATURES).map_err(malformed)?;
    let hello = Hello {
        name: name.transpose()?,
        port: u16::from_be_bytes(port),
        client_address: features & CLIENT_ADDRESS != 0,
    };
    match versions.contains(&VERSION) {
        true => Ok(hello),
        false => Err((Code::Version, Malformed::Value(tag::VERSION))),
    }
}

/// The last field of a proof or of an acceptance.
struct Signature<'a> {
    wanted: bool,
    token: &'a [u8],
    label: &'a [u8],
    before: &'a [u8],
}

impl<'a> Signature<'a> {
    fn new(wanted: bool, token: &'a [u8], label: &'a [u8], before: &'a [u8]) -> Self {
        Self {
            wanted,
            token,
            label,
            before,
        }
    }

    fn end(self, message: Builder) -> Vec<u8> {
        if !self.wanted {
            return message.field(tag::MAC, &[]).done();
        }
        let sign = |own: &[u8]| sign(self.token, self.label, &[self.before, own].concat()).to_vec();
        message.mac(sign, MAC_LEN)
    }
}

fn sign(token: &[u8], label: &[u8], bytes: &[u8]) -> [u8; MAC_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("HMAC takes keys of every length");
    mac.update(label);
    mac.update(&[0]);
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

const VERSION: u8 = 1;
const CLIENT_ADDRESS: u8 = 1;
const MAC_LEN: usize = 32;
const BACKEND: &[u8] = b"hydrant tunnel 1 backend";
const SERVE: &[u8] = b"hydrant tunnel 1 serve";
/// A host name of 253 characters, a colon and a port.
const PUBLIC_MAX: usize = 259;
