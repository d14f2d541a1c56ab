//! `hydrant status`: asks the processes of this user, each by its own socket, what a console's page asks, and has them
//! do what a page may do. What it says is handed to the caller, who prints it.
//!
//! ```text
//!   state of each ──> Show: printed
//!                 └─> whose role is meant? ──> (its clients) ──> done, or why not
//! ```
//!
//! All processes are asked for their state at once: one that hangs is waited for no longer than one that is slow, and
//! is named.

pub mod config;
mod exchange;
pub mod options;
mod show;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use self::config::{Act, StatusConfig};
use self::exchange::{Exchange, Said};
use crate::base::units::Typed;
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialError, DialId, End, Event, Role};

/// Someone who asks.
pub struct Status {
    config: StatusConfig,
    /// Questions that are on their way: one, or one for the state of each process.
    asking: Vec<(Exchange, Step)>,
    /// The states of those who have answered.
    states: Vec<(String, PathBuf, Value)>,
    /// Processes that are there, and have not answered.
    silent: Vec<String>,
    /// Those of the second before, of whom it has been said.
    known_silent: Vec<String>,
    shown: String,
    /// A process that does not answer is given up.
    deadline: Option<TimerKey>,
    end: Option<End>,
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
            asking: Vec::new(),
            states: Vec::new(),
            silent: Vec::new(),
            known_silent: Vec::new(),
            shown: String::new(),
            deadline: None,
            end: None,
        }
    }

    /// How it ends, once all is said: the caller, who prints that first, is to end it.
    pub fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// What has been said since the last call.
    pub fn take_shown(&mut self) -> String {
        std::mem::take(&mut self.shown)
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        self.states.clear();
        self.known_silent = std::mem::take(&mut self.silent);
        for (name, at) in self.config.sockets.clone() {
            let exchange = Exchange::begin(cx, &at, "state", None);
            self.asking.push((exchange, Step::State(name, at)));
        }
        if self.asking.is_empty() {
            return self.all_known(cx);
        }
        // Who watches sees the others meanwhile, and this one as soon as it answers in time.
        let patience = if self.config.watches {
            SECOND
        } else {
            PATIENCE
        };
        self.deadline = Some(cx.timer(patience, Tick::Late as u32));
    }

    /// One of the processes has answered, or will not.
    fn next(&mut self, cx: &mut Cx<'_>) {
        if self.asking.is_empty() {
            self.states.sort_by(|a, b| a.0.cmp(&b.0));
            self.silent.sort();
            self.all_known(cx);
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, at: &Path, path: &str, body: Option<&Value>, step: Step) {
        self.asking
            .push((Exchange::begin(cx, at, path, body), step));
        self.deadline = Some(cx.timer(PATIENCE, Tick::Late as u32));
    }

    /// All that are to answer have.
    fn all_known(&mut self, cx: &mut Cx<'_>) {
        if self.states.is_empty() && !self.silent.is_empty() {
            return self.shown_all(cx);
        }
        if self.states.is_empty() {
            let why =
                "no hydrant of yours runs here, or it was not started with a place for its socket";
            return cx.finish(End::Failed(why.to_owned()));
        }
        match self.config.act.clone() {
            Act::Show => self.show_roles(cx),
            Act::Reload => match self.states.as_slice() {
                [(_, at, _)] if self.silent.is_empty() => {
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

    /// Everything stands there: once, or until the next second. Who does not answer is named.
    fn shown_all(&mut self, cx: &mut Cx<'_>) {
        let why = self.who_is_silent();
        self.end = match (self.config.watches, why) {
            (false, None) => Some(End::Done),
            (false, Some(why)) => Some(End::Failed(why)),
            (true, why) => {
                if let Some(why) = why {
                    self.show_silence(&why);
                }
                cx.timer(SECOND, Tick::Again as u32);
                None
            }
        };
    }

    /// Below what is shown to who watches; a program that reads it has it on stderr, once.
    fn show_silence(&mut self, why: &str) {
        if !self.config.json {
            let gap = if self.shown.is_empty() { "" } else { "\n" };
            self.shown += &format!("{gap}{why}\n");
        } else if self.silent != self.known_silent {
            log::warn!("hydrant: {why}");
        }
    }

    fn who_is_silent(&self) -> Option<String> {
        match self.silent.as_slice() {
            [] => None,
            [one] => Some(format!("process {one} does not answer")),
            all => Some(format!("processes {} do not answer", all.join(", "))),
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
        // One that is not named may be that of a process that has not answered.
        let is_clear = role.is_some() || self.silent.is_empty();
        match (meant.pop(), role) {
            (Some((at, id, name)), _) if count == 1 && is_clear => go_on(self, cx, at, id, name),
            (None, _) if !self.silent.is_empty() => self.shown_all(cx),
            (Some(_), None) if count == 1 => cx.finish(End::Failed(self.which_process())),
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
        let answered = self.states.iter().map(|(name, ..)| name.clone());
        let silent = self.silent.iter();
        let silent = silent.map(|name| format!("{name}, which does not answer"));
        let names: Vec<String> = answered.chain(silent).collect();
        let names = names.join(", ");
        format!("several processes may be meant ({names}): add --pid PID")
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
                // Whose they are has answered, and nobody else is asked about.
                self.silent.clear();
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
                self.end = Some(End::Done);
            }
        }
    }

    /// Nobody is there, or it broke off. For one of several that is no mistake: it may just have ended.
    fn failed(&mut self, cx: &mut Cx<'_>, step: &Step, why: String) {
        match step {
            Step::State(name, _) => {
                log::debug!("hydrant: process {name}: {why}");
                self.next(cx);
            }
            // The last role of a process takes it along, and the answer with it.
            Step::Deed(text) if matches!(self.config.act, Act::Stop { .. }) => {
                self.shown += &format!("{text}\n");
                self.end = Some(End::Done);
            }
            _ => cx.finish(End::Failed(why)),
        }
    }

    /// It is there, and does not answer.
    fn unanswered(&mut self, cx: &mut Cx<'_>, step: Step) {
        match step {
            Step::State(name, _) => {
                self.silent.push(name);
                self.next(cx);
            }
            step => self.failed(cx, &step, "it does not answer".to_owned()),
        }
    }

    /// A question is over, one way or the other.
    fn end_asking(&mut self, cx: &mut Cx<'_>, is_it: impl Fn(&Exchange) -> bool) -> Option<Step> {
        let place = self.asking.iter().position(|(one, _)| is_it(one))?;
        let (exchange, step) = self.asking.remove(place);
        exchange.end(cx);
        if let Some(deadline) = self.deadline.take_if(|_| self.asking.is_empty()) {
            cx.cancel(deadline);
        }
        Some(step)
    }

    fn on_io(&mut self, cx: &mut Cx<'_>, sock: SockId, is_readable: bool) {
        let mut asking = self.asking.iter_mut().map(|(exchange, _)| exchange);
        let Some(exchange) = asking.find(|exchange| exchange.is_at(sock)) else {
            return;
        };
        let outcome = match is_readable {
            true => exchange.read(cx),
            false => exchange.write(cx).map(|()| None),
        };
        if matches!(outcome, Ok(None)) {
            return;
        }
        let Some(step) = self.end_asking(cx, |one| one.is_at(sock)) else {
            return;
        };
        match outcome {
            Ok(Some(said)) => self.answered(cx, step, said),
            Err(why) => self.failed(cx, &step, why),
            Ok(None) => {}
        }
    }

    /// A process whose socket takes nobody in hangs as well; where nobody listens it is over.
    fn on_refused(&mut self, cx: &mut Cx<'_>, dial: DialId, error: &DialError) {
        let Some(step) = self.end_asking(cx, |one| one.is_dialled_by(dial)) else {
            return;
        };
        let is_full = match error {
            DialError::Timeout => true,
            DialError::Connect(_, error) => error.kind() == io::ErrorKind::WouldBlock,
            DialError::Resolve(_) | DialError::Layer(_) => false,
        };
        match is_full {
            true => self.unanswered(cx, step),
            false => self.failed(cx, &step, error.to_string()),
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        if tag == Tick::Again as u32 {
            return self.begin(cx);
        }
        self.deadline = None;
        while let Some(step) = self.end_asking(cx, |_| true) {
            let is_last = self.asking.is_empty();
            self.unanswered(cx, step);
            if is_last {
                break;
            }
        }
    }
}

impl Role for Status {
    #[inline(never)]
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => self.begin(cx),
            Event::Connected { dial, sock, .. } => {
                let mut asking = self.asking.iter_mut().map(|(exchange, _)| exchange);
                match asking.find(|exchange| exchange.is_dialled_by(dial)) {
                    Some(exchange) => exchange.connected(cx, sock),
                    None => cx.close(sock, Close::Orderly),
                }
            }
            Event::ConnectFailed { dial, error, .. } => self.on_refused(cx, dial, &error),
            Event::Readable(sock) => self.on_io(cx, sock, true),
            Event::Writable(sock) => self.on_io(cx, sock, false),
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
