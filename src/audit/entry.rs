//! The entries of the audit log.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
