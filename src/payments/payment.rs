//! Charges for orders.

mod convert;
pub mod dispute_job;
pub mod model;
pub mod ops;
pub mod refund_job;
pub mod service;
pub mod store;
