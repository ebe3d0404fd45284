//! Webhooks.

mod inbound;
pub(crate) mod outbound;
mod sender_crash;
