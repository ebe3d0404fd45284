//! Classifies packages: compiled here, compiled in another crate, or without validation.

use std::collections::{BTreeSet, HashSet};

use prost_reflect::{DescriptorPool, FileDescriptor, Kind};

use crate::{Error, names};

/// The packages of Google's and Buf's own files, whose rules are not checked here.
const FOREIGN: [&str; 2] = ["google", "buf"];
/// The package whose types prost maps to Rust types.
pub(crate) const WELL_KNOWN: &str = "google.protobuf";

/// The Rust paths of Protobuf packages, and the packages that are validated.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    /// The Rust path below which the messages of this crate are nested like their packages.
    pub(crate) messages_path: String,
    /// Protobuf package and Rust path.
    externs: Vec<(String, String)>,
    foreign: Vec<String>,
}

impl Default for Packages {
    fn default() -> Self {
        Self {
            messages_path: "crate::contract::proto".to_owned(),
            externs: Vec::new(),
            foreign: FOREIGN.map(str::to_owned).to_vec(),
        }
    }
}

impl Packages {
    pub(crate) fn add_extern(&mut self, package: &str, rust_path: &str) {
        self.externs.push((package.trim_matches('.').to_owned(), rust_path.to_owned()));
    }

    pub(crate) fn add_foreign(&mut self, package: &str) {
        self.foreign.push(package.trim_matches('.').to_owned());
    }

    pub(crate) fn externs(&self) -> &[(String, String)] {
        &self.externs
    }

    /// Returns whether another crate compiles this package.
    pub(crate) fn is_extern(&self, package: &str) -> bool {
        self.externs.iter().any(|(prefix, _)| is_within(package, prefix))
    }

    /// Returns whether the messages of this package implement `Validate`.
    pub(crate) fn is_validated(&self, package: &str) -> bool {
        !self.foreign.iter().any(|prefix| is_within(package, prefix))
    }

    /// Returns the Rust path of a package that is compiled here.
    pub(crate) fn rust_path(&self, package: &str) -> String {
        let modules = package.split('.').filter(|part| !part.is_empty()).map(names::snake);
        modules.fold(self.messages_path.clone(), |path, module| format!("{path}::{module}"))
    }

    /// Returns the packages that are compiled here: those of the files below a root, unless they are extern.
    pub(crate) fn generated_packages(&self, pool: &DescriptorPool, files: &HashSet<String>) -> BTreeSet<String> {
        let files = pool.files().filter(|file| files.contains(file.name()));
        files.map(|file| file.package_name().to_owned()).filter(|package| !self.is_extern(package)).collect()
    }

    /// Checks that every message and enum in use has a Rust type.
    pub(crate) fn check_imports(&self, pool: &DescriptorPool, generated: &BTreeSet<String>) -> Result<(), Error> {
        let check = |user: &str, file: FileDescriptor| {
            let package = file.package_name();
            if generated.contains(package) || self.is_extern(package) || is_within(package, WELL_KNOWN) {
                return Ok(());
            }
            Err(Error::new(format!(
                "{user} uses the package {package}, which is not compiled here: name the Rust module that has it with \
                 .extern_path({package:?}, \"::…\")"
            )))
        };
        for message in pool.all_messages().filter(|message| generated.contains(message.package_name())) {
            for field in message.fields() {
                match field.kind() {
                    Kind::Message(message) => check(field.full_name(), message.parent_file())?,
                    Kind::Enum(values) => check(field.full_name(), values.parent_file())?,
                    _ => {}
                }
            }
        }
        for service in pool.services().filter(|service| generated.contains(service.package_name())) {
            for method in service.methods() {
                check(method.full_name(), method.input().parent_file())?;
                check(method.full_name(), method.output().parent_file())?;
            }
        }
        Ok(())
    }
}

/// Returns whether a package is `prefix` or below it.
fn is_within(package: &str, prefix: &str) -> bool {
    package.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_dot() {
        assert!(is_within("mainstay.error.v1", "mainstay.error"));
        assert!(is_within("mainstay.error", "mainstay.error"));
        assert!(!is_within("mainstay.errors.v1", "mainstay.error"));
    }
}
