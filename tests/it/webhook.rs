//! Webhooks.

mod due;
mod endpoints;
pub(crate) mod inbound;
pub(crate) mod outbound;
mod secrets;
mod sender_crash;
