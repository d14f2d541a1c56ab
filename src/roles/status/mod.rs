//! `hydrant status`: asks the processes of this user, each by its own socket, what a console's page asks, and has them
//! do what a page may do. What it says is handed to the caller, who prints it.
//!
//! ```text
//!   state of each ──> Show: printed
//!                 └─> whose role is meant? ──> (its clients) ──> done, or why not
//! ```
//!
//! All processes are asked for their state at once: one that hangs is waited for no longer than one that is slow, and
//! is named. Who watches is never told that this is all: the caller looks each second who runs then.

pub mod config;
mod exchange;
mod meant;
pub mod options;
mod show;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use self::config::{Act, StatusConfig};
use self::exchange::{Exchange, Said, Unsaid};
pub use self::show::Order;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialError, DialId, End, Event, Role};

/// Someone who asks.
pub struct Status {
    config: StatusConfig,
    /// The sockets of the processes that may run, with what each is called.
    sockets: Vec<(String, PathBuf)>,
    /// Questions that are on their way: one, or one for the state of each process.
    asking: Vec<(Exchange, Step)>,
    /// The states of those who have answered.
    states: Vec<(String, PathBuf, Value)>,
    /// Processes that are there, and have not answered, or not so that it can be read: why that is so.
    silent: Vec<(String, Option<String>)>,
    /// What was wrong a second before, of which it has been said.
    noted: Option<String>,
    shown: String,
    /// A process that does not answer is given up.
    deadline: Option<TimerKey>,
    /// It has been said that what was told to do something takes its time.
    is_patient: bool,
    /// What is being asked now has been waited for that long.
    has_waited: bool,
    /// Who watches is to see who runs now.
    is_due: bool,
    /// Which role stands first.
    order: Order,
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
    pub fn new(config: StatusConfig, sockets: Vec<(String, PathBuf)>, order: Order) -> Self {
        Self {
            config,
            order,
            sockets,
            asking: Vec::new(),
            states: Vec::new(),
            silent: Vec::new(),
            noted: None,
            shown: String::new(),
            deadline: None,
            is_patient: false,
            has_waited: false,
            is_due: false,
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

    /// Whether the processes are to be looked for anew, since the last call: [`Status::look_at`].
    pub fn take_due(&mut self) -> bool {
        std::mem::take(&mut self.is_due)
    }

    /// Asks those that may run now, by these sockets.
    pub fn look_at(&mut self, cx: &mut Cx<'_>, sockets: Vec<(String, PathBuf)>) {
        self.sockets = sockets;
        self.begin(cx);
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        self.states.clear();
        self.silent.clear();
        for (name, at) in self.sockets.clone() {
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
        self.has_waited = false;
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
            return self.refuse(cx, why.to_owned());
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
        let mut states: Vec<_> = self.states.iter().collect();
        if self.order == Order::WorstFirst {
            states.sort_by_key(|(_, _, state)| show::is_well(state));
        }
        for (place, (name, _, state)) in states.into_iter().enumerate() {
            if self.config.json {
                self.shown += &format!("{state}\n");
                continue;
            }
            if place > 0 {
                self.shown.push('\n');
            }
            self.shown += &show::roles(name, state, self.order);
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
                self.note(why);
                cx.timer(SECOND, Tick::Again as u32);
                None
            }
        };
    }

    /// That can't be shown or done. It is the end, but who watches may see more a second later.
    fn refuse(&mut self, cx: &mut Cx<'_>, why: String) {
        if !self.config.watches {
            return cx.finish(End::Failed(why));
        }
        self.note(Some(why));
        cx.timer(SECOND, Tick::Again as u32);
    }

    /// What is wrong stands below what is shown to who watches; a program that reads it has it on stderr, once.
    fn note(&mut self, why: Option<String>) {
        match &why {
            Some(why) if !self.config.json => {
                let gap = if self.shown.is_empty() { "" } else { "\n" };
                self.shown += &format!("{gap}{why}\n");
            }
            Some(text) if self.noted != why => log::warn!("hydrant: {text}"),
            _ => {}
        }
        self.noted = why;
    }

    /// Something is to be done, and not only shown.
    fn does(&self) -> bool {
        !matches!(self.config.act, Act::Show | Act::Clients { .. })
    }

    /// Whoever is asked is worth a long wait: it does what it was told, or is the only one that can be meant by that.
    fn is_to_do(&self) -> bool {
        match self.asking.as_slice() {
            [(_, Step::Deed(_) | Step::Find { .. })] => true,
            [(_, Step::State(..))] => self.does() && self.sockets.len() == 1,
            _ => false,
        }
    }

    fn answered(&mut self, cx: &mut Cx<'_>, step: Step, (status, said): Said) {
        match &step {
            _ if status == 200 => {}
            Step::State(..) if self.config.watches => {
                return self.failed(cx, &step, Unsaid::Gone(show::refusal(&said)));
            }
            _ => return self.refuse(cx, show::refusal(&said)),
        }
        match step {
            Step::State(name, _) if !said["roles"].is_array() => {
                let why = "it says nothing of roles";
                self.silent.push((name, Some(why.to_owned())));
                self.next(cx);
            }
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
                let id = match show::client(&said, &client) {
                    Ok(id) => id,
                    Err(why) => return cx.finish(End::Failed(why)),
                };
                let body = json!({ "client": id });
                let done = Step::Deed(format!("{client} disconnected"));
                self.ask(cx, &at, &format!("relays/{role}/kick"), Some(&body), done);
            }
            Step::Deed(text) => {
                self.shown += &format!("{text}\n{}", show::not_saved(&said, "unsaved"));
                self.end = Some(End::Done);
            }
        }
    }

    /// Nobody is there, or it broke off. For one of several that is no mistake: it may just have ended.
    fn failed(&mut self, cx: &mut Cx<'_>, step: &Step, why: Unsaid) {
        match (step, why) {
            (Step::State(name, _), Unsaid::Unreadable(why)) => {
                self.silent.push((name.clone(), Some(why)));
                self.next(cx);
            }
            (Step::State(name, _), why) => {
                log::debug!("hydrant: process {name}: {why}");
                self.next(cx);
            }
            // The last role of a process takes it along, and the answer with it.
            (Step::Deed(text), _) if matches!(self.config.act, Act::Stop { .. }) => {
                self.shown += &format!("{text}\n");
                self.end = Some(End::Done);
            }
            (_, why) => self.refuse(cx, why.to_string()),
        }
    }

    /// It is there, and does not answer.
    fn unanswered(&mut self, cx: &mut Cx<'_>, step: Step) {
        match step {
            Step::State(name, _) => {
                self.silent.push((name, None));
                self.next(cx);
            }
            Step::Deed(_) => {
                let time = Span(DEED);
                let why = format!(
                    "it has not answered for {time}; whether that was done is not known: hydrant status shows what \
                     runs"
                );
                self.refuse(cx, why);
            }
            Step::Find { .. } => {
                self.refuse(cx, "it does not answer: nothing was done".to_owned());
            }
            step => self.failed(cx, &step, Unsaid::Gone("it does not answer".to_owned())),
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
        match (is_full, step) {
            (true, Step::Deed(_)) => {
                self.refuse(cx, "it takes nobody in: nothing was done".to_owned())
            }
            (true, step) => self.unanswered(cx, step),
            (false, step) => self.failed(cx, &step, Unsaid::Gone(error.to_string())),
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        if tag == Tick::Again as u32 {
            self.is_due = true;
            return;
        }
        self.deadline = None;
        if self.is_to_do() && !self.has_waited {
            self.has_waited = true;
            if !std::mem::replace(&mut self.is_patient, true) {
                let time = Span(PATIENCE);
                log::info!("hydrant: it has not answered for {time}; still waiting");
            }
            self.deadline = Some(cx.timer(DEED.saturating_sub(PATIENCE), Tick::Late as u32));
            return;
        }
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
/// How long it may take to do something: a reload may have to look up names and to wait for files.
const DEED: Duration = Duration::from_secs(30);
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
