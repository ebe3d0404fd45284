//! Generated tickets, for trials and benchmarks.

pub(crate) mod command;
pub mod ops;
pub mod store;
