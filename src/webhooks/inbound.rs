//! Inbound webhooks: verification of signatures, and handlers of events.
//!
//! ```text
//!   raw body ─ Verifier ─▶ event + job in one transaction ─ 2xx │ job ─ InboundEventHandler, in one transaction ─▶ processed
//! ```
//!
//! A module declares each [`InboundProvider`], whose [`Verifier`] implements the signature scheme. Its secrets are
//! configured, several at once during rotation; a provider without a secret is not available. Before it sends events, a
//! provider may ask by a [`Challenge`] whether they are wanted; the response is an [`Answer`], and nothing is stored. A
//! [`InboundEventHandler`](handlers::InboundEventHandler) implements the effects of some types of events.

mod challenge;
pub(crate) mod generic;
pub(crate) mod github;
pub mod handlers;
mod provider;
pub(crate) mod sendgrid;
pub(crate) mod standard;
#[cfg(test)]
mod tests;
mod verifier;

// The type of the headers of a request.
pub use challenge::{Answer, Challenge, Parameters};
pub use http::HeaderMap;
pub(crate) use provider::{Declared, OUTCOMES, count};
pub use provider::{InboundProvider, ReceivesEvents, Verifiers};
pub use verifier::{SignedEvent, Verifier, check_age, forged, header, identifiers, malformed};
