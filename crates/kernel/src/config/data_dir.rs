//! Where the private data of `mainstay serve` is kept unless the configuration says otherwise.

use std::path::PathBuf;

/// The default data directory.
///
/// As root, that is `/var/lib/mainstay`, because the account that Postgres then runs as can't enter root's home;
/// otherwise `$XDG_DATA_HOME/mainstay` or `~/.local/share/mainstay`, or `.mainstay` in the working directory if neither
/// variable is an absolute path.
#[expect(clippy::disallowed_methods, reason = "the default of a setting depends on the user and the environment")]
pub(super) fn default() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/mainstay");
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from(".mainstay"), |base| base.join("mainstay"))
}
