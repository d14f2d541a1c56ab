//! Where a configuration came from, so that it can be made once more when files are others.

use std::path::Path;

use super::{Config, ConfigError, Env, Sheet, run_file};
use crate::cli::Args;

/// A command line and what was found around it, from which a configuration can be made once more.
#[derive(Clone, Debug)]
pub struct Origin {
    args: Args,
    env: Env,
}

impl Origin {
    pub(super) fn new(args: &Args, env: &Env) -> Self {
        Self {
            args: args.clone(),
            env: env.clone(),
        }
    }

    /// Reads all files again that the command line names.
    ///
    /// # Errors
    /// As at the start.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::from_args(&self.args, self.env.clone())
    }

    /// Where the process has its socket for `hydrant status`.
    pub fn sockets(&self) -> Option<&Path> {
        self.env.sockets.as_deref()
    }

    /// The words and settings of a role that it is for.
    pub fn sheet(&self) -> Sheet {
        let keys = run_file::word_keys(self.args.role);
        let last = keys.last().copied().unwrap_or("word");
        let words = self.args.words.iter().enumerate();
        let words: Vec<(&str, &str)> = words
            .map(|(at, word)| (keys.get(at).copied().unwrap_or(last), word.as_str()))
            .collect();
        Sheet::new(self.args.role, &words, &self.args.values)
    }
}
