//! The keys that sign access tokens.

pub mod keys;
pub mod model;
pub mod ops;
pub mod store;
