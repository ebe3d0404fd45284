//! Registration, sign-in, sign-out and password resets.

pub mod networks;
pub mod ops;
pub mod password;
pub mod service;
pub mod store;
