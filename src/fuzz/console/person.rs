//! Whoever has a page open, or a script: one request after the other, each of which has to have the answer that it is
//! due. Some may do all, some may look, some have no right at all, and some are somewhere else on the web.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fuzz::script::Script;
use crate::reactor::tabs::TabCommand;
use crate::sim::RemoteId;

use super::model::Look;
use super::{Answer, PATIENCE, Play, TOKEN, VIEW_TOKEN, answers, request};

/// Somebody who asks.
#[derive(Debug)]
pub(super) struct Person {
    who: Who,
    /// What the page was given for the token.
    cookie: Option<String>,
    remote: Option<RemoteId>,
    /// What is still to be said.
    words: Vec<u8>,
    asked: Option<Asked>,
    /// What has come of an answer, or of a stream.
    heard: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Says the token with each request.
    Script,
    /// Logs in, and out again.
    Page,
    /// Says the token for looking.
    Viewer,
    Stranger,
    /// A page of another site, in the browser of somebody who is logged in.
    Elsewhere,
}

/// What was asked for.
#[derive(Clone, Debug)]
struct Asked {
    due: Due,
    /// What everybody could know by then of what had been done.
    known: usize,
    /// How much had been done by then, known or not.
    age: usize,
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    Status(u16),
    Deed(TabCommand),
    State,
    /// Clients of one that may be gone.
    Clients,
    LogIn,
    LogOut,
    Stream,
}

impl Person {
    pub(super) fn new(number: usize) -> Self {
        // Two sessions at once, whoever else comes.
        let all = [
            Who::Page,
            Who::Page,
            Who::Script,
            Who::Viewer,
            Who::Stranger,
            Who::Elsewhere,
        ];
        Self {
            who: all[number % all.len()],
            cookie: None,
            remote: None,
            words: Vec::new(),
            asked: None,
            heard: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, script: &mut Script<'_>, play: &mut Play) {
        self.hear(play);
        if self.asked.is_none() && !script.is_empty() {
            self.ask(script, play);
        }
        self.say(play);
    }

    /// What it has asked last is answered.
    pub(super) fn finish(&mut self, play: &mut Play) {
        for _ in 0..PATIENCE {
            if self.asked.is_none() {
                return;
            }
            play.pass(Duration::from_millis(100));
            self.hear(play);
        }
        panic!("no answer: {self:?}");
    }

    fn say(&mut self, play: &mut Play) {
        let Some(remote) = self.remote else { return };
        let said = play.says(remote, &self.words);
        self.words.drain(..said);
    }

    /// Takes what has come, which has to be what is due.
    pub(super) fn hear(&mut self, play: &mut Play) {
        self.say(play);
        let Some(remote) = self.remote else { return };
        self.heard.extend(play.takes(remote));
        let text = String::from_utf8_lossy(&self.heard);
        let secrets = [TOKEN, VIEW_TOKEN];
        assert!(
            !secrets.iter().any(|secret| text.contains(secret)),
            "{text}"
        );
        let is_stream = matches!(&self.asked, Some(asked) if asked.due == Due::Stream);
        if is_stream && text.contains("event: state") {
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            let shows_all = text.contains("event: log") || text.contains("\"command\":");
            assert!(shows_all <= self.may_all(), "{text}");
            return self.leave(play);
        }
        let mut heard = match is_stream {
            true => Vec::new(),
            false => answers(&self.heard, |_| false),
        };
        if let Some(answer) = heard.pop() {
            assert!(heard.is_empty(), "one answer to one request");
            self.heard.clear();
            let asked = self.asked.take().expect("an answer to what was asked");
            self.check(play, &asked, &answer);
        }
        // Who has shown no right makes way for others, and whoever is refused in the midst of a request has to go.
        if !play.is_open(remote) {
            self.leave(play);
        }
    }

    fn leave(&mut self, play: &mut Play) {
        if let Some(remote) = self.remote.take() {
            play.handle.world().remote_reset(remote);
        }
        self.asked = None;
        self.words.clear();
        self.heard.clear();
    }

    fn may_all(&self) -> bool {
        match self.who {
            Who::Script => true,
            Who::Page => self.cookie.is_some(),
            Who::Viewer | Who::Stranger | Who::Elsewhere => false,
        }
    }

    fn fields(&self) -> String {
        let cookie = |cookie: &String| format!("Cookie: {cookie}\r\n");
        let bears = |token| format!("Authorization: Bearer {token}\r\n");
        match self.who {
            Who::Script => bears(TOKEN),
            Who::Viewer => bears(VIEW_TOKEN),
            Who::Page => self.cookie.as_ref().map(cookie).unwrap_or_default(),
            Who::Stranger => String::new(),
            Who::Elsewhere => format!("{}Origin: http://evil.example\r\n", bears(TOKEN)),
        }
    }

    fn ask(&mut self, script: &mut Script<'_>, play: &mut Play) {
        let (words, due) = match script.pick(10) {
            0 | 1 => self.looks(script),
            2 => self.comes_or_goes(script),
            _ => self.moves(script, play),
        };
        if self.remote.is_none() {
            self.remote = Some(play.guest());
        }
        self.words = words.into_bytes();
        self.asked = Some(Asked {
            due,
            known: play.known,
            age: play.owner.model().age(),
        });
    }

    /// What an answer has to be, where somebody may all, or may look.
    fn due(&self, due: Due, is_for_viewers: bool) -> Due {
        match self.who {
            Who::Elsewhere => Due::Status(403),
            Who::Viewer if !is_for_viewers => Due::Status(403),
            Who::Viewer => due,
            _ if self.may_all() => due,
            _ => Due::Status(401),
        }
    }

    /// Nothing is changed by a GET, whatever its path.
    fn looks(&self, script: &mut Script<'_>) -> (String, Due) {
        let tab = 1 + script.pick(4);
        let (path, due) = match script.pick(7) {
            0 => ("state".to_owned(), self.due(Due::State, true)),
            1 => (
                format!("relays/{tab}/clients"),
                self.due(Due::Clients, false),
            ),
            2 => ("options".to_owned(), self.due(Due::Status(200), false)),
            3 => (format!("events?relay={tab}"), self.due(Due::Stream, true)),
            4 => (
                "relays/1/history".to_owned(),
                self.due(Due::Status(200), true),
            ),
            _ => {
                let path = ["stop", "start", "remove", "kick", "dump"][script.pick(5)];
                let due = match self.who {
                    Who::Elsewhere => 403,
                    _ => 405,
                };
                (format!("relays/{tab}/{path}"), Due::Status(due))
            }
        };
        let words = request("GET", &format!("/api/v1/{path}"), &self.fields());
        (words, due)
    }

    fn comes_or_goes(&self, script: &mut Script<'_>) -> (String, Due) {
        let token = [TOKEN, "a-guess"][usize::from(script.pick(4) == 0)];
        let (path, body, due) = match (self.who, token) {
            (Who::Elsewhere, _) => ("logout", json!({}), Due::Status(403)),
            (Who::Page, TOKEN) if self.cookie.is_none() => {
                ("login", json!({ "token": token }), Due::LogIn)
            }
            (Who::Page, _) if self.cookie.is_some() => ("logout", json!({}), Due::LogOut),
            _ => ("login", json!({ "token": "a-guess" }), Due::Status(401)),
        };
        (self.post(path, &body), due)
    }

    /// Something is to be done, and is allowed to those who may.
    fn moves(&self, script: &mut Script<'_>, play: &mut Play) -> (String, Due) {
        let tab = 1 + script.pick(5) as u64;
        let (path, body, command) = match script.pick(9) {
            0 => {
                let after = Some(tab).filter(|_| script.pick(2) == 0);
                let command = TabCommand::Add { after };
                ("relays".to_owned(), json!({ "after": after }), command)
            }
            1 => (
                format!("relays/{tab}/remove"),
                json!({}),
                TabCommand::Remove { tab },
            ),
            2 => (
                format!("relays/{tab}/start"),
                json!({}),
                TabCommand::Start { tab },
            ),
            3 | 4 => (
                format!("relays/{tab}/stop"),
                json!({}),
                TabCommand::Stop { tab },
            ),
            5 => {
                let on = script.pick(2) == 0;
                let to_stdout = false;
                let command = TabCommand::Dump { tab, on, to_stdout };
                (format!("relays/{tab}/dump"), json!({ "on": on }), command)
            }
            6 => {
                let client = script.pick(400) as u64;
                let body = json!({ "client": client.to_string() });
                (
                    format!("relays/{tab}/kick"),
                    body,
                    TabCommand::Kick { tab, client },
                )
            }
            _ => {
                let key = ["name", "src"][script.pick(2)];
                let value = format!("{key} {}", play.turns);
                let fields = vec![(key.to_owned(), value.clone())];
                let command = TabCommand::Change { tab, fields };
                (format!("relays/{tab}"), json!({ key: value }), command)
            }
        };
        let mut body = body;
        let due = match script.pick(8) {
            // What is meant for another run of hydrant is done by none.
            0 => {
                body["started"] = json!(1);
                self.due(Due::Status(412), false)
            }
            _ => self.due(Due::Deed(command), false),
        };
        if let Due::Deed(command) = &due {
            play.owner.model().permit(command.clone());
        }
        (self.post(&path, &body), due)
    }

    fn post(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        let fields = format!(
            "{}Content-Type: application/json\r\nContent-Length: {}\r\n",
            self.fields(),
            body.len()
        );
        request("POST", &format!("/api/v1/{path}"), &fields) + &body
    }

    fn check(&mut self, play: &mut Play, asked: &Asked, answer: &Answer) {
        match &asked.due {
            Due::Status(status) => assert_eq!(answer.status, *status, "{self:?} {answer:?}"),
            Due::Deed(command) => {
                let done = play.owner.model().done(command, asked.age);
                let is_due = done.iter().any(|(_, status)| *status == answer.status);
                assert!(is_due, "{command:?}: {answer:?} for {done:?}");
                let body: Value = serde_json::from_str(&answer.body).expect("it is JSON");
                let unsaved = play.owner.unsaved.filter(|_| answer.status != 409);
                assert_eq!(body["unsaved"].as_str(), unsaved, "{answer:?}");
                play.known = play.known.max(done[0].0 + 1);
            }
            Due::State => self.check_state(play, asked, answer),
            Due::Clients => assert!([200, 404].contains(&answer.status), "{answer:?}"),
            Due::LogIn => {
                assert_eq!(answer.status, 200, "{answer:?}");
                let cookie = answer.head.split("Set-Cookie: ").nth(1);
                let cookie = cookie.and_then(|rest| rest.split(';').next());
                self.cookie = Some(cookie.expect("a cookie").to_owned());
            }
            Due::LogOut => {
                assert_eq!(answer.status, 200, "{answer:?}");
                self.cookie = None;
            }
            Due::Stream => unreachable!("it has no end"),
        }
    }

    /// It is what the relays were at a moment behind all that was known to be done when it was asked for.
    fn check_state(&self, play: &mut Play, asked: &Asked, answer: &Answer) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let state: Value = serde_json::from_str(&answer.body).expect("it is JSON");
        let all = state["roles"].as_array().expect("a list");
        let is_viewer = self.who == Who::Viewer;
        assert_eq!(state["view_only"], json!(is_viewer));
        if is_viewer {
            for hidden in ["fields", "command", "errors", "unsaid"] {
                assert!(all.iter().all(|role| role.get(hidden).is_none()), "{state}");
            }
        }
        let same = |look: &Look, role: &Value| {
            let clients = if look.runs { look.clients } else { 0 };
            role["id"] == json!(look.id)
                && role["name"] == json!(look.name)
                && role["dump"] == json!(look.dump)
                && role["running"] == json!(look.runs)
                && role["clients"] == json!(clients)
                && (is_viewer || role["fields"]["src"] == json!(look.src))
        };
        let is_it = |past: &Vec<Look>| {
            past.len() == all.len() && past.iter().zip(all).all(|(look, role)| same(look, role))
        };
        let past = &play.owner.model().past[asked.known..];
        assert!(past.iter().any(is_it), "{state} is none of {past:?}");
    }
}
