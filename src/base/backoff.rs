//! How long to wait between attempts.

use std::time::Duration;

/// `--retry`: a fixed wait (`min == max`), or one that doubles from `min` to `max` and is then spread at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}
