//! What a release is made of.

use std::{fs, path::Path, process::Command};

/// The files of another version would be published, with checksums of their own.
#[test]
fn a_release_is_not_made_among_other_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = directory.path().join("mainstay_0.0.1_amd64.deb");
    fs::write(&old, "old").expect("written");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut release = Command::new(root.join("scripts/release"));
    // Without a program it would go no further than to that.
    release.arg(directory.path()).env("BINARY", directory.path().join("nothing"));
    let output = release.output().expect("the script runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("has files already"), "{errors}");
    let files: Vec<_> =
        fs::read_dir(directory.path()).expect("a directory").flatten().map(|file| file.path()).collect();
    assert_eq!(files, [old]);
}
