//! What is asked of the owner of the loop on a request's behalf, and what its answer comes to.

use serde_json::{Value, json};

use crate::proto::http1::Status;
use crate::reactor::Cx;
use crate::reactor::command::{Command, Ticket};
use crate::reactor::tabs::{OptionRow, TabCommand, TabReply};
use crate::reactor::view::ClientPage;

use super::answer::{self, error, json as answered};
use super::guard::{Caller, Right};
use super::roster::{Page, Roster};
use super::routes::{Act, Route};
use super::state;
use super::survey::Waiting;
use super::{Asked, ConnId, Console, Content, TOO_MANY, TOO_MANY_PARTINGS};

/// What a question is for.
#[derive(Debug)]
pub(super) enum Goal {
    /// All tabs, in pages.
    List,
    /// The options that a relay has. Who is to be told them.
    Options(ConnId),
    Log,
    Payload(ConnId),
    /// Clients for the gathering of this number.
    Clients {
        tab: u64,
        serial: u64,
    },
    /// Something was to be done.
    Deed(ConnId),
}

/// Questions that may wait for their answers.
const ASKED_MAX: usize = 1024;

/// Who waits for the clients of a tab.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) tab: u64,
    pub(super) conn: ConnId,
    pub(super) page: Page,
}

impl Console {
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, goal: Goal, command: TabCommand) {
        let ticket = cx.ask(Command::Tab(command));
        self.asked.insert(ticket, goal);
    }

    /// Does what is asked for, or begins it.
    pub(super) fn serve(
        &mut self,
        cx: &mut Cx<'_>,
        asked: &Asked,
        route: Route,
        body: &Value,
        caller: Caller,
    ) -> Option<Content> {
        // What has been asked is answered sooner or later, and whoever asked may not wait for it any more.
        if route.asks() && self.asked.len() >= ASKED_MAX {
            return Some(error(
                Status::UNAVAILABLE,
                "too much is being asked: try again",
            ));
        }
        let pass = caller.pass;
        let (conn, right) = (asked.conn, pass.right);
        match route {
            Route::Asset(asset) => return Some(answer::asset(asset)),
            // They are never others: the first who wants them has them looked up, and most processes never do.
            Route::Options if self.options.is_null() => {
                self.ask(cx, Goal::Options(conn), TabCommand::Options);
            }
            Route::Options => return Some(answered(Status::OK, &self.options)),
            Route::Login => return Some(self.login(cx, caller, body)),
            Route::Logout => return Some(self.logout(cx, caller)),
            Route::State => {
                // Where nobody has looked yet, this is the first look.
                if self.config.is_private && self.state_asked.replace(cx.now()).is_none() {
                    self.list(cx, Waiting::Sample);
                }
                self.list(cx, Waiting::State(conn, right));
            }
            Route::History { relay } => self.list(cx, Waiting::History(conn, relay)),
            Route::Events(_) if asked.is_head() => return Some(answer::stream()),
            Route::Events(wanted) => self.stream(cx, conn, wanted, pass),
            Route::Clients { relay, page } => {
                let tab = relay;
                return self.look(cx, Look { tab, conn, page });
            }
            Route::Add => {
                let after = body["after"].as_u64();
                if after.is_none() && !body["after"].is_null() {
                    return Some(error(Status::BAD_REQUEST, "after is the id of a relay"));
                }
                self.ask(cx, Goal::Deed(conn), TabCommand::Add { after });
            }
            Route::Reload => self.ask(cx, Goal::Deed(conn), TabCommand::Reload),
            Route::Change { relay: tab } => {
                let fields = match fields(body) {
                    Ok(fields) => fields,
                    Err(why) => return Some(error(Status::BAD_REQUEST, why)),
                };
                self.ask(cx, Goal::Deed(conn), TabCommand::Change { tab, fields });
            }
            Route::Act { relay: tab, act } => {
                let command = match deed(tab, act, body) {
                    Ok(command) => command,
                    Err(why) => return Some(error(Status::BAD_REQUEST, why)),
                };
                self.ask(cx, Goal::Deed(conn), command);
            }
        }
        None
    }

    fn logout(&mut self, cx: &mut Cx<'_>, Caller { pass, from, .. }: Caller) -> Content {
        if pass.right == Right::View && pass.session.is_some() {
            if !self.partings.may(from, cx.now()) {
                return error(Status::TOO_MANY, TOO_MANY_PARTINGS);
            }
            self.partings.count(from, cx.now());
        }
        self.guard.log_out(pass, cx.utc_millis() / 1000);
        self.end_streams_of(cx, pass);
        let answer = answered(Status::OK, &json!({}));
        answer.with("Set-Cookie", &self.guard.no_cookie())
    }

    fn login(&mut self, cx: &mut Cx<'_>, caller: Caller, body: &Value) -> Content {
        if !self.guesses.may(caller.from, cx.now()) {
            return error(Status::TOO_MANY, TOO_MANY);
        }
        let said = body["token"].as_str().unwrap_or_default();
        let (id, now) = (cx.random(), cx.utc_millis() / 1000);
        match self.guard.cookie_for(said.as_bytes(), id, now) {
            Some(cookie) => answered(Status::OK, &json!({})).with("Set-Cookie", &cookie),
            None => {
                self.guessed(cx, caller);
                error(Status::UNAUTHORIZED, "that is not the token")
            }
        }
    }

    /// Clients, out of those that were gathered within the last second, or as soon as they are.
    fn look(&mut self, cx: &mut Cx<'_>, look: Look) -> Option<Content> {
        let (now, tab) = (cx.now(), look.tab);
        let known = self.rosters.iter_mut().position(|roster| roster.tab == tab);
        let at = match known {
            Some(at) if self.rosters[at].is_fresh(now) => {
                return Some(answered(Status::OK, &self.rosters[at].json(&look.page)));
            }
            Some(at) if !self.rosters[at].is_complete() => {
                self.rosters[at].looks.push(look);
                return None;
            }
            Some(at) => at,
            None => {
                self.rosters.push(Roster::new(tab, 0, now));
                self.rosters.len() - 1
            }
        };
        self.gatherings += 1;
        let serial = self.gatherings;
        self.rosters[at] = Roster::new(tab, serial, now);
        self.rosters[at].looks.push(look);
        let goal = Goal::Clients { tab, serial };
        self.ask(cx, goal, TabCommand::Clients { tab, from: 0 });
        None
    }

    /// The owner of the loop has answered.
    pub(super) fn heard(&mut self, cx: &mut Cx<'_>, ticket: Ticket, reply: TabReply) {
        let Some(goal) = self.asked.remove(&ticket) else {
            return;
        };
        match (goal, reply) {
            (Goal::List, TabReply::List(tabs)) => self.listed(cx, tabs),
            (Goal::Options(conn), TabReply::Options(rows)) => {
                self.options = groups(&rows);
                self.server
                    .answer(cx, conn, answered(Status::OK, &self.options));
            }
            (Goal::Options(conn), _) => {
                self.answer_to(cx, conn, Status::UNAVAILABLE, &no_answer());
            }
            (Goal::Log, TabReply::Log(lines)) => self.logged(cx, lines),
            (Goal::Payload(conn), TabReply::Payload(payload)) => self.flowed(cx, conn, &payload),
            (Goal::Payload(conn), _) => self.flow_ended(conn),
            (Goal::Clients { tab, serial }, TabReply::Clients(page)) => {
                self.gathered(cx, tab, serial, page);
            }
            (Goal::Clients { serial, .. }, _) => self.ungathered(cx, serial),
            (Goal::Deed(conn), reply) => self.did(cx, conn, reply),
            (Goal::List, _) => self.unlisted(cx),
            (Goal::Log, _) => {}
        }
    }

    fn gathered(&mut self, cx: &mut Cx<'_>, tab: u64, serial: u64, page: ClientPage) {
        let found = self.rosters.iter_mut();
        let Some(roster) = found.rev().find(|roster| roster.serial == serial) else {
            return;
        };
        roster.take(page.rows);
        if let Some(from) = page.next {
            let goal = Goal::Clients { tab, serial };
            return self.ask(cx, goal, TabCommand::Clients { tab, from });
        }
        roster.complete(cx.now());
        self.looks.extend(std::mem::take(&mut roster.looks));
        self.server.wake(cx);
    }

    /// There is nobody whose clients they could be.
    fn ungathered(&mut self, cx: &mut Cx<'_>, serial: u64) {
        let found = self
            .rosters
            .iter()
            .position(|roster| roster.serial == serial);
        let Some(at) = found else { return };
        for look in self.rosters.remove(at).looks {
            self.answer_to(cx, look.conn, Status::NOT_FOUND, &no_such());
        }
    }

    /// Shows somebody what was gathered.
    pub(super) fn show(&mut self, cx: &mut Cx<'_>, look: Look) {
        let roster = self.rosters.iter().find(|roster| roster.tab == look.tab);
        match roster.map(|roster| roster.json(&look.page)) {
            Some(body) => self.answer_to(cx, look.conn, Status::OK, &body),
            None => self.answer_to(cx, look.conn, Status::UNAVAILABLE, &no_answer()),
        }
    }

    /// What was to be done is done, or is not. Whoever asked hears of it once the tabs here show it.
    fn did(&mut self, cx: &mut Cx<'_>, conn: ConnId, reply: TabReply) {
        let (reply, unsaved) = match reply {
            TabReply::Unsaved(reply, why) => (*reply, Some(why)),
            reply => (reply, None),
        };
        let (status, mut body) = match reply {
            TabReply::Done => (Status::OK, json!({})),
            TabReply::Added(id) => (Status::OK, json!({ "id": id })),
            TabReply::Faults(faults) if faults.is_empty() => (Status::OK, json!({ "errors": {} })),
            TabReply::Faults(faults) => {
                let body = json!({ "error": "some fields are not right", "errors": state::faults(&faults) });
                (Status::UNPROCESSABLE, body)
            }
            TabReply::Refused(why) => (Status::CONFLICT, json!({ "error": why })),
            _ => (Status::INTERNAL, no_answer()),
        };
        if let Some(why) = unsaved {
            body["unsaved"] = json!(why);
        }
        self.list(cx, Waiting::Answer(conn, status, body));
    }

    fn answer_to(&mut self, cx: &mut Cx<'_>, conn: ConnId, status: Status, body: &Value) {
        self.server.answer(cx, conn, answered(status, body));
    }
}

/// Where a body says which run of hydrant it means, by the moment that it was started at.
pub(super) const STARTED: &str = "started";

/// What a body says of fields: a text, a number, or whether something is on.
fn fields(body: &Value) -> Result<Vec<(String, String)>, &'static str> {
    let Value::Object(object) = body else {
        return Ok(Vec::new());
    };
    // A field that a page has by itself: nobody after this looks what it says.
    let is_switch = |dump: &Value| match dump {
        Value::Bool(_) | Value::Null => true,
        Value::String(text) => ["true", "false", ""].contains(&text.as_str()),
        _ => false,
    };
    if !object.get("dump").is_none_or(is_switch) {
        return Err("dump is true or false");
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is_on) => Some(is_on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    };
    let fields = object
        .iter()
        .filter(|(key, _)| *key != STARTED)
        .map(|(key, value)| Some((key.clone(), text(value)?)));
    fields
        .collect::<Option<_>>()
        .ok_or("a field is a text, a number, true or false")
}

fn deed(tab: u64, act: Act, body: &Value) -> Result<TabCommand, &'static str> {
    Ok(match act {
        Act::Start => TabCommand::Start { tab },
        Act::Stop => TabCommand::Stop { tab },
        Act::Remove => TabCommand::Remove { tab },
        Act::Dump => {
            let on = body["on"].as_bool().ok_or("on is true or false")?;
            let to_stdout = match &body["stdout"] {
                Value::Null => false,
                said => said.as_bool().ok_or("stdout is true or false")?,
            };
            TabCommand::Dump { tab, on, to_stdout }
        }
        Act::Kick => {
            let client = body["client"].as_str().and_then(|id| id.parse().ok());
            let client = client.ok_or("client is the id of one, as a text")?;
            TabCommand::Kick { tab, client }
        }
    })
}

/// Options under their headings.
fn groups(rows: &[OptionRow]) -> Value {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for row in rows {
        let option = json!({
            "key": row.key,
            "kind": if row.is_switch { "switch" } else { "text" },
            "choices": (!row.choices.is_empty()).then_some(&row.choices),
            "default": row.default,
            "help": row.help,
            "live": row.is_live,
        });
        match groups.iter_mut().find(|(name, _)| *name == row.group) {
            Some((_, options)) => options.push(option),
            None => groups.push((row.group, vec![option])),
        }
    }
    let groups = groups
        .into_iter()
        .map(|(name, options)| json!({ "name": name, "options": options }));
    json!({ "groups": groups.collect::<Vec<_>>() })
}

pub(super) fn no_answer() -> Value {
    json!({ "error": "there was no answer" })
}

pub(super) fn no_such() -> Value {
    json!({ "error": "there is no such relay" })
}
