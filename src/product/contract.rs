//! The contract of a product without some of its modules.

use std::collections::HashSet;

use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint},
};
use prost_types::FileDescriptorProto;

/// Files that a module needs without importing them: the methods of `operations` require scopes of `support`, and the
/// upload of a user's picture fails with reasons of `files`.
const NEEDED: [(&str, &str); 2] =
    [("operations", "mainstay/support/v1/module.proto"), ("identity", "mainstay/files/v1/reason.proto")];

/// The number of `file` in a `FileDescriptorSet`.
const FILE: u32 = 1;

/// Returns a descriptor set without the files of these modules, except those that others need. The files are copied as
/// bytes, because decoded messages lack the custom options.
///
/// # Panics
/// If the bytes are not a descriptor set; those of the product are.
pub(super) fn without(set: &[u8], removed: &[&str]) -> Vec<u8> {
    let files = files(set).expect("a descriptor set of the build");
    let is_needed = |file: &FileDescriptorProto| {
        NEEDED.iter().any(|(module, name)| *name == file.name() && !removed.contains(module))
    };
    let is_removed = |file: &FileDescriptorProto| {
        let module = file.package().strip_prefix("mainstay.").and_then(|rest| rest.split('.').next());
        module.is_some_and(|module| removed.contains(&module)) && !is_needed(file)
    };
    let mut kept = HashSet::new();
    let mut names: Vec<_> =
        files.iter().filter(|(file, _)| !is_removed(file)).map(|(file, _)| file.name().to_owned()).collect();
    while let Some(name) = names.pop() {
        if let Some((file, _)) = files.iter().find(|(file, _)| file.name() == name)
            && kept.insert(name)
        {
            names.extend(file.dependency.iter().cloned());
        }
    }
    let mut encoded = Vec::with_capacity(set.len());
    for (_, bytes) in files.iter().filter(|(file, _)| kept.contains(file.name())) {
        encode_key(FILE, WireType::LengthDelimited, &mut encoded);
        encode_varint(bytes.len() as u64, &mut encoded);
        encoded.extend_from_slice(bytes);
    }
    encoded
}

/// Returns the files of a descriptor set, each with its bytes.
fn files(mut set: &[u8]) -> Option<Vec<(FileDescriptorProto, &[u8])>> {
    let mut files = Vec::new();
    while !set.is_empty() {
        let (FILE, WireType::LengthDelimited) = decode_key(&mut set).ok()? else { return None };
        let length = usize::try_from(decode_varint(&mut set).ok()?).ok()?;
        let (bytes, rest) = set.split_at_checked(length)?;
        files.push((FileDescriptorProto::decode(bytes).ok()?, bytes));
        set = rest;
    }
    Some(files)
}
