//! A look at all tabs, for all who wait for what it brings. None of it takes a turn that grows with the number of tabs
//! or of those who look:
//!
//! ```text
//!   Idle ──ask──> Asked ──pages, a sample of each tab──> Writing ──rows──> Telling ──who waits──> Idle
//!                   └──────── nobody is to be told ─────────────────────────────────────────────> Idle
//! ```
//!
//! While nobody looks, a look is brief: tabs come without their settings, and nothing is written.

use std::collections::VecDeque;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::proto::http1::Status;
use crate::reactor::Cx;
use crate::reactor::tabs::{Tab, TabCommand, Tabs};
use crate::roles::http::ConnId;

use super::Console;
use super::answer::{self, json as answered};
use super::ask::{Goal, no_answer, no_such};
use super::guard::Right;
use super::state;
use super::streams::Stream;

/// Who waits for the tabs as they are.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The second is over.
    Sample,
    /// A page that has just been opened.
    Streams,
    /// A request for the state. Its right.
    State(ConnId, Right),
    /// A request that did something: the answer, once the change is known here.
    Answer(ConnId, Status, Value),
    /// A request for a piece of a relay's past.
    History(ConnId, u64),
}

impl Waiting {
    /// Whether it takes the tabs with their settings.
    fn shows_all(&self, streams: &[Stream]) -> bool {
        match self {
            Self::Sample => !streams.is_empty(),
            Self::Streams | Self::State(..) => true,
            Self::Answer(..) | Self::History(..) => false,
        }
    }
}

/// How far a look is.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Asked {
        /// Tabs come without their settings.
        is_brief: bool,
        so_far: Vec<Tab>,
    },
    Writing(Written),
    Telling(Written, VecDeque<Told>),
}

/// Who is to be told.
#[derive(Debug)]
enum Told {
    One(Waiting),
    Page(ConnId),
}

/// The looks at all tabs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    phase: Phase,
    /// How many have begun: of two states the one of the later look is newer, whichever comes first.
    looks: u64,
    /// Who waits for the tabs as they are now.
    waiting: Vec<Waiting>,
    /// Who has asked for them since the look that is under way began to show them.
    next_waiting: Vec<Waiting>,
    /// As they were at the end of the last look.
    tabs: Vec<Tab>,
    /// What became of their settings.
    settings: Value,
    /// Rows that have been written, and the times that somebody was told.
    pub(super) work: Work,
}

/// What has been done that takes time, for tests and the simulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Rows of the state that have been written as JSON.
    pub rows: u64,
    /// Of those, the ones that were written for those who may only look.
    pub seen: u64,
    /// Answers that waited for a look at all tabs, and states that were pushed.
    pub told: u64,
    /// Lines of the log that have been written as JSON.
    pub lines: u64,
    /// The times that a page was sent those that it had not had, since there were new ones.
    pub fed: u64,
}

/// The state as it is written, for each right that somebody has who is to be shown it.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Rows that have been.
    rows: usize,
    texts: [Option<Text>; 2],
}

/// What those of one right are shown.
#[derive(Debug, Default)]
struct Text {
    building: String,
    /// All of it.
    whole: Rc<[u8]>,
    /// The same as an event, once a page is to have it.
    event: Option<Rc<[u8]>>,
}

impl Survey {
    /// The tabs, as they were last.
    pub(super) fn tab(&self, id: u64) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.id == id)
    }

    pub(super) fn work(&self) -> Work {
        self.work
    }

    /// There is something to write, or somebody to tell.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Writing(_) | Phase::Telling(..))
    }
}

impl Console {
    /// Has the tabs looked at. Whoever asks once a look has shown some of them waits for the next one: that one shows
    /// what was done before it began.
    pub(super) fn list(&mut self, cx: &mut Cx<'_>, waiting: Waiting) {
        let survey = &mut self.survey;
        let is_in_time = match &survey.phase {
            Phase::Idle => true,
            Phase::Asked { is_brief, so_far } => {
                so_far.is_empty() && (!is_brief || !waiting.shows_all(&self.streams))
            }
            Phase::Writing(_) | Phase::Telling(..) => false,
        };
        match is_in_time {
            true => survey.waiting.push(waiting),
            false => survey.next_waiting.push(waiting),
        }
        if matches!(survey.phase, Phase::Idle) {
            self.begin_look(cx);
        }
    }

    fn begin_look(&mut self, cx: &mut Cx<'_>) {
        let waiting = self.survey.waiting.iter();
        let is_brief = !waiting.into_iter().any(|one| one.shows_all(&self.streams));
        self.survey.looks += 1;
        self.survey.phase = Phase::Asked {
            is_brief,
            so_far: Vec::new(),
        };
        let command = TabCommand::List { from: 0, is_brief };
        self.ask(cx, Goal::List, command);
    }

    /// A look is over: the next one, if somebody waits for it.
    fn end_look(&mut self, cx: &mut Cx<'_>) {
        let survey = &mut self.survey;
        survey.phase = Phase::Idle;
        survey.waiting = std::mem::take(&mut survey.next_waiting);
        if !survey.waiting.is_empty() {
            self.begin_look(cx);
        }
    }

    /// A page of tabs has come.
    pub(super) fn listed(&mut self, cx: &mut Cx<'_>, tabs: Tabs) {
        let survey = &mut self.survey;
        let Phase::Asked { is_brief, so_far } = &mut survey.phase else {
            return;
        };
        let is_sampled = survey.waiting.iter().any(is_sample);
        if is_sampled {
            for tab in &tabs.rows {
                self.history.push(tab.id, state::sample(tab));
            }
        }
        let is_brief = *is_brief;
        so_far.extend(tabs.rows);
        if let Some(from) = tabs.next {
            let command = TabCommand::List { from, is_brief };
            return self.ask(cx, Goal::List, command);
        }
        survey.tabs = std::mem::take(so_far);
        survey.settings = json!({
            "path": tabs.file, "error": tabs.fault, "note": tabs.note, "kept": tabs.is_kept
        });
        if is_sampled {
            self.history.next_second();
        }
        match is_brief && survey.waiting.iter().all(is_sample) {
            true => self.end_look(cx),
            false => self.begin_writing(cx, is_brief),
        }
    }

    /// The tabs are known. They are written for those rights alone that somebody has who is to be shown them.
    fn begin_writing(&mut self, cx: &mut Cx<'_>, is_brief: bool) {
        let waiting = self.survey.waiting.iter();
        let asked = waiting.filter_map(|waiting| match waiting {
            Waiting::State(_, right) => Some(*right),
            _ => None,
        });
        let pages = self.due_pages().into_iter().map(|(_, right)| right);
        let mut written = Written::default();
        for right in asked.chain(pages).filter(|_| !is_brief) {
            written.texts[place(right)].get_or_insert_default();
        }
        self.survey.phase = Phase::Writing(written);
        self.server.wake(cx);
    }

    /// A piece of the work, at each visit while [`Survey::is_busy`].
    pub(super) fn survey_on(&mut self, cx: &mut Cx<'_>) {
        match std::mem::take(&mut self.survey.phase) {
            Phase::Writing(written) => self.write_some(cx, written),
            Phase::Telling(written, whom) => self.tell_some(cx, written, whom),
            phase @ (Phase::Idle | Phase::Asked { .. }) => self.survey.phase = phase,
        }
    }

    fn write_some(&mut self, cx: &mut Cx<'_>, mut written: Written) {
        let survey = &mut self.survey;
        if written.texts.iter().any(Option::is_some) {
            let tabs = survey.tabs.iter().skip(written.rows).take(ROWS_A_VISIT);
            for tab in tabs {
                survey.work.seen += u64::from(written.add(state::json(tab, &self.history)));
                survey.work.rows += 1;
            }
            if written.rows < survey.tabs.len() {
                survey.phase = Phase::Writing(written);
                return;
            }
            let head = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "started": self.started,
                "look": survey.looks,
                "utc": cx.utc_millis(),
                "settings": survey.settings,
                "guarded": !self.guard.is_open(),
            });
            written.complete(head);
        }
        let mut whom: VecDeque<Told> = VecDeque::new();
        let mut is_for_all = false;
        for waiting in survey.waiting.drain(..) {
            match waiting {
                Waiting::Sample => is_for_all = true,
                Waiting::Streams => {}
                waiting => whom.push_back(Told::One(waiting)),
            }
        }
        let due = self.due_pages().into_iter();
        let is_fresh = |conn| !self.has_begun(conn);
        let pages = due.filter(|(conn, _)| is_for_all || is_fresh(*conn));
        whom.extend(pages.map(|(conn, _)| Told::Page(conn)));
        self.survey.phase = Phase::Telling(written, whom);
    }

    fn tell_some(&mut self, cx: &mut Cx<'_>, mut written: Written, mut whom: VecDeque<Told>) {
        for told in whom.drain(..TOLD_A_VISIT.min(whom.len())) {
            self.survey.work.told += 1;
            match told {
                Told::One(waiting) => self.tell(cx, waiting, &written),
                Told::Page(conn) => self.push_state(cx, conn, &mut written),
            }
        }
        if whom.is_empty() {
            return self.end_look(cx);
        }
        self.survey.phase = Phase::Telling(written, whom);
    }

    fn tell(&mut self, cx: &mut Cx<'_>, waiting: Waiting, written: &Written) {
        let (conn, answer) = match waiting {
            Waiting::Sample | Waiting::Streams => return,
            Waiting::State(conn, right) => match &written.texts[place(right)] {
                Some(text) => (conn, answer::text(Status::OK, Rc::clone(&text.whole))),
                None => return,
            },
            Waiting::Answer(conn, status, body) => (conn, answered(status, &body)),
            Waiting::History(conn, id) => match self.survey.tab(id) {
                Some(_) => (conn, answered(Status::OK, &self.history.json(id))),
                None => (conn, answered(Status::NOT_FOUND, &no_such())),
            },
        };
        self.server.answer(cx, conn, answer);
    }

    /// The tabs can't be had: whoever waits for them is told so, and the next one asks again.
    pub(super) fn unlisted(&mut self, cx: &mut Cx<'_>) {
        if self.survey.waiting.iter().any(is_sample) {
            self.history.break_off_second();
        }
        for waiting in std::mem::take(&mut self.survey.waiting) {
            let (conn, answer) = match waiting {
                Waiting::Sample | Waiting::Streams => continue,
                Waiting::Answer(conn, status, body) => (conn, answered(status, &body)),
                Waiting::State(conn, _) | Waiting::History(conn, _) => {
                    (conn, answered(Status::UNAVAILABLE, &no_answer()))
                }
            };
            self.server.answer(cx, conn, answer);
        }
        self.end_look(cx);
    }
}

impl Written {
    /// Whether it was written for those who may only look, too.
    fn add(&mut self, row: Value) -> bool {
        self.put(Right::All, &row);
        let is_seen = self.texts[place(Right::View)].is_some();
        if is_seen {
            self.put(Right::View, &state::as_seen(row));
        }
        self.rows += 1;
        is_seen
    }

    fn put(&mut self, right: Right, row: &Value) {
        if let Some(Text { building, .. }) = &mut self.texts[place(right)] {
            building.push(if self.rows == 0 { '[' } else { ',' });
            *building += &row.to_string();
        }
    }

    /// All rows are there: what stands around them.
    fn complete(&mut self, mut head: Value) {
        for right in [Right::All, Right::View] {
            let Some(text) = &mut self.texts[place(right)] else {
                continue;
            };
            head["view_only"] = json!(right == Right::View);
            if right == Right::View {
                head["settings"] = Value::Null;
            }
            let mut rows = std::mem::take(&mut text.building);
            if rows.is_empty() {
                rows.push('[');
            }
            let head = head.to_string();
            let head = head.strip_suffix('}').expect("it is an object");
            text.whole = format!("{head},\"roles\":{rows}]}}").into_bytes().into();
        }
    }

    /// As it is pushed to pages of this right; `None` where there was none when it was written.
    pub(super) fn event(&mut self, right: Right) -> Option<Rc<[u8]>> {
        let text = self.texts[place(right)].as_mut()?;
        let event = || answer::event_of("state", &text.whole).into();
        Some(Rc::clone(text.event.get_or_insert_with(event)))
    }
}

fn is_sample(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Sample)
}

/// Where the text is for those of a right.
fn place(right: Right) -> usize {
    usize::from(right == Right::All)
}

/// Rows that are written in one visit.
const ROWS_A_VISIT: usize = 32;
/// Whoever waits that is told in one visit.
const TOLD_A_VISIT: usize = 4;
