//! What is changed on a page gets into its file, and stays there, whoever else writes that and however the process
//! ends. What the text says is not looked at here. Whether it is a console's settings or a run file tells which lock it
//! has, what it is called in the log and to whoever changed it, and whether its folder is made.
//!
//! ```text
//!   text ──> keeper (a thread) ──> kept_file (replaced as a whole) ──> the disk
//!               │  └─ lock: the file is this process's     ├─ found: what stands there
//!               │                                          └─ theirs: what stands beside it, and whose that is
//!               └──it is there, or can't be──> waiters: whoever waits is answered
//! ```

mod found;
pub(super) mod keeper;
pub(super) mod kept_file;
pub(super) mod lock;
mod theirs;
pub(super) mod waiters;
