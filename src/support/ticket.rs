//! Support tickets.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
