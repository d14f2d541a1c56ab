//! What is wrong with files that settings name: with each of them, and not only with the first that is met.

use std::path::PathBuf;

use super::files::{read_secret, read_token, read_tokens, read_tunnel_tokens, read_ws_tokens};
use super::{Certificates, CertificatesError, ConfigError};
use crate::base::option::Values;
use crate::cli::RoleId;

/// What is wrong with the files that a role's settings name.
pub(super) fn of_files(role: RoleId, values: &Values) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    if let Some(path) = plain(values, "upstream-send") {
        faults.extend(read_secret("--upstream-send", &path).err());
    }
    if let Some(path) = plain(values, "tokens") {
        faults.extend(match role {
            RoleId::HubServe => read_tokens(&path).err(),
            RoleId::TunnelServe => read_tunnel_tokens(&path).err(),
            _ => read_ws_tokens(&path).err(),
        });
    }
    for (name, flag) in [
        ("token-file", "--token-file"),
        ("view-token-file", "--view-token-file"),
    ] {
        if let Some(path) = plain(values, name) {
            faults.extend(read_token(flag, &path).err());
        }
    }
    let mut named = TLS.iter().filter(|name| is_named(values, name)).peekable();
    let is_any = named.peek().is_some();
    // A certificate in a pipe is not looked at, nor is what has to go with it.
    if is_any && named.all(|name| plain(values, name).is_some()) {
        let found = Certificates::faults(values).into_iter();
        faults.extend(found.map(ConfigError::Certificates));
    }
    faults
}

/// Whether there is such an option, and it was given.
fn is_named(values: &Values, name: &str) -> bool {
    values.find(&format!("--{name}")).is_some() && values.given(name)
}

/// The path that an option names, but for that of a pipe, which is read only once.
fn plain(values: &Values, name: &str) -> Option<PathBuf> {
    values.find(&format!("--{name}"))?;
    let path = values.path(name).ok().flatten()?;
    let found = path.metadata();
    let is_plain = found.map_or(true, |found| found.is_file() || found.is_dir());
    is_plain.then_some(path)
}

impl ConfigError {
    /// The option whose file is at fault, with its dashes.
    pub(super) fn file_flag(&self) -> Option<&'static str> {
        match self {
            Self::File { flag, .. } => Some(flag),
            Self::Certificates(
                CertificatesError::Unreadable { flag, .. }
                | CertificatesError::TooLong { flag, .. }
                | CertificatesError::File { flag, .. }
                | CertificatesError::OutOfDate { flag, .. },
            ) => Some(flag),
            _ => None,
        }
    }
}

/// The options of certificates.
const TLS: [&str; 6] = [
    "tls-cert",
    "tls-key",
    "tls-client-ca",
    "tls-client-cert",
    "tls-client-key",
    "tls-ca",
];
