//! Registered clients: applications that sign people in with this service.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
