//! Who may publish: the tokens file, `NAME TOKEN [PORTS]` a line, and what a line grants.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::secret::Secret;
use crate::base::tokens::{self, Line, Mistakes, TokensError, TokensFault};
use crate::proto::hello::Name;

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// Those that backends are given where nothing is said of that: as the seed does, the ones after the server's own.
    pub fn after(own: u16) -> Self {
        Self {
            first: own.saturating_add(1),
            last: own.saturating_add(PORTS_AFTER_OWN),
        }
    }

    /// Whether a port is one of them.
    pub fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// As [`PortRange::has`]; 0 stands for any port.
    pub fn may(self, port: u16) -> bool {
        self.last == 0 || self.has(port)
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
    /// Reads the lines of a list of tokens.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn parse(text: &[u8]) -> Result<Self, Mistakes<TokensError>> {
        let mut names = BTreeMap::new();
        let mut take = |line: Line<'_>| {
            let rule = |rule| line.fault(TokensFault::Rule(rule));
            let word = |word| str::from_utf8(word).unwrap_or_default();
            let name: Name = word(line.name).parse().map_err(|_| rule(NAMES))?;
            let ports = line.rest.map(|ports| word(ports).parse()).transpose();
            let ports = ports.map_err(|()| rule(PORTS))?;
            if names.contains_key(&name) {
                return Err(line.twice());
            }
            let token = line.token;
            names.insert(name, Grant { token, ports });
            Ok(())
        };
        let read = tokens::lines(text, true).into_iter();
        Mistakes::of(read.map(|line| line.and_then(&mut take)))?;
        Ok(Self { names })
    }

    /// What a name is granted.
    pub fn get(&self, name: &Name) -> Option<&Grant> {
        self.names.get(name)
    }

    /// Whether each name has ports of its own.
    pub fn all_have_ports(&self) -> bool {
        self.names.values().all(|grant| grant.ports.is_some())
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

const NAMES: &str = "the name must be 1 to 63 of a-z 0-9 . _ -";
/// As the seed does, backends get the ports after the server's own.
const PORTS_AFTER_OWN: u16 = 20;
const PORTS: &str = "the ports must be A-B, or one port";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_tokens_and_ports() {
        let text = "# who\n\nweb 0123456789abcdef\n db\tfedcba9876543210 8000-8010 \nx 0123456789abcdeg 9\n";
        let tokens = Tokens::parse(text.as_bytes()).unwrap();
        assert_eq!(tokens.len(), 3);
        let get = |name: &str| tokens.get(&name.parse().unwrap()).unwrap();
        assert_eq!(&*get("web").token, b"0123456789abcdef");
        assert_eq!(get("web").ports, None);
        let ports = get("db").ports.unwrap();
        assert_eq!(ports.to_string(), "8000-8010");
        assert!(ports.has(8010) && !ports.has(8011) && !ports.may(8011));
        let any: PortRange = "0".parse().unwrap();
        assert!(!any.has(8011) && any.may(8011));
        assert_eq!(get("x").ports.unwrap().to_string(), "9");
    }

    #[test]
    fn mistakes_name_the_line_and_show_nothing_of_it() {
        let said = |text: &str| Tokens::parse(text.as_bytes()).unwrap_err().to_string();
        let token = "0123456789abcdef";
        let cases = [
            (
                format!("\nWeb {token}"),
                "line 2: the name must be 1 to 63 of a-z 0-9 . _ -",
            ),
            (
                "web".to_owned(),
                "line 1: a name without a token: write NAME TOKEN",
            ),
            (
                "web short".to_owned(),
                "line 1: the token is shorter than 16 bytes",
            ),
            (
                format!("web {token} 9-8"),
                "line 1: the ports must be A-B, or one port",
            ),
            (
                format!("web {token} +9"),
                "line 1: the ports must be A-B, or one port",
            ),
            (format!("web {token} 9 x"), "line 1: leftover word x"),
            ("# web".to_owned(), "no line of the form NAME TOKEN"),
            (
                format!("web {token}\nweb {token}"),
                "line 2: web has a token already",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(said(&text), message);
        }
    }
}
