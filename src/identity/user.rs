//! Users: people who sign in.

pub(crate) mod command;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
