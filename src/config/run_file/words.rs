//! The words of a section, and what they mean: paths of Unix sockets start at the file's folder, and `fd:NAME` is a
//! socket of the service manager's.

use toml_edit::Item;

use super::section::{Entry, Reader, Word};
use super::value::{Placed, place, texts};
use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::units::Typed;
use crate::config::relative;

impl Reader<'_> {
    /// A value that stands for words of the command line.
    pub(super) fn words(&mut self, entry: &mut Entry, key: &'static str, many: bool, item: &Item) {
        let given = match texts(item, many) {
            Err((at, text)) => {
                entry.lost.add(key);
                return self.note(at, format!("{key}: {text}"));
            }
            Ok(given) => given,
        };
        let words: Vec<Word> = given
            .into_iter()
            .map(|given| self.word(key, given))
            .collect();
        if key != "src" {
            return entry.words.extend(words);
        }
        // Several sources are one word, with commas between them.
        let list = |part: fn(&Word) -> &str| words.iter().map(part).collect::<Vec<_>>().join(",");
        entry.words.push(Word {
            key,
            text: list(|word| &word.text),
            typed: list(|word| &word.typed),
            at: place(item),
        });
        let parts = words.into_iter().map(|word| (word.text, word.at));
        entry.sources = parts.collect();
    }

    /// A word, and what it means.
    fn word(&mut self, key: &'static str, (typed, at): Placed) -> Word {
        let whole = relative::word(self.folder, key, &typed);
        let (text, typed) = match whole {
            Some(whole) => (self.whole(key, &typed, whole), typed),
            None => {
                let text = self.place_passed(key, typed.clone(), at.start);
                let shown = text.clone().unwrap_or(typed);
                (text, shown)
            }
        };
        let text = text.unwrap_or_else(|wrong| {
            self.note(at.clone(), wrong);
            // One that stands for it, so that no other mistake is made of this one.
            let is_dialled = key == "src";
            if is_dialled {
                SOURCE_STAND_IN
            } else {
                STAND_IN
            }
            .to_owned()
        });
        Word {
            key,
            text,
            typed,
            at,
        }
    }

    /// The place of those who watch, and what it means.
    ///
    /// # Errors
    /// As for any word.
    pub(super) fn listen_place(&mut self, (typed, at): &Placed) -> Result<String, String> {
        match relative::word(self.folder, "listen", typed) {
            Some(whole) => self.whole("listen", typed, whole),
            None => self.place_passed("listen", typed.clone(), at.start),
        }
    }

    /// A word with the whole path of a socket.
    ///
    /// # Errors
    /// That no such path can be written with this folder before it.
    fn whole(&self, key: &str, typed: &str, whole: String) -> Result<String, String> {
        match relative::fault(self.folder, key) {
            Some(fault) => Err(format!("{key}: {fault}")),
            None => within_length(key, typed, whole),
        }
    }

    /// A word as it is, or where the socket listens that it names as `fd:NAME`.
    ///
    /// # Errors
    /// That there is no such socket, or that there are several, or that it is taken.
    fn place_passed(&mut self, key: &str, text: String, at: usize) -> Result<String, String> {
        let may_be_passed = ["dst", "listen"].contains(&key);
        let Some(name) = text.strip_prefix("fd:").filter(|_| may_be_passed) else {
            return Ok(text);
        };
        if name.is_empty() {
            return Err(format!("{key}: fd: has no name: write fd:NAME"));
        }
        let line = self.lines.number(at);
        if let Some(first) = self.sockets.insert(name.to_owned(), line) {
            let name = Typed(name);
            return Err(format!(
                "{key}: fd:{name} is taken: it stands on line {first}"
            ));
        }
        let way = if key == "dst" { "listen:" } else { "" };
        let Some(passed) = &self.env.passed else {
            return Ok(format!("{way}{STAND_IN}"));
        };
        let mut found = passed.iter().filter(|(own, _)| own == name);
        match (found.next(), found.next()) {
            (Some((_, at)), None) => Ok(format!("{way}{at}")),
            (Some(_), Some(_)) => Err(format!(
                "{key}: the service manager has passed several sockets as {}: give each a name of its own",
                Typed(name)
            )),
            (None, _) => Err(format!(
                "{key}: the service manager has passed no listening socket as {}: FileDescriptorName= names one",
                Typed(name)
            )),
        }
    }
}

/// The whole path, unless it is its length alone that makes it none: nobody has typed that.
fn within_length(key: &str, typed: &str, whole: String) -> Result<String, String> {
    let fault = |text: &str| {
        let at = text.find("unix:")?;
        text[at..].parse::<Endpoint>().err()
    };
    match (fault(typed), fault(&whole)) {
        (None, Some(error @ EndpointError::PathTooLong { .. })) => {
            Err(format!("{key}: with this file's folder before it, {error}"))
        }
        _ => Ok(whole),
    }
}

/// Stands for a socket that is not known.
const STAND_IN: &str = "127.0.0.1:0";
/// Stands for a source that is wrong: no port 0, which can't be dialled (RFC 5737, for documentation).
const SOURCE_STAND_IN: &str = "192.0.2.1:1";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::base::endpoint::Endpoint;
    use crate::config::{Env, RunFile};

    /// A folder whose name would make other words of them.
    #[test]
    fn a_folder_may_have_a_name_that_no_path_can_have() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let said = |folder: &[u8], text: &str| {
            let folder = Path::new(OsStr::from_bytes(folder));
            let file = RunFile::parse(text, folder, &[], &Env::default());
            let all = file.err().unwrap_or_default().into_iter();
            all.map(|wrong| wrong.text).collect::<Vec<_>>()
        };
        let relay = |src: &str, dst: &str, more: &str| {
            format!("[[relay]]\nsrc = \"{src}\"\ndst = \"{dst}\"\n{more}\n")
        };
        let comma = "src: this file's folder has a comma in its name, and a comma ends a source: write a whole path";
        let other = "the name of this file's folder is not UTF-8: write a whole path";
        assert_eq!(said(b"/a,b", &relay("unix:in", ":1", "")), [comma]);
        assert_eq!(said(b"/a,b", &relay("unix:/in", "unix:out", "")), [""; 0]);
        let not_utf8 = said(
            b"/a\xff",
            &relay("unix:in", "unix:out", "upstream-send = \"x\""),
        );
        assert_eq!(not_utf8.len(), 3, "{not_utf8:?}");
        assert!(
            not_utf8.iter().all(|wrong| wrong.ends_with(other)),
            "{not_utf8:?}"
        );
        assert_eq!(said(b"/a\xff", &relay("unix:/in", ":1", "")), [""; 0]);
    }

    /// What runs, and what is copied for a shell, is the same in every folder; a page shows what is written.
    #[test]
    fn a_relative_socket_stays_as_it_is_written() {
        let text = "[[relay]]\nsrc = [\"a:1\", \"unix:in\"]\ndst = \"unix:out\"\n\
                    [[relay.output]]\ndst = \"connect:unix:b\"\nslow = \"drop\"\n\
                    [[tunnel.expose]]\nserver = \"unix:t\"\ntarget = \"unix:/x\"\n\
                    [[ws.client]]\nurl = \"ws://a:1\"\nlisten = \"unix:w\"\n\
                    [metrics]\nlisten = \"unix:m\"\n";
        let file = RunFile::parse(text, Path::new("/etc/h"), &[], &Env::default());
        let file = file.expect("it is right");
        let sheets = file.members.iter().map(|it| it.sheet.as_ref());
        let sheets: Vec<_> = sheets.map(|sheet| sheet.expect("each has one")).collect();
        assert_eq!(
            sheets[0].command,
            "hydrant a:1,unix:/etc/h/in unix:/etc/h/out connect:unix:/etc/h/b --slow drop"
        );
        let fields = |at: usize| -> Vec<(&str, &str)> {
            let all = sheets[at].fields.iter();
            all.map(|(key, value)| (key.as_str(), value.as_str()))
                .collect()
        };
        assert_eq!(
            fields(0),
            [
                ("src", "a:1,unix:in"),
                ("dst", "unix:out connect:unix:b"),
                ("slow of connect:unix:b", "drop"),
            ]
        );
        assert_eq!(
            sheets[1].command,
            "hydrant tunnel expose unix:/etc/h/t unix:/x"
        );
        assert_eq!(fields(2)[1], ("listen", "unix:w"));
        let place = |text: &str| text.parse::<Endpoint>().expect("a place");
        assert_eq!(file.members[2].run.listens(), [&place("unix:/etc/h/w")]);
        assert_eq!(file.globals.metrics, Some(place("unix:/etc/h/m")));
    }
}
