//! Registrations, each of which waits for its e-mail address to be confirmed.

pub mod id;
pub mod model;
pub mod ops;
pub mod store;
