//! Named mailboxes: whoever connects says its name, and then sends messages to names and receives those to its own.
//!
//! ```text
//!   serve/   the hub itself
//!   user/    those who connect to one: at a terminal, and for scripts
//!   tunnel/  two that carry connections of programs which know nothing of a hub
//! ```

pub mod config;
pub mod options;
mod serve;
mod tunnel;
mod user;

pub use self::serve::{Counts, Hub, Reason, Refusal};
pub use self::tunnel::Tunnel;
pub use self::user::User;
