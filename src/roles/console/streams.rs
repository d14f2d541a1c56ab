//! What is pushed to pages that are open: the state each second, new lines of the log, and what flows through the relay
//! that the page shows, if its dump is on. A page that stops reading is closed, and is told nothing twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::base::secret::Secret;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::reactor::tabs::{LogLine, Payload, TabCommand};

use super::answer::event;
use super::ask::Goal;
use super::conn::{Phase, Stream};
use super::guard::Right;
use super::{ConnId, Console};

impl Console {
    /// Other tokens hold from now on. Streams that are open end, and go on for those who have one of them.
    pub fn set_tokens(
        &mut self,
        cx: &mut Cx<'_>,
        token: Option<Secret>,
        view_token: Option<Secret>,
    ) {
        if !self.guard.set_tokens(token, view_token) {
            return;
        }
        self.journal.info("tokens read again".to_owned());
        let streams = self.conns.iter();
        let streams: Vec<usize> = streams
            .filter(|(_, conn)| matches!(conn.phase, Phase::Streaming(_)))
            .map(|(key, _)| key)
            .collect();
        for key in streams {
            self.drop_conn(cx, key, Close::Orderly);
        }
    }

    fn streams(&self) -> impl Iterator<Item = (usize, &Stream)> {
        self.conns
            .iter()
            .filter_map(|(key, conn)| match &conn.phase {
                Phase::Streaming(stream) => Some((key, stream)),
                _ => None,
            })
    }

    fn stream_at(&mut self, key: usize) -> Option<&mut Stream> {
        match &mut self.conns.get_mut(key)?.phase {
            Phase::Streaming(stream) => Some(stream),
            _ => None,
        }
    }

    /// Several times a second, while anybody looks: what is new?
    pub(super) fn ask_for_streams(&mut self, cx: &mut Cx<'_>) {
        let keys: Vec<usize> = self.streams().map(|(key, _)| key).collect();
        if keys.is_empty() {
            return;
        }
        if !self.asked.values().any(|goal| matches!(goal, Goal::Log)) {
            self.ask(cx, Goal::Log, TabCommand::Log { after: self.line });
        }
        for key in keys {
            let conn = self.id_of(key);
            // What waits already is enough for a reader that is slow.
            let is_behind = self.conns[key].is_pending();
            let Some((tab, from)) = self.follows(key).filter(|_| !is_behind) else {
                continue;
            };
            self.ask(cx, Goal::Payload(conn), TabCommand::Payload { tab, from });
            if let Some(stream) = self.stream_at(key) {
                stream.asked = true;
            }
        }
    }

    /// Whose payload a page is to be sent, and from where on.
    fn follows(&mut self, key: usize) -> Option<(u64, Option<u64>)> {
        let stream = self.stream_at(key)?;
        let (tab, from, asked) = (stream.relay?, stream.payload, stream.asked);
        let shown = self.tabs.iter().find(|shown| shown.id == tab)?;
        let is_on = shown.dump;
        if !is_on {
            // Once it is on again it begins at the newest.
            self.stream_at(key)?.payload = None;
        }
        (is_on && !asked).then_some((tab, from))
    }

    /// The state, to all pages that are open, or only to those that have had none yet.
    pub(super) fn push_state(&mut self, cx: &mut Cx<'_>, fresh_only: bool) {
        let mut by_right: [Option<Vec<u8>>; 2] = [None, None];
        let wanting = |stream: &Stream| !fresh_only || !stream.begun;
        let keys: Vec<(usize, Right)> = self
            .streams()
            .filter(|(_, stream)| wanting(stream))
            .map(|(key, stream)| (key, stream.right))
            .collect();
        for (key, right) in keys {
            let bytes = by_right[usize::from(right == Right::All)]
                .get_or_insert_with(|| event("state", &self.state_for(right)))
                .clone();
            if let Some(stream) = self.stream_at(key) {
                stream.begun = true;
            }
            self.push(cx, key, &bytes);
            self.push_lines(cx, key);
        }
    }

    /// There are new lines in the log.
    pub(super) fn logged(&mut self, cx: &mut Cx<'_>, lines: Vec<LogLine>) {
        let Some(last) = lines.last() else { return };
        self.line = last.seq;
        self.lines.extend(lines);
        let excess = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..excess);
        let keys: Vec<usize> = self
            .streams()
            .filter(|(_, stream)| stream.begun)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.push_lines(cx, key);
        }
    }

    /// Those lines that a page has not had.
    fn push_lines(&mut self, cx: &mut Cx<'_>, key: usize) {
        let last = self.line;
        let Some(stream) = self.stream_at(key) else {
            return;
        };
        let after = stream.line;
        stream.line = last;
        let fresh = self.lines.iter().filter(|line| line.seq > after);
        let bytes: Vec<u8> = fresh
            .flat_map(|line| event("log", &log_line(line)))
            .collect();
        if !bytes.is_empty() {
            self.push(cx, key, &bytes);
        }
    }

    /// A piece of payload for a page.
    pub(super) fn flowed(&mut self, cx: &mut Cx<'_>, conn: ConnId, payload: &Payload) {
        let Some(key) = self.key_at(conn) else { return };
        let Some(stream) = self.stream_at(key) else {
            return;
        };
        stream.asked = false;
        stream.payload = Some(payload.offset + payload.bytes.len() as u64);
        if payload.bytes.is_empty() {
            return;
        }
        let data = json!({
            "offset": payload.offset,
            "skipped": payload.skipped,
            "data": STANDARD.encode(&payload.bytes),
        });
        self.push(cx, key, &event("dump", &data));
    }

    /// There is no payload to be had: the relay does not run.
    pub(super) fn flow_ended(&mut self, conn: ConnId) {
        let Some(stream) = self.key_at(conn).and_then(|key| self.stream_at(key)) else {
            return;
        };
        stream.asked = false;
        stream.payload = None;
    }

    fn push(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        if conn.push(bytes) {
            return self.flush(cx, key);
        }
        self.journal.warn(
            cx.now(),
            "slow",
            "a page that reads too slowly was closed".to_owned(),
        );
        self.drop_conn(cx, key, Close::Reset);
    }
}

/// `2026-01-01T12:00:00.123Z [INFO] relay[sports]: ...` in its parts.
fn log_line(line: &LogLine) -> Value {
    let (time, rest) = line.text.split_once(' ').unwrap_or(("", &line.text));
    let parts = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let (level, text) = parts.unwrap_or(("INFO", rest));
    json!({ "seq": line.seq, "time": time, "level": level, "text": text })
}

/// Lines that a page gets when it is opened.
const LINES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = |text: &str| {
            log_line(&LogLine {
                seq: 1,
                text: text.to_owned(),
            })
        };
        let parts = line("2026-01-01T12:00:00.123Z [WARN] relay[a]: [x] gone");
        assert_eq!(parts["time"], "2026-01-01T12:00:00.123Z");
        assert_eq!(
            (&parts["level"], &parts["text"]),
            (&json!("WARN"), &json!("relay[a]: [x] gone"))
        );
        assert_eq!(line("odd")["text"], "odd");
    }
}
