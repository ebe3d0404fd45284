//! The generated messages, clients and servers of the product's modules, nested like their packages.

#![expect(missing_docs, reason = "prost documents what the .proto files do, and no module")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
include!(concat!(env!("OUT_DIR"), "/validation.rs"));
include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
include!(concat!(env!("OUT_DIR"), "/servers.rs"));
pub use self::mainstay::*;

/// The compiled `.proto` files of the product's modules, with their imports.
pub(crate) const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
