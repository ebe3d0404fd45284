//! The double-entry, append-only ledger.

pub mod check_job;
pub(crate) mod command;
pub mod model;
pub mod ops;
pub mod store;
