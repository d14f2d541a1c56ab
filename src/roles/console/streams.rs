//! What is pushed to pages that are open: the state each second, new lines of the log, and what flows through the relay
//! that the page shows, if its dump is on. A page that is slow gets the states that it has room for, and every line and
//! piece of payload that is still there when it has; one that stops reading is closed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::base::secret::Secret;
use crate::reactor::Cx;
use crate::reactor::tabs::{LogLine, Payload, TabCommand};
use crate::roles::http::ConnId;

use super::Console;
use super::answer::{self, event};
use super::ask::Goal;
use super::guard::{NewTokens, Pass, Right};
use super::routes::Wanted;
use super::survey::{Waiting, Written};

/// A line of the log, as it is pushed to every page.
#[derive(Debug)]
pub(super) struct Line {
    seq: u64,
    event: Vec<u8>,
}

/// What a stream of events has had.
#[derive(Debug)]
pub(super) struct Stream {
    conn: ConnId,
    /// Whose payload it follows.
    relay: Option<u64>,
    /// The last line of the log that it has.
    line: u64,
    /// Where in the relay's payload it is; `None` before the first piece.
    payload: Option<u64>,
    /// A piece has been asked for.
    asked: bool,
    /// It has had the state.
    begun: bool,
    /// It is sent no line of the log.
    is_wall: bool,
    /// There may be lines for it that it has not had.
    is_unfed: bool,
    /// Who reads it.
    pass: Pass,
}

impl Stream {
    fn takes_lines(&self) -> bool {
        self.begun && !self.is_wall && self.pass.right == Right::All
    }
}

impl Console {
    /// Other tokens hold from now on. Streams that are open end, and go on for those who have one of them. `None` where
    /// there was one opens nothing: the one that there was still holds.
    pub fn set_tokens(
        &mut self,
        cx: &mut Cx<'_>,
        token: Option<Secret>,
        view_token: Option<Secret>,
    ) {
        match self.guard.set_tokens(token, view_token) {
            NewTokens::Same => return,
            NewTokens::Missing => {
                let text =
                    "no token is given any more: the one that it had holds until the next start";
                return self.journal.warn(cx.now(), "token", text.to_owned());
            }
            NewTokens::Taken => {}
        }
        self.journal.info("tokens read again".to_owned());
        for stream in std::mem::take(&mut self.streams) {
            self.server.end(cx, stream.conn);
        }
    }

    /// Begins a stream of events.
    pub(super) fn stream(&mut self, cx: &mut Cx<'_>, conn: ConnId, wanted: Wanted, pass: Pass) {
        self.server.stream(cx, conn, answer::stream());
        let is_of_this_run = wanted.started == Some(self.started);
        let known = wanted.line.filter(|_| is_of_this_run);
        self.streams.push(Stream {
            conn,
            relay: wanted.relay.filter(|_| pass.right == Right::All),
            line: known.map_or(0, |line| line.min(self.line)),
            payload: None,
            asked: false,
            begun: false,
            is_wall: wanted.is_wall,
            is_unfed: false,
            pass,
        });
        self.list(cx, Waiting::Streams);
    }

    /// Whoever logs out has no stream left that began by the same cookie.
    pub(super) fn end_streams_of(&mut self, cx: &mut Cx<'_>, pass: Pass) {
        let is_of = |stream: &mut Stream| pass.session.is_some() && stream.pass == pass;
        for stream in self.streams.extract_if(.., is_of) {
            self.server.end(cx, stream.conn);
        }
    }

    fn stream_at(&mut self, conn: ConnId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.conn == conn)
    }

    /// Several times a second, while anybody looks: what is new?
    pub(super) fn ask_for_streams(&mut self, cx: &mut Cx<'_>) {
        let server = &self.server;
        self.streams
            .retain(|stream| server.backlog(stream.conn).is_some());
        if self.streams.is_empty() {
            return;
        }
        if !self.asked.values().any(|goal| matches!(goal, Goal::Log)) {
            self.ask(cx, Goal::Log, TabCommand::Log { after: self.line });
        }
        self.feed(cx);
        for conn in self.pages() {
            // What waits already is enough for a reader that is slow.
            let is_behind = self.server.backlog(conn) != Some(0);
            let Some((tab, from)) = self.follows(conn).filter(|_| !is_behind) else {
                continue;
            };
            self.ask(cx, Goal::Payload(conn), TabCommand::Payload { tab, from });
            if let Some(stream) = self.stream_at(conn) {
                stream.asked = true;
            }
        }
    }

    fn pages(&self) -> Vec<ConnId> {
        self.streams.iter().map(|stream| stream.conn).collect()
    }

    /// Whose payload a page is to be sent, and from where on.
    fn follows(&mut self, conn: ConnId) -> Option<(u64, Option<u64>)> {
        let stream = self.stream_at(conn)?;
        let (tab, from, asked) = (stream.relay?, stream.payload, stream.asked);
        let is_on = self.survey.tab(tab)?.dump;
        if !is_on {
            // Once it is on again it begins at the newest.
            self.stream_at(conn)?.payload = None;
        }
        (is_on && !asked).then_some((tab, from))
    }

    /// The pages that are to have the next state, and their rights: those that have had none yet, and those that have
    /// taken the one before. One that has not misses it: the state after that says as much.
    pub(super) fn due_pages(&self) -> Vec<(ConnId, Right)> {
        let due = self.streams.iter().filter(|stream| self.is_due(stream));
        due.map(|stream| (stream.conn, stream.pass.right)).collect()
    }

    fn is_due(&self, stream: &Stream) -> bool {
        let backlog = self.server.backlog(stream.conn);
        !stream.begun || backlog.is_some_and(|backlog| backlog <= BEHIND)
    }

    /// Whether a page has had the state once.
    pub(super) fn has_begun(&self, conn: ConnId) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|stream| stream.conn == conn && stream.begun)
    }

    /// The state, to a page.
    pub(super) fn push_state(&mut self, cx: &mut Cx<'_>, conn: ConnId, written: &mut Written) {
        let found = self.streams.iter().find(|stream| stream.conn == conn);
        let Some(stream) = found.filter(|stream| self.is_due(stream)) else {
            return;
        };
        let Some(event) = written.event(stream.pass.right) else {
            return;
        };
        if let Some(stream) = self.stream_at(conn) {
            stream.begun = true;
        }
        self.server.push(cx, conn, &event);
        self.push_lines(cx, conn);
    }

    /// There are new lines in the log.
    pub(super) fn logged(&mut self, cx: &mut Cx<'_>, lines: Vec<LogLine>) {
        let Some(last) = lines.last() else { return };
        self.line = last.seq;
        let fresh = lines.len().saturating_sub(LINES_MAX);
        for line in &lines[fresh..] {
            let event = event("log", &log_line(line));
            self.lines.push_back(Line {
                seq: line.seq,
                event,
            });
            self.survey.work.lines += 1;
        }
        let excess = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..excess);
        self.feed(cx);
    }

    /// Has those lines sent to each page that it has not had, to a few pages each turn.
    fn feed(&mut self, cx: &mut Cx<'_>) {
        let line = self.line;
        for stream in &mut self.streams {
            stream.is_unfed |= stream.takes_lines() && stream.line < line;
        }
        if self.has_unfed() {
            self.server.wake(cx);
        }
    }

    /// Whether lines wait for pages that have not been looked at since.
    pub(super) fn has_unfed(&self) -> bool {
        self.streams.iter().any(|stream| stream.is_unfed)
    }

    /// Sends lines to the next few pages.
    pub(super) fn feed_some(&mut self, cx: &mut Cx<'_>) {
        let unfed = self.streams.iter_mut().filter(|stream| stream.is_unfed);
        let some = unfed.take(FED_A_VISIT).map(|stream| {
            stream.is_unfed = false;
            stream.conn
        });
        for conn in some.collect::<Vec<_>>() {
            self.push_lines(cx, conn);
            self.survey.work.fed += 1;
        }
    }

    /// Those lines that a page has not had, as far as there is room: the rest follows when it has taken these.
    pub(super) fn push_lines(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        let Some(backlog) = self.server.backlog(conn) else {
            return;
        };
        let lines = &self.lines;
        let found = self.streams.iter_mut().find(|stream| stream.conn == conn);
        let Some(stream) = found.filter(|stream| stream.takes_lines()) else {
            return;
        };
        let first = lines.partition_point(|line| line.seq <= stream.line);
        let mut bytes = Vec::new();
        for Line { seq, event } in lines.range(first..) {
            if backlog + bytes.len() + event.len() > OUT_MAX {
                break;
            }
            bytes.extend_from_slice(event);
            stream.line = *seq;
        }
        if !bytes.is_empty() {
            self.server.push(cx, conn, &bytes);
        }
    }

    /// A piece of payload for a page.
    pub(super) fn flowed(&mut self, cx: &mut Cx<'_>, conn: ConnId, payload: &Payload) {
        let Some(stream) = self.stream_at(conn) else {
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
        self.server.push(cx, conn, &event("dump", &data));
    }

    /// There is no payload to be had: the relay does not run.
    pub(super) fn flow_ended(&mut self, conn: ConnId) {
        if let Some(stream) = self.stream_at(conn) {
            stream.asked = false;
            stream.payload = None;
        }
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
/// Pages to which lines are sent in one visit.
const FED_A_VISIT: usize = 4;
/// How much may wait for a page before it misses a state.
const BEHIND: usize = 64 << 10;
/// How much may wait for a page before it gets no more lines.
const OUT_MAX: usize = 1 << 20;

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
