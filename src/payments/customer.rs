//! The gateway's ids of accounts' customers.

pub mod store;
