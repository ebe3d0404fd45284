//! Members: people in accounts, each with a role there.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
