//! Sessions: sign-ins that refresh tokens extend.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
