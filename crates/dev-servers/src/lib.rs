//! Servers that a program starts for itself in development and tests: the private Postgres of `mainstay serve` without
//! `DATABASE_URL`, and the throwaway Postgres, Redis, Envoy, PgBouncer, nginx, HAProxy and Patroni of tests and benches.
//!
//! Nothing is downloaded or linked: this crate launches the `postgres`, `initdb`, `redis-server`, `nginx` and `haproxy`
//! that the system's packages installed, and the `envoy`, `pgbouncer`, `patroni` and `etcd` of `scripts/setup`. Each server
//!
//! - never outlives the process that started it, `kill -9` included (`process.rs` explains how);
//! - does not receive a Ctrl-C in the terminal, so it still answers while the application drains;
//! - listens on loopback only, on a port chosen when it starts.
//!
//! The crate is independent of the application: directories, settings and Envoy's configuration come from the caller.
//!
//! - `postgres`: a Postgres from start to stop; `cluster_dir` is its directory, `launch` its start, `account` the user it
//!   runs as.
//! - `redis`, `envoy`, `pgbouncer`, `http_proxy`, `patroni`: the others; `redis_cluster` is several nodes of Redis.
//! - `process`: a child process that can't outlive its parent.
//! - `binaries`: finds the installed programs.

mod account;
mod binaries;
mod cluster_dir;
mod envoy;
mod http_proxy;
mod launch;
mod patroni;
mod pgbouncer;
mod postgres;
mod process;
mod redis;
mod redis_cluster;

use std::io;
use std::path::{Path, PathBuf};

pub use envoy::Envoy;
pub use http_proxy::{HttpProxy, ProxyKind};
pub use patroni::{Etcd, NodeLinks, PatroniNode, PatroniPasswords, patronictl};
pub use pgbouncer::PgBouncer;
pub use postgres::{Options, Postgres};
pub use process::FreezeGuard;
pub use redis::{Redis, RedisOptions};
pub use redis_cluster::RedisCluster;

/// The reason why a server did not start, in a message for the user who started it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable binaries; the text names the package to install on each system.
    #[error("{0}")]
    Missing(String),
    /// Another live process holds the data directory.
    #[error("{} is in use by {holder}: stop that process first", dir.display())]
    InUse {
        /// The directory in question.
        dir: PathBuf,
        /// A description of the process that holds it.
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
    #[error("{what}; the end of its log:\n{log}")]
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
    #[error("the private Postgres refused: {0}")]
    Sql(#[from] tokio_postgres::Error),
}

impl Error {
    /// For `map_err`: makes an I/O error with the attempted action and its path.
    fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

/// Creates a throwaway directory below the system's temporary directory.
fn temporary_dir(kind: &str) -> Result<PathBuf, Error> {
    temporary_dir_in(&std::env::temp_dir(), kind)
}

fn temporary_dir_in(parent: &Path, kind: &str) -> Result<PathBuf, Error> {
    let dir = parent.join(format!("mainstay-{kind}-{}", random_hex(8)));
    std::fs::create_dir(&dir).map_err(Error::io("creating", &dir))?;
    Ok(dir)
}

/// Returns the in-memory file system of Linux, if it has `room` bytes free.
fn memory_dir(room: u64) -> Option<PathBuf> {
    let dir = Path::new("/dev/shm");
    let usage = nix::sys::statvfs::statvfs(dir).ok()?;
    (usage.blocks_available().saturating_mul(usage.fragment_size()) >= room).then(|| dir.to_owned())
}

/// Returns `bytes` random bytes in hex: safe in URLs, file names and SQL.
#[expect(clippy::disallowed_methods, reason = "passwords and names of private servers; no test needs them repeated")]
fn random_hex(bytes: usize) -> String {
    use rand::Rng as _;
    let mut generator = rand::rng();
    (0..bytes).map(|_| format!("{:02x}", generator.random::<u8>())).collect()
}
