//! Sessions: sign-ins, which refresh tokens prolong.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
