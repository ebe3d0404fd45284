//! The contents of a release.

use std::{fs, path::Path, process::Command};

/// Files of another version would be published with it, with valid checksums.
#[test]
fn a_release_is_not_made_among_other_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = directory.path().join("mainstay_0.0.1_amd64.deb");
    fs::write(&old, "old").expect("written");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut release = Command::new(root.join("scripts/release"));
    // Without a program, the script would stop right after this check.
    release.arg(directory.path()).env("BINARY", directory.path().join("nothing"));
    let output = release.output().expect("the script runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("has files already"), "{errors}");
    let files: Vec<_> =
        fs::read_dir(directory.path()).expect("a directory").flatten().map(|file| file.path()).collect();
    assert_eq!(files, [old]);
}
