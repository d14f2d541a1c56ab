//! What is asked for: a head that has been taken apart and found unambiguous.

use std::fmt;
use std::str;

use super::fault::Fault;
use super::fields::{Fields, Twice, is_visible};
use super::head::{FIELDS_MAX, HeadBuf};

/// A request's head. What is read of it more than once was read when it was parsed: the target, the host, the length.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method, in the case in which it came: methods are in capitals.
    pub method: &'a str,
    /// The path, as it came: from the first slash up to a `?`. `*` for `OPTIONS *`.
    pub path: &'a str,
    /// What stands behind the `?`.
    pub query: Option<&'a str>,
    /// Whom it is for, `HOST` or `HOST:PORT`: from the target where that is a URL, else the Host field. `None` only in
    /// HTTP/1.0.
    pub host: Option<&'a str>,
    /// Whether it is HTTP/1.1.
    pub is_1_1: bool,
    /// How long its body is.
    pub content_length: Option<u64>,
    /// All its fields.
    pub fields: Fields<'a>,
}

/// A token that came with a request. Its `Debug` output says nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bearer<'a>(pub &'a [u8]);

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

impl<'a> Request<'a> {
    /// Takes a complete head apart.
    ///
    /// # Panics
    /// If the head is not complete.
    pub fn parse(head: &'a HeadBuf) -> Result<Self, Fault> {
        assert!(
            head.is_complete(),
            "a head is parsed once, when it is whole"
        );
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head.bytes()) {
            Ok(httparse::Status::Complete(len)) if len == head.bytes().len() => {}
            Ok(_) => return Err(Fault::Malformed),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooManyFields),
            Err(httparse::Error::Version) => return Err(Fault::Version),
            Err(_) => return Err(Fault::Malformed),
        }
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Fault::Malformed);
        };
        let fields = Fields(parsed.headers.to_vec());
        let is_1_1 = minor == 1;
        let content_length = length(&fields)?;
        let named = only(&fields, "Host")?;
        if named.is_none() && is_1_1 {
            return Err(Fault::NoHost);
        }
        let named = named.map(|host| checked_host(host).ok_or(Fault::BadField { field: "Host" }));
        let named = named.transpose()?;
        let (authority, origin_form) = split_target(target)?;
        if authority
            .is_some_and(|host| named.is_some_and(|named| !named.eq_ignore_ascii_case(host)))
        {
            return Err(Fault::OtherHost);
        }
        let (path, query) = match origin_form.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (origin_form, None),
        };
        Ok(Self {
            method,
            path: if path.is_empty() { "/" } else { path },
            query,
            host: authority.or(named),
            is_1_1,
            content_length,
            fields,
        })
    }

    /// Refuses a request that has a body. Where one is taken, [`Request::content_length`] says how long it is.
    pub fn without_body(&self) -> Result<(), Fault> {
        match self.content_length {
            None | Some(0) => Ok(()),
            Some(_) => Err(Fault::Body),
        }
    }

    /// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1); `None` where there is no such field, or one
    /// of another scheme.
    pub fn bearer(&self) -> Result<Option<Bearer<'a>>, Fault> {
        const FIELD: &str = "Authorization";
        let Some(value) = only(&self.fields, FIELD)? else {
            return Ok(None);
        };
        let at = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
        let (scheme, token) = value.split_at(at);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Ok(None);
        }
        let token = token.trim_ascii();
        match is_visible(token) {
            true => Ok(Some(Bearer(token))),
            false => Err(Fault::BadField { field: FIELD }),
        }
    }

    /// The page that a browser runs, which asks: `Origin` (RFC 6454, section 7). Other programs send none.
    pub fn origin(&self) -> Result<Option<&'a str>, Fault> {
        const FIELD: &str = "Origin";
        let value = only(&self.fields, FIELD)?;
        let text = value.map(|value| str::from_utf8(value).ok().filter(|_| is_visible(value)));
        text.map(|text| text.ok_or(Fault::BadField { field: FIELD }))
            .transpose()
    }
}

pub(super) fn only<'a>(
    fields: &Fields<'a>,
    field: &'static str,
) -> Result<Option<&'a [u8]>, Fault> {
    fields.only(field).map_err(|Twice| Fault::Twice { field })
}

/// How long the body is: RFC 9112, section 6, without the chunks.
fn length(fields: &Fields<'_>) -> Result<Option<u64>, Fault> {
    const FIELD: &str = "Content-Length";
    let length = only(fields, FIELD)?;
    if fields.has("Transfer-Encoding") {
        // With both, two readers may see two different requests.
        return Err(match length {
            Some(_) => Fault::BadField { field: FIELD },
            None => Fault::TransferEncoding,
        });
    }
    let read = |value: &[u8]| {
        let digits = str::from_utf8(value).ok()?;
        let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| all_digits)
    };
    length
        .map(|value| read(value).ok_or(Fault::BadField { field: FIELD }))
        .transpose()
}

/// The host of a URL, if the target is one, and the rest.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Fault> {
    if target.starts_with('/') || target == "*" {
        return Ok((None, target));
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(Fault::Target);
    };
    if !["http", "https", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(Fault::Target);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = checked_host(host.as_bytes()).ok_or(Fault::Target)?;
    Ok((Some(host), path))
}

/// `HOST` or `HOST:PORT`, by the characters that can stand there (RFC 9110, section 7.2). No user and no path.
fn checked_host(value: &[u8]) -> Option<&str> {
    let host = str::from_utf8(value).ok()?;
    let may_stand = |b: u8| b.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+;=".contains(&b);
    (!host.is_empty() && host.bytes().all(may_stand)).then_some(host)
}
