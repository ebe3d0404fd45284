//! Webhook endpoints, and the outbox of their deliveries.

pub mod delivery;
pub mod endpoint;
