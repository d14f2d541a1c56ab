//! A stranger of whatever temper: one says nonsense, or half a request, or many of them at once, in pieces of any size,
//! or has what happens streamed; and may never read what comes.

use super::{AT, Play, TOKEN, answers, request};
use crate::fuzz::script::Script;
use crate::sim::RemoteId;

/// What a stranger does.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) remote: RemoteId,
    /// What is still to be said.
    words: Vec<u8>,
    /// At most so much at a time.
    piece: usize,
    /// Of each request, whether it is a `HEAD`, and the status that it has to have.
    pub(super) expects: Vec<(bool, u16)>,
    /// How many of them it has had.
    had: usize,
    heard: Vec<u8>,
    reads: bool,
}

impl Stranger {
    pub(super) fn draw(script: &mut Script<'_>, remote: RemoteId) -> Self {
        let mut stranger = Self {
            remote,
            words: Vec::new(),
            piece: [1, 7, 100, 1 << 20][script.pick(4)],
            expects: Vec::new(),
            had: 0,
            heard: Vec::new(),
            reads: script.pick(4) > 0,
        };
        match script.pick(6) {
            0 => stranger.words = (0..script.pick(400)).map(|_| script.take_u8()).collect(),
            1 => stranger.words = b"GET / HTTP/1.1\r\nX: ".to_vec(),
            2 => {
                stranger.words =
                    format!("POST / HTTP/1.1\r\nHost: {AT}\r\nContent-Length: 9\r\n\r\n{{").into()
            }
            3 => {
                let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
                stranger.words = request("GET", "/api/v1/events?relay=1", &bearer).into();
            }
            4 => {}
            _ => stranger.asks(script),
        }
        stranger
    }

    /// Many requests, one behind the other.
    fn asks(&mut self, script: &mut Script<'_>) {
        for _ in 0..script.pick(40) {
            let is_head = script.pick(3) == 0;
            let (path, status) = [
                ("/icon.svg", 200),
                ("/nowhere", 404),
                ("/api/v1/state", 401),
            ][script.pick(3)];
            let method = if is_head { "HEAD" } else { "GET" };
            self.words.extend(request(method, path, "").bytes());
            self.expects.push((is_head, status));
        }
    }

    pub(super) fn act(&mut self, play: &mut Play) {
        let piece = &self.words[..self.piece.min(self.words.len())];
        let said = play.says(self.remote, piece);
        self.words.drain(..said);
        if self.reads {
            self.heard.extend(play.takes(self.remote));
            if !self.expects.is_empty() {
                self.check();
            }
        }
    }

    fn check(&mut self) {
        let due = &self.expects[self.had..];
        let is_head = |number: usize| due.get(number).is_some_and(|(is_head, _)| *is_head);
        let heard = answers(&self.heard, is_head);
        let statuses: Vec<u16> = heard.iter().map(|answer| answer.status).collect();
        let expected: Vec<u16> = due.iter().map(|(_, status)| *status).collect();
        assert!(
            expected.starts_with(&statuses),
            "{statuses:?} for {expected:?}"
        );
        self.had += heard.len();
        let bodies = heard.iter().zip(due);
        let taken = bodies.map(|(answer, (is_head, _))| {
            answer.head.len() + 4 + if *is_head { 0 } else { answer.body.len() }
        });
        self.heard.drain(..taken.sum::<usize>());
    }
}
