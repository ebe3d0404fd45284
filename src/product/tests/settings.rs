//! The settings that documents, manifests and templates mention must exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::modules;
use crate::cli::command_line;

/// Names with the prefixes of server settings that belong to its tests, `make`, the build of AWS-LC or psql.
const OTHERS: [&str; 8] = [
    "AWS_LC_SYS_NO_JITTER_ENTROPY",
    "MAINSTAY_FUZZ_ROUNDS",
    "MAINSTAY_FUZZ_SEED",
    "MAINSTAY_PATH",
    "MAINSTAY_PROGRAM",
    "MAINSTAY_TEST_DATABASE_URL",
    "MAINSTAY_VERSION",
    "ON_ERROR_STOP",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds the files of a folder, recursively.
fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a file").path();
        // The compiler checks the names in Rust.
        match path.extension() {
            Some(extension) if extension == "rs" => {}
            _ if path.is_dir() => add_files(&path, files),
            _ => files.push(path),
        }
    }
}

/// Adds the variables that options of commands can be set by.
fn add_options(command: &clap::Command, names: &mut BTreeSet<String>) {
    names.extend(command.get_arguments().filter_map(|option| Some(option.get_env()?.to_string_lossy().into_owned())));
    for command in command.get_subcommands() {
        add_options(command, names);
    }
}

/// Returns the names in a text that contain an underscore, as nearly all settings do; `WEBHOOK_SECRETS_*` yields
/// `WEBHOOK_SECRETS_`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'));
    words.filter(|word| word.contains('_') && word.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// Returns the prefix that groups related settings: `DATABASE`, `MAIL`, `RATE`.
fn beginning(name: &str) -> &str {
    name.split('_').next().unwrap_or_default()
}

/// An unknown variable is ignored silently, because the environment contains many others. So a document with a wrong
/// name would mislead its reader.
#[test]
fn no_document_and_no_manifest_names_a_setting_that_does_not_exist() {
    let variables = modules().variables();
    let beginnings: BTreeSet<_> = variables.iter().map(|variable| beginning(variable.name)).collect();
    let mut existing: BTreeSet<String> = variables.iter().map(|variable| variable.name.to_owned()).collect();
    existing.extend(variables.iter().filter(|one| one.secret).map(|one| format!("{}_FILE", one.name)));
    existing.extend(OTHERS.map(str::to_owned));
    add_options(&command_line(modules()), &mut existing);
    // The remaining names are reasons of errors, and values of fields.
    let values = modules().contract.descriptors.all_enums().flat_map(|one| one.values().collect::<Vec<_>>());
    for value in values {
        existing.insert(value.name().trim_start_matches("REASON_").to_owned());
    }

    let mut files: Vec<_> = ["README.md", "CONTRIBUTING.md", ".env.example"].map(|name| root().join(name)).into();
    for folder in ["deploy", "docs", "templates"] {
        add_files(&root().join(folder), &mut files);
    }
    let mut unknown: BTreeMap<String, &Path> = BTreeMap::new();
    for file in &files {
        let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // Binary files are skipped.
        let Ok(text) = String::from_utf8(text) else { continue };
        for name in names(&text).filter(|name| beginnings.contains(beginning(name))) {
            let is_family = name.ends_with('_') && existing.iter().any(|one| one.starts_with(name));
            let in_file = name.strip_suffix("_FILE").unwrap_or_default();
            let is_member = variables
                .iter()
                .any(|variable| variable.matches(name) || (variable.secret && variable.matches(in_file)));
            if !is_family && !is_member && !existing.contains(name) {
                unknown.insert(name.to_owned(), file);
            }
        }
    }
    assert!(unknown.is_empty(), "there are no such settings: {unknown:?}");
}

/// All settings of the ConfigMap are checked, regardless of their prefix.
#[test]
fn kubernetes_sets_what_exists() {
    let manifest = fs::read_to_string(root().join("deploy/kubernetes/config.yaml")).expect("a file");
    let (_, data) = manifest.split_once("\ndata:\n").expect("the data of the ConfigMap");
    let keys: Vec<_> = data.lines().filter_map(|line| Some(line.strip_prefix("  ")?.split_once(": ")?.0)).collect();
    let keys: Vec<_> = keys.into_iter().filter(|key| !key.starts_with('#')).collect();
    assert!(keys.contains(&"DRAIN_DELAY"), "{keys:?}");
    for key in keys {
        assert!(modules().variables().iter().any(|variable| variable.name == key), "there is no setting {key}");
    }
}

#[test]
fn names_are_found_in_prose_and_in_code() {
    let text = "Set `MAIL_FROM` (`WEBHOOK_SECRETS_*`), INSTANCES, `${DPKG_ROOT:-}` and -e TLS_CERT=/a_b/C.pem.";
    let list: Vec<_> = names(text).collect();
    assert_eq!(list, ["MAIL_FROM", "WEBHOOK_SECRETS_", "DPKG_ROOT", "TLS_CERT"]);
}
