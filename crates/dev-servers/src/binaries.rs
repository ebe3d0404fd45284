//! Finds the installed server binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// The oldest major version whose features the migrations may use.
pub(crate) const OLDEST_POSTGRES: u32 = 15;

/// Directories with one subdirectory per version: the parent, the prefix of the subdirectory, and the path of the
/// binaries below it.
const POSTGRES_PARENTS: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),                          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                                   // Fedora, RHEL, packages of the Postgres project
    ("/opt/homebrew/opt", "postgresql@", "bin"),                 // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),                    // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),    // Homebrew on Linux
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
];

const POSTGRES_HELP: &str = "install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install \
     postgresql-server; macOS: brew install postgresql@16), name its directory in PG_BIN_DIR, or set DATABASE_URL";

/// An installation of Postgres.
#[derive(Debug, Clone)]
pub(crate) struct PostgresBinaries {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    /// Creates standbys.
    pub(crate) basebackup: PathBuf,
    major: u32,
}

impl PostgresBinaries {
    /// Finds the newest installation, or the one of version `major`, which wrote the existing cluster.
    ///
    /// `PG_BIN_DIR`, if set, is the only candidate. Otherwise the order of precedence is `PATH`, the directories of
    /// packages, `PG_FALLBACK_BIN_DIR` (binaries that a launcher bundles with this program), and `last`, the directory
    /// that served the cluster before.
    pub(crate) fn find(major: Option<u32>, last: Option<PathBuf>) -> Result<Self, Error> {
        let from_env = env_path("PG_BIN_DIR");
        let installed = path_dirs().into_iter().chain(version_dirs());
        let fallbacks = env_path("PG_FALLBACK_BIN_DIR").into_iter().chain(last);
        let dirs = search_order(from_env.clone(), installed, fallbacks);
        let installations: Vec<Self> = dirs.iter().filter_map(|dir| Self::in_dir(dir)).collect();
        let fits = |one: &&Self| major.map_or(one.major >= OLDEST_POSTGRES, |major| one.major == major);
        if let Some(one) = installations.iter().find(fits) {
            return Ok(one.clone());
        }
        let versions = installations.iter().map(|one| one.major.to_string()).collect::<Vec<_>>().join(", ");
        Err(Error::Missing(match (major, from_env, versions.as_str()) {
            (_, Some(dir), "") => {
                format!("PG_BIN_DIR is {}, which has no working `initdb` and `postgres`", dir.display())
            }
            (None, _, "") => format!("PostgreSQL is not installed: {POSTGRES_HELP}"),
            (None, _, versions) => {
                format!("PostgreSQL {OLDEST_POSTGRES} or newer is needed, but this is {versions}: {POSTGRES_HELP}")
            }
            (Some(major), _, versions) => format!(
                "the data was written by PostgreSQL {major}, and the versions installed are: {versions}. Install \
                 {major}, or move the data with pg_upgrade"
            ),
        }))
    }

    fn in_dir(dir: &Path) -> Option<Self> {
        let (initdb, postgres) = (dir.join("initdb"), dir.join("postgres"));
        if !initdb.is_file() {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        // A directory of symbolic links may lack it.
        let basebackup = postgres.canonicalize().ok()?.with_file_name("pg_basebackup");
        Some(Self { initdb, postgres, basebackup, major })
    }
}

fn search_order(
    only: Option<PathBuf>,
    installed: impl Iterator<Item = PathBuf>,
    fallbacks: impl Iterator<Item = PathBuf>,
) -> Vec<PathBuf> {
    only.map_or_else(|| installed.chain(fallbacks).collect(), |dir| vec![dir])
}

/// Finds `redis-server`, or `valkey-server`, which newer Fedora releases ship instead.
pub(crate) fn find_redis() -> Result<PathBuf, Error> {
    let dirs = path_dirs().into_iter().chain(["/usr/bin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from));
    dirs.flat_map(|dir| ["redis-server", "valkey-server"].map(|name| dir.join(name)))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::Missing(
                "redis-server is not installed: install it (Debian, Ubuntu: apt-get install redis-server; Fedora: \
                 dnf install valkey; macOS: brew install redis)"
                    .to_owned(),
            )
        })
}

/// Finds `envoy`: `ENVOY_BIN`, if set, or the one on `PATH`.
pub(crate) fn find_envoy() -> Result<PathBuf, Error> {
    let from_env = env_path("ENVOY_BIN");
    let path = from_env.or_else(|| path_dirs().into_iter().map(|dir| dir.join("envoy")).find(|path| path.is_file()));
    path.filter(|path| path.is_file()).ok_or_else(|| {
        Error::Missing(
            "envoy is not installed: scripts/test installs it; else name the program in ENVOY_BIN".to_owned(),
        )
    })
}

/// Finds `pgbouncer`: `PGBOUNCER_BIN`, if set, or the one of the system, which is often off the `PATH` of ordinary users.
pub(crate) fn find_pgbouncer() -> Result<PathBuf, Error> {
    let dirs = path_dirs().into_iter().chain(["/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from));
    let mut installed = dirs.map(|dir| dir.join("pgbouncer"));
    let path = env_path("PGBOUNCER_BIN").or_else(|| installed.find(|path| path.is_file()));
    path.filter(|path| path.is_file()).ok_or_else(|| {
        Error::Missing(
            "pgbouncer is not installed: scripts/test installs it; else name the program in PGBOUNCER_BIN".to_owned(),
        )
    })
}

/// Finds a program whose package has its name, which may be off the `PATH` of ordinary users.
pub(crate) fn find_installed(name: &str) -> Result<PathBuf, Error> {
    let system = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    let mut installed = path_dirs().into_iter().chain(system).map(|dir| dir.join(name));
    installed
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing(format!("{name} is not installed: scripts/setup installs its package")))
}

/// Returns the 15 of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`; accepts `… 18beta1` too.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn path_dirs() -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a search for programs, not a setting")]
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "overrides a search for programs; tests and benches have no config")]
fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Lists the per-version directories of the systems' packages, newest version first.
fn version_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for (parent, prefix, below) in POSTGRES_PARENTS {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<f64>().ok());
            if let Some(version) = version {
                dirs.push((version, entry.path().join(below)));
            }
        }
    }
    dirs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    dirs.into_iter().map(|(_, dir)| dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_postgres_precedes_the_one_that_came_along() {
        let [only, installed, fallback, last] = ["/only", "/installed", "/fallback", "/last"].map(PathBuf::from);
        let order = |only: Option<&PathBuf>| {
            search_order(
                only.cloned(),
                std::iter::once(installed.clone()),
                [fallback.clone(), last.clone()].into_iter(),
            )
        };
        assert_eq!(order(None), [installed.clone(), fallback.clone(), last.clone()]);
        assert_eq!(order(Some(&only)), std::slice::from_ref(&only));
    }

    #[test]
    fn reads_the_major_version() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres: command not found"), None);
    }
}
