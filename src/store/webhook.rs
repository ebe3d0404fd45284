//! Endpoints that are told what happens here, and the outbox of what they are told.

pub mod delivery;
pub mod endpoint;
