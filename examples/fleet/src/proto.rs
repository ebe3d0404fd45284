//! The generated messages, clients and servers, in modules that mirror their packages.

#![expect(missing_docs, reason = "prost copies the comments of the .proto files, and writes none for modules")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
include!(concat!(env!("OUT_DIR"), "/validation.rs"));
include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
include!(concat!(env!("OUT_DIR"), "/servers.rs"));

/// The compiled `.proto` files, with their imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
