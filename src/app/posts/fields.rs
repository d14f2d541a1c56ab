//! The fields of a relay, as a form has them.

use super::Post;
use crate::config::settings::{FIELD_MAX, Settings, is_live, names_socket, unknown_field};
use crate::reactor::tabs::Faults;

/// What a page has sent.
#[derive(Default)]
pub(in crate::app) struct Sent {
    /// The fields that can be so, in order.
    pub(in crate::app) changed: Vec<(String, String)>,
    /// Whether what flows is to be shown, where that was said.
    pub(in crate::app) shows: Option<bool>,
    pub(in crate::app) faults: Faults,
}

/// Puts what a page has sent into these settings, but for what can't be so. `file` is where that can be; `name_fault`:
/// why they can't have another name.
pub(in crate::app) fn take_fields(
    settings: &mut Settings,
    fields: &[(String, String)],
    is_running: bool,
    file: &str,
    name_fault: impl Fn(&Settings, &str) -> Option<String>,
) -> Sent {
    let mut sent = Sent::default();
    for (key, value) in fields {
        let value = value.trim();
        let fault = match key.as_str() {
            "dump" => {
                sent.shows = Some(value == "true");
                continue;
            }
            "name" if settings.name == value => continue,
            "name" => name_fault(settings, value),
            key => fault_of(settings, is_running, key, value, file),
        };
        match (fault, key.as_str()) {
            (Some(text), key) => {
                sent.faults.push((key.to_owned(), text));
                continue;
            }
            (None, "name") => value.clone_into(&mut settings.name),
            (None, key) => settings.set(key, value),
        }
        sent.changed.push((key.clone(), value.to_owned()));
    }
    sent
}

/// Why a page can't put this into a field. `file` is where it can be.
pub(in crate::app) fn fault_of(
    settings: &Settings,
    is_running: bool,
    key: &str,
    value: &str,
    file: &str,
) -> Option<String> {
    if let Some(text) = unknown_field(settings, key) {
        return Some(text);
    }
    if value.len() > FIELD_MAX {
        return Some(format!("at most {FIELD_MAX} bytes"));
    }
    // Who reaches the page is not always who may reach every program of this machine, or read its files.
    if names_socket(key, value) {
        return Some(format!("a Unix socket is set in the {file}"));
    }
    if key != "name" && !settings.has(key) {
        return Some(format!("this is set in the {file}"));
    }
    let is_fixed = is_running && !is_live(key) && settings.get(key) != value;
    is_fixed.then(|| RUNS.to_owned())
}

/// A relay as a form has it.
pub(in crate::app) fn settings_of(post: &Post) -> Settings {
    let mut settings = Settings {
        name: post.member.name.clone(),
        enabled: post.member.is_enabled,
        ..Settings::default()
    };
    let fields = post.member.sheet.iter().flat_map(|sheet| &sheet.fields);
    for (key, value) in
        fields.filter(|(key, _)| !["name", "dump", "dump-format"].contains(&key.as_str()))
    {
        settings.set(key, value);
    }
    settings
}

/// Why what does not change in place is refused.
pub(in crate::app) const RUNS: &str = "it runs: stop it to change this";
