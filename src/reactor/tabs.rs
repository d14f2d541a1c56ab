//! What a console shows and moves: roles in the order in which a person put them, with the settings that they are made
//! of. It is asked of the owner of the loop, who keeps them; it knows no role and no file.

pub use crate::base::form::{Faults, OptionRow};
use crate::reactor::command::RoleRow;
use crate::reactor::view::ClientPage;

/// What is asked about tabs. A tab goes by its id, which stays the same whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TabCommand {
    /// All of them, beginning with one by its place: [`TabReply::List`].
    List {
        /// The place, from 0 on.
        from: usize,
        /// Without their settings.
        is_brief: bool,
    },
    /// The options that a relay has: [`TabReply::Options`].
    Options,
    /// Lines of the log: [`TabReply::Log`].
    Log {
        /// The number of the last one that is known.
        after: u64,
    },
    /// What has flowed through a relay: [`TabReply::Payload`].
    Payload {
        /// Which tab.
        tab: u64,
        /// Where it goes on; `None`: at the newest.
        from: Option<u64>,
    },
    /// Some of its clients: [`TabReply::Clients`].
    Clients {
        /// Which tab.
        tab: u64,
        /// 0, or where the page before said that the next one begins.
        from: u64,
    },
    /// A new one, chained from another, or from the last: [`TabReply::Added`].
    Add {
        /// Which.
        after: Option<u64>,
    },
    /// Changes settings: [`TabReply::Faults`], of which there may be none.
    Change {
        /// Which tab.
        tab: u64,
        /// Each field's name and what is to stand in it; empty: the default.
        fields: Vec<(String, String)>,
    },
    /// Starts it: [`TabReply::Done`], or [`TabReply::Faults`].
    Start {
        /// Which tab.
        tab: u64,
    },
    /// Stops it; its clients get what is theirs first: [`TabReply::Done`].
    Stop {
        /// Which tab.
        tab: u64,
    },
    /// Stops it and forgets it; the last one leaves a fresh one: [`TabReply::Done`], or [`TabReply::Added`].
    Remove {
        /// Which tab.
        tab: u64,
    },
    /// Whether what flows is shown: [`TabReply::Done`].
    Dump {
        /// Which tab.
        tab: u64,
        /// Whether it is.
        on: bool,
        /// On stdout, as by `--dump`, rather than to those who look at it.
        to_stdout: bool,
    },
    /// Reads the run file again and applies the difference: [`TabReply::Done`] once that is done.
    Reload,
    /// Disconnects a client: [`TabReply::Done`].
    Kick {
        /// Which tab.
        tab: u64,
        /// The client's id, of its row.
        client: u64,
    },
}

impl TabCommand {
    /// Whether something is another one by it, and not only looked at.
    pub fn changes(&self) -> bool {
        match self {
            Self::List { .. }
            | Self::Options
            | Self::Log { .. }
            | Self::Payload { .. }
            | Self::Clients { .. } => false,
            Self::Add { .. }
            | Self::Change { .. }
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Remove { .. }
            | Self::Dump { .. }
            | Self::Reload
            | Self::Kick { .. } => true,
        }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TabReply {
    /// Tabs.
    List(Tabs),
    /// Options, in the order of the help.
    Options(Vec<OptionRow>),
    /// Lines, the oldest first.
    Log(Vec<LogLine>),
    /// Payload.
    Payload(Payload),
    /// Clients.
    Clients(ClientPage),
    /// There is a new one, of this id.
    Added(u64),
    /// It was done.
    Done,
    /// What is wrong; there may be nothing.
    Faults(Faults),
    /// It was not done, and why: one line for people.
    Refused(String),
    /// This is what has come of it, which is not on the disk, where it is to be; and why.
    Unsaved(Box<Self>, String),
}

/// Some tabs, and what became of their settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tabs {
    /// At most [`super::view::PAGE_MAX`].
    pub rows: Vec<Tab>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<usize>,
    /// Where the settings are kept; `None` where they are not.
    pub file: Option<String>,
    /// Why they could not be kept the last time.
    pub fault: Option<String>,
    /// What else is to be known of the file, in one line.
    pub note: Option<String>,
    /// Tabs come and go here: [`TabCommand::Add`] and [`TabCommand::Remove`] are not refused for good.
    pub is_kept: bool,
}

/// What a page is told of one role that was asked for: a copy, as things stood then. What it is a copy of, `app` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// No other tab of this run has it, or has had it.
    pub id: u64,
    /// What its role is: `relay`, `hub serve`, ...
    pub kind: &'static str,
    /// How its lines in the log begin: `relay[sports]`.
    pub label: String,
    /// Its role.
    pub row: RoleRow,
    /// Which run of it this is: another number each time that it is started. `None` while it does not run.
    pub run: Option<u32>,
    /// What flows through it is shown.
    pub dump: bool,
    /// What can be changed of it; `None` where that is not done here, or was not asked for.
    pub settings: Option<TabSettings>,
}

/// A tab's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabSettings {
    /// Each field's name and what stands in it, as it was typed.
    pub fields: Vec<(String, String)>,
    /// The command line that does the same, but for what it can't say.
    pub command: String,
    /// What that is: fields, and what stands in them.
    pub unsaid: Vec<String>,
    /// What is wrong with the fields.
    pub faults: Faults,
    /// They are only to be seen, and are changed elsewhere. It says nothing of whether the tab can be removed: that can
    /// be each, where tabs are kept.
    pub is_fixed: bool,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Lines are counted from 1.
    pub seq: u64,
    /// As it stands in the log, without its end.
    pub text: String,
}

/// A piece of what has flowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Where it begins, in bytes since the relay's start.
    pub offset: u64,
    /// The bytes, at most [`PAYLOAD_MAX`] of them.
    pub bytes: Vec<u8>,
    /// How many are missing before it.
    pub skipped: u64,
}

/// The most bytes of a piece.
pub const PAYLOAD_MAX: usize = 16 << 10;
