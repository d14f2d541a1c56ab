//! The bench's options, and how settings and words become a `BenchConfig`.

mod build;
mod error;
mod spoken;
mod table;

pub use build::build;
pub use error::OrderError;
pub use spoken::SpokenError;
pub use table::OPTIONS;
