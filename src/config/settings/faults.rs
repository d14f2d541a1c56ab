//! Beside which field a mistake is shown.

use crate::base::endpoint::Endpoint;
use crate::config::ConfigError;
use crate::config::settings::Settings;
use crate::roles::relay::options::{FitError, OrderError};

/// The field that a mistake is about, and what it is; no field where it is about all of them.
pub(super) fn of_config(settings: &Settings, error: &ConfigError) -> (String, String) {
    let field = match error {
        ConfigError::Relay(error) => of_order(settings, error),
        ConfigError::File { flag, .. } => flag.trim_start_matches('-').to_owned(),
        ConfigError::CertificateFiles(_) => match speaks_tls(settings.get("src")) {
            true => "src".to_owned(),
            false => "dst".to_owned(),
        },
        _ => String::new(),
    };
    let text = match error {
        // A page can't set what it would be told to write.
        ConfigError::Relay(OrderError::Endpoint(error)) => error.without_sockets(),
        error => error.to_string(),
    };
    (field, text)
}

fn of_order(settings: &Settings, error: &OrderError) -> String {
    let field = match error {
        OrderError::NoSource | OrderError::SourcePrefix { .. } | OrderError::ListListens { .. } => {
            "src"
        }
        OrderError::NoDestination if settings.get("src").is_empty() => "src",
        OrderError::NoDestination
        | OrderError::WebSocketDialled { .. }
        | OrderError::WebSocketOverTls { .. }
        | OrderError::SamePlace { .. }
        | OrderError::SourceIsDestination { .. }
        | OrderError::OwnPeer { .. }
        | OrderError::StdoutTwice
        | OrderError::DumpIntoStdout => "dst",
        OrderError::Endpoint(_) => of_endpoint(settings),
        OrderError::DialPortZero { endpoint } => {
            match places(settings).any(|place| place == *endpoint) {
                true => "src",
                false => "dst",
            }
        }
        OrderError::InVain { name, .. } => name,
        OrderError::Framing(_) => "framing",
        OrderError::Origin(_) | OrderError::OriginWithoutWebSocket => "origin",
        OrderError::Fit(FitError::BacklogOverRing { .. }) => "backlog",
        OrderError::Fit(_) => "record-max",
        OrderError::TooFewClients { .. } => "wait-clients",
        OrderError::Option(_) | OrderError::DumpFormatAlone | OrderError::StatsIntervalAlone => "",
    };
    field.to_owned()
}

fn of_endpoint(settings: &Settings) -> &'static str {
    let src = settings.get("src");
    let is_read = src == "-"
        || src
            .split(',')
            .all(|place| place.trim().parse::<Endpoint>().is_ok());
    if is_read { "dst" } else { "src" }
}

/// Where SRC dials.
fn places(settings: &Settings) -> impl Iterator<Item = Endpoint> {
    settings
        .get("src")
        .split(',')
        .filter_map(|place| place.trim().parse().ok())
}

fn speaks_tls(text: &str) -> bool {
    text.contains("tls://")
}
