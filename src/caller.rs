//! Who calls, and the proof of what the policy lets them do.
//!
//! A [`Permit`] is made by the perimeter alone, after it has checked the method's policy; operations take one, so none
//! of them can be reached without that check.

use crate::{
    contract::policy::{Reach, Role, Scope},
    id::{AccountId, ServiceKeyId, SessionId, UserId},
};

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person with a session.
    User {
        /// The user.
        id: UserId,
        /// The user's account.
        account: AccountId,
        /// The role at the time the access token was made.
        role: Role,
        /// The session the access token belongs to.
        session: SessionId,
    },
    /// An internal service with a key or a client certificate.
    Service {
        /// The key, or what stands for the name in the certificate.
        id: ServiceKeyId,
        /// What the caller may do.
        scopes: Vec<Scope>,
    },
}

impl Caller {
    /// The caller's role.
    pub fn role(&self) -> Role {
        match self {
            Self::User { role, .. } => *role,
            Self::Service { .. } => Role::Service,
        }
    }

    /// The id that limits, idempotency keys and activities are kept under. A refreshed token does not change it.
    pub fn principal(&self) -> uuid::Uuid {
        match self {
            Self::User { id, .. } => id.0,
            Self::Service { id, .. } => id.0,
        }
    }
}

/// Proof that the policy lets a caller use a method, and how far it reaches.
#[derive(Debug, Clone)]
pub struct Permit {
    caller: Caller,
    reach: Reach,
}

impl Permit {
    /// Only the perimeter makes one.
    pub(crate) fn new(caller: Caller, reach: Reach) -> Self {
        Self { caller, reach }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Which rows the caller reaches.
    pub fn visibility(&self) -> Visibility {
        match (&self.caller, self.reach) {
            (_, Reach::Any) => Visibility::All,
            (Caller::User { account, .. }, Reach::OwnAccount) => Visibility::Account(*account),
            (caller, Reach::OwnUser) => Visibility::Principal(caller.principal()),
            // A service has no account, and an unspecified reach no policy can have: nothing is reached.
            (Caller::Service { .. }, Reach::OwnAccount) | (_, Reach::Unspecified) => {
                Visibility::Principal(uuid::Uuid::nil())
            }
        }
    }

    /// The user, for methods no service key is granted.
    pub fn user(&self) -> Option<(UserId, AccountId, SessionId)> {
        match &self.caller {
            Caller::User { id, account, session, .. } => Some((*id, *account, *session)),
            Caller::Service { .. } => None,
        }
    }
}

/// Which rows a caller reaches. Every query over resources takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All of them.
    All,
    /// Those of one account.
    Account(AccountId),
    /// Those of one user or service key.
    Principal(uuid::Uuid),
}

impl Visibility {
    /// Whether a row of an account and a principal, if it has one, is among them.
    pub fn reaches(self, of_account: AccountId, of_principal: impl Into<Option<uuid::Uuid>>) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => account == of_account,
            Self::Principal(principal) => of_principal.into() == Some(principal),
        }
    }
}
