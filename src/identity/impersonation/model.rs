//! Impersonations.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::impersonation::id::ImpersonationId;
use mainstay_kernel::id::{AccountId, UserId};

/// An impersonation to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub user: UserId,
    pub account: AccountId,
    /// Why.
    pub reason: String,
    /// The lifetime of the access token.
    pub life: TimeDelta,
    /// Whether the access token may change anything.
    pub allows_writes: bool,
}

/// The act of a member of the staff in the name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonation {
    pub id: ImpersonationId,
    pub user: UserId,
    pub account: AccountId,
    /// The member of the staff.
    pub impersonator: UserId,
    pub reason: String,
    pub allows_writes: bool,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// When it was ended early.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Impersonation {
    /// Starts an impersonation.
    pub fn start(impersonator: UserId, draft: Draft, now: DateTime<Utc>) -> Self {
        let Draft { user, account, reason, life, allows_writes } = draft;
        let (id, expires_at, ended_at) = (ImpersonationId::generate(now), now + life, None);
        Self { id, user, account, impersonator, reason, allows_writes, created_at: now, expires_at, ended_at }
    }
}
