//! Deletions of users and accounts: scheduled with a period of grace, and carried out by a job.

pub mod id;
pub mod job;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
