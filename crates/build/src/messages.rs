//! Messages, clients and servers, by tonic's and prost's own generator.

use std::{collections::BTreeSet, path::Path};

use prost_types::FileDescriptorSet;
use tonic_prost_build::Config;

use crate::{
    Error,
    packages::{Packages, WELL_KNOWN},
};

/// Generates `contract.rs` and the files that it includes; `grpc_path` is the Rust path of the module with the codec.
pub(crate) fn generate(
    mut set: FileDescriptorSet,
    packages: &Packages,
    generated: &BTreeSet<String>,
    boxed: &[String],
    grpc_path: &str,
    out: &Path,
) -> Result<(), Error> {
    let mut builder = tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .include_file("contract.rs")
        .codec_path(format!("{grpc_path}::Codec"));
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
    // By its name, the codec knows which rules a message has.
    let mut config = Config::new();
    config.enable_type_names();
    builder.compile_fds_with_config(set, config).map_err(Error::new)
}
