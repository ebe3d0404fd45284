//! Refunds of payments.

mod convert;
pub mod ops;
pub mod search_job;
pub mod service;
pub mod store;
pub mod sync_job;
