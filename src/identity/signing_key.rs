//! The keys that sign access tokens.

pub(crate) mod command;
pub mod keys;
pub mod model;
pub mod ops;
pub mod store;
