//! What a Host field names (RFC 9110, section 7.2).

use std::net::IpAddr;

/// A Host field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostField<'a> {
    /// As it was written, an IPv6 address in its brackets.
    pub name: &'a str,
    /// As it was written, where there is one.
    pub port: Option<&'a str>,
}

impl<'a> HostField<'a> {
    /// Takes one apart, whatever it holds.
    pub fn of(field: &'a str) -> Self {
        match field.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => Self {
                name,
                port: Some(port),
            },
            _ => Self {
                name: field,
                port: None,
            },
        }
    }

    /// Whether it is an address or `localhost`, which no name server can point elsewhere.
    pub fn is_fixed(&self) -> bool {
        let inner = self
            .name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_address = inner.unwrap_or(self.name).parse::<IpAddr>().is_ok();
        is_address || self.name.eq_ignore_ascii_case("localhost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (field, name, port, is_fixed) in [
            ("localhost", "localhost", None, true),
            ("LocalHost:7700", "LocalHost", Some("7700"), true),
            ("127.0.0.1:80", "127.0.0.1", Some("80"), true),
            ("[::1]", "[::1]", None, true),
            ("[::1]:80", "[::1]", Some("80"), true),
            ("a.example:", "a.example", Some(""), false),
            (
                "localhost.a.example:80",
                "localhost.a.example",
                Some("80"),
                false,
            ),
            ("[localhost]", "[localhost]", None, false),
            ("", "", None, false),
        ] {
            let host = HostField::of(field);
            assert_eq!(host, HostField { name, port });
            assert_eq!(host.is_fixed(), is_fixed, "{field}");
        }
    }
}
