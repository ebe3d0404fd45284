//! Webhooks.

mod inbound;
mod killed;
pub(crate) mod outbound;
