//! Invitations of e-mail addresses to accounts.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
