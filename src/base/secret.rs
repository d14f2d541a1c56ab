//! Bytes that are never shown: not in the log, not in a trace.

use std::fmt;
use std::ops::Deref;

/// Bytes that nobody but their receiver may see. Their `Debug` output says nothing of them, not even their length.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_and_not_shown() {
        let secret = Secret::from(b"LOGIN me".to_vec());
        assert_eq!(&secret[..5], b"LOGIN");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:#?}", Some(&secret)).matches("LOGIN").count(), 0);
    }
}
