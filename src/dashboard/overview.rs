//! What there is and what waits.

pub mod cached;
pub mod ops;
pub mod service;
