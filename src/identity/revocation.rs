//! Access tokens that end before they expire.

pub mod known;
pub mod model;
pub mod ops;
pub mod store;
