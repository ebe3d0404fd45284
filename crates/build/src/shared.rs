//! The data that one build script passes to another.
//!
//! Cargo passes the metadata of a crate with a `links` key to the build scripts of the crates that depend on it
//! directly, as `DEP_<LINKS>_<KEY>`.

use std::{
    collections::BTreeSet,
    env,
    path::{self, PathBuf},
};

use crate::{Error, packages::Packages, variable};

/// The shared data of another crate.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) roots: Vec<PathBuf>,
    /// Protobuf package and Rust path.
    pub(crate) packages: Vec<(String, String)>,
    pub(crate) validation_path: String,
}

impl Shared {
    /// Reads the shared data of the dependency with this value of `links`.
    pub(crate) fn read(links: &str) -> Result<Self, Error> {
        let prefix = format!("DEP_{}", links.to_uppercase().replace('-', "_"));
        let read = |key| {
            variable(&format!("{prefix}_{key}")).map_err(|_| {
                Error::new(format!("no direct dependency with `links = {links:?}` in its Cargo.toml shares a contract"))
            })
        };
        Ok(Self {
            roots: env::split_paths(&read("PROTO")?).collect(),
            packages: unlist(&read("PACKAGES")?),
            validation_path: read("VALIDATION")?,
        })
    }
}

/// Shares the contract, if the crate has a `links` key.
pub(crate) fn write(
    roots: &[PathBuf],
    packages: &Packages,
    generated: &BTreeSet<String>,
    validation_path: &str,
) -> Result<(), Error> {
    if variable("CARGO_MANIFEST_LINKS").is_err() {
        return Ok(());
    }
    let absolute = |root: &PathBuf| path::absolute(root).map_err(|error| Error::io("resolving", root, &error));
    let roots: Vec<_> = roots.iter().map(absolute).collect::<Result<_, _>>()?;
    let roots = env::join_paths(roots).map_err(Error::new)?;
    let name = variable("CARGO_PKG_NAME")?.replace('-', "_");
    let own = generated.iter().map(|package| (package.as_str(), outside(&packages.rust_path(package), &name)));
    let re_exported = packages.externs().iter().filter(|(_, rust_path)| rust_path.starts_with("crate::"));
    let packages = own.chain(re_exported.map(|(package, path)| (package.as_str(), outside(path, &name))));
    println!("cargo::metadata=PROTO={}", roots.to_string_lossy());
    println!("cargo::metadata=PACKAGES={}", list(packages));
    println!("cargo::metadata=VALIDATION={}", outside(validation_path, &name));
    Ok(())
}

/// Returns a path of this crate in the form that other crates use.
fn outside(rust_path: &str, name: &str) -> String {
    rust_path.strip_prefix("crate::").map_or_else(|| rust_path.to_owned(), |rest| format!("::{name}::{rest}"))
}

fn list<'a>(packages: impl Iterator<Item = (&'a str, String)>) -> String {
    packages.map(|(package, rust_path)| format!("{package}={rust_path}")).collect::<Vec<_>>().join(";")
}

fn unlist(list: &str) -> Vec<(String, String)> {
    let pairs = list.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(package, rust_path)| (package.to_owned(), rust_path.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_crate_have_its_name_outside() {
        assert_eq!(outside("crate::contract::proto", "mainstay_kernel"), "::mainstay_kernel::contract::proto");
        assert_eq!(outside("::mainstay_kernel::validate", "fleet"), "::mainstay_kernel::validate");
    }

    #[test]
    fn a_list_can_be_read_again() {
        let packages = [("a.v1", "::a::v1".to_owned()), ("b.v1", "::b::v1".to_owned())];
        let again = unlist(&list(packages.clone().into_iter()));
        assert_eq!(again, packages.map(|(package, path)| (package.to_owned(), path)));
        assert_eq!(unlist(""), []);
    }
}
