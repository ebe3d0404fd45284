//! Vehicles of the fleet.

pub mod charger;
pub mod model;
pub mod ops;
pub mod recharge;
pub mod service;
pub mod store;
pub mod tile;
pub mod v1;
