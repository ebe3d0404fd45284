//! The contents of a release.

use std::{fs, path::Path, process::Command};

/// `docs/release.md` raises the version in each of these files.
#[test]
fn all_files_have_the_version() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |file| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    let files = [
        ("Cargo.toml", "mainstay", format!("version = \"{version}\"")),
        ("deploy/compose/compose.yaml", "image: mainstay:", format!("image: mainstay:{version}")),
        ("deploy/kubernetes/kustomization.yaml", "newTag: ", format!("newTag: {version}")),
    ];
    for (file, start, expected) in files {
        let text = read(file);
        let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with(start));
        // A dependency of a crate refers to the version of the workspace, without a number.
        let lines: Vec<_> = lines.filter(|line| line.contains(|letter: char| letter.is_ascii_digit())).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(&expected)), "{file}: {lines:#?}");
    }
    assert!(read("CHANGELOG.md").contains(&format!("\n## {version}")), "a section of {version}");
}

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
