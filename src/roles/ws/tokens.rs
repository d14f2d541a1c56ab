//! Who may connect: the tokens file, `NAME TOKEN [host|client]` a line.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::base::secret::Secret;
use crate::base::tokens::{Mistakes, TOKEN_MIN};
use crate::proto::hello::Name;

/// What a WebSocket is in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It has the service.
    Host,
    /// It wants to reach it.
    Client,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Client => "client",
        })
    }
}

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    token: Secret,
    /// `None`: both.
    part: Option<Part>,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Good,
    /// It is good for the other part of this tunnel only.
    OtherPart,
    /// It is not, or there is no such tunnel.
    Bad,
}

/// All tunnels that there may be. `None` is the one without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    names: BTreeMap<Option<Name>, Vec<Grant>>,
}

impl Tokens {
    /// Reads the file's text. Empty lines, and those that begin with `#`, mean nothing.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Mistakes<TokensError>> {
        let mut tokens = Self::default();
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        Mistakes::of(lines.map(|(number, text)| match line(text) {
            Ok((name, grant)) => {
                tokens.names.entry(name).or_default().push(grant);
                Ok(())
            }
            Err(what) => Err(TokensError { line: number, what }),
        }))?;
        if tokens.names.is_empty() {
            let what = TokensFault::Nobody;
            Mistakes::of([Err(TokensError { line: 0, what })].into_iter())?;
        }
        Ok(tokens)
    }

    /// Whether who brings this token may be this part of this tunnel. Which of a name's tokens is how far right can't
    /// be told by how long it takes.
    pub fn judge(&self, name: &Option<Name>, part: Part, token: &[u8]) -> Verdict {
        let grants = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let (mut good, mut other) = (Choice::from(0), Choice::from(0));
        for grant in grants {
            let same = grant.token.ct_eq(token);
            match grant.part.is_none_or(|granted| granted == part) {
                true => good |= same,
                false => other |= same,
            }
        }
        match (bool::from(good), bool::from(other)) {
            (true, _) => Verdict::Good,
            (false, true) => Verdict::OtherPart,
            (false, false) => Verdict::Bad,
        }
    }
}

/// What one line says, and of which tunnel.
fn line(text: &str) -> Result<(Option<Name>, Grant), TokensFault> {
    let mut words = text.split_whitespace();
    let name = match words.next().unwrap_or_default() {
        UNNAMED => None,
        name => Some(name.parse().map_err(|_| TokensFault::Name)?),
    };
    let token = words.next().ok_or(TokensFault::NoToken)?;
    if token.len() < TOKEN_MIN {
        return Err(TokensFault::ShortToken);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokensFault::Letters);
    }
    let part = match words.next() {
        None => None,
        Some("host") => Some(Part::Host),
        Some("client") => Some(Part::Client),
        Some(_) => return Err(TokensFault::Part),
    };
    let token = token.as_bytes().to_vec().into();
    match words.next() {
        Some(_) => Err(TokensFault::Leftover),
        None => Ok((name, Grant { token, part })),
    }
}

/// What stands for the tunnel without a name.
const UNNAMED: &str = "-";

/// A line that can't be used. It does not show the line, which may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensError {
    /// Which line, from 1 on; 0: none in particular.
    pub line: usize,
    what: TokensFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokensFault {
    Name,
    NoToken,
    ShortToken,
    Letters,
    Part,
    Leftover,
    Nobody,
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            TokensFault::Name => {
                "the name must be 1 to 63 of a-z 0-9 . _ -, or - for /host and /client themselves"
            }
            TokensFault::NoToken => "a token has to follow the name",
            TokensFault::ShortToken => "the token has fewer than 16 bytes",
            TokensFault::Letters => {
                "the token has something other than visible ASCII characters in it"
            }
            TokensFault::Part => "host, client or nothing may follow the token",
            TokensFault::Leftover => "nothing may follow NAME TOKEN host",
            TokensFault::Nobody => return f.write_str("no line of the form NAME TOKEN"),
        };
        write!(f, "line {}: {what}", self.line)
    }
}

impl Error for TokensError {}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"aaaaaaaaaaaaaaaa";
    const B: &[u8] = b"bbbbbbbbbbbbbbbb";

    #[test]
    fn a_line_says_who_may_be_what() {
        let text = "# ours\n\nweb aaaaaaaaaaaaaaaa host\nweb bbbbbbbbbbbbbbbb client\n- aaaaaaaaaaaaaaaa\n";
        let tokens = Tokens::parse(text).unwrap();
        let web = Some("web".parse().unwrap());
        assert_eq!(tokens.judge(&web, Part::Host, A), Verdict::Good);
        assert_eq!(tokens.judge(&web, Part::Client, A), Verdict::OtherPart);
        assert_eq!(tokens.judge(&web, Part::Client, B), Verdict::Good);
        assert_eq!(tokens.judge(&web, Part::Host, b""), Verdict::Bad);
        assert_eq!(tokens.judge(&None, Part::Client, A), Verdict::Good);
        assert_eq!(tokens.judge(&None, Part::Client, B), Verdict::Bad);
        let other = Some("other".parse().unwrap());
        assert_eq!(tokens.judge(&other, Part::Host, A), Verdict::Bad);
    }

    #[test]
    fn a_bad_line_is_named_and_never_shown() {
        for (text, line, part) in [
            ("Web aaaaaaaaaaaaaaaa", 1, "a-z"),
            ("web", 1, "follow the name"),
            ("\nweb short-secret", 2, "16 bytes"),
            ("web aaaaaaaaaaaaaaaa\u{e9}", 1, "ASCII"),
            ("web aaaaaaaaaaaaaaaa both", 1, "host, client"),
            ("web aaaaaaaaaaaaaaaa host 1", 1, "nothing may follow"),
            ("# nobody", 0, "no line"),
        ] {
            let error = Tokens::parse(text).unwrap_err();
            assert_eq!(error.all()[0].line, line, "{text}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let error = Tokens::parse("web\n- aaaaaaaaaaaaaaaa\nWeb x\n").unwrap_err();
        let lines: Vec<usize> = error.all().iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 3]);
    }
}
