//! Webhooks.

mod inbound;
mod outbound;
