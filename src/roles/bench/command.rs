//! A relay's command line, with places for the addresses that it is to use. It knows no shell: words are split at
//! spaces, and quotes keep them together.

use std::fmt;

use crate::base::endpoint::Endpoint;

/// `'COMMAND {src} {dst}'`, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    words: Vec<String>,
}

/// Why a text is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// It has no word.
    Empty,
    /// A quote is not closed.
    Quote(char),
    /// Nothing in it says where clients connect.
    NoDestination,
    /// Braces hold a word that is none of the places.
    Place,
}

/// What the places stand for.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// This program.
    pub hydrant: &'a str,
    /// The port where the source listens, on 127.0.0.1.
    pub src_port: u16,
    /// The port where the relay is to listen, on 127.0.0.1.
    pub dst_port: u16,
}

impl Template {
    /// Splits a command line.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let words = split(text)?;
        if words.is_empty() {
            return Err(CommandError::Empty);
        }
        let this = Self {
            text: text.to_owned(),
            words,
        };
        if !this.names("{dst}") && !this.names("{dst_port}") {
            return Err(CommandError::NoDestination);
        }
        let sample = Places {
            hydrant: "hydrant",
            src_port: 1,
            dst_port: 2,
        };
        let unknown = |word: &String| PLACES.iter().any(|place| word.contains(place));
        match this.fill(&sample).iter().any(unknown) {
            true => Err(CommandError::Place),
            false => Ok(this),
        }
    }

    /// No command: a relay that somebody else has started.
    pub(super) fn at(dst: &Endpoint) -> Self {
        Self {
            text: dst.to_string(),
            words: vec![dst.to_string()],
        }
    }

    /// Whether the relay fetches its bytes from the source. One that does not is dialled by the source, where its
    /// clients dial it.
    pub fn dials_source(&self) -> bool {
        self.names("{src}") || self.names("{src_port}")
    }

    /// The words, with every place taken.
    pub fn fill(&self, places: &Places<'_>) -> Vec<String> {
        let fill = |word: &String| {
            word.replace("{hydrant}", places.hydrant)
                .replace("{src}", &format!("127.0.0.1:{}", places.src_port))
                .replace("{dst}", &format!("127.0.0.1:{}", places.dst_port))
                .replace("{src_port}", &places.src_port.to_string())
                .replace("{dst_port}", &places.dst_port.to_string())
        };
        self.words.iter().map(fill).collect()
    }

    /// What it is called in a table: the program's name.
    pub fn label(&self) -> &str {
        let first = &self.words[0];
        let name = first.rsplit('/').next().unwrap_or(first);
        name.trim_matches(['{', '}'])
    }

    fn names(&self, place: &str) -> bool {
        self.words.iter().any(|word| word.contains(place))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a slip in a place's name still has.
const PLACES: [&str; 3] = ["{src", "{dst", "{hydrant"];

/// Splits at spaces. `'...'` and `"..."` keep spaces, and the other quote.
fn split(text: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => word.get_or_insert_default().push(letter),
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(letter),
        }
    }
    match quote {
        Some(open) => Err(CommandError::Quote(open)),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Vec<String> {
        let places = Places {
            hydrant: "/a b/hydrant",
            src_port: 5,
            dst_port: 6,
        };
        Template::parse(text).expect(text).fill(&places)
    }

    #[test]
    fn words_are_split_and_places_taken() {
        assert_eq!(
            filled("{hydrant} {src}  {dst} -q"),
            ["/a b/hydrant", "127.0.0.1:5", "127.0.0.1:6", "-q"]
        );
        assert_eq!(
            filled("sh -c 'exec \"x y\" {src_port}' '' TCP:{dst_port}"),
            ["sh", "-c", "exec \"x y\" 5", "", "TCP:6"]
        );
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let refused = |text| Template::parse(text).unwrap_err();
        assert_eq!(refused("  "), CommandError::Empty);
        assert_eq!(refused("a 'b {dst}"), CommandError::Quote('\''));
        assert_eq!(refused("relay {src}"), CommandError::NoDestination);
        assert_eq!(refused("relay {srcport} {dst}"), CommandError::Place);
    }

    #[test]
    fn a_relay_without_src_is_dialled() {
        let dials = |text| Template::parse(text).expect(text).dials_source();
        assert!(dials("x {src} {dst}") && dials("x {src_port} {dst_port}"));
        assert!(!dials("ncat --broker -l {dst_port}"));
        let label = |text: &str| Template::parse(text).expect(text).label().to_owned();
        assert_eq!(label("/usr/bin/socat {dst}"), "socat");
        assert_eq!(label("{hydrant} {src} {dst}"), "hydrant");
    }
}
