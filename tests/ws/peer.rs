//! Somebody else's WebSocket: tungstenite, behind an upgrade that a test can shape.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use hydrant::proto::http1::{Ask, HeadBuf, Response};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::common::peers::connect;

/// What a relay answers to a request.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

const NONCE: [u8; 16] = *b"the sample nonce";

/// The request of somebody who knows no subprotocol.
pub(crate) fn request(
    at: SocketAddr,
    path: &str,
    token: Option<&str>,
    offered: &[&'static str],
) -> Vec<u8> {
    let host = at.to_string();
    let ask = Ask {
        host: &host,
        path,
        offered,
        bearer: token.map(str::as_bytes),
        nonce: &NONCE,
    };
    ask.request().expect("it can be asked")
}

/// Reads a head, and a byte behind it never.
fn read_head(stream: &mut TcpStream) -> HeadBuf {
    let mut head = HeadBuf::new();
    let mut byte = [0];
    while !head.is_complete() {
        stream.read_exact(&mut byte).expect("a head comes");
        head.feed(&byte).expect("it is a head");
    }
    head
}

/// Sends a request, and reads the answer, with the text of one that refuses.
pub(crate) fn answer(at: SocketAddr, request: &[u8]) -> (TcpStream, Answered) {
    let mut stream = connect(at);
    stream.write_all(request).expect("it is read");
    let head = read_head(&mut stream);
    let response = Response::parse(&head).expect("it is an answer");
    let status = response.status;
    let is_head = request.starts_with(b"HEAD");
    let mut body = vec![0; response.content_length().unwrap_or(0) as usize];
    if status != 101 && !is_head {
        stream
            .read_exact(&mut body)
            .expect("it is as long as it says");
    }
    let body = String::from_utf8(body).expect("it is text");
    let head = String::from_utf8_lossy(head.bytes()).into_owned();
    (stream, Answered { status, head, body })
}

/// Whoever does as the seed's adapters do: no subprotocol, binary messages.
pub(crate) struct Plain(pub(crate) WebSocket<TcpStream>);

impl Plain {
    #[track_caller]
    pub(crate) fn dial(at: SocketAddr, path: &str) -> Self {
        let (stream, answered) = answer(at, &request(at, path, None, &[]));
        assert_eq!(answered.status, 101, "{}{}", answered.head, answered.body);
        assert!(
            !answered
                .head
                .to_lowercase()
                .contains("sec-websocket-protocol")
        );
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        Self(WebSocket::from_raw_socket(
            stream,
            Role::Client,
            Some(config),
        ))
    }

    #[track_caller]
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(4096) {
            self.0
                .send(Message::Binary(piece.to_vec().into()))
                .expect("it is read");
        }
    }

    /// So many bytes of binary messages.
    #[track_caller]
    pub(crate) fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < len {
            match self.0.read().expect("it goes on") {
                Message::Binary(bytes) => heard.extend_from_slice(&bytes),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} behind {} bytes", heard.len()),
            }
        }
        assert_eq!(heard.len(), len);
        heard
    }

    /// All bytes to the close, and its code; `None`: there was no close, or one without a code.
    pub(crate) fn hear_to_the_end(&mut self) -> (Vec<u8>, Option<u16>) {
        let mut heard = Vec::new();
        let mut code = None;
        loop {
            match self.0.read() {
                Ok(Message::Binary(bytes)) => heard.extend_from_slice(&bytes),
                Ok(Message::Close(close)) => code = close.map(|close| close.code.into()),
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return (heard, code),
                Err(error) => {
                    assert!(code.is_none(), "{error} behind a close");
                    return (heard, code);
                }
            }
        }
    }

    /// Closes by 1000.
    pub(crate) fn end(&mut self) {
        self.0
            .close(Some(tungstenite::protocol::CloseFrame {
                code: 1000.into(),
                reason: "".into(),
            }))
            .and_then(|()| self.0.flush())
            .expect("it is connected");
    }
}
