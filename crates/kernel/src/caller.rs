//! The caller, and the proof of what the policy lets it do.
//!
//! A [`Permit`] is made only by a check of a method's policy: by the middleware for a request, and by a program that acts
//! for a caller without one ([`Permit::of`]). Operations require a permit, so none of them can be reached without that check.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;

use crate::{
    contract::{
        self,
        policy::{Access, Method, Reach, Role, Scope},
    },
    error::{Error, Reason, Result},
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
        /// The role when the access token was issued.
        role: Role,
        /// The session the access token belongs to.
        session: SessionId,
    },
    /// An internal service with a key or a client certificate.
    Service {
        /// The id of the key, or the id derived from the name in the certificate.
        id: ServiceKeyId,
        /// The scopes granted.
        scopes: Arc<[Scope]>,
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

    /// Whether it is a service, by its key or its certificate.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Service { .. })
    }

    /// The id under which limits, idempotency keys and activities are recorded. A refreshed token does not change it.
    pub fn principal(&self) -> uuid::Uuid {
        match self {
            Self::User { id, .. } => id.0,
            Self::Service { id, .. } => id.0,
        }
    }
}

/// Identifies callers by the credentials they send.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Returns the caller of a recently verified credential. Never waits; called for every request.
    fn cached(&self, credential: &str) -> Option<Caller>;

    /// Returns the caller of a credential, and caches it.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `SESSION_REVOKED`; `UNAVAILABLE` if the credential can't be checked now.
    fn verify<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Caller>>;
}

/// Proof that the policy lets a caller use a method, and how far the caller reaches.
#[derive(Debug, Clone)]
pub struct Permit {
    caller: Caller,
    reach: Reach,
}

impl Permit {
    /// Makes a permit; reserved to the check of a policy, and to tests.
    pub(crate) fn new(caller: Caller, reach: Reach) -> Self {
        Self { caller, reach }
    }

    /// Returns the permit of a caller for a method, by its gRPC path, for a program that acts for the caller without a
    /// request: the policy decides as it does for a request.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, and `INTERNAL_ERROR` if there is no such method.
    pub fn of(path: &str, caller: Caller) -> Result<Self> {
        let method = contract::current().policies.get(path);
        let method = method.ok_or_else(|| Error::internal(anyhow::anyhow!("there is no method {path}")))?;
        Ok(Self::new(caller.clone(), reach(method, &caller)?))
    }

    /// Returns the permit that the policy grants the caller. `None` is a caller of a public method who reaches no more than
    /// anyone.
    pub(crate) fn granted(method: &Method, caller: Caller) -> Result<Option<Self>> {
        match (reach(method, &caller), method.access) {
            (Ok(reach), _) => Ok(Some(Self::new(caller, reach))),
            (Err(_), Access::Public) => Ok(None),
            (Err(error), Access::Granted) => Err(error),
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The rows that the caller reaches.
    pub fn visibility(&self) -> Visibility {
        match (&self.caller, self.reach) {
            (_, Reach::Any) => Visibility::All,
            (Caller::User { account, .. }, Reach::OwnAccount) => Visibility::Account(*account),
            (caller, Reach::OwnUser) => Visibility::Principal(caller.principal()),
            // A service has no account, and no policy can have an unspecified reach: such a caller reaches nothing.
            (Caller::Service { .. }, Reach::OwnAccount) | (_, Reach::Unspecified) => {
                Visibility::Principal(uuid::Uuid::nil())
            }
        }
    }

    /// Returns the account that a new resource belongs to. Customers always get their own account; all other callers
    /// must name one.
    ///
    /// # Errors
    /// `NOT_FOUND` if a customer names another account, `VALIDATION_FAILED` if the account is required and missing.
    pub fn account(&self, named: Option<AccountId>) -> Result<AccountId> {
        match (self.visibility(), named) {
            (Visibility::Account(own), None) => Ok(own),
            (Visibility::Account(own), Some(named)) if named == own => Ok(own),
            (Visibility::Account(_), Some(_)) => Err(Error::not_found("account")),
            (_, Some(named)) => Ok(named),
            (_, None) => Err(Error::field("accountId", "is required")),
        }
    }

    /// The user, account and session; `None` for a service.
    pub fn user(&self) -> Option<(UserId, AccountId, SessionId)> {
        match &self.caller {
            Caller::User { id, account, session, .. } => Some((*id, *account, *session)),
            Caller::Service { .. } => None,
        }
    }
}

/// Returns what the policy grants the caller: by role, and for a service key also by scope.
fn reach(method: &Method, caller: &Caller) -> Result<Reach> {
    let grant = method.grant(caller.role()).ok_or_else(|| wrong_role(method))?;
    match (caller, &grant.scope) {
        (Caller::Service { scopes, .. }, Some(scope)) if scopes.contains(scope) => {}
        (Caller::Service { .. }, Some(scope)) => {
            let message = format!("The method requires the scope {}.", scope.as_str());
            return Err(Error::with_message(Reason::PermissionDenied, message).with("scope", scope.as_str()));
        }
        (Caller::Service { .. }, None) => return Err(Error::new(Reason::PermissionDenied)),
        (Caller::User { .. }, _) => {}
    }
    Ok(grant.reach)
}

/// Returns the error for a caller in a role that the policy grants nothing; it names those that may call.
fn wrong_role(method: &Method) -> Error {
    let names = method.grants.iter().map(|grant| grant.role.as_str_name().trim_start_matches("ROLE_").to_lowercase());
    let roles = names.collect::<Vec<_>>().join(", ");
    let message = format!("The method may be called by: {roles}.");
    Error::with_message(Reason::PermissionDenied, message).with("roles", roles)
}

/// The rows that a caller reaches. Every query over resources takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All rows.
    All,
    /// The rows of one account.
    Account(AccountId),
    /// The rows of one user or service key.
    Principal(uuid::Uuid),
}

impl Visibility {
    /// Whether the caller reaches a row of this account and, if the row has one, this principal.
    pub fn reaches(self, of_account: AccountId, of_principal: impl Into<Option<uuid::Uuid>>) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => account == of_account,
            Self::Principal(principal) => of_principal.into() == Some(principal),
        }
    }

    /// Returns a form to store and to compare.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::All => vec![0],
            Self::Account(account) => [&[1], account.0.as_bytes().as_slice()].concat(),
            Self::Principal(principal) => [&[2], principal.as_bytes().as_slice()].concat(),
        }
    }
}

/// The address of the connection's peer, as a request extension.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The caller that a connection's client certificate identifies, as a request extension.
#[derive(Debug, Clone)]
pub struct PeerCaller(pub Caller);

/// The client's address, behind trusted proxies too, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The idempotency key of a request, if its method takes one, as a request extension.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub String);
