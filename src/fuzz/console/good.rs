//! The good client: one request at a time, all that comes is read, and each answer is due, whoever else is there.

use std::time::Duration;

use super::{PATIENCE, Play, TOKEN, answers, request};
use crate::sim::RemoteId;

/// The good client: it asks, reads, and asks again.
pub(super) struct Good {
    is_metrics: bool,
    remote: Option<RemoteId>,
    asked: usize,
    had: usize,
    heard: Vec<u8>,
}

impl Good {
    pub(super) fn new(is_metrics: bool) -> Self {
        Self {
            is_metrics,
            remote: None,
            asked: 0,
            had: 0,
            heard: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, play: &mut Play) {
        if let Some(remote) = self.remote {
            self.heard.extend(play.takes(remote));
        }
    }

    pub(super) fn act(&mut self, play: &mut Play) {
        let Some(remote) = self.remote else {
            self.remote = Some(play.guest());
            self.heard.clear();
            self.asked = 0;
            self.had = 0;
            return self.ask(play);
        };
        self.heard.extend(play.takes(remote));
        // It has but one request under way.
        if let Some(answer) = answers(&self.heard, |_| false).pop() {
            assert_eq!(answer.status, 200, "{answer:?}");
            self.heard.clear();
            self.had += 1;
        }
        match (self.had == self.asked, self.is_metrics) {
            (true, true) => self.remote = None,
            (true, false) => self.ask(play),
            (false, _) => {}
        }
    }

    fn ask(&mut self, play: &mut Play) {
        let Some(remote) = self.remote else { return };
        let words = match self.is_metrics {
            true => request("GET", "/metrics", ""),
            false => {
                let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
                request(
                    "GET",
                    "/api/v1/relays/1/clients?search=10.0.0.1&limit=3",
                    &bearer,
                )
            }
        };
        // A small buffer takes it piece by piece.
        let mut words = words.as_bytes();
        for _ in 0..PATIENCE {
            words = &words[play.says(remote, words)..];
            if words.is_empty() {
                break;
            }
            play.pass(Duration::from_millis(100));
        }
        assert!(words.is_empty(), "nobody reads what is asked");
        self.asked += 1;
    }

    /// What it has asked last is answered, however many strangers there are.
    pub(super) fn finish(mut self, play: &mut Play) {
        for _ in 0..PATIENCE {
            if self.remote.is_none() || self.had == self.asked && self.asked > 0 {
                return;
            }
            play.pass(Duration::from_millis(100));
            let asked = self.asked;
            self.act(play);
            if self.asked > asked {
                return;
            }
        }
        panic!("{} answers to {} requests", self.had, self.asked);
    }
}
