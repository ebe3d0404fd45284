//! Canned answers: prepared texts of staff.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
