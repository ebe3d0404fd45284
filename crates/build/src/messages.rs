//! Messages, clients and servers, by tonic's and prost's own generator.

use std::{collections::BTreeSet, path::Path};

use prost_types::FileDescriptorSet;

use crate::{
    Error,
    packages::{Packages, WELL_KNOWN},
};

/// Generates `contract.rs` and the files that it includes.
pub(crate) fn generate(
    mut set: FileDescriptorSet,
    packages: &Packages,
    generated: &BTreeSet<String>,
    boxed: &[String],
    out: &Path,
) -> Result<(), Error> {
    let mut builder = tonic_prost_build::configure().out_dir(out).bytes(".").include_file("contract.rs");
    for (package, rust_path) in packages.externs() {
        builder = builder.extern_path(format!(".{package}"), rust_path);
    }
    for field in boxed {
        builder = builder.boxed(field);
    }
    // prost reads every message of the set to decide what a message of ours can derive, and generates every type that
    // has no extern path. So a type that is only imported gets one, which nothing names.
    for file in &mut set.file {
        let package = file.package().to_owned();
        if generated.contains(&package) {
            continue;
        }
        // It would generate the services of an extern package too.
        file.service.clear();
        if packages.is_extern(&package) || package == WELL_KNOWN {
            continue;
        }
        let messages = file.message_type.iter().map(|message| message.name());
        for name in messages.chain(file.enum_type.iter().map(|values| values.name())) {
            builder = builder.extern_path(format!(".{package}.{name}"), format!("::imported_only::{name}"));
        }
    }
    builder.compile_fds(set).map_err(Error::new)
}
