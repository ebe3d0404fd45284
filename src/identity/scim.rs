//! SCIM 2.0 (RFC 7643, RFC 7644): the identity provider of an account provisions its members.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
