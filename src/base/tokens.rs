//! Secrets by the name of whom they belong to: what `--tokens FILE` holds, and the one secret of a dialling side.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use crate::base::secret::Secret;
use crate::base::units::Typed;

/// Who has which token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    by_name: BTreeMap<Vec<u8>, Secret>,
}

/// A line of a list of tokens.
#[derive(Debug)]
pub struct Line<'a> {
    /// Which, from 1 on.
    pub number: usize,
    /// Its first word.
    pub name: &'a [u8],
    /// Its second.
    pub token: Secret,
    /// What stands behind, where that may be.
    pub rest: Option<&'a [u8]>,
}

impl Line<'_> {
    /// What is wrong with this line.
    pub fn fault(&self, fault: TokensFault) -> TokensError {
        TokensError {
            line: self.number,
            fault,
        }
    }

    /// The name has a line already.
    pub fn twice(&self) -> TokensError {
        let name = String::from_utf8_lossy(self.name).into_owned();
        self.fault(TokensFault::Twice(name))
    }
}

/// Reads lines of a name and a token, with spaces between them, and where `has_rest` perhaps one more word: of each
/// line what it says, or what is wrong with it. There must be one at least. Empty lines, and those that begin with `#`,
/// are left out.
pub fn lines(text: &[u8], has_rest: bool) -> Vec<Result<Line<'_>, TokensError>> {
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let mut read: Vec<_> = lines
        .filter_map(|(number, line)| read_line(number, line, has_rest))
        .collect();
    if read.is_empty() {
        read.push(Err(TokensError {
            line: 0,
            fault: TokensFault::Nobody,
        }));
    }
    read
}

/// `None`: it says nothing.
fn read_line(number: usize, line: &[u8], has_rest: bool) -> Option<Result<Line<'_>, TokensError>> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let name = words.next().filter(|name| !name.starts_with(b"#"))?;
    let mut read = || {
        let token = checked(words.next().ok_or(TokensFault::NoToken)?)?;
        let rest = if has_rest { words.next() } else { None };
        match words.next() {
            Some(word) => Err(TokensFault::Leftover(
                String::from_utf8_lossy(word).into_owned(),
            )),
            None => Ok((token, rest)),
        }
    };
    Some(match read() {
        Ok((token, rest)) => Ok(Line {
            number,
            name,
            token,
            rest,
        }),
        Err(fault) => Err(TokensError {
            line: number,
            fault,
        }),
    })
}

impl Tokens {
    /// Reads lines of a name, a space and a token.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn parse(text: &[u8]) -> Result<Self, Mistakes<TokensError>> {
        let mut by_name = BTreeMap::new();
        let mut take = |line: Line<'_>| match by_name.contains_key(line.name) {
            true => Err(line.twice()),
            false => {
                by_name.insert(line.name.to_vec(), line.token);
                Ok(())
            }
        };
        let read = lines(text, false).into_iter();
        Mistakes::of(read.map(|line| line.and_then(&mut take)))?;
        Ok(Self { by_name })
    }

    /// Reads a file that holds one token and nothing else, its newline apart.
    pub fn parse_one(text: &[u8]) -> Result<Secret, TokensFault> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        checked(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The token that goes with a name.
    pub fn of(&self, name: &[u8]) -> Option<&Secret> {
        self.by_name.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

fn checked(token: &[u8]) -> Result<Secret, TokensFault> {
    match token {
        _ if token.len() < TOKEN_MIN => Err(TokensFault::Short),
        _ if token.iter().any(|byte| !byte.is_ascii_graphic()) => Err(TokensFault::Letters),
        _ => Ok(token.to_vec().into()),
    }
}

/// The shortest token, in bytes: whoever hears a nonce and its proof can try words against them at leisure.
pub const TOKEN_MIN: usize = 16;

/// All that is wrong with a list: one thing at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes<E>(Vec<E>);

impl<E> Mistakes<E> {
    /// Goes through all that was read.
    ///
    /// # Errors
    /// What was wrong with any of it.
    pub fn of(read: impl Iterator<Item = Result<(), E>>) -> Result<(), Self> {
        let wrong: Vec<E> = read.filter_map(Result::err).collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Self(wrong)),
        }
    }

    /// Each of them.
    pub fn all(&self) -> &[E] {
        &self.0
    }
}

impl<E: fmt::Display> fmt::Display for Mistakes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, wrong) in self.0.iter().take(SHOWN).enumerate() {
            let gap = if at == 0 { "" } else { "; " };
            write!(f, "{gap}{wrong}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            1 => f.write_str("; and 1 more line is wrong"),
            more => write!(f, "; and {more} more lines are wrong"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for Mistakes<E> {}

/// As many mistakes are shown one by one: they stand in one line.
const SHOWN: usize = 16;

/// What is wrong with a line of a list of tokens. It never shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensError {
    /// In which line, from 1 on; 0: in none.
    pub line: usize,
    /// What is wrong.
    pub fault: TokensFault,
}

/// What is wrong with a token, or with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokensFault {
    /// A name stands alone.
    NoToken,
    /// The token has fewer than [`TOKEN_MIN`] bytes.
    Short,
    /// The token is not made of visible ASCII characters.
    Letters,
    /// This stands behind the token.
    Leftover(String),
    /// The name has a token already.
    Twice(String),
    /// The line breaks a rule of whoever the tokens are for: this one.
    Rule(&'static str),
    /// There is no line at all.
    Nobody,
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => self.fault.fmt(f),
            line => write!(f, "line {line}: {}", self.fault),
        }
    }
}

impl fmt::Display for TokensFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("a name without a token: write NAME TOKEN"),
            Self::Short => write!(f, "the token is shorter than {TOKEN_MIN} bytes"),
            Self::Letters => {
                f.write_str("the token has something other than visible ASCII characters in it")
            }
            Self::Leftover(word) => write!(f, "leftover word {}", Typed(word)),
            Self::Twice(name) => write!(f, "{} has a token already", Typed(name)),
            Self::Rule(rule) => f.write_str(rule),
            Self::Nobody => f.write_str("no line of the form NAME TOKEN"),
        }
    }
}

impl Error for TokensError {}

impl Error for TokensFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Tokens::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_names_and_tokens() {
        let text = b"# who may be who\n\nalice  0123456789abcdef\n bob\tfedcba9876543210 \r\n";
        let tokens = Tokens::parse(text).unwrap();
        assert_eq!(tokens.len(), 2);
        assert_eq!(&tokens.of(b"alice").unwrap()[..], b"0123456789abcdef");
        assert_eq!(&tokens.of(b"bob").unwrap()[..], b"fedcba9876543210");
        assert_eq!(tokens.of(b"#"), None);
        assert!(!format!("{tokens:?}").contains("0123"));
    }

    #[test]
    fn mistakes_are_told_without_the_token() {
        assert_eq!(
            fault("a\n"),
            "line 1: a name without a token: write NAME TOKEN"
        );
        assert_eq!(
            fault("\na secret"),
            "line 2: the token is shorter than 16 bytes"
        );
        assert_eq!(fault("a 0123456789abcde"), fault("a secret"));
        assert_eq!(fault("a 0123456789abcdef x"), "line 1: leftover word x");
        let twice = "a 0123456789abcdef\na 0123456789abcdef";
        assert_eq!(fault(twice), "line 2: a has a token already");
        assert_eq!(fault("# none\n"), "no line of the form NAME TOKEN");
        assert!(fault("a 0123456789abcd\u{e9}f").contains("visible ASCII"));
        assert_eq!(
            fault("a\nb 0123456789abcdef\n\nc short\nb 0123456789abcdef\n"),
            "line 1: a name without a token: write NAME TOKEN; line 4: the token is shorter than 16 bytes; \
             line 5: b has a token already"
        );
        let many = fault(&"a\n".repeat(18));
        assert_eq!(many.matches("without a token").count(), 16);
        assert!(many.ends_with("; and 2 more lines are wrong"), "{many}");
    }

    #[test]
    fn one_token_is_a_line() {
        for text in [
            "0123456789abcdef",
            "0123456789abcdef\n",
            "0123456789abcdef\r\n",
        ] {
            let token = Tokens::parse_one(text.as_bytes()).unwrap();
            assert_eq!(&token[..], b"0123456789abcdef");
        }
        assert_eq!(Tokens::parse_one(b"short\n"), Err(TokensFault::Short));
        assert_eq!(
            Tokens::parse_one(b"two words of length"),
            Err(TokensFault::Letters)
        );
    }
}
