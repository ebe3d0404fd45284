//! The generated messages, clients and servers, nested like their packages.

#![expect(missing_docs, reason = "prost documents what the .proto files do, and no module")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
include!(concat!(env!("OUT_DIR"), "/validation.rs"));
include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
include!(concat!(env!("OUT_DIR"), "/servers.rs"));

/// The compiled `.proto` files, with their imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
