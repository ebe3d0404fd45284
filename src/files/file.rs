//! Files.

pub mod model;
pub mod ops;
mod render;
pub mod service;
pub mod store;
