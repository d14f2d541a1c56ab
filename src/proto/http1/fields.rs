//! The fields of a head. Names are the same in any case; a value's meaning is its reader's.

use std::fmt;
use std::str;

/// All fields, in their order.
#[derive(Clone)]
pub struct Fields<'a>(pub(super) Vec<httparse::Header<'a>>);

/// A field stands there more than once.
pub(super) struct Twice;

impl<'a> Fields<'a> {
    /// The values of all fields with this name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n, '_> {
        let same = move |field: &&httparse::Header<'a>| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(same).map(|field| field.value)
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of the only field with this name.
    pub(super) fn only(&self, name: &str) -> Result<Option<&'a [u8]>, Twice> {
        let mut all = self.all(name);
        let first = all.next();
        match all.next() {
            Some(_) => Err(Twice),
            None => Ok(first),
        }
    }

    /// The members of a list, which may be spread over several fields (RFC 9110, section 5.6.1), without empty ones.
    pub fn members<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n, '_> {
        let members = self.all(name).flat_map(|value| value.split(|b| *b == b','));
        members
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    /// Those of [`Fields::members`] that are text.
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n, '_> {
        self.members(name)
            .filter_map(|member| str::from_utf8(member).ok())
    }

    /// Whether a list has this member, in any case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.list(name)
            .any(|listed| listed.eq_ignore_ascii_case(member))
    }
}

/// The names alone: a value may be a secret.
impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|field| field.name))
            .finish()
    }
}

/// A word that may stand for a name: a method, a field, a protocol (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// What may stand in a target or a value that we write: no spaces, no line ends, nothing beyond ASCII.
pub(super) fn is_visible(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_graphic)
}
