//! Accounts: customer organizations.

pub mod store;
