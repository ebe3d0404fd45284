//! The double-entry, append-only ledger.

pub mod model;
pub mod ops;
pub mod store;
