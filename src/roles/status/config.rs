//! What `hydrant status` is told to do.

use std::path::PathBuf;

/// Its orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// Where the sockets of the processes that may run are.
    pub folder: Option<PathBuf>,
    /// `--pid`: the one process that is meant, by its id.
    pub pid: Option<String>,
    /// What is to be done.
    pub act: Act,
    /// `--watch`: shows it again each second.
    pub watches: bool,
    /// `--json`: as programs read it.
    pub json: bool,
}

impl StatusConfig {
    /// Whether a process of this id is meant.
    pub fn means(&self, pid: &str) -> bool {
        self.pid.as_ref().is_none_or(|own| own == pid)
    }
}

/// What is to be done. A role may be left out where there is one that can be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// All roles are shown.
    Show,
    /// The clients of one, those furthest behind first.
    Clients {
        /// Its name.
        role: Option<String>,
    },
    /// A client is disconnected.
    Kick {
        /// Its address, as it is shown.
        client: String,
        /// Whose client it is.
        role: Option<String>,
    },
    /// The payload is shown on the process's stdout, or no longer.
    Dump {
        /// Whether it is.
        on: bool,
        /// Whose.
        role: Option<String>,
    },
    /// One that does not run is begun.
    Start {
        /// Its name.
        role: Option<String>,
    },
    /// One is stopped; its clients get what is theirs first.
    Stop {
        /// Its name.
        role: Option<String>,
    },
    /// The run file is read again.
    Reload,
}
