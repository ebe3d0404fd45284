//! Deliveries of events to endpoints.

pub mod job;
pub mod model;
pub mod ops;
pub mod removal_job;
pub mod store;
