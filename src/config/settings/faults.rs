//! Beside which field a mistake is shown.

use crate::base::endpoint::Endpoint;
use crate::base::form::Faults;
use crate::base::option::Values;
use crate::base::secret::addresses;
use crate::config::ConfigError;
use crate::config::settings::Settings;
use crate::roles::relay::options::{FitError, OrderError, wrong_destinations, wrong_sources};

/// A mistake, by its field, and what else is wrong in that field where several places stand in it.
pub(super) fn all_of(
    settings: &Settings,
    values: &Values,
    words: &[String],
    error: &ConfigError,
) -> Faults {
    let first = of_config(settings, error);
    let wrong = match first.0.as_str() {
        "src" => wrong_sources(values, words.first().map_or("", String::as_str)),
        "dst" => wrong_destinations(values, words),
        _ => Vec::new(),
    };
    let mut all = Faults::new();
    for error in wrong {
        let text = of_config(settings, &ConfigError::Relay(error)).1;
        let fault = (first.0.clone(), text);
        if !all.contains(&fault) {
            all.push(fault);
        }
    }
    if all.is_empty() {
        all.push(first);
    }
    all
}

/// The field that a mistake is about, and what it is; no field where it is about all of them.
fn of_config(settings: &Settings, error: &ConfigError) -> (String, String) {
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
        ConfigError::Relay(OrderError::NoDestination) => {
            let word = if field == "src" { "SRC" } else { "DST" };
            format!("{word} is missing: write HOST:PORT")
        }
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
    let is_read = src == "-" || addresses(src).all(|place| place.parse::<Endpoint>().is_ok());
    if is_read { "dst" } else { "src" }
}

/// Where SRC dials.
fn places(settings: &Settings) -> impl Iterator<Item = Endpoint> {
    addresses(settings.get("src")).filter_map(|place| place.parse().ok())
}

fn speaks_tls(text: &str) -> bool {
    text.contains("tls://")
}
