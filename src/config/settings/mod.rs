//! A relay as a person sets it up in the console: the text of each field as it was typed, right or wrong. What it comes
//! to, the command line that does the same, and the one that goes on where it ends.

mod chain;
mod document;
mod document_error;
mod faults;
mod import;
mod lines;
mod removal;
mod value;

use std::fmt::Write;
use std::path::PathBuf;

use crate::base::form::{Faults, OptionRow};
use crate::base::option::{Kind, Opt, Preset, Values};
use crate::base::units::{Typed, is_unseen};
use crate::cli::{GLOBALS, RoleId, nearest, one_of};
use crate::config::member::quoted;
use crate::config::outputs::{Said, is_moved, said, slow_key, slow_of};
use crate::config::run_file::rounds::{bland, flags_in, is_about_words};
use crate::config::{Env, Member, Run, build, relative, relay_unread};
use crate::roles::relay::config::{RelayConfig, Slow, Source, Way};
use crate::roles::relay::options::OPTIONS;
use crate::roles::tls::options::Files;

pub use self::chain::{at_port, chained, fresh};
pub use self::document::Document;
pub(crate) use self::document::{
    drop_outputs, dropped, put, put_behind, put_destinations, put_slow, write_new, written,
};
pub use self::document_error::DocumentError;
pub use self::import::{ImportError, import};
pub(crate) use self::lines::as_before;
pub(crate) use self::removal::take_out;

/// A relay's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What it is called. No other has the same.
    pub name: String,
    /// `src`, `dst` and options by their names without dashes, each with what was typed; what is not there has its
    /// default. Several destinations have spaces between them.
    pub fields: Vec<(String, String)>,
    /// `slow` of destinations that have one of their own, each by the destination as it was typed.
    pub slows: Vec<(String, String)>,
    /// What flows is shown.
    pub dump: bool,
    /// It runs, or is to.
    pub enabled: bool,
    /// The folder of the file that it stands in, from which relative paths start; none where it stands in none.
    pub folder: PathBuf,
}

impl Settings {
    /// What stands in a field; nothing where there is none.
    pub fn get(&self, key: &str) -> &str {
        let (all, key) = match slow_of(key) {
            Some(dst) => (&self.slows, dst),
            None => (&self.fields, key),
        };
        let found = all.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// Puts something into a field. A destination that is another one keeps what it has of its own.
    pub fn set(&mut self, key: &str, value: &str) {
        if key == "dst" {
            self.move_slows(value);
        }
        let (all, key) = match slow_of(key) {
            Some(dst) => (&mut self.slows, dst),
            None => (&mut self.fields, key),
        };
        match all.iter_mut().find(|(name, _)| name == key) {
            _ if value.is_empty() => all.retain(|(name, _)| name != key),
            Some((_, old)) => value.clone_into(old),
            None => all.push((key.to_owned(), value.to_owned())),
        }
    }

    fn move_slows(&mut self, dst: &str) {
        let old: Vec<&str> = self.destinations().collect();
        let new: Vec<&str> = dst.split_whitespace().collect();
        let word = |at: usize| self.slows.iter().find(|(own, _)| own == old[at]);
        let is_free = |at: &usize| self.slows.iter().all(|(own, _)| own != new[*at]);
        let moved = (0..new.len()).filter(|at| is_moved(&old, &new, *at));
        let moved = moved.filter(is_free);
        let moved = moved.filter_map(|at| Some((new[at].to_owned(), word(at)?.1.clone())));
        let moved: Vec<(String, String)> = moved.collect();
        self.slows.extend(moved);
    }

    /// Whether a page may put something into a field.
    pub fn has(&self, key: &str) -> bool {
        match slow_of(key) {
            Some(dst) => self.destinations().any(|word| word == dst),
            None => is_editable(key),
        }
    }

    /// All fields in which something stands. What a destination had of its own is kept while another stands in its
    /// place, and not shown.
    pub fn shown(&self) -> Vec<(String, String)> {
        let mut all = self.fields.clone();
        let slows = self.own_slows();
        all.extend(slows.map(|(_, dst, word)| (slow_key(dst), word.to_owned())));
        all
    }

    fn destinations(&self) -> impl Iterator<Item = &str> {
        self.get("dst").split_whitespace()
    }

    /// The place of each destination with a `slow` of its own, as it was typed, and what that is.
    fn own_slows(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let all = self.destinations().enumerate();
        all.filter_map(|(at, dst)| {
            let slow = self.slows.iter().find(|(own, _)| own == dst);
            slow.map(|(_, word)| (at, dst, word.as_str()))
        })
    }

    /// The role that they make, or what is wrong, by the field. Files that they name are read, which takes as long as a
    /// disk likes.
    pub fn member(&self) -> Result<Member, Faults> {
        self.made(true).map(|(member, _)| member)
    }

    /// As above, but for what files hold; and whether they name any.
    pub fn check(&self) -> Result<(Member, bool), Faults> {
        self.made(false)
    }

    fn made(&self, reads: bool) -> Result<(Member, bool), Faults> {
        let mut faults = self.name_faults();
        faults.extend(self.option_faults());
        if faults.is_empty() {
            match self.checked(reads) {
                Err(found) => faults = found,
                made => return made,
            }
        }
        // What else is wrong is to be seen at once too.
        faults.extend(self.other_faults(&faults));
        Err(faults)
    }

    /// What is wrong besides: fields that are wrong are looked at as if they were empty, and what may only come of that
    /// is left out.
    fn other_faults(&self, known: &Faults) -> Faults {
        let mut rest = self.clone();
        "a".clone_into(&mut rest.name);
        rest.fields
            .retain(|(key, _)| is_editable(key) || OPTIONS.iter().any(|opt| opt.name() == key));
        let mut aside: Vec<String> = Vec::new();
        let mut others = Faults::new();
        let mut found = known.clone();
        loop {
            let fields = found.into_iter().map(|(field, _)| field);
            let fresh: Vec<String> = fields.filter(|field| !aside.contains(field)).collect();
            if fresh.is_empty() || fresh.iter().any(String::is_empty) && !aside.is_empty() {
                return others;
            }
            for field in fresh {
                rest.put_aside(&field);
                aside.push(field);
            }
            let Err(now) = rest.checked(false) else {
                return others;
            };
            let is_aside = |name: &str| aside.iter().any(|field| field == name);
            let are_words_aside = ["src", "dst", "mode"].into_iter().any(is_aside);
            let told = now.iter().filter(|(field, text)| {
                let mut flags = flags_in(text).map(|flag| flag.trim_start_matches('-'));
                let comes_of_it = flags.any(is_aside) || are_words_aside && is_about_words(text);
                let is_empty = field == "dst" && rest.get("dst").is_empty();
                !is_aside(field) && (!comes_of_it || is_empty)
            });
            others.extend(told.cloned());
            found = now;
        }
    }

    /// A field is looked at as if nothing stood in it, or in a place what is right.
    fn put_aside(&mut self, field: &str) {
        match field {
            "src" => self.set("src", &bland("src", 0)),
            "dst" => self.set("dst", &bland("dst", 1)),
            "name" | "" => {}
            field => self.set(field, ""),
        }
    }

    /// As above, where each field for itself is right.
    fn checked(&self, reads: bool) -> Result<(Member, bool), Faults> {
        let (values, words, env) = (self.values(), self.words(), Env::default());
        let wrong = |error| faults::all_of(self, &values, &words, &error);
        let (relay, files) = relay_unread(&values, &words, &env).map_err(wrong)?;
        let names_files = files != Files::default() || values.given("upstream-send");
        let (mut run, certificates) = match reads && names_files {
            true => build(RoleId::Relay, &values, &words, &env).map_err(wrong)?,
            false => (Run::Relay(Box::new(relay)), None),
        };
        if let Run::Relay(relay) = &mut run {
            self.set_slows(relay);
            let is_stdin = relay.source == Source::Stdin;
            if is_stdin {
                return Err(vec![fault(
                    "src",
                    "a console has no standard input: HOST:PORT",
                )]);
            }
            if relay.outputs.iter().any(|output| output.way == Way::Stdout) {
                return Err(vec![fault(
                    "dst",
                    "a console has no standard output: HOST:PORT",
                )]);
            }
        }
        let member = Member {
            name: self.name.clone(),
            run,
            certificates,
            sheet: None,
            is_enabled: true,
        };
        Ok((member, names_files))
    }

    fn set_slows(&self, relay: &mut RelayConfig) {
        for (at, _, word) in self.own_slows() {
            if let Some(output) = relay.outputs.get_mut(at) {
                output.slow = Slow::of(word);
            }
        }
    }

    /// The command line that does the same, for a shell; and what it can't say: fields, and what stands in them.
    pub fn command(&self) -> (String, Vec<String>) {
        let own: Vec<_> = self
            .own_slows()
            .map(|(at, dst, word)| (at, dst, Slow::of(word)))
            .collect();
        if own.is_empty() {
            return (self.line(), Vec::new());
        }
        match relay_unread(&self.values(), &self.words(), &Env::default()) {
            Ok((plain, _)) => match said(&plain, &own) {
                Said::AsItIs => (self.line(), Vec::new()),
                Said::Not(fields) => (self.line(), fields),
                Said::ByFlag(slow) => {
                    let mut flagged = self.clone();
                    flagged.set("slow", slow.word());
                    (flagged.line(), Vec::new())
                }
            },
            Err(_) => {
                let unsaid = self.own_slows();
                let unsaid = unsaid.map(|(_, dst, word)| format!("{} = {word}", slow_key(dst)));
                (self.line(), unsaid.collect())
            }
        }
    }

    fn line(&self) -> String {
        let mut line = "hydrant".to_owned();
        for word in self.words() {
            let _ = write!(line, " {}", quoted(&word));
        }
        for (opt, value) in self.options() {
            let preset = match opt.preset {
                Preset::Value(preset) => preset,
                Preset::None | Preset::Said(_) => "",
            };
            if opt.is_switch() {
                let _ = write!(line, " {}", opt.flag);
            } else if value != preset && !(opt.flag == "--retry" && value == "5") {
                let _ = write!(line, " {} {}", opt.flag, quoted(&value));
            }
        }
        if self.dump {
            line.push_str(" --dump");
        }
        line
    }

    /// SRC and every DST.
    fn words(&self) -> Vec<String> {
        let src = Some(self.get("src")).filter(|src| !src.is_empty());
        let src = src.map(|src| self.whole("src", src));
        let dsts = self.destinations().map(|dst| self.whole("dst", dst));
        src.into_iter().chain(dsts).collect()
    }

    /// A word with the whole path of a Unix socket, wherever the program was started.
    fn whole(&self, key: &str, word: &str) -> String {
        let is_placed = !self.folder.as_os_str().is_empty();
        let whole = is_placed.then(|| relative::word(&self.folder, key, word));
        whole.flatten().unwrap_or_else(|| word.to_owned())
    }

    /// Options that were given, in the order of the help; one that was given several times stands there as often.
    fn options(&self) -> impl Iterator<Item = (&'static Opt, String)> {
        let given = move |opt: &'static Opt| {
            let value = self.get(opt.name());
            let is_on = !(value.is_empty() || opt.is_switch() && value == "false");
            let all = if is_on {
                values_of(opt, value)
            } else {
                Vec::new()
            };
            all.into_iter().map(move |value| {
                let value = match opt.kind {
                    Kind::Path { .. } => self.folder.join(value).to_string_lossy().into_owned(),
                    _ => value.to_owned(),
                };
                (opt, value)
            })
        };
        OPTIONS.iter().flat_map(given)
    }

    fn values(&self) -> Values {
        let mut values = Values::new(vec![OPTIONS, GLOBALS]);
        for (opt, value) in self.options() {
            values.put(opt, value);
        }
        if let Some(name) = values.find("--name") {
            values.put(name, self.name.clone());
        }
        values
    }

    fn name_faults(&self) -> Faults {
        let name = &self.name;
        let may_stand = |c: char| !is_unseen(c) && !"[]".contains(c);
        let wrong = match name.trim() {
            "" => Some("it needs a name"),
            _ if name.len() > NAME_MAX => Some("at most 64 bytes"),
            _ if !name.chars().all(may_stand) => Some("no brackets and nothing that can't be seen"),
            _ => None,
        };
        wrong.map(|text| fault("name", text)).into_iter().collect()
    }

    /// Each option held against its own limits, so that all that is wrong is said at once.
    fn option_faults(&self) -> Faults {
        let mut faults = Vec::new();
        let slow = OPTIONS.iter().find(|opt| opt.name() == "slow");
        let slow = slow.expect("the relay has it");
        for (_, dst, word) in self.own_slows() {
            if let Err(error) = slow.read(word) {
                faults.push(fault(&slow_key(dst), &error.to_string()));
            }
        }
        for (key, value) in &self.fields {
            let Some(opt) = OPTIONS.iter().find(|opt| opt.name() == key) else {
                if !["src", "dst"].contains(&key.as_str()) {
                    faults.push(fault("", &format!("there is no option {key}")));
                }
                continue;
            };
            if opt.is_switch() {
                if !["true", "false"].contains(&value.as_str()) {
                    faults.push(fault(key, "a switch is on or off"));
                }
                continue;
            }
            let values = values_of(opt, value).into_iter();
            for error in values.filter_map(|value| opt.read(value).err()) {
                faults.push(fault(key, &error.to_string()));
            }
        }
        faults
    }
}

/// The options that a form shows: not those that have a place of their own, that name files, or that make no sense
/// where many relays share one process.
pub fn option_rows() -> Vec<OptionRow> {
    let shown = OPTIONS.iter().filter(|opt| is_editable(opt.name()));
    shown
        .map(|opt| OptionRow {
            group: opt.group,
            key: opt.name(),
            is_switch: opt.is_switch(),
            choices: match opt.kind {
                Kind::Choice(words) => words.to_vec(),
                _ => Vec::new(),
            },
            default: match opt.preset {
                Preset::None => String::new(),
                Preset::Value(text) | Preset::Said(text) => text.to_owned(),
            },
            help: opt.help,
            is_live: opt.live,
        })
        .collect()
}

/// Whether a page may change it while the relay runs.
pub fn is_live(key: &str) -> bool {
    let opt = OPTIONS.iter().find(|opt| opt.name() == key);
    is_editable(key) && opt.is_some_and(|opt| opt.live)
}

/// Whether a page may change it. A page must not have files read or sent that it could not read itself.
pub fn is_editable(key: &str) -> bool {
    let opt = OPTIONS.iter().find(|opt| opt.name() == key);
    let is_file = opt.is_some_and(|opt| matches!(opt.kind, Kind::Path { .. }));
    let is_known = opt.is_some() || ["src", "dst"].contains(&key) || slow_of(key).is_some();
    is_known && !is_file && !ELSEWHERE.contains(&key)
}

/// Why a relay has no such field: it may be a slip.
pub fn unknown_field(settings: &Settings, key: &str) -> Option<String> {
    let words = || WORDS.iter().copied();
    if let Some(dst) = slow_of(key) {
        let is_there = settings.destinations().any(|word| word == dst);
        return (!is_there).then(|| format!("there is no destination {}", Typed(dst)));
    }
    if words()
        .chain(OPTIONS.iter().map(Opt::name))
        .any(|word| word == key)
    {
        return None;
    }
    let names = OPTIONS
        .iter()
        .map(Opt::name)
        .filter(|name| is_editable(name));
    let near = nearest(key, words().chain(names));
    let near = match near.is_empty() {
        true => "see hydrant relay --help".to_owned(),
        false => format!("did you mean {}?", one_of(&near)),
    };
    Some(format!("there is no field {}: {near}", Typed(key)))
}

/// Whether a relay would dial a Unix socket, or listen at one.
pub fn names_socket(key: &str, value: &str) -> bool {
    let mut places = value.split([',', ' ']).map(str::trim_start);
    matches!(key, "src" | "dst") && places.any(|place| place.contains("unix:"))
}

/// Whether a field may hold several values of an option, with commas between them.
fn is_listed(key: &str) -> bool {
    let opt = OPTIONS.iter().find(|opt| opt.name() == key);
    opt.is_some_and(|opt| opt.many && matches!(opt.kind, Kind::Text { .. }))
}

/// What stands between commas.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

/// The values that a field holds.
fn values_of<'a>(opt: &Opt, text: &'a str) -> Vec<&'a str> {
    match is_listed(opt.name()) {
        true => split(text).collect(),
        false => vec![text],
    }
}

fn fault(field: &str, text: &str) -> (String, String) {
    (field.to_owned(), text.to_owned())
}

/// The most that a field holds, in bytes.
pub const FIELD_MAX: usize = 4096;
/// Options that belong to the whole process, or to a terminal.
const ELSEWHERE: &[&str] = &[
    "name",
    "dump",
    "dump-format",
    "stats",
    "stats-interval",
    "busy-poll",
];
/// Fields that are no options, or not only.
const WORDS: &[&str] = &["name", "src", "dst", "dump"];
const NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings(src: &str, dst: &str, more: &[(&str, &str)]) -> Settings {
        let mut settings = Settings {
            name: "a".to_owned(),
            ..Settings::default()
        };
        for (key, value) in [("src", src), ("dst", dst)].iter().chain(more) {
            settings.set(key, value);
        }
        settings
    }

    /// What is wrong with a change is logged, and told to whoever may only look.
    #[test]
    fn what_may_be_a_secret_in_an_address_is_not_told() {
        for address in [
            "tls://h:1?token=SECRET",
            "h/x?a=b,SECRET",
            "me:a,SECRET@h:1",
            "wss://h/x?SECRET",
        ] {
            for of_dst in [false, true] {
                let (src, dst) = if of_dst {
                    ("a:1", address)
                } else {
                    (address, ":1")
                };
                let faults = settings(src, dst, &[]).check().expect_err("it is none");
                assert!(!format!("{faults:?}").contains("SECRET"), "{faults:?}");
            }
        }
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let typed = settings(
            "a:1, unix:in.sock",
            "unix:out.sock connect:unix:/x",
            &[("upstream-send", "login")],
        );
        let placed = Settings {
            folder: PathBuf::from("/etc/h"),
            ..typed.clone()
        };
        assert_eq!(
            placed.command().0,
            "hydrant a:1,unix:/etc/h/in.sock unix:/etc/h/out.sock connect:unix:/x --upstream-send /etc/h/login"
        );
        let (member, _) = placed.check().expect("nothing is wrong");
        let at = "unix:/etc/h/out.sock".parse().expect("a place");
        assert_eq!(member.run.listens(), [&at]);
        // As it was typed, so it is shown and saved.
        assert_eq!(placed.shown(), typed.shown());
    }

    fn faults(settings: &Settings) -> Faults {
        settings.member().expect_err("something is wrong")
    }

    fn fields(settings: &Settings) -> Vec<String> {
        faults(settings)
            .into_iter()
            .map(|(field, _)| field)
            .collect()
    }

    #[test]
    fn what_is_missing_is_named_at_its_field() {
        let missing = |src, dst| faults(&settings(src, dst, &[]));
        let told = |field: &str, text: &str| vec![(field.to_owned(), text.to_owned())];
        assert_eq!(
            missing("", ":1"),
            told("src", "SRC is missing: write HOST:PORT")
        );
        assert_eq!(
            missing("a:1", ""),
            told("dst", "DST is missing: write HOST:PORT")
        );
    }

    #[test]
    fn right_fields_make_a_relay() {
        let member = settings(
            "10.0.0.5:5000",
            ":6000 connect:b:7000",
            &[("retry", "1..30"), ("allow", "10.0.0.0/8,::1/128")],
        )
        .member()
        .expect("nothing is wrong");
        assert_eq!(member.label(), "relay[a]");
        assert_eq!(member.run.listens().len(), 1);
        let list = |src| {
            settings(src, ":6000", &[])
                .member()
                .map(|member| member.run)
        };
        let plain = list("a:1,b:2");
        assert!(plain.is_ok() && list(" a:1 , b:2 ") == plain);
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field() {
        for (src, dst, more, expected) in [
            ("", ":6000", &[][..], "src"),
            ("10.0.0.5", ":6000", &[], "src"),
            ("a:5000", "", &[], "dst"),
            ("a:5000", ":x", &[], "dst"),
            ("a:5000", ":99999", &[], "dst"),
            ("a:0", ":6000", &[], "src"),
            ("a:5000", "b:0", &[("mode", "connect-connect")], "dst"),
            ("-", ":6000", &[], "src"),
            ("a:5000", "-", &[], "dst"),
            ("--dump", ":6000", &[], "src"),
            ("a:5000", ":6000 :6000", &[], "dst"),
            (":6000", ":6000", &[("mode", "listen-listen")], "dst"),
            ("listen:a:5000", ":6000", &[], "src"),
            ("a:1,b:2", ":6000", &[("mode", "listen-listen")], "src"),
            ("a:5000", ":6000", &[("retry", "x")], "retry"),
            ("a:5000", ":6000", &[("retry", "0")], "retry"),
            ("a:5000", ":6000", &[("mode", "both")], "mode"),
            ("a:5000", ":6000", &[("framing", "morse")], "framing"),
            ("a:5000", ":6000", &[("backlog", "15M")], "backlog"),
            ("a:5000", ":6000", &[("failback", "5s")], "failback"),
            ("a:5000", "tls://:6000", &[], "dst"),
            ("a:1, b:x", ":6000", &[], "src"),
            ("a:1, b:2", ":x", &[], "dst"),
            ("a:1, connect:b:2", ":6000", &[], "src"),
            ("a:1, b:0", ":6000", &[], "src"),
            ("/run/feed", ":6000", &[], "src"),
            ("a b:1", ":6000", &[], "src"),
            ("udp://a:1", ":6000", &[], "src"),
        ] {
            let settings = settings(src, dst, more);
            assert_eq!(
                fields(&settings),
                [expected],
                "{src} {dst} {more:?}: {:?}",
                faults(&settings)
            );
            let (_, text) = &faults(&settings)[0];
            assert!(!text.contains("unix:"), "a page can't set one: {text}");
        }
        let many = settings(
            "a:1",
            ":2",
            &[("retry", "x"), ("ring", "none"), ("sideways", "1")],
        );
        assert_eq!(fields(&many), ["retry", "ring", ""]);
    }

    #[test]
    fn what_is_wrong_hides_nothing_else() {
        let cases = [
            ("nonsense", "127.0.0.1:99999", &[][..], "src dst"),
            (
                "nonsense",
                ":x",
                &[("retry", "abc"), ("origin", "o")],
                "retry src dst",
            ),
            ("", "", &[], "src dst"),
            (
                "a:1",
                ":x",
                &[("backlog", "1M"), ("ring", "64K")],
                "dst backlog",
            ),
            // What dst would be is not known, so that nothing is said of what may not go with it.
            ("a:1", ":x", &[("resume", "acked"), ("allow", "::1")], "dst"),
            (
                "a:1",
                ":2",
                &[("ring", "1K"), ("backlog", "1G"), ("framing", "x")],
                "ring framing",
            ),
        ];
        for (src, dst, more, expected) in cases {
            let found = fields(&settings(src, dst, more));
            assert_eq!(found.join(" "), expected, "{src} {dst} {more:?}");
        }
    }

    #[test]
    fn a_name_stands_on_a_tab_and_in_the_log() {
        for name in ["", "  ", "a]b", "a\nb", &"x".repeat(65)] {
            let settings = Settings {
                name: name.to_owned(),
                ..settings("a:1", ":2", &[])
            };
            assert_eq!(fields(&settings), ["name"], "{name:?}");
        }
    }

    #[test]
    fn the_command_line_does_the_same() {
        let line = |src, dst, more: &[(&str, &str)]| settings(src, dst, more).command().0;
        assert_eq!(
            line(
                "a:5000",
                ":6000",
                &[("mode", "connect-listen"), ("retry", "5")]
            ),
            "hydrant a:5000 :6000"
        );
        assert_eq!(
            line(
                "a:1",
                ":2 b:3",
                &[
                    ("mode", "listen-connect"),
                    ("framing", "delim:0a 0a"),
                    ("tls-insecure", "true")
                ]
            ),
            "hydrant a:1 :2 b:3 --mode listen-connect --framing 'delim:0a 0a' --tls-insecure"
        );
        let dumped = Settings {
            dump: true,
            ..settings("a:1", "[::]:2", &[("tls-insecure", "false")])
        };
        assert_eq!(dumped.command().0, "hydrant a:1 '[::]:2' --dump");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    /// What destinations have of their own is on the command line where that has a word for it, and is named where not.
    #[test]
    fn a_command_line_says_what_it_leaves_out() {
        let with = |dst: &str, slows: &[(&str, &str)]| {
            let mut settings = Settings {
                name: "a".to_owned(),
                ..Settings::default()
            };
            settings.set("src", "a:1");
            settings.set("dst", dst);
            for (place, word) in slows {
                settings.set(&slow_key(place), word);
            }
            settings.command()
        };
        let plain = |line: &str| (line.to_owned(), Vec::new());
        // One that is dialled blocks in any case, and one that listens drops.
        let own = [(":2", "drop"), ("connect:b:3", "block")];
        assert_eq!(
            with(":2 connect:b:3", &own),
            plain("hydrant a:1 :2 connect:b:3")
        );
        assert_eq!(
            with(":2 :3", &[(":2", "skip"), (":3", "skip")]),
            plain("hydrant a:1 :2 :3 --slow skip")
        );
        assert_eq!(
            with(":2", &[(":2", "block")]),
            plain("hydrant a:1 :2 --slow block")
        );
        let left_out = vec!["slow of :3 = skip".to_owned()];
        let line = "hydrant a:1 :2 :3".to_owned();
        assert_eq!(with(":2 :3", &[(":3", "skip")]), (line, left_out.clone()));
        // Where the rest is wrong, too; and what no destination has any more is left out of everything.
        let line = "hydrant a:1 :3 nowhere".to_owned();
        assert_eq!(with(":3 nowhere", &[(":3", "skip")]), (line, left_out));
        assert_eq!(with(":2", &[(":3", "skip")]), plain("hydrant a:1 :2"));
    }

    #[test]
    fn a_page_changes_no_files() {
        for key in [
            "upstream-send",
            "tls-key",
            "tls-cert",
            "tls-ca",
            "name",
            "stats",
            "busy-poll",
            "sideways",
        ] {
            assert!(!is_editable(key), "{key}");
        }
        for row in option_rows() {
            assert!(is_editable(row.key), "{}", row.key);
        }
        assert!(
            ["src", "dst", "mode", "retry", "max-lag"]
                .iter()
                .all(|key| is_editable(key))
        );
    }
}
