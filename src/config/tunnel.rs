//! The orders of a reverse tunnel's ends, out of a command line and the files that it names.

use super::files::read_tunnel_tokens;
use super::{Certificates, ConfigError, Env, Run, dialling_token, read_certificates};
use crate::base::option::Values;
use crate::roles::tls::options::Files;
use crate::roles::tunnel::options;

/// `tunnel serve`.
#[inline(never)]
pub(super) fn serve(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut config = options::build_serve(values, words)?;
    let files = Files::of_server(values, &config.listen)?;
    config.tls = read_certificates(files, env, certificates)?;
    let tokens = values.path("tokens")?;
    if let Some(path) = tokens.as_ref().filter(|_| !env.is_dry) {
        config.tokens = Some(read_tunnel_tokens(path)?);
    }
    let config = Box::new(config);
    Ok(Run::TunnelServe { config, tokens })
}

/// `tunnel expose`.
#[inline(never)]
pub(super) fn expose(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let token = dialling_token(values, env)?;
    let mut config = options::build_expose(values, words, token)?;
    let files = Files::of_client(values, &config.server)?;
    config.tls = read_certificates(files, env, certificates)?;
    Ok(Run::TunnelExpose(Box::new(config)))
}
