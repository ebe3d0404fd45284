//! The git repository of what `new` wrote.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Makes a folder a git repository, unless it is in one already; returns what was done, for whoever asked for the folder.
/// Without git, the folder is as good.
pub(super) fn init(folder: &Path) -> &'static str {
    if runs(git(folder).args(["rev-parse", "--is-inside-work-tree"])) {
        "It belongs to the git repository around it; nothing is committed."
    } else if runs(git(folder).args(["init", "--quiet"])) {
        "It is a git repository, with nothing committed."
    } else {
        "It is no git repository, because git did not run; `git init` makes it one."
    }
}

/// Returns git in a folder, whatever repository the caller is in, as a hook is.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    git
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
