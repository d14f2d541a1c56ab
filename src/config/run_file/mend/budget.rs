//! What it may cost to mend one file: bytes that are parsed. So the time grows with the file, whatever stands in it.

use toml_edit::{Document, TomlError};

/// The bytes that may still be parsed.
pub(super) struct Budget {
    left: usize,
    /// It was too little for what was to be read last.
    is_used_up: bool,
}

impl Budget {
    pub(super) fn of(file: &str) -> Self {
        Self {
            left: allowed(file.len()),
            is_used_up: false,
        }
    }

    /// Parses a text. `None`: it is longer than what is left, and so is whatever comes after it.
    pub(super) fn parse<'a>(
        &mut self,
        text: &'a str,
    ) -> Option<Result<Document<&'a str>, TomlError>> {
        self.is_used_up |= text.len() > self.left;
        if self.is_used_up {
            return None;
        }
        self.left -= text.len();
        Some(Document::parse(text))
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.is_used_up
    }
}

/// How many bytes are parsed to mend a file of this length.
fn allowed(length: usize) -> usize {
    length.saturating_mul(FACTOR).max(LEAST)
}

/// How often a long file is read, all in all.
const FACTOR: usize = 8;
/// What a short one may take at any rate.
const LEAST: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_parsed_than_is_allowed() {
        assert_eq!(
            [0, 32 << 10, 32 << 10 | 1].map(allowed),
            [LEAST, LEAST, LEAST + 8]
        );
        let text = "a = 1\n".repeat(LEAST / 6 / 4);
        let mut budget = Budget::of("");
        for _ in 0..4 {
            assert!(budget.parse(&text).is_some());
        }
        let rest = "#".repeat(LEAST - 4 * text.len());
        assert!(budget.parse(&rest).is_some_and(|read| read.is_ok()));
        assert!(!budget.is_used_up());
        assert!(budget.parse("#").is_none() && budget.is_used_up());
    }
}
