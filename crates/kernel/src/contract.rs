//! The contract of a server: the merged descriptor sets of its modules, and the tables that are read from them.
//!
//! The whole interface derives from the `.proto` files: [`policy`] holds the requirements of each method,
//! [`reason`] the error catalogue, `lists` the bounds of lists, and [`validate`] the functions of the generated field rules.
//! [`status`] converts errors to gRPC statuses and back. [`proto`] holds the kernel's own generated messages.

pub(crate) mod lists;
pub mod policy;
#[expect(
    missing_docs,
    clippy::len_without_is_empty,
    reason = "prost copies the comments of .proto files, and writes none for modules; one rule for strings is called len"
)]
pub mod proto;
pub mod reason;
pub mod status;
pub mod validate;

use mainstay_transcoder::RuleTable;
use prost::Message as _;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use lists::Lists;
pub use policy::{Method, Policies};
pub use reason::{Catalogue, Reason, ReasonRef};
pub use validate::Validate;

/// The kernel's compiled `.proto` files, with their imports, comments and custom options, as a `FileDescriptorSet`.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The contract of a server. It lives until the process ends, because every request refers to its method.
#[derive(Debug)]
pub struct Contract {
    /// The files of all modules.
    pub descriptors: DescriptorPool,
    /// The same files as a `FileDescriptorSet`, with their custom options.
    pub encoded: Vec<u8>,
    /// The policies of all methods.
    pub policies: Policies,
    /// The error reasons of all modules.
    pub catalogue: Catalogue,
    /// The HTTP rules of all methods.
    pub rules: RuleTable,
    pub(crate) lists: Lists,
}

impl Contract {
    /// Merges the descriptor sets of modules, given with their names, and reads their tables.
    ///
    /// # Errors
    /// Every fault, one line each, with its method or file.
    pub fn read(modules: &[(&str, &[u8])]) -> Result<&'static Self, Vec<String>> {
        let descriptors = merge(modules).map_err(|fault| vec![fault])?;
        let (policies, catalogue) = (Policies::read(&descriptors), Catalogue::read(&descriptors));
        let names: Vec<_> = policy::services(&descriptors).map(|service| service.full_name().to_owned()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let rules = RuleTable::new(&descriptors, &names).map_err(|faults| vec![faults.to_string()]);
        match (policies, catalogue, rules) {
            (Ok(policies), Ok(catalogue), Ok(rules)) => {
                let (encoded, lists) = (descriptors.encode_to_vec(), Lists::read(policy::services(&descriptors)));
                Ok(Box::leak(Box::new(Self { encoded, descriptors, policies, catalogue, rules, lists })))
            }
            (policies, catalogue, rules) => {
                let faults = [policies.err(), catalogue.err(), rules.err()];
                Err(faults.into_iter().flatten().flatten().collect())
            }
        }
    }

    /// Returns the services of the modules.
    pub fn services(&self) -> impl Iterator<Item = ServiceDescriptor> {
        policy::services(&self.descriptors)
    }
}

/// Merges descriptor sets. A file that several sets import is merged once, as is the set of a crate with several modules.
fn merge(modules: &[(&str, &[u8])]) -> Result<DescriptorPool, String> {
    let mut pool = DescriptorPool::new();
    let mut merged: Vec<&[u8]> = Vec::new();
    for (module, bytes) in std::iter::once(&("kernel", DESCRIPTOR_SET)).chain(modules) {
        if merged.contains(bytes) {
            continue;
        }
        merged.push(bytes);
        let set = FileDescriptorSet::decode(*bytes).map_err(|error| format!("module {module}: {error}"))?;
        for file in set.file {
            check_same(&pool, module, file)?;
        }
        // Decoded by the pool and not by prost-types, which drops the custom options.
        pool.decode_file_descriptor_set(*bytes).map_err(|error| {
            format!("module {module}: {error:#}: a package or file of that name belongs to another module; rename it")
        })?;
    }
    Ok(pool)
}

/// Checks that a file is the same as an earlier module's file of that name: the pool keeps only the first.
fn check_same(pool: &DescriptorPool, module: &str, mut file: FileDescriptorProto) -> Result<(), String> {
    let Some(mut earlier) = pool.get_file_by_name(file.name()).map(|file| file.file_descriptor_proto().clone()) else {
        return Ok(());
    };
    // Comments may be stripped from an import.
    (file.source_code_info, earlier.source_code_info) = (None, None);
    if file == earlier {
        return Ok(());
    }
    Err(format!("module {module}: {} differs from the file of that name in an earlier module; rename it", file.name()))
}
