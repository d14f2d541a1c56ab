//! A run file that is changed from the page: one value, one section, and nothing else of what a person wrote into it.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use super::section::SECTIONS;
use crate::base::endpoint::Endpoint;
use crate::base::form::Faults;
use crate::config::outputs::slow_of;
use crate::config::settings::{
    Settings, as_before, at_port, chained, drop_outputs, dropped, fresh, put, put_behind,
    put_destinations, put_slow, take_out, write_new, written,
};
use crate::config::{Member, Run};
use crate::roles::relay::config::Way;

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Keys of a relay, each with what is to stand there; nothing: its default.
    Set {
        /// Which.
        name: String,
        /// `name`, `src`, `dst`, and options.
        fields: Vec<(String, String)>,
    },
    /// Whether a role is to run.
    Enable {
        /// Which.
        name: String,
        /// Whether it is.
        on: bool,
    },
    /// One more relay, which does not run yet.
    Push(Settings),
    /// A role goes; the last one leaves a fresh relay.
    Remove {
        /// Which.
        name: String,
        /// Where that does not listen.
        taken: Vec<Endpoint>,
    },
}

impl Edit {
    /// One more relay, that goes on where another ends, if that can be dialled. Its own place is the next one that is
    /// not `taken`.
    pub fn chain(before: Option<&Settings>, names: &BTreeSet<String>, taken: &[Endpoint]) -> Self {
        let checked = |made: Settings| {
            let (member, _) = made.check().ok()?;
            Some((made, member))
        };
        let chained = before.map(|before| chained(before, names));
        let right = chained.and_then(checked);
        let (mut made, member) = match right.or_else(|| checked(fresh(names))) {
            Some((made, member)) => (made, Some(member)),
            None => (fresh(names), None),
        };
        // A check takes as long as to make the relay, so it is not made again for each port that somebody has.
        if let Some(place) = member.as_ref().and_then(own_place)
            && let Some(port) = free_port(place, taken)
        {
            let dst = port.map_or_else(String::new, |port| at_port(made.get("dst"), port));
            made.set("dst", &dst);
        }
        // There is one stdout, and what flows is shown on pages without it.
        Self::Push(Settings {
            dump: false,
            enabled: false,
            ..made
        })
    }

    /// The file's text with this change.
    ///
    /// # Errors
    /// What can't be changed here, by the field.
    pub fn apply(&self, text: &str) -> Result<String, Faults> {
        let wrong = |text: &str| vec![(String::new(), text.to_owned())];
        let mut document: DocumentMut = text
            .parse()
            .map_err(|_| wrong("the run file is no TOML any more"))?;
        let gone = || wrong("it does not stand in the run file");
        match self {
            Self::Set { name, fields } => {
                let (section, at) = place_of(&mut document, name).ok_or_else(gone)?;
                let dropped = self.dropped(&mut document);
                drop_outputs(&mut document, &dropped, |document| {
                    list(document, section)?.get_mut(at)
                });
                let tables = list(&mut document, section).ok_or_else(gone)?;
                let table = tables.get_mut(at).ok_or_else(gone)?;
                for (key, value) in fields {
                    if let Some(dst) = slow_of(key) {
                        // Without one, its place is empty already.
                        if !put_slow(table, dst, value) && !value.is_empty() {
                            let why = "the file has no such destination; one that takes over a socket stands there as \
                                       fd:NAME, and its slow is set in the file";
                            return Err(vec![(key.clone(), why.to_owned())]);
                        }
                        continue;
                    }
                    match (key.as_str(), value.is_empty()) {
                        ("dst", _) => put_destinations(table, value),
                        (key, true) => drop(table.remove(key)),
                        (key, false) => put(table, key, value, written(key, value)),
                    }
                }
            }
            Self::Enable { name, on } => {
                let (tables, at) = find(&mut document, name).ok_or_else(gone)?;
                switch(tables.get_mut(at).ok_or_else(gone)?, *on);
            }
            Self::Push(settings) => push(&mut document, settings),
            Self::Remove { name, taken } => {
                let (section, at) = place_of(&mut document, name).ok_or_else(gone)?;
                take_out(&mut document, |document| list(document, section), at);
                if names(&mut document).is_empty()
                    && let Self::Push(settings) = Self::chain(None, &BTreeSet::new(), taken)
                {
                    push(&mut document, &settings);
                }
            }
        }
        Ok(as_before(text, &document.to_string()))
    }

    /// The destinations whose sections would go out of the file, and with them what stands right above those.
    pub fn drops(&self, text: &str) -> Vec<String> {
        let document = text.parse::<DocumentMut>();
        document.map_or_else(|_| Vec::new(), |mut document| self.dropped(&mut document))
    }

    fn dropped(&self, document: &mut DocumentMut) -> Vec<String> {
        let Self::Set { name, fields } = self else {
            return Vec::new();
        };
        let dst = fields.iter().find(|(key, _)| key == "dst");
        let table = find(document, name).and_then(|(tables, at)| tables.get(at));
        match (dst, table) {
            (Some((_, text)), Some(table)) => dropped(table, text),
            _ => Vec::new(),
        }
    }
}

/// Whether each role of a run file is to run, by its name.
pub fn enabled(text: &str) -> Vec<(String, bool)> {
    let Ok(mut document) = text.parse::<DocumentMut>() else {
        return Vec::new();
    };
    let all = names(&mut document).into_iter();
    let is_on = |(section, at, name): (&str, usize, String)| {
        let table = list(&mut document, section).and_then(|tables| tables.get(at));
        let on = table.and_then(|table| table.get("enabled")?.as_bool());
        (name, on.unwrap_or(true))
    };
    all.map(is_on).collect()
}

/// A run file with each of these roles, by its name, to run or not to run; as it is where it is no TOML.
pub fn switched(text: &str, all: &BTreeMap<String, bool>) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else {
        return text.to_owned();
    };
    for (section, at, name) in names(&mut document) {
        let table = list(&mut document, section).and_then(|tables| tables.get_mut(at));
        if let (Some(table), Some(on)) = (table, all.get(&name)) {
            switch(table, *on);
        }
    }
    as_before(text, &document.to_string())
}

/// Where a relay listens for those whom it sends to, by its first destination.
fn own_place(member: &Member) -> Option<&Endpoint> {
    let Run::Relay(relay) = &member.run else {
        return None;
    };
    match &relay.outputs.first()?.way {
        Way::Listen(at) => Some(at),
        Way::Dial(_) | Way::Stdout => None,
    }
}

/// The next port that can be listened at beside those that are taken, where this place's own can't be; nothing inside
/// of that where there is none.
fn free_port(place: &Endpoint, taken: &[Endpoint]) -> Option<Option<u16>> {
    let Endpoint::Tcp { host, port, tls } = place else {
        return None;
    };
    let at = |port| Endpoint::Tcp {
        host: host.clone(),
        port,
        tls: *tls,
    };
    let busy = taken.iter().filter_map(|other| match other {
        Endpoint::Tcp { port, .. } => other.overlaps(&at(*port)).then_some(*port),
        Endpoint::Unix(_) => None,
    });
    let busy: BTreeSet<u16> = busy.collect();
    let free = (*port..=u16::MAX).find(|port| !busy.contains(port));
    (free != Some(*port)).then_some(free)
}

fn switch(table: &mut Table, on: bool) {
    // What runs needs no word for it.
    if !on || table.contains_key("enabled") {
        put(table, "enabled", &on.to_string(), Value::from(on));
    }
}

fn push(document: &mut DocumentMut, settings: &Settings) {
    let mut table = Table::new();
    write_new(&mut table, settings);
    put_behind(document, table);
}

/// The list that a role of this name stands in, and its place there.
fn find<'a>(document: &'a mut DocumentMut, name: &str) -> Option<(&'a mut ArrayOfTables, usize)> {
    let (section, at) = place_of(document, name)?;
    Some((list(document, section)?, at))
}

/// The section of a role of this name, and its place among those of its kind.
fn place_of(document: &mut DocumentMut, name: &str) -> Option<(&'static str, usize)> {
    let mut all = names(document).into_iter();
    all.find_map(|(section, at, own)| (own == name).then_some((section, at)))
}

/// Each role: its section, its place in there, and its name.
fn names(document: &mut DocumentMut) -> Vec<(&'static str, usize, String)> {
    let mut all = Vec::new();
    for section in SECTIONS {
        let Some(tables) = list(document, section.name) else {
            continue;
        };
        for (at, table) in tables.iter().enumerate() {
            let own = table.get("name").and_then(Item::as_str);
            let own = own.unwrap_or_else(|| section.word());
            all.push((section.name, at, own.to_owned()));
        }
    }
    all
}

fn list<'a>(document: &'a mut DocumentMut, section: &str) -> Option<&'a mut ArrayOfTables> {
    let item = match section.split_once('.') {
        Some((family, kind)) => document.get_mut(family)?.as_table_mut()?.get_mut(kind)?,
        None => document.get_mut(section)?,
    };
    item.as_array_of_tables_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# ours
[console]
save = true # it may

[[relay]] # the first
name = "a"
src = "x:1" # where it comes from
dst = ":2"

[[relay.output]]
dst = ":3"

[[relay]]
src = "y:1"
dst = ":4"

# behind
[[tunnel.serve]]
listen = "127.0.0.1:5" # the tunnel
"#;

    fn set(name: &str, fields: &[(&str, &str)]) -> Result<String, Faults> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let edit = Edit::Set {
            name: name.to_owned(),
            fields: fields.iter().map(owned).collect(),
        };
        edit.apply(FILE)
    }

    #[test]
    fn one_value_changes_and_nothing_else() {
        let text = set("a", &[("src", "z:9"), ("retry", "7")]).expect("it is there");
        let expected = FILE.replace(
            "src = \"x:1\" # where it comes from\ndst = \":2\"\n",
            "src = \"z:9\" # where it comes from\ndst = \":2\"\nretry = \"7\"\n",
        );
        assert_eq!(text, expected);
        let text = set("a", &[("src", "z:9, y:8"), ("name", "pit wall")]).expect("it is there");
        assert!(
            text.contains("name = \"pit wall\"\nsrc = \"z:9,y:8\""),
            "{text}"
        );
        let text = set(
            "a",
            &[("allow", "10.0.0.0/8, ::1"), ("tls-insecure", "true")],
        );
        let text = text.expect("it is there");
        assert!(
            text.contains("allow = \"10.0.0.0/8, ::1\"\ntls-insecure = true\n"),
            "{text}"
        );
        // One without a name goes by what it is.
        let text = set("relay", &[("dst", ":4 connect:q:7"), ("name", "b")]).expect("it is there");
        assert!(
            text.contains("dst = [\":4\", \"connect:q:7\"]\nname = \"b\"\n"),
            "{text}"
        );
        // An output keeps its section as long as it is one.
        let text = set("a", &[("dst", ":9 :3")]).expect("it is there");
        assert_eq!(text, FILE.replace("dst = \":2\"", "dst = \":9\""));
        let text = set("a", &[("slow of :3", "skip")]).expect("it is there");
        let own = FILE.replace("dst = \":3\"", "dst = \":3\"\nslow = \"skip\"");
        assert_eq!(text, own);
        let text = set("a", &[("dst", ":9")]).expect("it is there");
        assert!(!text.contains("output"), "{text}");
        assert!(set("c", &[]).is_err());
        // As it is shown that listens at a socket of the service manager's.
        let nowhere = set("a", &[("slow of listen:0.0.0.0:9", "skip")]);
        let (field, why) = nowhere.expect_err("nothing would change").remove(0);
        assert_eq!(field, "slow of listen:0.0.0.0:9");
        assert!(why.contains("the file has no such destination"), "{why}");
        // None of its own is what it has.
        let none = set("a", &[("slow of :9", "")]);
        assert_eq!(none.as_deref(), Ok(FILE));
    }

    fn changed(text: &str, fields: &[(&str, &str)]) -> String {
        change_of(fields).apply(text).expect("it is there")
    }

    fn change_of(fields: &[(&str, &str)]) -> Edit {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Edit::Set {
            name: "a".to_owned(),
            fields: fields.iter().map(owned).collect(),
        }
    }

    /// Ends of lines, the mark at the beginning of the file, and an end that the last line has not.
    #[test]
    fn what_an_editor_of_another_kind_has_written_stays() {
        let dos = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let fields = [("src", "z:9"), ("max-lag", "3s")];
        assert_eq!(changed(&dos(FILE), &fields), dos(&changed(FILE, &fields)));
        let gone = Edit::Remove {
            name: "tunnel".to_owned(),
            taken: Vec::new(),
        };
        let plain = gone.apply(FILE).expect("it is there");
        assert_eq!(gone.apply(&dos(FILE)).expect("it is there"), dos(&plain));
        // Two editors of different kinds.
        let mixed = FILE.replacen("true # it may\n", "true # it may\r\n", 1);
        let src = |text: &str| changed(text, &[("src", "z:9")]);
        assert_eq!(src(&mixed), mixed.replace("x:1", "z:9"));
        let open = FILE.trim_end();
        assert_eq!(src(open), open.replace("x:1", "z:9"));
        let unsaid = changed("[[relay]]\nname = 'a'", &[("src", "z:9")]);
        assert_eq!(unsaid, "[[relay]]\nname = 'a'\nsrc = \"z:9\"\n");
    }

    /// Blanks, and quotes around names: each header may have others than the first of its kind.
    #[test]
    fn headers_stay_as_they_were_written() {
        let text = r#"[ console ] # it
[[relay]] # [ a ]
name = 'a'
src = 'x:1'
  [[ relay . output ]]
dst = ':2'

[[  relay ]] # b
name = 'b'
src = 'y:1'
[[relay.output]]
dst = ':3'
[["relay" . output]]
dst = ':4'
[[ hub ]]"#;
        let src = |text: &str| changed(text, &[("src", "z:9")]);
        assert_eq!(src(text), text.replace("x:1", "z:9"));
        let dos = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(src(&dos(text)), dos(&src(text)));
        let on = Edit::Enable {
            name: "hub".to_owned(),
            on: false,
        };
        let off = on.apply(text).expect("it is there");
        assert_eq!(off, format!("{text}\nenabled = false\n"));
        let gone = Edit::Remove {
            name: "a".to_owned(),
            taken: Vec::new(),
        };
        let rest = gone.apply(text).expect("it is there");
        assert!(rest.starts_with("[ console ] # it\n"), "{rest}");
        assert!(
            rest.ends_with(&text[text.find("[[  relay").expect("it is there")..]),
            "{rest}"
        );
    }

    #[test]
    fn a_value_is_written_as_the_one_before() {
        let text = "[[relay]]\nname = 'a'\nsrc = 'x:1'\ndst = 6000 # it\nretry = 5 # s\nhold = 0.5\n\
                    drain = '''1s'''\n";
        for (key, value, old, new) in [
            ("src", "z:9", "'x:1'", "'z:9'"),
            ("dst", "7000", "6000", "7000"),
            ("dst", ":7000", "6000", "\":7000\""),
            ("retry", "7", "5 #", "7 #"),
            ("retry", "1..7", "5 #", "\"1..7\" #"),
            ("hold", "1.25", "0.5", "1.25"),
            ("hold", "1.50", "0.5", "\"1.50\""),
            ("name", "it's", "'a'", "\"it's\""),
            ("name", "7", "'a'", "'7'"),
            ("drain", "2s", "'''1s'''", "\"2s\""),
        ] {
            assert_eq!(changed(text, &[(key, value)]), text.replace(old, new));
        }
    }

    const LISTS: &str = r#"[[relay]]
name = "a"
src = ["x:1", 'y:2'] # two
dst = [ # out
  # the first
  ":2", # both families
  # the second
  "connect:b:3" # the archive
] # all
allow = [
  # the pit wall

  # ours
  "10.0.0.0/8", # all of it
  "::1",        # this machine

  # the end
]
"#;

    /// What a comment in a list is about stays there, and so does the comment.
    #[test]
    fn a_list_keeps_the_comments_of_what_stays() {
        let change = |key, value| changed(LISTS, &[(key, value)]);
        let with = |old, new| {
            assert!(LISTS.contains(old), "{old}");
            LISTS.replace(old, new)
        };
        assert_eq!(change("src", "x:1, z:9"), with("'y:2'", "'z:9'"));
        assert_eq!(change("src", "y:2"), with("[\"x:1\", 'y:2']", "['y:2']"));
        assert_eq!(change("dst", ":2 connect:c:4"), with("b:3", "c:4"));
        let three = "\"connect:b:3\", # the archive\n  \":5\"\n]";
        assert_eq!(
            change("dst", ":2 connect:b:3 :5"),
            with("\"connect:b:3\" # the archive\n]", three)
        );
        let one = "  \":2\", # both families\n  # the second\n  \"connect:b:3\" # the archive\n";
        assert_eq!(change("dst", ":2"), with(one, "  \":2\" # both families\n"));
        // What an empty line keeps apart is about more.
        let first = "  # the pit wall\n\n  # ours\n  \"10.0.0.0/8\", # all of it\n";
        assert_eq!(change("allow", "::1"), with(first, "  # the pit wall\n\n"));
        let second = "  \"::1\",        # this machine\n";
        assert_eq!(change("allow", "10.0.0.0/8"), with(second, ""));
        assert_eq!(
            change("allow", "127.0.0.1, fe80::/10"),
            with("10.0.0.0/8", "127.0.0.1").replace("::1", "fe80::/10")
        );
        let turned = format!("{second}{first}  \"127.0.0.1\",\n");
        assert_eq!(
            change("allow", "::1, 10.0.0.0/8, 127.0.0.1"),
            with(&format!("{first}{second}"), &turned)
        );
        let end = LISTS.find("allow").expect("it is there");
        assert_eq!(change("allow", ""), LISTS[..end]);
    }

    const OUTPUTS: &str = r#"[[relay]]
name = "a"
src = "x:1"
dst = ":2"

# all outputs

# the archive must have it all
[[relay.output]] # far
dst = 'connect:b:3' # its host
slow = "block"      # it waits

[[relay.output]]
dst = ":4"

# behind
[metrics]
"#;

    /// A destination that is another one now is the same output; one that is gone takes its section along, as a role
    /// does.
    #[test]
    fn an_output_keeps_its_section_when_its_place_is_another() {
        let change = |fields: &[(&str, &str)]| {
            let edit = change_of(fields);
            (changed(OUTPUTS, fields), edit.drops(OUTPUTS))
        };
        let none = Vec::<String>::new();
        let there = OUTPUTS.replace("b:3", "c:3");
        let moved = change(&[("dst", ":2 connect:c:3 :4")]);
        assert_eq!(moved, (there.clone(), none.clone()));
        let all = there
            .replace("\":2\"", "\":7\"")
            .replace("\":4\"", "\":9\"");
        let moved = change(&[("dst", ":7 connect:c:3 :9")]);
        assert_eq!(moved, (all, none.clone()));
        let skips = there.replace("\"block\"", "\"skip\"");
        let own = ("slow of connect:c:3", "skip");
        let moved = change(&[("dst", ":2 connect:c:3 :4"), own]);
        assert_eq!(moved, (skips, none.clone()));
        let own = "# the archive must have it all\n[[relay.output]] # far\ndst = 'connect:b:3' # its host\n\
                   slow = \"block\"      # it waits\n\n";
        assert!(OUTPUTS.contains(own));
        let fewer = OUTPUTS.replace(own, "");
        let dropped = vec!["connect:b:3".to_owned()];
        assert_eq!(change(&[("dst", ":2 :4")]), (fewer.clone(), dropped));
        let rest = fewer.replace("[[relay.output]]\ndst = \":4\"\n\n", "");
        let dropped = vec!["connect:b:3".to_owned(), ":4".to_owned()];
        assert_eq!(change(&[("dst", ":2")]), (rest, dropped));
        // Where some come and others go, nobody knows which is which.
        let other = change(&[("dst", ":2 :4 connect:c:3 :5")]);
        assert_eq!(other.1, ["connect:b:3"]);
        assert_eq!(change(&[("dst", ":4 :2 connect:b:3")]).1, none);
        assert_eq!(change(&[("max-lag", "3s")]).1, none);
    }

    #[test]
    fn a_field_of_no_destination_is_a_mistake() {
        let key = "slow of listen:127.0.0.1:7";
        let faults = set("a", &[(key, "skip")]).expect_err("it does not end there");
        assert_eq!((faults.len(), faults[0].0.as_str()), (1, key));
        // Whatever has none any more has none of its own.
        let text = set("a", &[("dst", ":9"), ("slow of :3", "")]);
        assert!(!text.expect("it is there").contains("slow"));
    }

    #[test]
    fn roles_of_every_kind_are_switched() {
        let switch = |on| Edit::Enable {
            name: "tunnel".to_owned(),
            on,
        };
        let off = switch(false).apply(FILE).expect("it is there");
        assert_eq!(off, format!("{FILE}enabled = false\n"));
        let on = switch(true).apply(&off).expect("it is there");
        assert_eq!(on, format!("{FILE}enabled = true\n"));
        assert_eq!(switch(true).apply(FILE).expect("it is there"), FILE);
        // Several at once, of which some say so already or stand nowhere.
        let all = [("tunnel", false), ("a", true), ("b", false)];
        let all = all.map(|(name, on)| (name.to_owned(), on));
        assert_eq!(switched(FILE, &BTreeMap::from(all)), off);
    }

    /// As in a console's file: what stood behind a relay does not come to stand under another.
    #[test]
    fn what_stands_at_the_end_stays_where_it_is() {
        let chain = Edit::chain(None, &BTreeSet::from(["a".to_owned()]), &[]);
        let more = |text: &str| chain.apply(text).expect("there is room");
        for end in [
            "",
            "# the end\n",
            "\n# the end",
            "\n# the end\n\n# of all\n",
        ] {
            let text = format!("[[relay]]\nname = \"a\"\nsrc = \"x:1\"\ndst = \":2\"\n{end}");
            let newline = if text.ends_with('\n') { "" } else { "\n" };
            let own = format!("{text}{newline}\n[[relay]]\nname = \"relay 1\"\n");
            let made = more(&text);
            assert!(made.starts_with(&own), "{made}");
            assert!(!made[own.len()..].contains('#'), "{made}");
        }
        // Behind it there is another section, whose comments are at its end.
        let text = format!("{FILE}# the end\n");
        let made = more(&text);
        let new = made.find("relay 1").expect("it is there");
        assert!(new < made.find("# behind").expect("it stays"), "{made}");
        assert!(made.ends_with("# the tunnel\n# the end\n"), "{made}");
    }

    #[test]
    fn relays_come_and_go_among_the_others() {
        let names = BTreeSet::from(["a".to_owned()]);
        let before = Settings {
            fields: vec![("dst".to_owned(), ":4".to_owned())],
            ..Settings::default()
        };
        let taken = ["127.0.0.1:5".parse().expect("a place")];
        let chain = Edit::chain(Some(&before), &names, &taken);
        let more = chain.apply(FILE).expect("there is room");
        assert!(more.contains("src = \":4\"\ndst = \":6\"\n"), "{more}");
        let new = "\n[[relay]]\nname = \"relay 1\"\n";
        assert!(
            more.contains(new) && more.contains("enabled = false"),
            "{more}"
        );
        assert!(more.find(new) < more.find("# behind"), "{more}");
        let gone = Edit::Remove {
            name: "relay 1".to_owned(),
            taken: Vec::new(),
        };
        assert_eq!(gone.apply(&more).expect("it is there"), FILE);
        // What stands right above a role goes with it.
        let mut text = FILE.to_owned();
        for name in ["relay", "tunnel"] {
            let gone = Edit::Remove {
                name: name.to_owned(),
                taken: Vec::new(),
            };
            text = gone.apply(&text).expect("it is there");
        }
        let end = FILE.find("\n[[relay]]\nsrc").expect("it is there");
        assert_eq!(text, FILE[..end]);
        let last = Edit::Remove {
            name: "hub".to_owned(),
            taken: Vec::new(),
        };
        let left = last
            .apply("[[hub]]\nlisten = \"1\"\n")
            .expect("it is there");
        assert!(left.contains("src = \"127.0.0.1:9999\""), "{left}");
    }

    /// The place is the next one that is nobody's, however many there are; where it listens for its source that can't
    /// be told from the file is said when the file is checked.
    #[test]
    fn a_chain_goes_on_at_the_next_place_that_is_free() {
        let place = |text: &str| -> Endpoint { text.parse().expect("a place") };
        let dst_of = |before: &[(&str, &str)], taken: &[Endpoint]| {
            let mut settings = Settings::default();
            for (key, value) in before {
                settings.set(key, value);
            }
            let chain = Edit::chain(Some(&settings), &BTreeSet::new(), taken);
            let Edit::Push(made) = chain else {
                unreachable!("one is added");
            };
            made.get("dst").to_owned()
        };
        let mut taken: Vec<_> = (4000..4200)
            .map(|port| place(&format!("127.0.0.1:{port}")))
            .collect();
        taken.extend(["10.0.0.1:4200", "unix:/run/x", "[::1]:4202", "a:4203"].map(place));
        let dst = [("dst", "127.0.0.1:3999")];
        assert_eq!(dst_of(&dst, &taken), "127.0.0.1:4200");
        taken.push(place(":4200"));
        taken.push(place("0.0.0.0:4201"));
        assert_eq!(dst_of(&dst, &taken), "127.0.0.1:4202");
        assert_eq!(dst_of(&[("dst", "[::1]:4201")], &taken), "[::1]:4204");
        // Somebody has the place already at which it would listen for its source.
        let dialled = [("dst", "127.0.0.1:3998"), ("mode", "connect-connect")];
        taken.push(place("127.0.0.1:3998"));
        assert_eq!(dst_of(&dialled, &taken), "127.0.0.1:3999");
        assert_eq!(
            dst_of(&[("dst", "a:65533")], &[place("a:65534"), place("a:65535")]),
            ""
        );
    }

    /// What the fresh relay that the last role leaves has above it is what it had in the file.
    #[test]
    fn the_last_role_leaves_the_head_of_the_file_where_it_is() {
        let rest = "# ours\n\n[console] # the page\nsave = true\n";
        for role in [
            "[[relay]]\nname = \"a\"\nsrc = \"x:1\"\ndst = \":2\"\n\n",
            "[[hub]]\nname = \"a\"\n\n",
        ] {
            let text = rest.replace("[console]", &format!("{role}[console]"));
            let gone = Edit::Remove {
                name: "a".to_owned(),
                taken: Vec::new(),
            };
            let left = gone.apply(&text).expect("it is there");
            let own = format!("{rest}\n[[relay]]\nname = \"relay 1\"\n");
            assert!(left.starts_with(&own), "{left}");
        }
    }
}
