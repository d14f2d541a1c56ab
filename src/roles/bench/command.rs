//! A relay's command line, with places for the addresses that it is to use. It knows no shell: words are split at
//! spaces, quotes keep them together, and a `;` by itself begins the command of one more process.

use std::fmt;

use crate::base::endpoint::Endpoint;
use crate::roles::bench::dialect::Dialect;

/// `'COMMAND {src} {dst}'`, or several with ` ; ` between them, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    /// The words of each process.
    commands: Vec<Vec<String>>,
    dialect: Dialect,
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
    /// The port where its processes meet each other, on 127.0.0.1.
    pub link_port: u16,
    /// The file of a certificate and its key, where clients speak TLS.
    pub cert: &'a str,
}

impl Template {
    /// Splits a command line.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let commands = split(text)?;
        if commands.iter().any(Vec::is_empty) {
            return Err(CommandError::Empty);
        }
        let mut this = Self {
            text: text.to_owned(),
            commands,
            dialect: Dialect::Plain,
        };
        this.dialect = Dialect::of(this.label());
        if !this.names("{dst}") && !this.names("{dst_port}") {
            return Err(CommandError::NoDestination);
        }
        let sample = Places {
            hydrant: "hydrant",
            src_port: 1,
            dst_port: 2,
            link_port: 3,
            cert: "cert",
        };
        match this
            .fill(&sample)
            .iter()
            .flatten()
            .any(|word| has_slip(word))
        {
            true => Err(CommandError::Place),
            false => Ok(this),
        }
    }

    /// No command: a relay that somebody else has started.
    pub(super) fn at(dst: &Endpoint) -> Self {
        Self {
            text: dst.to_string(),
            commands: vec![vec![dst.to_string()]],
            dialect: Dialect::Plain,
        }
    }

    /// The same command, of which it is known what is spoken with it.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// What is spoken with it: as was said, or as its program's name tells.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the relay fetches its bytes from the source. One that does not is dialled by the source, where its
    /// clients dial it.
    pub fn dials_source(&self) -> bool {
        self.names("{src}") || self.names("{src_port}")
    }

    /// Whether the first of several processes listens where the others meet it.
    pub(super) fn meets_at_link(&self) -> bool {
        let names = |word: &String| word.contains("{link}") || word.contains("{link_port}");
        self.commands.len() > 1 && self.commands[0].iter().any(names)
    }

    /// The words of each process, with every place taken.
    pub fn fill(&self, places: &Places<'_>) -> Vec<Vec<String>> {
        let ports = [
            ("src", places.src_port),
            ("dst", places.dst_port),
            ("link", places.link_port),
        ];
        let fill = |word: &String| {
            let mut word = word
                .replace("{hydrant}", places.hydrant)
                .replace("{cert}", places.cert);
            for (name, port) in ports {
                word = word
                    .replace(&format!("{{{name}}}"), &format!("127.0.0.1:{port}"))
                    .replace(&format!("{{{name}_port}}"), &port.to_string());
            }
            word
        };
        let fill_all = |words: &Vec<String>| words.iter().map(fill).collect();
        self.commands.iter().map(fill_all).collect()
    }

    /// What it is called in a table: the program's name, or that of the bench's part which it is.
    pub fn label(&self) -> &str {
        match &self.commands[0][..] {
            [_, bench, part, ..] if bench == "bench" => part,
            [first, ..] => {
                let name = first.rsplit('/').next().unwrap_or(first);
                name.trim_matches(['{', '}'])
            }
            [] => unreachable!("a command has words"),
        }
    }

    fn names(&self, place: &str) -> bool {
        let mut words = self.commands.iter().flatten();
        words.any(|word| word.contains(place))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a word, with every place taken, has something that was meant for one. Scripts, in which others use braces,
/// have spaces.
fn has_slip(word: &str) -> bool {
    let is_name = |text: &str| text.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    let is_script = word.contains(char::is_whitespace);
    let is_place = |(at, _): (usize, &str)| {
        let name = word[at + 1..].split_once('}').map_or("", |(name, _)| name);
        !name.is_empty() && is_name(name) && !word[..at].ends_with('$')
    };
    PLACES.iter().any(|place| word.contains(place))
        || !is_script && word.match_indices('{').any(is_place)
}

/// What a slip in a place's name still has.
const PLACES: [&str; 5] = ["{src", "{dst", "{link", "{hydrant", "{cert"];

/// Splits at spaces, and commands at a `;` between spaces. `'...'` and `"..."` keep spaces, and the other quote.
fn split(text: &str) -> Result<Vec<Vec<String>>, CommandError> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
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
            None if letter == ';' && word.is_none() => commands.push(std::mem::take(&mut words)),
            None => word.get_or_insert_default().push(letter),
        }
    }
    match quote {
        Some(open) => Err(CommandError::Quote(open)),
        None => {
            words.extend(word);
            commands.push(words);
            Ok(commands)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled_all(text: &str) -> Vec<Vec<String>> {
        let places = Places {
            hydrant: "/a b/hydrant",
            src_port: 5,
            dst_port: 6,
            link_port: 7,
            cert: "c.pem",
        };
        Template::parse(text).expect(text).fill(&places)
    }

    fn filled(text: &str) -> Vec<String> {
        filled_all(text).concat()
    }

    #[test]
    fn commands_that_belong_together_have_a_semicolon_between_them() {
        assert_eq!(
            filled_all("serve {link} {dst_port} ; sh -c 'a ; b' {link_port}"),
            [
                vec!["serve", "127.0.0.1:7", "6"],
                vec!["sh", "-c", "a ; b", "7"]
            ]
        );
        let meets = |text| Template::parse(text).expect(text).meets_at_link();
        assert!(meets("serve {link} {dst} ; expose {link}"));
        assert!(!meets("serve {dst} ; expose {link}") && !meets("relay {link} {dst}"));
        let refused = Template::parse("serve {dst} ; ").unwrap_err();
        assert_eq!(refused, CommandError::Empty);
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
        assert_eq!(refused("relay {foo} {dst}"), CommandError::Place);
        assert_eq!(refused("relay TCP:{port} {dst}"), CommandError::Place);
        for others in [
            "sh -c 'awk {print} <&{dst_port}'",
            "a ${x} {} {1} {a,b} {dst}",
        ] {
            Template::parse(others).expect(others);
        }
    }

    #[test]
    fn a_relay_without_src_is_dialled() {
        let dials = |text| Template::parse(text).expect(text).dials_source();
        assert!(dials("x {src} {dst}") && dials("x {src_port} {dst_port}"));
        assert!(!dials("ncat --broker -l {dst_port}"));
        let label = |text: &str| Template::parse(text).expect(text).label().to_owned();
        assert_eq!(label("/usr/bin/socat {dst}"), "socat");
        assert_eq!(label("{hydrant} {src} {dst}"), "hydrant");
        let broker = Template::parse("/usr/bin/redis-server --port {dst_port}").expect("a command");
        assert_eq!(broker.dialect(), Dialect::Redis);
        assert_eq!(broker.speaking(Dialect::Plain).dialect(), Dialect::Plain);
    }
}
