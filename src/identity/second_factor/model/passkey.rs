//! Passkeys: key pairs whose private half stays in an authenticator (WebAuthn level 2).

use chrono::{DateTime, Utc};

use crate::identity::second_factor::id::PasskeyId;
use mainstay_kernel::id::UserId;

/// The maximum number of passkeys per user.
pub const MAX_PASSKEYS: usize = 20;

/// What an authenticator has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The id that the authenticator gave the passkey.
    pub id: Vec<u8>,
    /// The public key (COSE, RFC 9052).
    pub public_key: Vec<u8>,
    /// The signature algorithm (COSE).
    pub algorithm: i32,
    /// The number of signatures so far; 0 forever if the authenticator does not count.
    pub counter: u32,
    /// How browsers reach the authenticator.
    pub transports: Vec<String>,
    /// Whether the authenticator may copy the passkey to other devices.
    pub is_synced: bool,
}

/// A passkey of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    pub id: PasskeyId,
    pub user: UserId,
    pub name: String,
    pub credential: Credential,
    pub created_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}
