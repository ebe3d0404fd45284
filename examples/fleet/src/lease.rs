//! Leases of vehicles.

pub mod command;
pub mod end_all;
pub mod mail;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
pub mod tile;
