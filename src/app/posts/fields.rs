//! The fields of a relay, as a form has them.

use super::Post;
use crate::config::settings::{FIELD_MAX, Settings, is_live, names_socket, unknown_field};

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
    is_fixed.then(|| "it runs: stop it to change this".to_owned())
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
