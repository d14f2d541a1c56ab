//! A peer made by hand: frames and hellos as bytes on a plain socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use hydrant::base::secret::Secret;
use hydrant::proto::hello::{Answer, Asking, Hello};
use hydrant::proto::yamux::{Flags, HEADER_LEN, Header, Kind};

use crate::common::peers::connect;

/// A connection on which frames are written and read one by one.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// A backend as the seed has it: yamux from the first byte on. Returns where it is public.
    #[track_caller]
    pub(crate) fn plain(server: SocketAddr) -> (Self, SocketAddr) {
        let mut peer = Self(connect(server));
        peer.send(Kind::WindowUpdate, Flags::SYN, 1, 0);
        let mut address = Vec::new();
        loop {
            let (header, payload) = peer.frame();
            match header.stream {
                0 => peer.answer(header),
                1 => address.extend(payload),
                other => panic!("nobody has opened stream {other}"),
            }
            if header.stream == 1 && header.flags.has(Flags::FIN) {
                break;
            }
        }
        peer.send(Kind::Data, Flags::FIN, 1, 0);
        let address = String::from_utf8(address).expect("it is text");
        (peer, address.parse().expect("HOST:PORT"))
    }

    pub(crate) fn send(&mut self, kind: Kind, flags: Flags, stream: u32, length: u32) {
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        self.0.write_all(&header.encode()).expect("it is read");
    }

    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.send(Kind::Data, Flags::NONE, stream, bytes.len() as u32);
        self.0.write_all(bytes).expect("it is read");
    }

    /// The next frame and its payload.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> (Header, Vec<u8>) {
        let mut bytes = [0; HEADER_LEN];
        self.0.read_exact(&mut bytes).expect("a frame comes");
        let header = Header::decode(&bytes).expect("its header is a good one");
        let len = match header.kind {
            Kind::Data => header.length as usize,
            _ => 0,
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).expect("its payload comes");
        (header, payload)
    }

    /// The next frame that is about a stream; pings are answered.
    #[track_caller]
    pub(crate) fn stream_frame(&mut self) -> (Header, Vec<u8>) {
        loop {
            let (header, payload) = self.frame();
            if header.stream != 0 {
                return (header, payload);
            }
            self.answer(header);
        }
    }

    fn answer(&mut self, header: Header) {
        if header.kind == Kind::Ping && header.flags.has(Flags::SYN) {
            self.send(Kind::Ping, Flags::ACK, 0, header.length);
        }
    }
}

/// Writes again and again until the other end has had enough, or the deadline is over.
pub(crate) fn flood(stream: &mut TcpStream, bytes: &[u8]) {
    let many = bytes.repeat(1 + (32 << 10) / bytes.len());
    for _ in 0..100_000 {
        match stream.write_all(&many) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("it neither reads nor closes")
            }
            Err(_) => return,
        }
    }
    panic!("it bears everything");
}

/// A hello by hand, up to its end: where it is public, or why not.
pub(crate) fn greet(
    stream: &mut TcpStream,
    name: Option<&str>,
    port: u16,
    token: Option<&str>,
) -> Result<String, String> {
    let asking = begin(stream, name, port, token);
    finish(stream, asking)
}

/// The first message of a hello.
pub(crate) fn begin(
    stream: &mut TcpStream,
    name: Option<&str>,
    port: u16,
    token: Option<&str>,
) -> Asking {
    let hello = Hello {
        name: name.map(|name| name.parse().expect("a good name")),
        port,
        client_address: false,
    };
    let token = token.map(|token| Secret::from(token.as_bytes().to_vec()));
    let (asking, bytes) = Asking::new(&hello, [9; 32], token);
    stream.write_all(&bytes).expect("it is read");
    asking
}

/// All of a hello behind the first message.
pub(crate) fn finish(stream: &mut TcpStream, mut asking: Asking) -> Result<String, String> {
    loop {
        // Byte by byte, so that none of what follows is taken.
        let mut byte = [0];
        if stream.read(&mut byte).map_err(|error| error.to_string())? == 0 {
            return Err("closed".to_owned());
        }
        match asking
            .feed(&mut &byte[..])
            .map_err(|fault| format!("{fault:?}"))?
        {
            None => {}
            Some(Answer::Prove(proof)) => {
                stream
                    .write_all(&proof)
                    .map_err(|error| error.to_string())?;
            }
            Some(Answer::Accepted { public, .. }) => return Ok(public),
            Some(Answer::Refused { code, text }) => return Err(format!("{code:?}: {text}")),
        }
    }
}
