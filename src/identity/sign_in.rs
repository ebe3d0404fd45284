//! Statistics of sign-ins.

pub mod model;
pub mod ops;
pub mod store;
