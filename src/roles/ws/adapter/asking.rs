//! The way to a WebSocket: CONNECT through a proxy, where there is one, and the request for an upgrade.

use super::{Adapter, Kind, State, Tick};
use crate::base::units::Typed;
use crate::base::wheel::TimerKey;
use crate::proto::http1::{
    Ask, Fault, HEAD_MAX, HeadBuf, Nonce, Response, connect_request, connected,
};
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialError, plain};
use crate::roles::link::Link;
use crate::roles::ws::config::{AdapterConfig, LocalEnd};
use crate::roles::ws::{MUX, keepalive};

/// A connection that is to become a WebSocket.
pub(super) struct Asking {
    link: Link,
    stage: Stage,
    nonce: Nonce,
    /// What is still to be sent.
    out: Vec<u8>,
    head: HeadBuf,
    /// The relay has refused: for this reason, which so many bytes of text are still to explain.
    refused: Option<(String, usize)>,
    text: Vec<u8>,
    timer: TimerKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Proxy,
    Upgrade,
}

impl Stage {
    /// What went wrong, with whom: the relay is named in front, and a proxy is not the relay.
    fn blame(self, why: &str) -> String {
        match self {
            Self::Proxy => format!("the proxy: {why}"),
            Self::Upgrade => why.to_owned(),
        }
    }
}

impl Asking {
    pub(super) fn sock(&self) -> SockId {
        self.link.sock()
    }

    /// Nothing more comes of it.
    pub(super) fn abandon(&mut self, cx: &mut Cx<'_>) {
        cx.cancel(self.timer);
        self.link.close(cx, Close::Orderly);
    }

    /// Asks for the upgrade.
    fn ask(&mut self, config: &AdapterConfig) -> Result<(), String> {
        let ask = ask(config, &self.nonce);
        self.out = ask.request().map_err(|error| error.to_string())?;
        self.stage = Stage::Upgrade;
        self.head.clear();
        Ok(())
    }
}

fn ask<'a>(config: &'a AdapterConfig, nonce: &'a Nonce) -> Ask<'a> {
    let path = match (config.url.path.as_str(), &config.end) {
        ("/", LocalEnd::Target(_)) => "/host",
        ("/", LocalEnd::Listen { .. }) => "/client",
        (path, _) => path,
    };
    Ask {
        host: &config.url.host,
        path,
        offered: &[MUX],
        bearer: config.token.as_deref(),
        nonce,
    }
}

impl Adapter {
    pub(super) fn relay_connected(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        cx.set_tag(sock, Kind::Asking.tag(0));
        let (url, tls) = (&self.config.url, &self.config.tls);
        let link = match self.config.proxy {
            // TLS is for the relay behind it.
            Some(_) => Ok(Link::new(sock)),
            None => Link::dialled(cx, sock, &url.endpoint, tls),
        };
        let mut link = match link {
            Ok(link) => link,
            Err(error) => {
                cx.close(sock, Close::Orderly);
                return self.relay_unreachable(cx, &DialError::Layer(error));
            }
        };
        link.want_read(cx, true);
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, keepalive(idle));
        }
        let nonce: Nonce = cx.nonce();
        let mut asking = Box::new(Asking {
            link,
            stage: Stage::Proxy,
            nonce,
            out: Vec::new(),
            head: HeadBuf::new(),
            refused: None,
            text: Vec::new(),
            timer: cx.timer(self.config.connect_timeout, Tick::Asking.tag(0)),
        });
        let begun = match &self.config.proxy {
            Some(proxy) => {
                let request = connect_request(&self.config.url.target(), proxy.user.as_deref());
                let request = request.map_err(|error| error.to_string());
                request.map(|request| asking.out = request)
            }
            None => asking.ask(&self.config),
        };
        self.state = State::Asking(asking);
        match begun {
            Ok(()) => self.asking_writable(cx),
            Err(why) => self.asking_failed(cx, &why),
        }
    }

    pub(super) fn asking_writable(&mut self, cx: &mut Cx<'_>) {
        let State::Asking(asking) = &mut self.state else {
            return;
        };
        match asking.link.write(cx, [&asking.out, &[]]) {
            Ok(count) => {
                asking.out.drain(..count);
                asking.link.want_write(cx, !asking.out.is_empty());
            }
            Err(error) => {
                let why = asking.stage.blame(&plain(&error));
                self.asking_failed(cx, &why);
            }
        }
    }

    pub(super) fn asking_readable(&mut self, cx: &mut Cx<'_>) {
        let State::Asking(asking) = &mut self.state else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        match asking.link.read(cx, &mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) => {
                let why = match asking.refused.take() {
                    Some((why, _)) => explained(&why, &asking.text),
                    None => (asking.stage).blame("closed the connection before it has answered"),
                };
                self.asking_failed(cx, &why);
            }
            Ok(Some(count)) => self.feed_asking(cx, &mut scratch[..count]),
            Err(error) => {
                let why = asking.stage.blame(&plain(&error));
                self.asking_failed(cx, &why);
            }
        }
        self.scratch = scratch;
    }

    fn feed_asking(&mut self, cx: &mut Cx<'_>, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let State::Asking(asking) = &mut self.state else {
                return;
            };
            if let Some((why, left)) = &mut asking.refused {
                let take = (*left).min(bytes.len() - at);
                asking.text.extend_from_slice(&bytes[at..at + take]);
                *left -= take;
                if *left == 0 {
                    let why = explained(why, &asking.text);
                    self.asking_failed(cx, &why);
                }
                return;
            }
            match asking.head.feed(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(fault) => {
                    let why = unreadable(&fault, asking.stage);
                    return self.asking_failed(cx, &why);
                }
            }
            if asking.head.is_complete()
                && let Err(why) = self.on_answer(cx, &mut bytes[at..])
            {
                return self.asking_failed(cx, &why);
            } else if !matches!(self.state, State::Asking(_)) {
                return;
            }
        }
    }

    /// A head has come; `rest` is what came behind it.
    fn on_answer(&mut self, cx: &mut Cx<'_>, rest: &mut [u8]) -> Result<(), String> {
        let State::Asking(asking) = &mut self.state else {
            return Ok(());
        };
        let response = Response::parse(&asking.head)
            .map_err(|error| asking.stage.blame(&error.to_string()))?;
        if response.is_interim() {
            asking.head.clear();
            return Ok(());
        }
        let length = response.content_length();
        let outcome = match asking.stage {
            Stage::Proxy => {
                let user = self.config.proxy.as_ref();
                connected(&response, user.and_then(|proxy| proxy.user.as_deref()))
                    .map(|()| None)
                    .map_err(|error| error.to_string())
            }
            Stage::Upgrade => ask(&self.config, &asking.nonce)
                .granted(&response)
                .map(Some)
                .map_err(|error| error.to_string()),
        };
        match outcome {
            Ok(None) => {
                let (sock, url) = (asking.link.sock(), &self.config.url);
                if url.is_tls() && !rest.is_empty() {
                    // Nobody has proven that it comes from the relay, which says nothing before it is asked.
                    return Err("the proxy says more than its answer, before TLS".to_owned());
                }
                asking.link = Link::dialled(cx, sock, &url.endpoint, &self.config.tls)
                    .map_err(|error| plain(&error))?;
                asking.link.want_read(cx, true);
                asking.ask(&self.config)?;
                self.asking_writable(cx);
            }
            Ok(Some(protocol)) => {
                cx.cancel(asking.timer);
                let is_mux = protocol.is_some();
                if let State::Asking(asking) = std::mem::replace(&mut self.state, State::Ended) {
                    self.up(cx, asking.link, is_mux, rest);
                }
            }
            Err(why) => match length {
                Some(length @ 1..=TEXT_MAX) => {
                    asking.refused = Some((why, length as usize));
                }
                _ => return Err(why),
            },
        }
        Ok(())
    }

    pub(super) fn asking_overdue(&mut self, cx: &mut Cx<'_>) {
        if let State::Asking(asking) = &mut self.state {
            let why = match (asking.refused.take(), asking.stage) {
                (Some((why, _)), _) => explained(&why, &asking.text),
                (None, Stage::Proxy) => "the proxy does not answer".to_owned(),
                (None, Stage::Upgrade) if asking.link.is_handshaking() => {
                    "does not finish the TLS handshake".to_owned()
                }
                (None, Stage::Upgrade) => "does not answer the request for a WebSocket".to_owned(),
            };
            self.asking_failed(cx, &why);
        }
    }

    fn asking_failed(&mut self, cx: &mut Cx<'_>, why: &str) {
        let State::Asking(mut asking) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        asking.abandon(cx);
        let text = format!("relay {}: {why}; retrying", self.config.url);
        self.say_down(cx.now(), why, text);
        self.rest(cx);
    }
}

/// Why the head of an answer can't be read.
fn unreadable(fault: &Fault, stage: Stage) -> String {
    stage.blame(&match (fault, stage) {
        (Fault::Tls, Stage::Proxy) => "speaks TLS, which is not supported".to_owned(),
        (Fault::Tls, Stage::Upgrade) => "speaks TLS: write wss://".to_owned(),
        (Fault::TooLong, _) => format!("answers with a head of more than {HEAD_MAX} bytes"),
        _ => "answers with something that is not HTTP".to_owned(),
    })
}

/// What was refused, and the first line of what was said about it.
fn explained(why: &str, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => {
            let line: String = line.chars().take(LINE_MAX).collect();
            format!("{why}: {}", Typed(&line))
        }
        _ => why.to_owned(),
    }
}

/// The longest text that is read for the sake of its first line.
const TEXT_MAX: u64 = 1024;
/// How much of that line is shown.
const LINE_MAX: usize = 200;
