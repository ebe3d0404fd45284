//! The in-memory state of sign-in: the server's secret, the key ring that signs and verifies access tokens, bounded
//! password hashing, and short-lived caches of verified credentials.
//!
//! Each part is built once, in [`App`](crate::app::App), and shared.

mod keys;
mod passwords;
mod secret;
mod service_keys;
mod tokens;

pub use keys::{Key, Ring, SealedKey};
pub use passwords::{Passwords, Verdict};
pub use secret::{SecretKey, random};
pub use service_keys::ServiceKeys;
pub use tokens::{Access, Pair, Refused, Tokens};
