//! What is never shown: bytes of which neither the log nor a trace says anything, and the parts of an address that may
//! be anybody's secret.

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

/// What may be shown of an address, be it one or not: neither what stands before an `@` nor what stands behind a `?` or
/// `#`, which may be anybody's secret. Either may have the other's sign in it.
pub(crate) fn shown(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['@', '?', '#']) => (format!("{scheme}://"), rest),
        _ => (String::new(), text),
    };
    let query = rest.split_once(['?', '#']);
    match (
        rest.rsplit_once('@'),
        query.filter(|(_, behind)| !behind.is_empty()),
    ) {
        (None, None) => text.to_owned(),
        (Some((_, host)), None) => format!("{scheme}...@{host}"),
        (None, Some((before, _))) => format!("{scheme}{before}?..."),
        (Some(_), Some(_)) => format!("{scheme}..."),
    }
}

/// Whether this is not only a word but the address of something, so that there may be a secret in it. A file's path may
/// have any sign in it, and is meant to be found.
pub(crate) fn is_address(text: &str) -> bool {
    let bare = text
        .strip_prefix("listen:")
        .or(text.strip_prefix("connect:"));
    let bare = bare.unwrap_or(text);
    let is_before = |end: char, sign: char| {
        let before = bare.split_once(end).map(|(before, _)| before);
        before.is_some_and(|before| before != "unix" && !before.contains(sign))
    };
    // A host, a path and a query: an absolute path begins with no host.
    let is_url = || {
        !bare.starts_with(['/', '.', '~'])
            && !bare.starts_with("unix:")
            && bare.contains('?')
            && is_before('/', '?')
    };
    is_before(':', '/') || is_url()
}

/// The addresses of a list, which has commas between them. Where one has a user or a query in it, a comma may be a part
/// of that: the list is one word then, and none that can be read.
pub(crate) fn addresses(list: &str) -> impl Iterator<Item = &str> {
    let is_whole = is_address(list) && list.contains(['@', '?', '#']);
    let end = move |c: char| c == ',' && !is_whole;
    list.split(end).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_in_an_address_is_not_shown() {
        for (text, told) in [
            ("tls://a:1", "tls://a:1"),
            ("a:1?", "a:1?"),
            ("tls://a:1?t=S", "tls://a:1?..."),
            ("a:1/x#S", "a:1/x?..."),
            ("S:S@a:1", "...@a:1"),
            ("ws://S@a:1/", "ws://...@a:1/"),
            ("http://a?S@b", "http://..."),
            ("S@b?://c", "..."),
        ] {
            assert_eq!(shown(text), told);
            assert_eq!(shown(told), told, "what may be shown is shown");
        }
        let words = [
            "a",
            "unix:/a?b",
            "listen:unix:@a",
            "/a/b@c:1",
            "-",
            "",
            "a/b",
            "./a/b?c",
            "a?b",
        ];
        assert!(!words.into_iter().any(is_address));
        let addresses = [
            "a:1",
            ":1",
            "tls://a",
            "connect:u@a:1",
            "u:S@a",
            "[::1]:1",
            "a/b?t=S",
        ];
        assert!(addresses.into_iter().all(is_address));
    }

    #[test]
    fn a_comma_in_a_secret_ends_no_address() {
        let all = |list| addresses(list).collect::<Vec<_>>();
        assert_eq!(all("a:1, b:2"), ["a:1", "b:2"]);
        assert_eq!(all("a:1,b:2?t=S,S"), ["a:1,b:2?t=S,S"]);
        assert_eq!(all("unix:/a?b,unix:/c"), ["unix:/a?b", "unix:/c"]);
    }

    #[test]
    fn it_is_there_and_not_shown() {
        let secret = Secret::from(b"LOGIN me".to_vec());
        assert_eq!(&secret[..5], b"LOGIN");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:#?}", Some(&secret)).matches("LOGIN").count(), 0);
    }
}
