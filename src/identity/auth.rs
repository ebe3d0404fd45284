//! Sign-in, sign-out and password resets.

pub(in crate::identity) mod limits;
pub mod networks;
pub mod ops;
pub mod password;
pub mod service;
pub mod store;
