//! A headless Chromium, driven by its DevTools protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::common::peers::connect;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::common::{DEADLINE, within};
use crate::rig::answer;

/// The browser; it ends when this is dropped.
pub(crate) struct Browser {
    program: Child,
    at: SocketAddr,
    _profile: Scratch,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = Scratch::new();
        let mut program = Command::new("chromium")
            .args([
                "--headless",
                // Its own sandbox does not run as root; the pages are ours.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                // A page of several is no slower than the one that is looked at.
                "--disable-background-timer-throttling",
                "--disable-backgrounding-occluded-windows",
                "--disable-renderer-backgrounding",
                "--no-first-run",
                "--remote-debugging-port=0",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
                &format!("--user-data-dir={}", profile.at("profile")),
                "about:blank",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium can be started");
        let stderr = BufReader::new(program.stderr.take().expect("it is a pipe"));
        let at = within("the browser's start", move || {
            let mut lines = stderr.lines().map_while(Result::ok);
            let line = lines
                .find(|line| line.contains("DevTools listening on"))
                .expect("it says where");
            // Whatever else it says is of no interest, and has to be read.
            std::thread::spawn(move || lines.for_each(drop));
            line.split("ws://")
                .nth(1)
                .and_then(|rest| rest.split('/').next())
                .unwrap_or_default()
                .to_owned()
        });
        Self {
            program,
            at: at.parse().expect("an address"),
            _profile: profile,
        }
    }

    /// A page of its own.
    pub(crate) fn open(&self, url: &str) -> Page {
        let mut stream = connect(self.at);
        let ask = format!(
            "PUT /json/new?about:blank HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.at
        );
        stream.write_all(ask.as_bytes()).expect("it reads");
        let made = answer_any(&mut stream);
        let path = made["webSocketDebuggerUrl"]
            .as_str()
            .expect("a place")
            .split('/')
            .skip(3)
            .collect::<Vec<_>>()
            .join("/");
        let mut page = Page {
            socket: upgrade(self.at, &path),
            calls: 0,
            arrived: Vec::new(),
            complaints: Vec::new(),
        };
        for domain in ["Runtime", "Log", "Page"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.goto(url);
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A page.
pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    calls: u64,
    /// The documents that have come.
    arrived: Vec<Value>,
    /// Exceptions, and errors on the console: what a policy has blocked, for one.
    complaints: Vec<String>,
}

impl Page {
    /// Calls a method of the protocol.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.ask(method, params);
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method that may fail, since the page may go away meanwhile.
    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        self.socket
            .send(Message::text(text))
            .unwrap_or_else(|error| panic!("{method}: {error}"));
        loop {
            let answer = self.receive(method);
            if answer["id"] == json!(id) {
                return answer;
            }
        }
    }

    /// The next that the browser says. What it complains of is kept, whatever is waited for.
    #[track_caller]
    fn receive(&mut self, method: &str) -> Value {
        loop {
            let message = self.socket.read();
            let message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            let Message::Text(text) = message else {
                continue;
            };
            let said: Value = serde_json::from_str(&text).expect("it is JSON");
            let kind = said["method"].as_str().unwrap_or_default();
            let is_error = said["params"]["entry"]["level"] == "error";
            if kind == "Runtime.exceptionThrown" || (kind == "Log.entryAdded" && is_error) {
                self.complaints.push(said["params"].to_string());
            }
            if kind == "Page.frameNavigated" {
                let document = &said["params"]["frame"]["loaderId"];
                self.arrived.push(document.clone());
            }
            return said;
        }
    }

    /// Nothing was complained of but what has one of these in it.
    #[track_caller]
    pub(crate) fn complains_only_of(&self, expected: &[&str]) {
        let others = self.complaints.iter().filter(|text| {
            let is_expected = |part: &&str| text.contains(part);
            !expected.iter().any(is_expected)
        });
        let others: Vec<_> = others.collect();
        assert!(others.is_empty(), "{others:#?}");
    }

    /// Gives it a window of this size, in CSS pixels, as a phone has it or not, and waits until it has that.
    #[track_caller]
    pub(crate) fn resize(&mut self, width: u32, height: u32, is_phone: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        self.until(&format!(
            "innerWidth === {width} && innerHeight === {height}"
        ));
    }

    /// Goes to another document, and waits until that is there.
    #[track_caller]
    pub(crate) fn goto(&mut self, url: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        // The answer may come while the old one still is.
        let end = Instant::now() + DEADLINE;
        while !self.arrived.contains(&gone["loaderId"]) {
            assert!(Instant::now() < end, "{url} never comes");
            self.receive("Page.frameNavigated");
        }
        self.until("document.readyState === 'complete'");
    }

    /// What an expression comes to; a promise is waited for.
    #[track_caller]
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, and says what the page shows where it never is.
    #[track_caller]
    pub(crate) fn until(&mut self, condition: &str) {
        let script = format!(
            "new Promise((resolve) => {{
                const end = performance.now() + {LOOK_MS};
                const look = () => {{
                    let is = false;
                    try {{ is = Boolean({condition}); }} catch {{ }}
                    if (is || performance.now() > end) resolve(is);
                    else setTimeout(look, 20);
                }};
                look();
            }})"
        );
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let end = Instant::now() + DEADLINE;
        // A page that is being replaced takes the promise with it.
        while Instant::now() < end {
            let answer = self.ask("Runtime.evaluate", &params);
            if answer["result"]["result"]["value"] == true {
                return;
            }
        }
        let text = self.ask(
            "Runtime.evaluate",
            &json!({ "expression": "document.body.innerText" }),
        );
        panic!(
            "never: {condition}\n{}\n{:?}",
            text["result"]["result"]["value"]
                .as_str()
                .unwrap_or_default(),
            self.complaints
        );
    }

    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!(
            "document.querySelector({}).textContent",
            json!(selector)
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element shows a text.
    #[track_caller]
    pub(crate) fn until_text(&mut self, selector: &str, part: &str) {
        self.until(&format!(
            "document.querySelector({}).textContent.includes({})",
            json!(selector),
            json!(part)
        ));
    }

    /// Clicks what is there and can be clicked.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        let end = Instant::now() + DEADLINE;
        // A row of a table may be gone again by the time that it is clicked.
        loop {
            self.until(&format!("{find}.checkVisibility() && !{find}.disabled"));
            if self.eval(&format!("{find} && !void {find}.click()")) == true {
                return;
            }
            assert!(Instant::now() < end, "{selector} never stays");
        }
    }

    /// Types into a field, in place of what is there, and leaves it.
    #[track_caller]
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        self.until(&format!("{find}.checkVisibility() && !{find}.disabled"));
        self.eval(&format!("{find}.focus(), {find}.select()"));
        self.call("Input.insertText", &json!({ "text": text }));
        self.eval(&format!("{find}.blur()"));
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = match key {
                "Tab" => 9,
                "Enter" => 13,
                "Escape" => 27,
                "ArrowLeft" => 37,
                "ArrowRight" => 39,
                _ => 0,
            };
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code }),
            );
            if kind == "rawKeyDown" && key == "Enter" {
                self.call(
                    "Input.dispatchKeyEvent",
                    &json!({ "type": "char", "key": key, "text": "\r" }),
                );
            }
        }
    }
}

/// The body of an answer, whatever it calls its length.
fn answer_any(stream: &mut TcpStream) -> Value {
    let answer = answer(stream);
    if answer.body.is_empty() {
        let length = answer.head.to_ascii_lowercase();
        let length = length
            .split("content-length:")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or_default();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("a whole body");
        return serde_json::from_slice(&body).expect("it is JSON");
    }
    answer.json()
}

/// A WebSocket to a page.
fn upgrade(at: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let mut stream = connect(at);
    let key = STANDARD.encode([7; 16]);
    let ask = format!(
        "GET /{path} HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).expect("it reads");
    let head = answer(&mut stream);
    assert_eq!(head.status, 101, "{head:?}");
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

/// For how long one promise is waited for.
const LOOK_MS: u32 = 5000;
/// What was asked of a relay that was closed meanwhile.
pub(crate) const CLOSED: &str = "status of 404";
/// What was asked of a hydrant that does not run.
pub(crate) const CUT_OFF: &str = "net::ERR_";
/// What was asked of one that is about to end.
pub(crate) const ENDING: &str = "status of 503";
/// What whoever asks may not.
pub(crate) const UNKNOWN: &str = "status of 401";
/// What was wrong with the fields.
pub(crate) const WRONG: &str = "status of 422";

/// What a page complains of is known whatever it is asked next: all other tests count on that.
#[test]
fn what_a_page_complains_of_is_heard() {
    if !have("chromium") {
        return;
    }
    let browser = Browser::start();
    let mut page = browser.open("about:blank");
    page.eval(
        "setTimeout(() => {
            window.thrown = true;
            throw new Error('on purpose');
         })",
    );
    page.until("window.thrown");
    assert_eq!(page.complaints.len(), 1, "{:?}", page.complaints);
    page.complains_only_of(&["on purpose"]);
}
