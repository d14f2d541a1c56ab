//! One role of those that run beside each other.

use crate::base::endpoint::Endpoint;
use crate::config::{Certificates, Run};
use crate::roles::relay::config::{Source, Way};
use crate::roles::ws::config::LocalEnd;

/// A role, with all that it needs, and the name that tells it from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, which no other has.
    pub name: String,
    /// What it does.
    pub run: Run,
    /// The certificates that it needs.
    pub certificates: Option<Certificates>,
}

impl Member {
    /// A role that runs alone: it goes by its own name, or by the word for what it is.
    pub fn alone(run: Run, certificates: Option<Certificates>) -> Self {
        let name = run.name().unwrap_or_else(|| run.word().to_owned());
        Self {
            name,
            run,
            certificates,
        }
    }

    /// How its lines in the log begin: `relay[sports]`, or `relay` where it has no other name.
    pub fn label(&self) -> String {
        let word = self.run.word();
        match self.name == word {
            true => word.to_owned(),
            false => format!("{word}[{}]", self.name),
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
            Self::Bench(_) | Self::Many(_) => None,
        }
    }

    /// The word for it in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Relay(_) => "relay",
            Self::HubServe { .. } | Self::HubUser(_) | Self::HubTunnel(_) => "hub",
            Self::TunnelServe { .. } | Self::TunnelExpose(_) => "tunnel",
            Self::WsRelay { .. } | Self::WsAdapter(_) => "ws",
            Self::Demo => "demo",
            Self::Console(_) => "console",
            Self::Bench(_) => "bench",
            Self::Many(_) => "run",
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
            Self::Demo | Self::Bench(_) | Self::Many(_) => Vec::new(),
        }
    }
}
