//! The bench's options, and how settings and words become a `BenchConfig`.

mod build;
mod error;
mod spoken;
mod table;
mod together;

pub use build::build;
pub use error::OrderError;
pub use spoken::SpokenError;
pub use table::OPTIONS;
pub use together::TogetherError;
