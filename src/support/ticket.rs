//! Support tickets.

pub mod job;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
