//! Sign-in, sign-out and password resets.

pub(crate) mod browser;
pub(crate) mod limits;
pub mod networks;
pub mod ops;
pub mod password;
pub mod service;
pub mod store;
