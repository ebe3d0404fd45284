//! Generated tickets, for trials and benchmarks.

pub mod ops;
pub mod store;
