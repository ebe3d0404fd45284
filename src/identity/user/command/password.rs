//! The password argument of a command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;

const MISSING: &str = "there is no password: set MAINSTAY_PASSWORD, or name a file with --password-file";

/// A password, or the file that holds it: where there is no shell to set a variable, as in the image, only the latter
/// keeps it out of the command line, which others can see.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// The password, 12 to 128 characters; prefer MAINSTAY_PASSWORD, because other users can see command lines.
    #[arg(long, env = "MAINSTAY_PASSWORD", hide_env_values = true)]
    password: Option<SecretString>,
    /// A file that holds the password; `-` is the standard input.
    #[arg(long, env = "MAINSTAY_PASSWORD_FILE", value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
}

impl Password {
    /// Reads the password; from a file, without the line break at its end.
    ///
    /// # Errors
    /// If there is no password, or the file can't be read.
    pub(crate) fn read(self) -> anyhow::Result<SecretString> {
        let Some(path) = self.password_file else { return self.password.context(MISSING) };
        let text = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(&path) };
        let text = text.with_context(|| format!("the password can't be read from {}", path.display()))?;
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}
