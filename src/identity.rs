//! What sign-in keeps in memory: the server's secret, the key ring that signs and verifies access tokens, the bounded
//! password hashing, and short-lived caches of credentials that were found good.
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
