//! Accounts: organizations, to which data belongs.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
