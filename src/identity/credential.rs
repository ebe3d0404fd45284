//! Credentials of callers: access tokens and service keys.

pub mod model;
pub mod ops;
