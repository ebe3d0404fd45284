//! Vehicles of the fleet.

pub mod model;
pub mod ops;
pub mod recharge;
pub mod service;
pub mod store;
