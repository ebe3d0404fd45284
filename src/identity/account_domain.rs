//! The mail domains of accounts: people with addresses of a domain that an account has proved by DNS join the account.

pub mod dns;
pub mod events;
pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
