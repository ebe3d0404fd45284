//! The default directory of the private data of `mainstay serve`.

use std::path::PathBuf;

/// The default data directory.
///
/// For root it is `/var/lib/mainstay`, because the account that then runs Postgres can't enter root's home. For any
/// other user it is `$XDG_DATA_HOME/mainstay` or `~/.local/share/mainstay`. Without an absolute path in either
/// variable, it is `.mainstay` in the working directory.
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
