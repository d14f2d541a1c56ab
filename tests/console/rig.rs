//! A console that runs with settings of its own, and a client for its API.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::states::States;

/// A console, and the folder that its settings are in.
pub(crate) struct Console {
    pub(crate) program: Hydrant,
    pub(crate) at: SocketAddr,
    /// Where another one may begin once this one is over.
    _place: Option<Place>,
}

/// What an answer comes to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Console {
    pub(crate) fn start(home: &Scratch) -> Self {
        Self::placed(home, "")
    }

    /// At a place that nobody else takes when it is over.
    pub(crate) fn placed(home: &Scratch, flags: &str) -> Self {
        let place = Place::new();
        let console = Self::start_with(home, &format!("--bind {} {flags}", place.at));
        Self {
            _place: Some(place),
            ..console
        }
    }

    pub(crate) fn start_with(home: &Scratch, flags: &str) -> Self {
        let program = hydrant(&format!("console --no-browser {flags}"))
            .env("XDG_CONFIG_HOME", home.path())
            .start();
        Self::of(program)
    }

    pub(crate) fn of(program: Hydrant) -> Self {
        let at = program.address_of("browsers");
        Self {
            program,
            at,
            _place: None,
        }
    }

    /// A request with these fields, and what comes of it.
    pub(crate) fn request(&self, method: &str, path: &str, fields: &str, body: &str) -> Answer {
        let mut stream = connect(self.at);
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).expect("it reads");
        answer(&mut stream)
    }

    fn host(&self) -> String {
        format!("Host: {}\r\nConnection: close\r\n", self.at)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &self.host(), "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let fields = format!("{}Content-Type: application/json\r\n", self.host());
        self.request("POST", path, &fields, &body.to_string())
    }

    /// Does something that has to succeed.
    #[track_caller]
    pub(crate) fn does(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(&format!("/api/v1/{path}"), body);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) fn roles(&self) -> Vec<Value> {
        let state = self.get("/api/v1/state").json();
        state["roles"].as_array().expect("a list").clone()
    }

    /// The role of this id, once it is as it should be.
    #[track_caller]
    pub(crate) fn role_until(&self, id: u64, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        States::until(self.at, what, || {
            let roles = self.roles();
            let role = roles.iter().find(|role| role["id"] == json!(id));
            let role = role.unwrap_or_else(|| panic!("no role {id}: {roles:?}"));
            match is_so(role) {
                true => Ok(role.clone()),
                false => Err(role.to_string()),
            }
        })
    }

    /// Sets the one relay up, and starts it.
    #[track_caller]
    pub(crate) fn relay(&self, src: SocketAddr, dst: &str) -> SocketAddr {
        self.does("relays/1", &json!({ "src": src.to_string(), "dst": dst }));
        self.does("relays/1/start", &json!({}));
        self.program.address_of("clients")
    }
}

/// Writes a file that nobody else can read.
pub(crate) fn keep(home: &Scratch, name: &str, text: &str) {
    let path = home.path().join(name);
    fs::write(&path, text).expect("the folder can be written");
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("it is ours");
}

/// Reads an answer to its end, which its length tells.
#[track_caller]
pub(crate) fn answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| {
            panic!("no answer: {error}: {}", String::from_utf8_lossy(&head))
        });
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head
        .split("Content-Length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    stream.read_exact(&mut body).expect("a whole body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {head}")),
        body: String::from_utf8(body).expect("text"),
        head,
    }
}

/// The settings file of a home.
pub(crate) fn settings(home: &Scratch) -> String {
    fs::read_to_string(home.path().join("hydrant/console.toml")).unwrap_or_default()
}
