//! `hydrant status`: asks the processes of this user, each by its own socket, what a console's page asks, and has them
//! do what a page may do. What it says is handed to the caller, who prints it.
//!
//! ```text
//!   state of each ──> Show: printed
//!                 └─> whose role is meant? ──> (its clients) ──> done, or why not
//! ```

pub mod config;
mod exchange;
pub mod options;
mod show;

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use self::config::{Act, StatusConfig};
use self::exchange::{Exchange, Said};
use crate::base::units::Typed;
use crate::base::wheel::TimerKey;
use crate::reactor::net::Close;
use crate::reactor::{Cx, End, Event, Role};

/// Someone who asks.
pub struct Status {
    config: StatusConfig,
    /// Processes that are still to be asked for their state.
    ahead: VecDeque<(String, PathBuf)>,
    asking: Option<(Exchange, Step)>,
    /// The states of those who have answered.
    states: Vec<(String, PathBuf, Value)>,
    shown: String,
    /// A process that does not answer is given up.
    deadline: Option<TimerKey>,
    is_over: bool,
}

/// What is being asked.
#[derive(Clone, Debug)]
enum Step {
    State(String, PathBuf),
    /// Clients, to show them.
    Clients,
    /// Clients, to find one.
    Find {
        at: PathBuf,
        role: u64,
        client: String,
    },
    /// Something is done; what is said once it is.
    Deed(String),
}

impl Status {
    /// One with these orders. It does nothing before its first event.
    pub fn new(config: StatusConfig) -> Self {
        Self {
            config,
            ahead: VecDeque::new(),
            asking: None,
            states: Vec::new(),
            shown: String::new(),
            deadline: None,
            is_over: false,
        }
    }

    /// All is said, and the caller may end it.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What has been said since the last call.
    pub fn take_shown(&mut self) -> String {
        std::mem::take(&mut self.shown)
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        self.ahead = self.config.sockets.iter().cloned().collect();
        self.states.clear();
        self.next(cx);
    }

    fn next(&mut self, cx: &mut Cx<'_>) {
        match self.ahead.pop_front() {
            Some((name, at)) => self.ask(cx, &at.clone(), "state", None, Step::State(name, at)),
            None => self.all_known(cx),
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, at: &Path, path: &str, body: Option<&Value>, step: Step) {
        self.asking = Some((Exchange::begin(cx, at, path, body), step));
        self.deadline = Some(cx.timer(PATIENCE, Tick::Late as u32));
    }

    /// All that are to answer have.
    fn all_known(&mut self, cx: &mut Cx<'_>) {
        if self.states.is_empty() {
            let why =
                "no hydrant of yours runs here, or it was not started with a place for its socket";
            return cx.finish(End::Failed(why.to_owned()));
        }
        match self.config.act.clone() {
            Act::Show => self.show_roles(cx),
            Act::Reload => match self.states.as_slice() {
                [(_, at, _)] => {
                    let at = at.clone();
                    let done = Step::Deed("read again".to_owned());
                    self.ask(cx, &at, "reload", Some(&json!({})), done);
                }
                _ => cx.finish(End::Failed(self.which_process())),
            },
            Act::Clients { role } => self.with_role(cx, role, |this, cx, at, id, _| {
                let path = format!("relays/{id}/clients?limit={ROWS}");
                this.ask(cx, &at, &path, None, Step::Clients);
            }),
            Act::Kick { client, role } => self.with_role(cx, role, move |this, cx, at, role, _| {
                let search = encoded(&client);
                let path = format!("relays/{role}/clients?limit={ROWS}&search={search}");
                let step = Step::Find {
                    at: at.clone(),
                    role,
                    client,
                };
                this.ask(cx, &at, &path, None, step);
            }),
            Act::Dump { on, role } => self.with_role(cx, role, move |this, cx, at, id, name| {
                let body = json!({ "on": on, "stdout": true });
                let how = if on {
                    "shown on its stdout"
                } else {
                    "no longer shown"
                };
                let done = Step::Deed(format!("{name}: what flows is {how}"));
                this.ask(cx, &at, &format!("relays/{id}/dump"), Some(&body), done);
            }),
            Act::Start { role } => self.with_role(cx, role, |this, cx, at, id, name| {
                let done = Step::Deed(format!("{name} started"));
                this.ask(
                    cx,
                    &at,
                    &format!("relays/{id}/start"),
                    Some(&json!({})),
                    done,
                );
            }),
            Act::Stop { role } => self.with_role(cx, role, |this, cx, at, id, name| {
                let done = Step::Deed(format!("{name} is told to stop"));
                this.ask(
                    cx,
                    &at,
                    &format!("relays/{id}/stop"),
                    Some(&json!({})),
                    done,
                );
            }),
        }
    }

    fn show_roles(&mut self, cx: &mut Cx<'_>) {
        for (place, (name, _, state)) in self.states.iter().enumerate() {
            if self.config.json {
                self.shown += &format!("{state}\n");
                continue;
            }
            if place > 0 {
                self.shown.push('\n');
            }
            self.shown += &show::roles(name, state);
        }
        self.shown_all(cx);
    }

    /// Everything stands there: once, or until the next second.
    fn shown_all(&mut self, cx: &mut Cx<'_>) {
        match self.config.watches {
            true => drop(cx.timer(SECOND, Tick::Again as u32)),
            false => self.is_over = true,
        }
    }

    /// Goes on with the role that is meant: its process's socket, its id and its name.
    fn with_role(
        &mut self,
        cx: &mut Cx<'_>,
        role: Option<String>,
        go_on: impl FnOnce(&mut Self, &mut Cx<'_>, PathBuf, u64, String),
    ) {
        let mut meant = Vec::new();
        for (_, at, state) in &self.states {
            for one in show::list(state, "roles") {
                let name = show::text(one, "name");
                let is_it = role.as_ref().is_none_or(|role| *role == name);
                if let (true, Some(id)) = (is_it, one["id"].as_u64()) {
                    meant.push((at.clone(), id, name));
                }
            }
        }
        let count = meant.len();
        match (meant.pop(), role) {
            (Some((at, id, name)), _) if count == 1 => go_on(self, cx, at, id, name),
            (None, Some(role)) => {
                let why = format!(
                    "no role {} runs here: hydrant status shows them",
                    Typed(&role)
                );
                cx.finish(End::Failed(why));
            }
            (None, None) => cx.finish(End::Failed("no role runs here".to_owned())),
            (Some(_), Some(_)) => cx.finish(End::Failed(self.which_process())),
            (Some(_), None) => {
                let why = "several roles run here: add the name of the one that is meant";
                cx.finish(End::Failed(why.to_owned()));
            }
        }
    }

    fn which_process(&self) -> String {
        let names: Vec<&str> = self.states.iter().map(|(name, ..)| name.as_str()).collect();
        let names = names.join(", ");
        format!("several processes are meant ({names}): add --pid PID")
    }

    fn answered(&mut self, cx: &mut Cx<'_>, step: Step, (status, said): Said) {
        if status != 200 {
            return cx.finish(End::Failed(show::refusal(&said)));
        }
        match step {
            Step::State(name, at) => {
                self.states.push((name, at, said));
                self.next(cx);
            }
            Step::Clients => {
                self.shown += &match self.config.json {
                    true => format!("{said}\n"),
                    false => show::clients(&said),
                };
                self.shown_all(cx);
            }
            Step::Find { at, role, client } => {
                let row = match show::client(&said, &client) {
                    Ok(row) => row,
                    Err(why) => return cx.finish(End::Failed(why)),
                };
                let body = json!({ "client": row["id"] });
                let done = Step::Deed(format!("{client} disconnected"));
                self.ask(cx, &at, &format!("relays/{role}/kick"), Some(&body), done);
            }
            Step::Deed(text) => {
                self.shown += &format!("{text}\n");
                self.is_over = true;
            }
        }
    }

    /// Nobody is there, or nobody answers. For one of several that is no mistake: it may just have ended.
    fn failed(&mut self, cx: &mut Cx<'_>, step: &Step, why: String) {
        match step {
            Step::State(name, _) => {
                log::debug!("hydrant: process {name}: {why}");
                self.next(cx);
            }
            // The last role of a process takes it along, and the answer with it.
            Step::Deed(text) if matches!(self.config.act, Act::Stop { .. }) => {
                self.shown += &format!("{text}\n");
                self.is_over = true;
            }
            _ => cx.finish(End::Failed(why)),
        }
    }

    /// The question is over, one way or the other.
    fn end_asking(&mut self, cx: &mut Cx<'_>) -> Option<Step> {
        if let Some(deadline) = self.deadline.take() {
            cx.cancel(deadline);
        }
        let (exchange, step) = self.asking.take()?;
        exchange.end(cx);
        Some(step)
    }

    fn on_io(&mut self, cx: &mut Cx<'_>, is_readable: bool) {
        let Some((exchange, _)) = &mut self.asking else {
            return;
        };
        let outcome = match is_readable {
            true => exchange.read(cx),
            false => exchange.write(cx).map(|()| None),
        };
        if matches!(outcome, Ok(None)) {
            return;
        }
        let Some(step) = self.end_asking(cx) else {
            return;
        };
        match outcome {
            Ok(Some(said)) => self.answered(cx, step, said),
            Err(why) => self.failed(cx, &step, why),
            Ok(None) => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        if tag == Tick::Again as u32 {
            return self.begin(cx);
        }
        self.deadline = None;
        if let Some(step) = self.end_asking(cx) {
            self.failed(cx, &step, "it does not answer".to_owned());
        }
    }
}

impl Role for Status {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => self.begin(cx),
            Event::Connected { dial, sock, .. } => match &mut self.asking {
                Some((exchange, _)) if exchange.is_dialled_by(dial) => exchange.connected(cx, sock),
                _ => cx.close(sock, Close::Orderly),
            },
            Event::ConnectFailed { error, .. } => {
                if let Some(step) = self.end_asking(cx) {
                    self.failed(cx, &step, error.to_string());
                }
            }
            Event::Readable(_) => self.on_io(cx, true),
            Event::Writable(_) => self.on_io(cx, false),
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Drain(_) => cx.finish(End::Done),
            _ => {}
        }
    }
}

/// As it stands in a request's query (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// What timers are for.
enum Tick {
    Again,
    Late,
}

const SECOND: Duration = Duration::from_secs(1);
/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients that are shown.
const ROWS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_blanks_goes_into_a_request_line() {
        assert_eq!(encoded("game, client"), "game%2C%20client");
        assert_eq!(encoded("[::1]:7&a=ü%"), "%5B%3A%3A1%5D%3A7%26a%3D%C3%BC%25");
        assert_eq!(encoded("tv-graphics_1.a~"), "tv-graphics_1.a~");
    }
}
