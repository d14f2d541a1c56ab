//! `relay_gui_config.json`, which the Python program of the same purpose keeps its tabs in.

use std::error::Error;
use std::fmt;

use serde_json::Value;

use crate::base::units::Typed;
use crate::config::settings::{FIELD_MAX, Settings};

/// Why nothing was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// It is no JSON.
    Json {
        /// Where it ceases to be.
        line: usize,
        /// And in that line, from 1.
        column: usize,
    },
    /// There are no `tabs` in it.
    NoTabs,
    /// There are more tabs than there is room for.
    TooMany {
        /// The most.
        max: usize,
    },
    /// A field of a tab is longer than one may be.
    TooLong {
        /// Which tab, from 1.
        number: usize,
        /// What of it.
        key: &'static str,
        /// The most, in bytes.
        max: usize,
    },
    /// A tab is not as it should be.
    Tab {
        /// Which, from 1.
        number: usize,
        /// What of it.
        key: &'static str,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { line, column } => {
                write!(f, "line {line}, column {column}: this is no JSON")
            }
            Self::NoTabs => write!(f, "there is no list {} in it", Typed("tabs")),
            Self::TooMany { max } => write!(f, "{max} tabs are the most"),
            Self::TooLong { number, key, max } => {
                write!(f, "tab {number}: {} is longer than {max} bytes", Typed(key))
            }
            Self::Tab { number, key } => write!(f, "tab {number}: {} can't be read", Typed(key)),
        }
    }
}

impl Error for ImportError {}

/// The tabs, `max` at most, in their order, none of them running. What such a tab leaves out has the value that it has
/// there.
pub fn import(text: &str, max: usize) -> Result<Vec<Settings>, ImportError> {
    let all: Value = serde_json::from_str(text).map_err(|error| ImportError::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let tabs = all["tabs"].as_array().ok_or(ImportError::NoTabs)?;
    if tabs.len() > max {
        return Err(ImportError::TooMany { max });
    }
    (1..)
        .zip(tabs)
        .map(|(number, tab)| settings(number, tab))
        .collect()
}

fn settings(number: usize, tab: &Value) -> Result<Settings, ImportError> {
    let text = |key: &'static str, default: &str| match &tab[key] {
        Value::Null => Ok(default.to_owned()),
        Value::String(text) if text.len() > FIELD_MAX => Err(ImportError::TooLong {
            number,
            key,
            max: FIELD_MAX,
        }),
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(ImportError::Tab { number, key }),
    };
    if !tab.is_object() {
        return Err(ImportError::Tab {
            number,
            key: "tabs",
        });
    }
    let dump = match &tab["dump"] {
        Value::Null => false,
        Value::Bool(on) => *on,
        _ => {
            return Err(ImportError::Tab {
                number,
                key: "dump",
            });
        }
    };
    let mut settings = Settings {
        name: format!("relay {number}"),
        dump,
        ..Settings::default()
    };
    settings.set(
        "src",
        &place(&text("src_host", "127.0.0.1")?, &text("src_port", "9999")?),
    );
    settings.set(
        "dst",
        &place(&text("dst_host", "127.0.0.1")?, &text("dst_port", "10000")?),
    );
    settings.set("mode", &text("mode", "connect-listen")?);
    settings.set("retry", &text("retry", "5")?);
    Ok(settings)
}

fn place(host: &str, port: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_are_taken_over() {
        let text = r#"{ "tabs": [
            { "src_host": "10.0.0.5", "src_port": "9999", "dst_host": "0.0.0.0", "dst_port": 10000,
              "mode": "listen-connect", "dump": true, "retry": "7" },
            { "src_host": "::1" }
        ] }"#;
        let tabs = import(text, 2).expect("it is right");
        assert_eq!(
            tabs[0].command().0,
            "hydrant 10.0.0.5:9999 0.0.0.0:10000 --mode listen-connect --retry 7 --dump"
        );
        assert_eq!((tabs[0].name.as_str(), tabs[0].enabled), ("relay 1", false));
        assert_eq!(tabs[1].command().0, "hydrant '[::1]:9999' 127.0.0.1:10000");
        assert!(tabs.iter().all(|tab| tab.member().is_ok()));
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        let error = |text| import(text, 2).expect_err("it is wrong").to_string();
        assert_eq!(
            error("{\n\"tabs\": [,"),
            "line 2, column 10: this is no JSON"
        );
        assert_eq!(error("[]"), "there is no list tabs in it");
        assert_eq!(
            error(r#"{"tabs": [{}, {"retry": []}]}"#),
            "tab 2: retry can't be read"
        );
        assert_eq!(error(r#"{"tabs": ["x"]}"#), "tab 1: tabs can't be read");
        assert_eq!(import(r#"{"tabs": []}"#, 2), Ok(Vec::new()));
        assert_eq!(error(r#"{"tabs": [{}, {}, {}]}"#), "2 tabs are the most");
        let tab = |len: usize| format!(r#"{{"tabs": [{{"src_host": "{}"}}]}}"#, "x".repeat(len));
        assert!(import(&tab(FIELD_MAX), 2).is_ok());
        assert_eq!(
            error(&tab(FIELD_MAX + 1)),
            "tab 1: src_host is longer than 4096 bytes"
        );
    }
}
