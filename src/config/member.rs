//! One role of those that run beside each other.

use std::fmt::Write;

use crate::base::endpoint::Endpoint;
use crate::base::option::Values;
use crate::cli::{ROLES, RoleId};
use crate::config::{Certificates, Run};
use crate::roles::relay::config::{Source, Way};
use crate::roles::ws::config::LocalEnd;

/// A role, as a section of a run file or a command line says it: with all that it needs, and the name that tells it
/// from the others. Whether it runs is not known here: `app` gives it a post, which a page sees as a
/// [tab](crate::reactor::tabs::Tab).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, which no other has.
    pub name: String,
    /// What it does.
    pub run: Run,
    /// The certificates that it needs.
    pub certificates: Option<Certificates>,
    /// What it was made of; `None` where somebody else keeps that.
    pub sheet: Option<Sheet>,
    /// `enabled`: it is to run.
    pub is_enabled: bool,
}

/// What a role was made of, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The words by their keys (`src`, `listen`, ...) and the options by their names, in the order of the help.
    pub fields: Vec<(String, String)>,
    /// The command line that does the same, but for what it can't say.
    pub command: String,
    /// What that is: fields, and what stands in them.
    pub unsaid: Vec<String>,
}

impl Sheet {
    /// What these words and settings make. Secrets stand in files, and so in neither; a URL's query is left out.
    pub fn new(role: RoleId, words: &[(&str, &str)], values: &Values) -> Self {
        let role = ROLES.iter().find(|known| known.id == role);
        let role = role.expect("each role is one of them");
        let words: Vec<(&str, String)> = words
            .iter()
            .map(|(key, word)| (*key, without_query(key, word)))
            .collect();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (key, word) in &words {
            match fields.iter_mut().find(|(known, _)| known == key) {
                Some((_, all)) => *all = format!("{all} {word}"),
                None => fields.push(((*key).to_owned(), word.clone())),
            }
        }
        let mut command = "hydrant".to_owned();
        if role.id != RoleId::Relay {
            let _ = write!(command, " {}", role.name);
        }
        for (_, word) in &words {
            let _ = write!(command, " {}", quoted(word));
        }
        for opt in role.options {
            let given = values.all_given(opt.name());
            let Some(last) = given.last() else { continue };
            if opt.is_switch() {
                let _ = write!(command, " {}", opt.flag);
                fields.push((opt.name().to_owned(), "true".to_owned()));
                continue;
            }
            let all = match opt.many {
                true => given.clone(),
                false => vec![last.clone()],
            };
            for value in &all {
                let _ = write!(command, " {} {}", opt.flag, quoted(value));
            }
            fields.push((opt.name().to_owned(), all.join(",")));
        }
        Self {
            fields,
            command,
            unsaid: Vec::new(),
        }
    }
}

/// A URL without its query, which may be anybody's secret. An ellipsis tells that there is one.
fn without_query(key: &str, word: &str) -> String {
    match word.split_once('?') {
        Some((before, _)) if key == "url" => format!("{before}?..."),
        _ => word.to_owned(),
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

impl Member {
    /// A role that runs alone: it goes by its own name, or by the word for what it is.
    pub fn alone(run: Run, certificates: Option<Certificates>) -> Self {
        let name = run.name().unwrap_or_else(|| run.word().to_owned());
        Self {
            name,
            run,
            certificates,
            sheet: None,
            is_enabled: true,
        }
    }

    /// How its lines in the log begin: `relay[sports]`, or `relay` where it was given no name.
    pub fn label(&self) -> String {
        let word = self.run.word();
        match self.run.name() {
            Some(name) => format!("{word}[{name}]"),
            None => word.to_owned(),
        }
    }
}

impl Run {
    /// The name that it was given.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Relay(config) => config.name.clone(),
            Self::HubServe { config, .. } => config.name.clone(),
            Self::TunnelServe { config, .. } => config.name.clone(),
            Self::TunnelExpose(config) => config.name.as_ref().map(ToString::to_string),
            Self::Demo | Self::HubUser(_) | Self::HubTunnel(_) => None,
            Self::WsRelay { config, .. } => config.name.clone(),
            Self::WsAdapter(config) => config.name.clone(),
            Self::Console(_) => None,
            Self::Bench(_) | Self::Many(_) | Self::Status(_) => None,
        }
    }

    /// What it is, in the words of the command line.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Relay(_) => "relay",
            Self::HubServe { .. } => "hub serve",
            Self::HubUser(_) => "hub client",
            Self::HubTunnel(_) => "hub tunnel",
            Self::TunnelServe { .. } => "tunnel serve",
            Self::TunnelExpose(_) => "tunnel expose",
            Self::WsRelay { .. } => "ws relay",
            Self::WsAdapter(config) => match config.end {
                LocalEnd::Listen { .. } => "ws client",
                LocalEnd::Target(_) => "ws host",
            },
            Self::Demo => "demo",
            Self::Console(_) => "console",
            Self::Bench(_) => "bench",
            Self::Many(_) => "run",
            Self::Status(_) => "status",
        }
    }

    /// The word for it in the log, and its name where it was given none: whoever serves the others has the short one.
    pub fn word(&self) -> &'static str {
        match self {
            Self::HubServe { .. } | Self::HubUser(_) => "hub",
            Self::TunnelServe { .. } => "tunnel",
            Self::WsRelay { .. } => "ws",
            other => other.kind(),
        }
    }

    /// What it is one of: a relay, a hub, a tunnel, something of WebSockets.
    pub fn family(&self) -> &'static str {
        self.kind().split(' ').next().unwrap_or_default()
    }

    /// The field that says that it listens there.
    pub fn field_of(&self, at: &Endpoint) -> &'static str {
        match self {
            Self::Relay(relay) if relay.source == Source::Listen(at.clone()) => "src",
            Self::Relay(_) => "dst",
            _ => "listen",
        }
    }

    /// Where it will listen, as far as that is known before it runs.
    pub fn listens(&self) -> Vec<&Endpoint> {
        match self {
            Self::Relay(config) => {
                let source = match &config.source {
                    Source::Listen(at) => Some(at),
                    Source::Dial(_) | Source::Stdin => None,
                };
                let outputs = config
                    .outputs
                    .iter()
                    .filter_map(|output| match &output.way {
                        Way::Listen(at) => Some(at),
                        Way::Dial(_) | Way::Stdout => None,
                    });
                source.into_iter().chain(outputs).collect()
            }
            Self::HubServe { config, .. } => vec![&config.listen],
            Self::TunnelServe { config, .. } => vec![&config.listen],
            Self::WsRelay { config, .. } => vec![&config.listen],
            Self::WsAdapter(config) => match &config.end {
                LocalEnd::Listen { at, .. } => vec![at],
                LocalEnd::Target(_) => Vec::new(),
            },
            Self::TunnelExpose(_) | Self::HubUser(_) | Self::HubTunnel(_) => Vec::new(),
            Self::Console(_) => Vec::new(),
            Self::Demo | Self::Bench(_) | Self::Many(_) | Self::Status(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_s_query_is_nobody_s_to_see() {
        let words = [("url", "ws://h/host?token=SECRET"), ("target", "a?b:1")];
        let role = ROLES.iter().find(|role| role.id == RoleId::WsHost);
        let values = Values::new(vec![role.expect("it is one of them").options]);
        let sheet = Sheet::new(RoleId::WsHost, &words, &values);
        assert_eq!(sheet.command, "hydrant ws host 'ws://h/host?...' 'a?b:1'");
        assert_eq!(sheet.fields[0].1, "ws://h/host?...");
    }
}
