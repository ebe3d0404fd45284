//! The log of all servers, in a store that no other part depends on.

pub mod logs;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
pub mod stored;
pub mod writer;
