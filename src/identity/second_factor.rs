//! The second factors of a user: an authenticator app (TOTP, RFC 6238) and passkeys (WebAuthn), with recovery codes for their
//! loss.

pub mod id;
pub mod model;
pub mod ops;
pub mod relying_party;
pub mod service;
pub mod store;
