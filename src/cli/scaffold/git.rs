//! The git repository of a generated folder, and differences between files.

use std::{
    io::Write as _,
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

/// Returns the patch that makes a file below `root` the generated one, which `git apply` accepts; without git, `None`.
pub(super) fn patch(root: &Path, file: &Path, exists: bool, generated: &str) -> Option<String> {
    let before = if exists { file } else { Path::new("/dev/null") };
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let mut git = git(root);
    git.args(["diff", "--no-index", "--no-color", "--"]).arg(before).arg("-");
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(generated.as_bytes()).ok()?;
    let output = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    let (_, hunks) = output.split_once("\n@@")?;
    let file = file.display();
    let before = if exists { format!("a/{file}") } else { "/dev/null".to_owned() };
    Some(format!("--- {before}\n+++ b/{file}\n@@{hunks}"))
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
