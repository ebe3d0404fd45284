//! Addresses that are sent no mail, or no notifications: their mail bounced, their owner complained or unsubscribed.

pub mod model;
pub mod ops;
pub mod store;
mod token;
