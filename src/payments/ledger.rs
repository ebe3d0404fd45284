//! The double-entry, append-only ledger.

pub mod check_job;
pub mod model;
pub mod ops;
pub mod store;
