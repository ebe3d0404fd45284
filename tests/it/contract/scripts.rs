//! The functions that the scripts share.

use std::process::{Command, Output};

/// Calls `need_room` of `scripts/lib.sh` for an empty target directory.
fn need_room(gib: &str) -> Output {
    let target = tempfile::tempdir().expect("a directory");
    let mut shell = Command::new("sh");
    shell.args(["-euc", ". scripts/lib.sh; need_room \"$1\"", "sh", gib]);
    shell.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target.path());
    shell.output().expect("sh runs")
}

/// Without this check, a full disk ends the build after minutes, in the linker.
#[test]
fn a_build_without_room_is_refused_at_once() {
    let refused = need_room("1000000");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("the build needs 1000000 GiB in "), "{errors}");
    let accepted = need_room("2");
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
}
