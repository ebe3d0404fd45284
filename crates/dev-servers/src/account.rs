//! The account of the server: Postgres does not run as root, so root starts it under an unprivileged account.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use crate::Error;

/// The unprivileged account for servers started by root.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns the account to change to, or `None` if the process is not root and keeps its own account.
    ///
    /// An existing cluster keeps its owner, which Postgres checks: a cluster that an ordinary user made and root starts
    /// still belongs to that user.
    pub(crate) fn for_cluster(cluster: &Path) -> Result<Option<Self>, Error> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let owner = std::fs::metadata(cluster).ok().map(|metadata| (metadata.uid(), metadata.gid()));
        if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            let name = user.map_or_else(|| uid.to_string(), |user| user.name);
            return Ok(Some(Self { name, uid, gid }));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
            .ok_or_else(|| {
                Error::Missing(
                    "Postgres refuses to run as root and this system has neither a `postgres` nor a `nobody` account; \
                     create one (useradd --system postgres), or start as an ordinary user"
                        .to_owned(),
                )
            })
    }

    /// The name, or the number of an account that has none.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes `command` run as this account; the standard library drops root's supplementary groups with it.
    pub(crate) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Changes the owner of `path` to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("changing the owner of", path))
    }

    /// Rejects a directory that this account can't enter. It tries to enter it, because mode bits alone are not
    /// conclusive (ACLs, mounts).
    pub(crate) fn check_entry(&self, dir: &Path) -> Result<(), Error> {
        let mut probe = Command::new("/bin/sh");
        probe.args(["-c", "cd -- \"$1\"", "sh"]).arg(dir).current_dir("/").stdin(Stdio::null()).stderr(Stdio::null());
        self.run(&mut probe);
        match probe.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Error::Unreachable { account: self.name.clone(), dir: dir.to_owned() }),
            Err(source) => Err(Error::Io { what: format!("running a command as {}", self.name), source }),
        }
    }
}
