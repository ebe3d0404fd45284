//! Counts of resources and of pending work.

pub mod cached;
pub mod ops;
pub mod service;
pub mod tile;
