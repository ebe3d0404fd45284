//! The people at providers with whom users sign in.

use chrono::{DateTime, Utc};

use crate::identity::{account_provider::id::AccountProviderId, linked_identity::id::LinkedIdentityId};
use mainstay_kernel::id::UserId;

/// The maximum number of identities per user.
pub const MAX_PER_USER: usize = 20;

/// A person at a provider with whom a user signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    pub id: LinkedIdentityId,
    pub user: UserId,
    /// The provider of an account that names the person; `None` for one of the configuration. It identifies the person together
    /// with the issuer and the subject.
    pub provider: Option<AccountProviderId>,
    pub issuer: String,
    pub subject: String,
    /// The address that the provider had at the time of the link.
    pub email: Option<String>,
    pub created_at: DateTime<Utc>,
}
