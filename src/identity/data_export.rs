//! Exports of everything that is stored about a user or an account.

pub mod id;
pub mod job;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
