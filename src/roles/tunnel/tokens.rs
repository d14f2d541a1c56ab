//! Who may publish: the tokens file, `NAME TOKEN [PORTS]` a line, and what a line grants.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::base::secret::Secret;
use crate::proto::hello::{Name, TOKEN_MIN};

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// Whether a port is one of them.
    pub fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = ();

    /// `A-B`, or one port.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u16>().map_err(drop),
            false => Err(()),
        };
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        match range.first <= range.last && (range.first > 0 || range.last == 0) {
            true => Ok(range),
            false => Err(()),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// What a name's line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What proves the name.
    pub token: Secret,
    /// The ports that it may have, in place of `--ports`.
    pub ports: Option<PortRange>,
}

/// All names that may publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    names: BTreeMap<Name, Grant>,
}

impl Tokens {
    /// Reads the file's text. Empty lines, and those that begin with `#`, mean nothing.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what| TokensError { line: number, what };
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            let name: Name = name.parse().map_err(|_| wrong(TokensFault::Name))?;
            let token = words.next().ok_or(wrong(TokensFault::NoToken))?;
            if token.len() < TOKEN_MIN {
                return Err(wrong(TokensFault::ShortToken));
            }
            let ports = words.next().map(str::parse).transpose();
            let ports = ports.map_err(|()| wrong(TokensFault::Ports))?;
            if words.next().is_some() {
                return Err(wrong(TokensFault::Leftover));
            }
            let grant = Grant {
                token: token.as_bytes().to_vec().into(),
                ports,
            };
            if tokens.names.insert(name, grant).is_some() {
                return Err(wrong(TokensFault::Twice));
            }
        }
        Ok(tokens)
    }

    /// What a name is granted.
    pub fn get(&self, name: &Name) -> Option<&Grant> {
        self.names.get(name)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody may publish.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// A line that can't be used. It does not show the line, which may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensError {
    /// Which line, from 1 on.
    pub line: usize,
    what: TokensFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokensFault {
    Name,
    NoToken,
    ShortToken,
    Ports,
    Leftover,
    Twice,
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            TokensFault::Name => "the name must be 1 to 63 of a-z 0-9 . _ -",
            TokensFault::NoToken => "a token has to follow the name",
            TokensFault::ShortToken => "the token has fewer than 16 bytes",
            TokensFault::Ports => "the ports must be A-B, or one port",
            TokensFault::Leftover => "nothing may follow NAME TOKEN PORTS",
            TokensFault::Twice => "the name has a line already",
        };
        write!(f, "line {}: {what}", self.line)
    }
}

impl Error for TokensError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_tokens_and_ports() {
        let text = "# who\n\nweb 0123456789abcdef\n db\tfedcba9876543210 8000-8010 \nx 0123456789abcdeg 9\n";
        let tokens = Tokens::parse(text).unwrap();
        assert_eq!(tokens.len(), 3);
        let get = |name: &str| tokens.get(&name.parse().unwrap()).unwrap();
        assert_eq!(&*get("web").token, b"0123456789abcdef");
        assert_eq!(get("web").ports, None);
        let ports = get("db").ports.unwrap();
        assert_eq!(ports.to_string(), "8000-8010");
        assert!(ports.has(8010) && !ports.has(8011));
        assert_eq!(get("x").ports.unwrap().to_string(), "9");
    }

    #[test]
    fn mistakes_name_the_line_and_show_nothing_of_it() {
        let said = |text: &str| Tokens::parse(text).unwrap_err().to_string();
        let token = "0123456789abcdef";
        let cases = [
            (
                format!("\nWeb {token}"),
                "line 2: the name must be 1 to 63 of a-z 0-9 . _ -",
            ),
            ("web".to_owned(), "line 1: a token has to follow the name"),
            (
                "web short".to_owned(),
                "line 1: the token has fewer than 16 bytes",
            ),
            (
                format!("web {token} 9-8"),
                "line 1: the ports must be A-B, or one port",
            ),
            (
                format!("web {token} +9"),
                "line 1: the ports must be A-B, or one port",
            ),
            (
                format!("web {token} 9 x"),
                "line 1: nothing may follow NAME TOKEN PORTS",
            ),
            (
                format!("web {token}\nweb {token}"),
                "line 2: the name has a line already",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(said(&text), message);
        }
    }
}
