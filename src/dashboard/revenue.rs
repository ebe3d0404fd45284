//! Revenue, from the ledger.

pub mod model;
pub mod ops;
pub mod service;
