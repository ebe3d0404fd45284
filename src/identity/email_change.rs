//! Changes of e-mail addresses.

pub mod id;
pub mod model;
pub mod ops;
pub mod store;
