//! The git repository of a generated folder.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Makes a folder a git repository, unless it is within one already; returns a description of the result for the user.
/// Without git, the folder is still usable.
pub(super) fn init(folder: &Path) -> &'static str {
    if runs(git(folder).args(["rev-parse", "--is-inside-work-tree"])) {
        "It belongs to the git repository around it; nothing is committed."
    } else if runs(git(folder).args(["init", "--quiet"])) {
        "It is a git repository, with nothing committed."
    } else {
        "It is no git repository, because git did not run; `git init` makes it one."
    }
}

/// Returns git in a folder, without the environment of the caller's repository, which hooks set.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    git
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
