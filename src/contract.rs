//! The descriptor set, and the only module that includes generated code.
//!
//! The whole public API derives from the `.proto` files: [`proto`] holds the generated messages and services,
//! [`policy`] the requirements of each method, [`reason`] the error catalogue, and [`validate`] the field rules.
//! [`status`] is what an error is as a gRPC status.

pub mod policy;
pub mod reason;
pub mod status;
pub mod validate;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use policy::{Method, Policies};
pub use reason::Reason;
pub use validate::Validate;

/// The generated messages, clients and servers, nested like their packages.
#[expect(missing_docs, reason = "prost documents what the .proto files do, and no module")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
    pub use self::mainstay::*;
}

/// The compiled `.proto` files, with their imports, comments and custom options, as a `FileDescriptorSet`.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The descriptor set, decoded once.
pub static DESCRIPTORS: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).expect("the build wrote this descriptor set"));
