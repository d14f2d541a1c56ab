//! The fields of a relay of a run file, as a form has them.

use super::posts::Post;
use crate::config::settings::{FIELD_MAX, Settings, is_live, names_socket};

/// Why a field can't be changed on the page.
pub(super) fn fault_of(
    post: &Post,
    settings: &Settings,
    key: &str,
    value: &str,
) -> Option<&'static str> {
    let is_running = post.role().is_some();
    if value.len() > FIELD_MAX {
        return Some("it is too long");
    }
    // Who reaches the page is not always who may reach every program of this machine, or read its files.
    if names_socket(key, value) || !(key == "name" || settings.has(key)) {
        return Some("this is set in the run file");
    }
    (is_running && !is_live(key) && settings.get(key) != value)
        .then_some("it runs: stop it to change this")
}

/// A relay as a form has it.
pub(super) fn settings_of(post: &Post) -> Settings {
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
