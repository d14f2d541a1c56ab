//! The orders of TCP over WebSocket, out of a command line and what the environment adds to it.

use super::files::read_ws_tokens;
use super::{Certificates, ConfigError, Env, Run, dialling_token, read_certificates};
use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::roles::tls::options::Files;
use crate::roles::ws::config::AdapterConfig;
use crate::roles::ws::options::{self, OrderError, Proxies};

/// `ws relay`.
#[inline(never)]
pub(super) fn relay(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut config = options::build_relay(values, words, env.port.as_deref())?;
    let files = Files::of_server(values, &config.listen)?;
    config.tls = read_certificates(files, env, certificates)?;
    let tokens = values.path("tokens")?;
    if let Some(path) = tokens.as_ref().filter(|_| !env.is_dry) {
        config.tokens = Some(read_ws_tokens(path)?);
    }
    let config = Box::new(config);
    Ok(Run::WsRelay { config, tokens })
}

/// `ws host` or `ws client`.
#[inline(never)]
pub(super) fn adapter(
    values: &Values,
    words: &[String],
    env: &Env,
    build: Build,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let token = dialling_token(values, env)?;
    let mut config = build(values, words, token, &env.proxies)?;
    let files = Files::of_client(values, &config.url.endpoint)?;
    config.tls = read_certificates(files, env, certificates)?;
    Ok(Run::WsAdapter(Box::new(config)))
}

type Build = fn(&Values, &[String], Option<Secret>, &Proxies) -> Result<AdapterConfig, OrderError>;

impl From<OrderError> for ConfigError {
    fn from(error: OrderError) -> Self {
        Self::Ws(error)
    }
}
