//! Impersonations: staff that acts in the name of a user, to see what the user sees.

pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
