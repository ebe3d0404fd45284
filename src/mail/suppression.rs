//! Suppressed addresses: their mail bounced, or their owner complained or unsubscribed.

pub mod model;
pub mod ops;
pub mod store;
mod token;
