//! The gateway's ids of accounts' customers.

pub mod ops;
pub mod store;
