//! What a role asks of the owner of the loop, who knows all roles, and what it is answered. Roles do not know each
//! other: one that watches or moves others asks here, and the answer comes as an event of its own.

use std::time::Duration;

use crate::reactor::tabs::{TabCommand, TabReply};
use crate::reactor::view::{Spread, View};

/// A question, so that its answer can be told from those to others. Each role counts its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What all roles show of themselves, beginning with one by its place: [`Reply::Roles`].
    Roles {
        /// The place, from 0 on.
        from: usize,
    },
    /// What the process shows of itself: [`Reply::Process`].
    Process,
    /// What a console asks, or `hydrant status`: [`Reply::Tab`].
    Tab(TabCommand),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Some roles.
    Roles {
        /// At most [`super::view::PAGE_MAX`].
        rows: Vec<RoleRow>,
        /// Where the next page begins; `None` behind the last.
        next: Option<usize>,
    },
    /// The process.
    Process(Box<Process>),
    /// What a console is answered.
    Tab(TabReply),
}

/// A role, as the owner of the loop knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its name, which no other role has.
    pub name: String,
    /// Whether it runs.
    pub state: RoleState,
}

/// Whether a role runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleState {
    /// It does, and shows this.
    Running(Box<View>),
    /// It was stopped, or has come to its end.
    Stopped,
    /// It could not go on, and why.
    Failed(String),
}

/// What the process shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// How long it has run.
    pub age: Duration,
    /// How long the turns of the loop took, without the waits between them.
    pub turns: Spread,
    /// Descriptors that are open, about, and how many may be.
    pub descriptors: (usize, usize),
    /// Memory that is resident, in bytes; `None` where the system does not say.
    pub memory: Option<u64>,
    /// Processor time that was used; `None` where the system does not say.
    pub processor: Option<Duration>,
    /// Times that the run file was read again: with success, and in vain.
    pub reloads: (u64, u64),
}
