//! The orders of TCP over WebSocket, out of a command line and what the environment adds to it.

use std::path::Path;

use super::{ConfigError, Env, FileFault, Run, dialling_token, fault_of, read_private};
use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::cli::Args;
use crate::roles::ws::Tokens;
use crate::roles::ws::config::AdapterConfig;
use crate::roles::ws::options::{self, OrderError, Proxies};

/// `ws relay`.
pub(super) fn relay(args: &Args, env: &Env) -> Result<Run, ConfigError> {
    let mut config = options::build_relay(&args.values, &args.words, env.port.as_deref())?;
    let tokens = args.values.path("tokens")?;
    if let Some(path) = &tokens {
        config.tokens = Some(read_ws_tokens(path)?);
    }
    let config = Box::new(config);
    Ok(Run::WsRelay { config, tokens })
}

/// `ws host` or `ws client`.
pub(super) fn adapter(args: &Args, env: Env, build: Build) -> Result<Run, ConfigError> {
    let proxies = env.proxies.clone();
    let token = dialling_token(&args.values, env)?;
    let config = build(&args.values, &args.words, token, &proxies)?;
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
