//! The roles of accounts and of the staff.

pub mod id;
pub mod limits;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
