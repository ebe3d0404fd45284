//! Service keys: credentials of internal callers.

pub mod cache;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
