//! A run file of a test's own, and what runs out of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::scratch::Scratch;
use crate::common::states::States;
use crate::common::within;

/// A run file, in a folder of its own.
pub(crate) struct File {
    folder: Scratch,
}

impl File {
    pub(crate) fn new(text: &str) -> Self {
        let this = Self {
            folder: Scratch::new(),
        };
        this.write(text);
        this
    }

    /// Other contents.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("the folder can be written");
    }

    pub(crate) fn path(&self) -> String {
        self.folder.at("f.toml")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it.
    pub(crate) fn run(&self) -> Hydrant {
        hydrant("run").arg(self.path()).start()
    }

    /// Other contents, applied: the line that says what was done.
    #[track_caller]
    pub(crate) fn reload(&self, hydrant: &Hydrant, text: &str) -> String {
        self.write(text);
        hydrant.signal("HUP");
        hydrant.wait_log("run file read again: ")
    }
}

/// Its page, as a script uses it.
pub(crate) struct Page(pub(crate) SocketAddr);

impl Page {
    pub(crate) fn of(hydrant: &Hydrant) -> Self {
        Self(hydrant.address_of("browsers"))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (at, body) = (self.0, body.to_string());
        let (status, answer) = ask(
            at,
            &format!(
                "POST /api/v1/{path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        (status, serde_json::from_str(&answer).expect("it is JSON"))
    }

    #[track_caller]
    pub(crate) fn does(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    #[track_caller]
    pub(crate) fn refuses(&self, path: &str, body: &Value, status: u16) -> String {
        let (code, answer) = self.post(path, body);
        assert_eq!(code, status, "{path} {body}: {answer}");
        answer.to_string()
    }

    pub(crate) fn state(&self) -> Value {
        let (_, body) = get(self.0, "/api/v1/state");
        serde_json::from_str(&body).expect("it is JSON")
    }

    pub(crate) fn role(&self, name: &str) -> Value {
        let state = self.state();
        let roles = state["roles"].as_array().expect("a list");
        let role = roles.iter().find(|role| role["name"] == json!(name));
        role.unwrap_or_else(|| panic!("no {name}: {roles:?}"))
            .clone()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        States::until(self.0, what, || {
            let state = self.state();
            match is_so(&state) {
                true => Ok(()),
                false => Err(state.to_string()),
            }
        });
    }
}

/// The address at which a role of this name listens for clients.
#[track_caller]
pub(crate) fn clients_of(hydrant: &Hydrant, label: &str) -> SocketAddr {
    hydrant.address_by(label, "clients")
}

/// What is answered to a request by HTTP: the status, and the body.
#[track_caller]
pub(crate) fn ask(at: SocketAddr, request: &str) -> (u16, String) {
    let request = request.to_owned();
    within("an answer", move || {
        let mut stream = TcpStream::connect(at).expect("somebody listens");
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    })
}

/// As above, for a path.
#[track_caller]
pub(crate) fn get(at: SocketAddr, path: &str) -> (u16, String) {
    ask(
        at,
        &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
    )
}
