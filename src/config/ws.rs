//! The orders of TCP over WebSocket, out of a command line and what the environment adds to it.

use std::path::Path;

use super::{
    Certificates, ConfigError, Env, FileFault, Run, dialling_token, fault_of, read_certificates,
    read_private,
};
use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::cli::Args;
use crate::roles::tls::options::Files;
use crate::roles::ws::Tokens;
use crate::roles::ws::config::AdapterConfig;
use crate::roles::ws::options::{self, OrderError, Proxies};

/// `ws relay`.
pub(super) fn relay(
    args: &Args,
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut config = options::build_relay(&args.values, &args.words, env.port.as_deref())?;
    let files = Files::of_server(&args.values, &config.listen)?;
    config.tls = read_certificates(files, certificates)?;
    let tokens = args.values.path("tokens")?;
    if let Some(path) = &tokens {
        config.tokens = Some(read_ws_tokens(path)?);
    }
    let config = Box::new(config);
    Ok(Run::WsRelay { config, tokens })
}

/// `ws host` or `ws client`.
pub(super) fn adapter(
    args: &Args,
    env: Env,
    build: Build,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let proxies = env.proxies.clone();
    let token = dialling_token(&args.values, env)?;
    let mut config = build(&args.values, &args.words, token, &proxies)?;
    let files = Files::of_client(&args.values, &config.url.endpoint)?;
    config.tls = read_certificates(files, certificates)?;
    Ok(Run::WsAdapter(Box::new(config)))
}

type Build = fn(&Values, &[String], Option<Secret>, &Proxies) -> Result<AdapterConfig, OrderError>;

/// Reads what `--tokens` of a relay of WebSockets names.
pub fn read_ws_tokens(path: &Path) -> Result<Tokens, ConfigError> {
    let tokens = read_private(path).and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        Tokens::parse(&text).map_err(FileFault::WsTokens)
    });
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

impl From<OrderError> for ConfigError {
    fn from(error: OrderError) -> Self {
        Self::Ws(error)
    }
}
