//! Service keys: credentials of programs, for the platform, an account or a person.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
