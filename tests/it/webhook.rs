//! Webhooks.

mod due;
pub(crate) mod inbound;
pub(crate) mod outbound;
mod secrets;
mod sender_crash;
