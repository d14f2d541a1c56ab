//! The orders of a console, whose tokens stand in files.

use std::path::PathBuf;

use super::files::read_token;
use super::{ConfigError, Env, dialling_token};
use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::roles::console::config::ConsoleConfig;
use crate::roles::console::options;

/// A console, and what it has in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleOrders {
    /// The page.
    pub console: ConsoleConfig,
    /// Where its settings are kept; `None`: nowhere.
    pub settings: Option<PathBuf>,
    /// `--import`: tabs to take over.
    pub import: Option<PathBuf>,
    /// A browser is to be opened.
    pub opens_browser: bool,
}

/// Makes the orders of a console, whose tokens files hold.
#[inline(never)]
pub(super) fn orders(values: &Values, env: &Env) -> Result<ConsoleOrders, ConfigError> {
    let home = env.config_home.clone();
    Ok(ConsoleOrders {
        console: console_of(values, env)?,
        settings: home.map(|home| home.join("hydrant/console.toml")),
        import: values.path("import")?,
        opens_browser: !values.given("no-browser"),
    })
}

/// Makes a console's page, whose token a file holds, or else the environment.
pub(crate) fn console_of(values: &Values, env: &Env) -> Result<ConsoleConfig, ConfigError> {
    let of_env = match values.given("token-file") && !env.is_dry {
        true => None,
        false => dialling_token(values, env)?,
    };
    if env.is_dry {
        let view = values
            .given("view-token-file")
            .then(|| Secret::from(VIEW.to_vec()));
        return Ok(options::build(values, of_env, view)?);
    }
    console_with(values, of_env)
}

fn console_with(values: &Values, of_env: Option<Secret>) -> Result<ConsoleConfig, ConfigError> {
    // Who sees them may do here what the owner may: they are no less than those of a hub.
    let read = |flag, path: Option<PathBuf>| path.map(|path| read_token(flag, &path));
    let token = read("--token-file", values.path("token-file")?).transpose()?;
    let view_token = values.path("view-token-file")?;
    let view_token = read("--view-token-file", view_token).transpose()?;
    Ok(options::build(values, token.or(of_env), view_token)?)
}

/// Stands for a view token that is not read.
const VIEW: &[u8] = b"unread-unread-unread-view";
