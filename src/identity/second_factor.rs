//! The second factor of a user: an authenticator app (TOTP, RFC 6238), with recovery codes for its loss.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
