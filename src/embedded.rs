//! Servers that this program starts itself: the private Postgres of `mainstay serve` without `DATABASE_URL`, and the
//! throwaway Postgres, Redis and Envoy of tests and benches.
//!
//! Nothing is downloaded or linked: this module launches the `postgres`, `initdb` and `redis-server` that the system's
//! packages installed, and the `envoy` of `scripts/setup`. Each server
//!
//! - never outlives the process that started it, `kill -9` included (`embedded/guard.rs` explains how);
//! - is not reached by a Ctrl-C in the terminal, so it still answers while the application drains;
//! - listens on loopback only, on a port chosen when it starts.

mod account;
mod binaries;
mod envoy;
mod guard;
mod home;
mod launch;
mod postgres;
mod redis;

use std::io;
use std::path::{Path, PathBuf};

pub use envoy::Envoy;
pub use postgres::{Options, Postgres};
pub use redis::{Redis, RedisOptions};

/// Why an embedded server did not start, in a message for the user who started it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable binaries; the text names the package to install on each system.
    #[error("{0}")]
    Missing(String),
    /// Another live process holds the data directory.
    #[error("{} is in use by {holder}; stop that one, or choose another directory", dir.display())]
    InUse {
        /// The directory in question.
        dir: PathBuf,
        /// The process that holds it, as far as is known.
        holder: String,
    },
    /// The unprivileged account that the server has to run as can't enter its directory.
    #[error(
        "Postgres refuses to run as root, so it runs as `{account}`, who can't enter {}; choose a data directory \
         whose parents everyone may enter, for example /var/lib/mainstay",
        dir.display()
    )]
    Unreachable {
        /// The account chosen.
        account: String,
        /// The directory it can't enter.
        dir: PathBuf,
    },
    /// The server, or `initdb`, exited or did not answer in time.
    #[error("{what}; its last words:\n{log}")]
    Failed {
        /// The attempted action.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// The content of the directory is inconsistent.
    #[error("{0}")]
    Damaged(String),
    /// A file, directory or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The attempted action, with the path.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The server runs but rejected a statement.
    #[error("the embedded Postgres refused: {0}")]
    Sql(#[from] tokio_postgres::Error),
}

impl Error {
    /// For `map_err`: makes an I/O error with the attempted action and its path.
    fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

/// Returns the default directory of the private data of `mainstay serve`.
///
/// As root, that is `/var/lib/mainstay`, because the account that Postgres then runs as can't enter root's home;
/// otherwise `$XDG_DATA_HOME/mainstay` or `~/.local/share/mainstay`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the default of a setting depends on the user and the environment")]
pub fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/mainstay");
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from(".mainstay"), |base| base.join("mainstay"))
}

/// Creates a throwaway directory below the system's temporary directory.
fn temporary_dir(kind: &str) -> Result<PathBuf, Error> {
    let dir = std::env::temp_dir().join(format!("mainstay-{kind}-{}", random_hex(8)));
    std::fs::create_dir(&dir).map_err(Error::io("creating", &dir))?;
    Ok(dir)
}

/// Returns `bytes` random bytes in hex: safe in URLs, file names and SQL.
#[expect(clippy::disallowed_methods, reason = "passwords and names of private servers; no test needs them repeated")]
fn random_hex(bytes: usize) -> String {
    use rand::Rng as _;
    let mut generator = rand::rng();
    (0..bytes).map(|_| format!("{:02x}", generator.random::<u8>())).collect()
}
