//! Webhooks.

mod inbound;
