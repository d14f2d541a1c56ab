//! What is changed on a page gets into its file, and stays there, whoever else writes that and however the process
//! ends. Whose text it is, and what it says, is not known here.
//!
//! ```text
//!   text ──> keeper (a thread) ──> settings_file (replaced as a whole) ──> the disk
//!               │  └─ lock: the file is this process's     └─ theirs: what else stands there, and whose that is
//!               └──it is there, or can't be──> saved: whoever waits is answered
//! ```

pub(super) mod keeper;
pub(super) mod lock;
pub(super) mod saved;
pub(super) mod settings_file;
mod theirs;
