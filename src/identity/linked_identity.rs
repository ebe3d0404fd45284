//! The people at providers with whom users sign in.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
