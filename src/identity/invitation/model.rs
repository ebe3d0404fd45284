//! Invitations of e-mail addresses to accounts.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{invitation::id::InvitationId, member::model::MemberRole, user::model::EmailAddress};
use mainstay_kernel::id::{AccountId, UserId};

/// How long an invitation can be accepted after it was sent.
pub const LIFE: TimeDelta = TimeDelta::days(7);

/// The maximum number of open invitations of an account.
pub const MAX_OPEN: i64 = 100;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub id: InvitationId,
    pub account: AccountId,
    pub email: EmailAddress,
    /// The role of the member to be.
    pub role: MemberRole,
    pub invited_by: UserId,
    /// The version, which each resending increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    /// When the invitation was last sent.
    pub updated_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// A request for an invitation.
#[derive(Debug, Clone)]
pub struct Draft {
    pub account: Option<AccountId>,
    pub email: EmailAddress,
    pub role: MemberRole,
}

impl Invitation {
    /// Creates an invitation.
    pub fn new(account: AccountId, draft: Draft, invited_by: UserId, now: DateTime<Utc>) -> Self {
        Self {
            id: InvitationId::generate(now),
            account,
            email: draft.email,
            role: draft.role,
            invited_by,
            version: 1,
            created_at: now,
            updated_at: now,
            expires_at: now + LIFE,
        }
    }

    /// Returns the invitation as it is sent again.
    #[must_use]
    pub fn resend(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, expires_at: now + LIFE, ..self }
    }
}

/// What the holder of a token learns before the acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub invitation: Invitation,
    pub account_name: String,
    pub inviter_name: String,
    /// Whether a user has the address.
    pub is_registered: bool,
}
