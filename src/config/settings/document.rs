//! The file that a console keeps its relays in. What a person wrote into it, comments and order and all, stays as it
//! is: a change touches the one value that has changed.
//!
//! ```toml
//! [[relay]]
//! name = "sports"
//! src = "10.0.0.5:5000"
//! dst = ":6000"
//! enabled = true
//! ```

use std::collections::BTreeSet;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use crate::config::outputs::{is_moved, slow_key};
use crate::config::settings::document_error::DocumentError;
use crate::config::settings::lines::as_before;
use crate::config::settings::removal::{last_place, take_out};
use crate::config::settings::value::{like, listed, word};
use crate::config::settings::{Settings, is_listed, split};

/// The file's text, taken apart.
#[derive(Clone, Debug)]
pub struct Document {
    text: DocumentMut,
    /// As it was read.
    before: String,
}

impl Document {
    /// Takes a file's text apart, and what it says of relays out of it. One without a name gets one.
    pub fn parse(text: &str) -> Result<(Self, Vec<Settings>), DocumentError> {
        let parsed: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text[..text.floor_char_boundary(at)];
            DocumentError::Toml {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                what: error
                    .message()
                    .lines()
                    .next()
                    .unwrap_or("this is no TOML")
                    .to_owned(),
            }
        })?;
        let mut all = Vec::new();
        match parsed.get(RELAY) {
            None => {}
            Some(Item::ArrayOfTables(tables)) => {
                for (number, table) in (1..).zip(tables) {
                    all.push(settings(number, table)?);
                }
            }
            Some(_) => return Err(DocumentError::NoTables),
        }
        let mut names = BTreeSet::new();
        name_the_nameless(&mut all);
        for settings in &all {
            if !names.insert(settings.name.clone()) {
                return Err(DocumentError::Twice {
                    name: settings.name.clone(),
                });
            }
        }
        let before = text.to_owned();
        let text = parsed;
        Ok((Self { text, before }, all))
    }

    /// A file that nobody has written yet.
    pub fn empty() -> Self {
        Self {
            text: HEAD.parse().expect("it is two comments"),
            before: HEAD.to_owned(),
        }
    }

    /// What stands there and is nothing to a console, as it is written: `[metrics]`, `[[tunnel.serve]]`.
    pub fn strangers(&self) -> Vec<String> {
        let mut all = Vec::new();
        let others = self.text.iter().filter(|(key, _)| *key != RELAY);
        for (key, item) in others {
            name_sections(key, item, &mut all);
        }
        all
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        as_before(&self.before, &self.text.to_string())
    }

    /// Adds a relay behind all others.
    pub fn push(&mut self, settings: &Settings) {
        let mut table = Table::new();
        write(&mut table, settings);
        put_behind(&mut self.text, table);
    }

    /// Takes a relay out, by its place, with what belongs to it.
    pub fn remove(&mut self, place: usize) {
        self.read_again();
        take_out(&mut self.text, tables, place);
    }

    /// What was added has its place in the order of the file only once that is read.
    fn read_again(&mut self) {
        let text = self.text.to_string();
        self.text = text.parse().expect("it was written from a document");
    }

    /// A relay's settings are others now. The destinations whose sections have gone out of the file.
    pub fn set(&mut self, place: usize, settings: &Settings) -> Vec<String> {
        let Some(table) = tables(&mut self.text).and_then(|tables| tables.get_mut(place)) else {
            return Vec::new();
        };
        let gone = dropped(table, settings.get(DST));
        if !gone.is_empty() {
            self.read_again();
            drop_outputs(&mut self.text, &gone, |text| tables(text)?.get_mut(place));
        }
        if let Some(table) = tables(&mut self.text).and_then(|tables| tables.get_mut(place)) {
            write(table, settings);
        }
        gone
    }
}

fn name_sections(name: &str, item: &Item, all: &mut Vec<String>) {
    match item {
        Item::Table(table) if table.is_implicit() => {
            for (key, item) in table {
                name_sections(&format!("{name}.{key}"), item, all);
            }
        }
        Item::Table(_) => all.push(format!("[{name}]")),
        Item::ArrayOfTables(_) => all.push(format!("[[{name}]]")),
        Item::Value(_) => all.push(name.to_owned()),
        Item::None => {}
    }
}

fn tables(text: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
    let item = text
        .entry(RELAY)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut()
}

/// Puts a relay behind all others, with an empty line between it and what is before; the first one, behind whatever
/// else there is. Where that is the end of the file, what stands there stays where it is, above what is new.
pub(crate) fn put_behind(document: &mut DocumentMut, mut table: Table) {
    if tables(document).is_none_or(|relays| relays.is_empty()) {
        let last = last_place(document);
        table.set_position(last.map(|last| last.saturating_add(1)));
    }
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    document.set_trailing("");
    let is_first = document.to_string().is_empty();
    let gap = if is_first { "" } else { "\n" };
    table.decor_mut().set_prefix("");
    let mut own = DocumentMut::new();
    push(&mut own, table.clone());
    table.decor_mut().set_prefix(gap);
    push(document, table);
    // No other relay has its name.
    let is_last = document.to_string().ends_with(&own.to_string());
    if trailing.is_empty() || !is_last {
        return document.set_trailing(trailing);
    }
    let newline = if trailing.ends_with('\n') { "" } else { "\n" };
    let above = format!("{trailing}{newline}\n");
    let relays = tables(document)
        .into_iter()
        .flat_map(ArrayOfTables::iter_mut);
    if let Some(table) = relays.last() {
        table.decor_mut().set_prefix(above);
    }
}

fn push(document: &mut DocumentMut, table: Table) {
    if let Some(tables) = tables(document) {
        tables.push(table);
    }
}

/// Writes what is not there as it should be, and takes out what should not be there.
fn write(table: &mut Table, settings: &Settings) {
    let gone: Vec<String> = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !OWN_KEYS.contains(&key.as_str()) && settings.get(key).is_empty())
        .collect();
    for key in gone {
        table.remove(&key);
    }
    put(
        table,
        "name",
        &settings.name,
        Value::from(settings.name.clone()),
    );
    if settings.get(DST).is_empty() {
        put_destinations(table, "");
    }
    for (key, text) in &settings.fields {
        match key.as_str() {
            DST => put_destinations(table, text),
            key => put(table, key, text, written(key, text)),
        }
    }
    for dst in settings.get(DST).split_whitespace() {
        put_slow(table, dst, settings.get(&slow_key(dst)));
    }
    // What says what holds anyway is left out, unless it stands there already.
    for (key, is_on, preset) in [
        ("dump", settings.dump, false),
        ("enabled", settings.enabled, true),
    ] {
        if is_on != preset || table.contains_key(key) {
            put(table, key, &is_on.to_string(), Value::from(is_on));
        }
    }
}

/// What a relay that is new to a run file says.
pub(crate) fn write_new(table: &mut Table, settings: &Settings) {
    write(table, settings);
    table.remove("dump");
}

/// The destinations of a relay that have sections of their own, and would not be destinations any more.
pub(crate) fn dropped(table: &Table, text: &str) -> Vec<String> {
    let (old, listed) = destinations(table);
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let new: Vec<&str> = text.split_whitespace().collect();
    let is_gone = |at: &usize| !new.contains(&old[*at]) && !is_moved(&old, &new, *at);
    let gone = (listed..old.len()).filter(is_gone);
    gone.map(|at| old[at].to_owned()).collect()
}

/// Takes sections out of a document that is as it was read, each with what belongs to it.
pub(crate) fn drop_outputs(
    document: &mut DocumentMut,
    gone: &[String],
    relay: impl Fn(&mut DocumentMut) -> Option<&mut Table>,
) {
    for dst in gone {
        let all = relay(document).and_then(outputs);
        let place = all.and_then(|all| {
            all.iter()
                .position(|one| own_dst(one).as_deref() == Some(dst))
        });
        if let Some(place) = place {
            take_out(document, |document| outputs(relay(document)?), place);
        }
    }
}

fn outputs(relay: &mut Table) -> Option<&mut ArrayOfTables> {
    relay.get_mut(OUTPUT)?.as_array_of_tables_mut()
}

/// All destinations of a relay, and how many of them have no section.
fn destinations(table: &Table) -> (Vec<String>, usize) {
    let listed = table.get(DST).and_then(|item| read(DST, item));
    let listed = listed.unwrap_or_default();
    let mut all: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
    let count = all.len();
    let outputs = table.get(OUTPUT).and_then(Item::as_array_of_tables);
    let outputs = outputs.into_iter().flatten().map(own_dst);
    all.extend(outputs.map(Option::unwrap_or_default));
    (all, count)
}

/// The destination of an output: a port alone may be a number.
fn own_dst(output: &Table) -> Option<String> {
    output.get(DST)?.as_value().and_then(word)
}

/// Puts destinations, with spaces between them, where they are not there yet. One that has a section of its own keeps
/// that, though its place is another now.
pub(crate) fn put_destinations(table: &mut Table, text: &str) {
    let mut left: Vec<&str> = text.split_whitespace().collect();
    let (old, count) = destinations(table);
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let new = left.clone();
    if let Some(outputs) = outputs(table) {
        for (at, output) in (count..).zip(outputs.iter_mut()) {
            if is_moved(&old, &new, at) {
                put(output, DST, new[at], Value::from(new[at]));
            }
        }
        outputs.retain(|output| {
            let own = own_dst(output);
            let place = left.iter().rposition(|word| Some(*word) == own.as_deref());
            place.map(|place| left.remove(place)).is_some()
        });
        if outputs.is_empty() {
            table.remove(OUTPUT);
        }
    }
    let left = left.join(" ");
    match left.is_empty() {
        true => drop(table.remove(DST)),
        false => put(table, DST, &left, written(DST, &left)),
    }
}

/// Puts a destination's own `slow` where it is not there yet; nothing: it has none. It needs a section for that, and so
/// do those behind it, or their order would be another one. Whether there is such a destination.
pub(crate) fn put_slow(table: &mut Table, dst: &str, word: &str) -> bool {
    let stands_in = |output: &Table| own_dst(output).as_deref() == Some(dst);
    let outputs = table.get_mut(OUTPUT).and_then(Item::as_array_of_tables_mut);
    if let Some(output) = outputs.and_then(|all| all.iter_mut().find(|it| stands_in(it))) {
        match word.is_empty() {
            true => drop(output.remove("slow")),
            false => put(output, "slow", word, Value::from(word)),
        }
        return true;
    }
    let listed = table
        .get(DST)
        .and_then(|item| read(DST, item))
        .unwrap_or_default();
    let listed: Vec<&str> = listed.split_whitespace().collect();
    let Some(place) = listed.iter().position(|one| *one == dst) else {
        return false;
    };
    if word.is_empty() {
        return true;
    }
    let mut outputs: ArrayOfTables = listed[place..].iter().map(|one| output(one)).collect();
    if let Some(own) = outputs.get_mut(0) {
        own.insert("slow", value(word));
    }
    if let Some(Item::ArrayOfTables(behind)) = table.remove(OUTPUT) {
        outputs.extend(behind);
    }
    let before = listed[..place].join(" ");
    match before.is_empty() {
        true => drop(table.remove(DST)),
        false => put(table, DST, &before, written(DST, &before)),
    }
    table.insert(OUTPUT, Item::ArrayOfTables(outputs));
    true
}

fn output(dst: &str) -> Table {
    let mut table = Table::new();
    table.insert(DST, value(dst));
    table
}

/// Puts a value where it is not there yet; what stands beside it stays, and it is written as the one before.
pub(crate) fn put(table: &mut Table, key: &str, text: &str, fresh: Value) {
    match table.get_mut(key) {
        Some(item) if read(key, item).as_deref() == Some(text) => {}
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            let list = old.as_array();
            let list = list.and_then(|list| listed(list, &words(key, text)));
            *old = match list {
                Some(list) => Value::Array(list),
                None => like(old, text, fresh),
            };
            *old.decor_mut() = decor;
        }
        _ => {
            table.insert(key, value(fresh));
        }
    }
}

/// The words of a field that stand in a list.
fn words<'a>(key: &str, text: &'a str) -> Vec<&'a str> {
    match key {
        DST => text.split_whitespace().collect(),
        _ => split(text).collect(),
    }
}

/// What is typed into a field, as it stands in a file: a switch is a truth, several destinations are a list, and so are
/// several values of what can be given again and again; everything else is a text.
pub(crate) fn written(key: &str, text: &str) -> Value {
    let list = |words: Vec<&str>| match words.as_slice() {
        [one] => Value::from(*one),
        all => Value::Array(all.iter().copied().collect::<Array>()),
    };
    match (key, text) {
        ("name", text) => Value::from(text),
        (_, "true") => Value::from(true),
        (_, "false") => Value::from(false),
        (DST, text) => list(text.split_whitespace().collect()),
        ("src", text) => Value::from(split(text).collect::<Vec<_>>().join(",")),
        (key, text) if is_listed(key) => list(split(text).collect()),
        (_, text) => Value::from(text),
    }
}

/// Gives those a name that have none, and not one that another has.
fn name_the_nameless(all: &mut [Settings]) {
    for place in 0..all.len() {
        let is_taken = |name: &str| all.iter().any(|settings| settings.name == name);
        if all[place].name.is_empty() {
            let names = (place + 1..).map(|number| format!("relay {number}"));
            let mut free = names.filter(|name| !is_taken(name));
            let name = free.next().expect("there is no end of numbers");
            all[place].name = name;
        }
    }
}

fn settings(number: usize, table: &Table) -> Result<Settings, DocumentError> {
    let mut settings = Settings {
        enabled: true,
        ..Settings::default()
    };
    for (key, item) in table {
        let wrong = || DocumentError::Value {
            number,
            key: key.to_owned(),
        };
        match key {
            "dump" => settings.dump = item.as_bool().ok_or_else(wrong)?,
            "enabled" => settings.enabled = item.as_bool().ok_or_else(wrong)?,
            "name" => settings.name = item.as_str().ok_or_else(wrong)?.to_owned(),
            OUTPUT => {}
            key => settings.set(key, &read(key, item).ok_or_else(wrong)?),
        }
    }
    if let Some(outputs) = table.get(OUTPUT) {
        read_outputs(&mut settings, outputs).ok_or(DocumentError::Output { number })?;
    }
    Ok(settings)
}

/// Each output is one more destination. `None`: it is not as it should be.
fn read_outputs(settings: &mut Settings, outputs: &Item) -> Option<()> {
    let mut all = vec![settings.get(DST).to_owned()];
    for output in outputs.as_array_of_tables()? {
        let dst = own_dst(output)?;
        for (key, item) in output {
            match key {
                DST if dst.split_whitespace().count() == 1 => {}
                // It has none of its own then.
                "slow" if item.as_str()?.is_empty() => {}
                "slow" => settings
                    .slows
                    .push((dst.clone(), item.as_str()?.to_owned())),
                _ => return None,
            }
        }
        all.push(dst);
    }
    settings.set(DST, all.join(" ").trim());
    Some(())
}

/// A value as it would be typed: several destinations have one space each between them, and several of anything else
/// commas.
fn read(key: &str, item: &Item) -> Option<String> {
    let between = if key == DST { " " } else { "," };
    let text = match item.as_value()? {
        Value::Array(list) => {
            let words = list.iter().map(word).collect::<Option<Vec<_>>>()?;
            words.join(between)
        }
        value => word(value)?,
    };
    Some(match key {
        DST => text.split_whitespace().collect::<Vec<_>>().join(between),
        _ => text,
    })
}

const RELAY: &str = "relay";
/// Keys that are no fields.
const OWN_KEYS: &[&str] = &["name", "dump", "enabled", DST, OUTPUT];
const DST: &str = "dst";
const OUTPUT: &str = "output";
const HEAD: &str = "# The relays of hydrant's console. It changes values here by itself and leaves comments alone;\n\
                    # keys are the flags of `hydrant relay --help`. Stop the console before you change anything.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Run;
    use crate::roles::relay::config::Slow;

    const WRITTEN: &str = r#"# ours
[[relay]] # the first
name = "timing"   # of the race
src = "10.0.0.5:5000"
dst = [":6000", "connect:b:7000"] # two
retry = 5 # seconds

[[relay]]
src = "a:1"
dst = ":2"
enabled = false
"#;

    #[test]
    fn what_stands_there_is_read() {
        let (_, all) = Document::parse(WRITTEN).expect("it is right");
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("dst"), ":6000 connect:b:7000");
        assert_eq!(
            (all[0].get("retry"), all[0].enabled, all[0].dump),
            ("5", true, false)
        );
        assert_eq!((all[1].name.as_str(), all[1].enabled), ("relay 2", false));
    }

    #[test]
    fn a_change_touches_one_value() {
        let (mut document, all) = Document::parse(WRITTEN).unwrap();
        let mut first = all[0].clone();
        first.set("retry", "7");
        document.set(0, &first);
        let expected = WRITTEN.replace("retry = 5 # seconds\n", "retry = 7 # seconds\n");
        assert_eq!(document.text(), expected);
        first.set("retry", "");
        document.set(0, &first);
        assert!(!document.text().contains("retry") && document.text().contains("# two"));
        document.remove(0);
        let second = "\n[[relay]]\nsrc = \"a:1\"\ndst = \":2\"\nenabled = false\n";
        assert_eq!(document.text(), format!("# ours\n{second}"));
        document.remove(0);
        assert_eq!(document.text(), "# ours\n");
    }

    #[test]
    fn the_head_of_the_file_outlives_every_relay() {
        let mut document = Document::empty();
        for name in ["a", "b"] {
            document.push(&Settings {
                name: name.to_owned(),
                ..Settings::default()
            });
        }
        for _ in 0..2 {
            document.remove(0);
            let text = document.text();
            assert!(text.starts_with(HEAD.trim_end()), "{text}");
            assert_eq!(
                text.matches('#').count(),
                HEAD.matches('#').count(),
                "{text}"
            );
        }
        document.push(&Settings::default());
        assert_eq!(document.text().matches("# The relays").count(), 1);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut document = Document::empty();
        let (_, all) = Document::parse(WRITTEN).unwrap();
        let mut third = all[0].clone();
        third.name = "odd \"name\" \\ é".to_owned();
        third.set("framing", "delim:0a");
        third.set("tls-insecure", "true");
        third.dump = true;
        let all = [all[0].clone(), all[1].clone(), third];
        all.iter().for_each(|settings| document.push(settings));
        let (again, read) = Document::parse(&document.text()).expect("it reads back");
        assert_eq!(read, all);
        assert_eq!(again.text(), document.text());
        assert!(
            document.text().starts_with("# The relays"),
            "{}",
            document.text()
        );
    }

    /// What an editor of another kind has written stays so, and what is new is like it.
    #[test]
    fn ends_of_lines_stay_as_they_are() {
        let dos = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let (mut document, all) = Document::parse(&dos(WRITTEN)).expect("it is right");
        assert_eq!(document.text(), dos(WRITTEN));
        let (mut plain, _) = Document::parse(WRITTEN).expect("it is right");
        let changed = Settings {
            name: "c".to_owned(),
            ..all[0].clone()
        };
        for document in [&mut document, &mut plain] {
            document.set(0, &changed);
            document.push(&all[1]);
            document.remove(1);
        }
        assert_eq!(document.text(), dos(&plain.text()));
        let (_, again) = Document::parse(&document.text()).expect("it is right");
        assert_eq!(again, [changed, all[1].clone()]);
    }

    /// What a destination has of its own goes with it when it is another one, on the page as in the file.
    #[test]
    fn an_output_that_is_moved_keeps_its_policy() {
        let (mut document, all) = Document::parse(OUTPUTS).expect("it is right");
        let mut relay = all[0].clone();
        relay.set("dst", ":2 connect:c:3 :4");
        assert_eq!(relay.get("slow of connect:c:3"), "block");
        assert!(document.set(0, &relay).is_empty());
        assert_eq!(document.text(), OUTPUTS.replace("b:3", "c:3"));
        relay.set("dst", ":2 :4");
        assert_eq!(document.set(0, &relay), ["connect:c:3"]);
        let own = "# the archive must have it all\n[[relay.output]]\ndst = \"connect:b:3\"\n\
                   slow = \"block\" # it waits\n\n";
        assert!(OUTPUTS.contains(own));
        assert_eq!(document.text(), OUTPUTS.replace(own, ""));
    }

    const OUTPUTS: &str = r#"[[relay]]
name = "a"
src = "a:1"
dst = ":2"
dump = false
enabled = true

# the archive must have it all
[[relay.output]]
dst = "connect:b:3"
slow = "block" # it waits

[[relay.output]]
dst = ":4"
"#;

    #[test]
    fn outputs_are_destinations_that_keep_their_sections() {
        let (mut document, all) = Document::parse(OUTPUTS).expect("it is right");
        let mut relay = all[0].clone();
        assert_eq!(relay.get("dst"), ":2 connect:b:3 :4");
        let (member, _) = relay.check().expect("nothing is wrong");
        let Run::Relay(orders) = member.run else {
            panic!("it is a relay");
        };
        let slows: Vec<Slow> = orders.outputs.iter().map(|output| output.slow).collect();
        assert_eq!(slows, [Slow::Drop, Slow::Block, Slow::Drop]);
        document.set(0, &relay);
        assert_eq!(document.text(), OUTPUTS, "nothing has changed");
        relay.set("dst", ":5 connect:b:3 :6");
        document.set(0, &relay);
        let expected = OUTPUTS.replace("\":2\"", "\":5\"");
        let expected = expected.replace("\":4\"", "\":6\"");
        assert_eq!(document.text(), expected);
        relay.set("dst", ":5");
        document.set(0, &relay);
        assert!(!document.text().contains("output"), "{}", document.text());
        let (_, all) = Document::parse(&OUTPUTS.replace("\"block\"", "\"never\"")).expect("it is");
        let faults = all[0].check().expect_err("it is no policy");
        assert!(
            faults[0].0 == "slow of connect:b:3" && faults[0].1.contains("never"),
            "{faults:?}"
        );
    }

    /// A port alone may stand without quotes, and an empty policy is none.
    #[test]
    fn an_output_s_port_may_be_a_number() {
        let text = OUTPUTS.replace("\":4\"", "4\nslow = \"\"");
        let (mut document, all) = Document::parse(&text).expect("it is right");
        let mut relay = all[0].clone();
        assert_eq!(relay.get("dst"), ":2 connect:b:3 4");
        assert_eq!(relay.get("slow of 4"), "");
        relay.set("dst", ":2 connect:b:3 5");
        document.set(0, &relay);
        let expected = OUTPUTS.replace("\":4\"", "5");
        assert_eq!(document.text(), expected);
        let table = &document.text.as_table()["relay"]
            .as_array_of_tables()
            .expect("tables");
        let first = table.get(0).expect("it is there");
        assert_eq!(dropped(first, ":2 connect:b:3"), ["5"]);
        assert_eq!(dropped(first, ":2 5"), ["connect:b:3"]);
    }

    /// What a run file takes as a list is one here too, and what is one text there stays one.
    #[test]
    fn lists_are_what_they_are_in_a_run_file() {
        let text = "[[relay]]\nname = \"a\"\nsrc = [\"a:5000\", \"b:5000\"] # two\ndst = \"ws://:2\"\n\
            allow = [\"10.0.0.0/8\", \"::1\"]\norigin = [\"https://a\", \"https://b\"]\n\
            framing = \"line\"\ndump = false\nenabled = true\n";
        let (mut document, all) = Document::parse(text).expect("it is right");
        let mut relay = all[0].clone();
        relay.check().expect("nothing is wrong");
        assert_eq!(relay.get("src"), "a:5000,b:5000");
        let (command, _) = relay.command();
        assert!(
            command.contains("--origin https://a --origin https://b"),
            "{command}"
        );
        document.set(0, &relay);
        assert_eq!(document.text(), text, "nothing has changed");
        relay.set("origin", "https://a, https://c");
        relay.set("allow", "10.0.0.0/8, ::1, 127.0.0.1");
        relay.check().expect("nothing is wrong");
        relay.set("framing", "delim:0d 0a");
        document.set(0, &relay);
        let expected = text
            .replace("\"line\"", "\"delim:0d 0a\"")
            .replace("https://b", "https://c")
            .replace("\"::1\"", "\"::1\", \"127.0.0.1\"");
        assert_eq!(document.text(), expected);
    }

    /// One that gets a `slow` of its own gets a section for it, and the order of all stays.
    #[test]
    fn an_output_gets_a_policy_and_loses_it() {
        let text = "[[relay]]\nname = \"a\"\nsrc = \"a:1\"\ndst = [\":2\", \":3\", \":4\"]\ndump = false\n\
                    enabled = true\n";
        let rest = "\n[[relay.output]] # far\ndst = \":5\"\n\n[[relay]]\nname = \"b\"\ndump = false\n\
                    enabled = true\n";
        let whole = format!("{text}{rest}");
        let (mut document, mut all) = Document::parse(&whole).expect("it is right");
        all[0].set("slow of :3", "skip");
        document.set(0, &all[0]);
        let own =
            "\n[[relay.output]]\ndst = \":3\"\nslow = \"skip\"\n\n[[relay.output]]\ndst = \":4\"\n";
        let expected = format!("{text}{own}{rest}").replace("[\":2\", \":3\", \":4\"]", "[\":2\"]");
        assert_eq!(document.text(), expected);
        let (_, read) = Document::parse(&expected).expect("it is right");
        assert_eq!(read, all);
        all[0].set("slow of :3", "");
        all[0].set("slow of :5", "block");
        document.set(0, &all[0]);
        let expected = expected.replace("slow = \"skip\"\n", "");
        let expected = expected.replace("dst = \":5\"\n", "dst = \":5\"\nslow = \"block\"\n");
        assert_eq!(document.text(), expected);
        // It is back with its place, whatever stood there meanwhile.
        for dst in [":2", ":2 :5"] {
            all[0].set("dst", dst);
            document.set(0, &all[0]);
        }
        let (_, read) = Document::parse(&document.text()).expect("it is right");
        assert_eq!(read[0].get("slow of :5"), "block");
    }

    #[test]
    fn mistakes_are_said_with_their_place() {
        let error = |text: &str| Document::parse(text).expect_err("it is wrong").to_string();
        assert!(
            error("a = 1\nb =\n").starts_with("line 2, column 4: "),
            "{}",
            error("a = 1\nb =\n")
        );
        assert_eq!(error("relay = 1"), "a relay is written as [[relay]]");
        assert_eq!(
            error("[[relay]]\ndump = 1"),
            "relay 1: dump is a text, a number, true, false, or a list of texts"
        );
        assert_eq!(
            error("[[relay]]\nname='a'\n[[relay]]\nname='a'"),
            "two relays have the name a"
        );
        assert!(error("[[relay]]\nsrc = { a = 1 }").starts_with("relay 1: src"));
        for output in [
            "output = 1",
            "[[relay.output]]\nslow = 'drop'",
            "[[relay.output]]\ndst = [':1', ':2']",
            "[[relay.output]]\ndst = ':1 :2'",
            "[[relay.output]]\ndst = ':1'\nring = '1M'",
        ] {
            let text = error(&format!("[[relay]]\n{output}"));
            assert!(text.starts_with("relay 1: an output is"), "{text}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_named() {
        let text = "top = 1\n[[relay]]\n[console]\n[[relay.output]]\ndst = ':1'\n[[hub]]\n[[tunnel.serve]]\n\
                    [[hub]]\n";
        let (document, _) = Document::parse(text).expect("it is right");
        let others = ["top", "[console]", "[[hub]]", "[[tunnel.serve]]"];
        assert_eq!(document.strangers(), others);
        assert_eq!(Document::empty().strangers(), [""; 0]);
    }

    #[test]
    fn what_belongs_to_others_stays() {
        let (mut document, _) = Document::parse("[metrics]\nlisten = \"x\" # theirs\n").unwrap();
        document.push(&Settings {
            name: "a".to_owned(),
            ..Settings::default()
        });
        document.remove(0);
        assert_eq!(document.text(), "[metrics]\nlisten = \"x\" # theirs\n");
        // The last one leaves the head of the file where it is, and so does the next one.
        let theirs = "# ours\n\n[metrics]\nlisten = \"x\"\n";
        let text = theirs.replace("[metrics]", "[[relay]]\n\n[metrics]");
        let (mut document, _) = Document::parse(&text).unwrap();
        document.remove(0);
        assert_eq!(document.text(), theirs);
        document.push(&Settings {
            name: "a".to_owned(),
            ..Settings::default()
        });
        let own = "\n[[relay]]\nname = \"a\"\nenabled = false\n";
        assert_eq!(document.text(), format!("{theirs}{own}"));
        // What stands at the end of a section of theirs stays there.
        let theirs = "\n[metrics]\nlisten = \"x\"\n# theirs\n";
        let (mut document, _) = Document::parse(&format!("[[relay]]\n{theirs}")).unwrap();
        document.push(&Settings {
            name: "a".to_owned(),
            ..Settings::default()
        });
        let text = document.text();
        assert!(text.ends_with(theirs), "{text}");
    }
}
