//! The caller, and the permit that proves what the policy lets it do.
//!
//! Only a check of a method's policy makes a [`Permit`]: the middleware checks it for a request, and [`Permit::of`] for
//! a program that acts on behalf of a caller without a request. Operations require a permit, which makes the check
//! unavoidable.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::{
    context::{ActorKind, Origin},
    contract::policy::{Access, Effect, Method, Policies, Reach, Role, Scope},
    error::{Error, Reason, Result},
    id::{AccountId, ServiceKeyId, SessionId, UserId},
};

/// The name of the fact of an audit entry that staff acts in the name of the actor. It is part of the changes, whose digest the
/// chain has.
pub const IMPERSONATOR: &str = "impersonator";
/// Likewise, that an application acts for the actor.
pub const APPLICATION: &str = "application";

/// What a user has proved at the sign-in or since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn {
    /// When the user last proved who they are.
    pub at: DateTime<Utc>,
    /// Whether the user must add a second factor before anything else.
    pub needs_second_factor: bool,
    /// By what the user acts.
    pub means: Means,
    /// Whether the session is for its account alone, because a party that the account has chosen says who the user is. It
    /// changes nothing by which the user is known beyond the account.
    pub is_confined: bool,
}

/// By what a user acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By a session of the user.
    Session,
    /// By a personal access token, which a program has.
    Token,
    /// By the access token of the application with this id, to which the user gave it. The token reaches only what its scopes name.
    Application(uuid::Uuid),
    /// A member of the staff acts in the name of the user (RFC 8693, 4.1).
    Impersonation {
        /// The member of the staff.
        by: UserId,
        /// Whether it may change anything.
        allows_writes: bool,
    },
}

impl SignIn {
    /// Returns a complete sign-in at a time, in a session.
    pub fn at(at: DateTime<Utc>) -> Self {
        Self { at, needs_second_factor: false, means: Means::Session, is_confined: false }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person with a session.
    User {
        /// The user.
        id: UserId,
        /// The account of the session; `None` while the user is a member of none.
        account: Option<AccountId>,
        /// The role when the access token was issued.
        role: Role,
        /// The session the access token belongs to.
        session: SessionId,
        /// The scopes of the user's role when the access token was issued: the built-in role or a custom one.
        scopes: Arc<[Scope]>,
        /// How the user signed in.
        sign_in: SignIn,
    },
    /// A service with a key or a client certificate.
    Service {
        /// The id of the key, or the id derived from the name in the certificate.
        id: ServiceKeyId,
        /// The account whose data the key reaches; `None` for a service of the platform.
        account: Option<AccountId>,
        /// The scopes granted.
        scopes: Arc<[Scope]>,
    },
}

impl Caller {
    /// The caller's role. The key of an account has the role of its customers, so that no code takes it for staff.
    pub fn role(&self) -> Role {
        match self {
            Self::User { role, .. } => *role,
            Self::Service { account: Some(_), .. } => Role::Customer,
            Self::Service { account: None, .. } => Role::Service,
        }
    }

    /// The account of the session or of the key.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::User { account, .. } | Self::Service { account, .. } => *account,
        }
    }

    /// The caller's scopes.
    pub fn scopes(&self) -> &[Scope] {
        match self {
            Self::User { scopes, .. } | Self::Service { scopes, .. } => scopes,
        }
    }

    /// Returns the member of the staff who acts in the name of the user.
    pub fn impersonator(&self) -> Option<UserId> {
        match self {
            Self::User { sign_in: SignIn { means: Means::Impersonation { by, .. }, .. }, .. } => Some(*by),
            Self::User { .. } | Self::Service { .. } => None,
        }
    }

    /// Returns the id of the application that acts for the user.
    pub fn application(&self) -> Option<uuid::Uuid> {
        match self {
            Self::User { sign_in: SignIn { means: Means::Application(id), .. }, .. } => Some(*id),
            Self::User { .. } | Self::Service { .. } => None,
        }
    }

    /// Returns the origin with the caller as its actor.
    pub fn act(&self, origin: Origin) -> Origin {
        let actor = match self.role() {
            _ if self.is_service() => ActorKind::Service,
            Role::Agent | Role::Admin => ActorKind::Staff,
            Role::Customer | Role::Service | Role::Unspecified => ActorKind::User,
        };
        let account = self.account().map(|account| account.0);
        let impersonator = self.impersonator().map(|staff| staff.0);
        let (actor_id, application) = (Some(self.principal()), self.application());
        Origin { actor, actor_id, account, impersonator, application, ..origin }
    }

    /// Returns whether the caller is a service, by its key or its certificate.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Service { .. })
    }

    /// The id under which limits, idempotency keys and activities are recorded. A refresh of a token keeps it.
    pub fn principal(&self) -> uuid::Uuid {
        match self {
            Self::User { id, .. } => id.0,
            Self::Service { id, .. } => id.0,
        }
    }

    /// Returns whether the caller is a service of the platform: the operator trusts it with higher limits.
    pub fn is_of_platform(&self) -> bool {
        matches!(self, Self::Service { account: None, .. })
    }

    /// The id that limits count. All keys of an account share the limits of one user, because anyone can create an account
    /// and its keys; the personal access tokens of a user share those of the user.
    pub fn limited_as(&self) -> uuid::Uuid {
        match self {
            Self::Service { account: Some(account), .. } => account.0,
            Self::Service { account: None, .. } | Self::User { .. } => self.principal(),
        }
    }
}

/// Identifies callers by the credentials they send.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Returns the caller of a recently verified credential, which a client at an address sent. It runs for every request and
    /// never blocks.
    fn cached(&self, credential: &str, from: Option<IpAddr>) -> Option<Caller>;

    /// Verifies a credential, caches its caller and returns it. The address is `None` if the request bypassed the listener.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED` or `SESSION_REVOKED`; `PERMISSION_DENIED` for an address that the credential excludes;
    /// `UNAVAILABLE` if the credential can't be verified at present.
    fn verify<'a>(&'a self, credential: &'a str, from: Option<IpAddr>) -> BoxFuture<'a, Result<Caller>>;
}

/// Proof that the policy lets a caller use a method, and how far the caller reaches.
#[derive(Debug, Clone)]
pub struct Permit {
    caller: Caller,
    reach: Reach,
}

impl Permit {
    /// Creates a permit; reserved for the check of a policy, and for tests.
    pub(crate) fn new(caller: Caller, reach: Reach) -> Self {
        Self { caller, reach }
    }

    /// Returns the permit of a caller for a method of these policies, by its gRPC path, for a program that acts on behalf of the caller
    /// without a request. The policy decides as it does for a request, except that the sign-in may be of any age.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`; `INTERNAL_ERROR` if there is no such method.
    pub fn of(policies: &Policies, path: &str, caller: Caller) -> Result<Self> {
        let method = policies.get(path).ok_or_else(|| Error::internal(anyhow::anyhow!("there is no method {path}")))?;
        Ok(Self::new(caller.clone(), reach(method, &caller)?))
    }

    /// Returns the permit that the policy grants the caller. `None` stands for a caller of a public method without a
    /// grant, who reaches what an unauthenticated client reaches.
    pub(crate) fn granted(method: &Method, caller: Caller, now: DateTime<Utc>) -> Result<Option<Self>> {
        match (reach(method, &caller), method.access) {
            (Ok(reach), _) => {
                check_means(method, &caller)?;
                check_confined(method, &caller)?;
                let permit = Self::new(caller, reach);
                method.max_auth_age.map_or(Ok(()), |max_age| permit.check_recent(max_age, now))?;
                Ok(Some(permit))
            }
            (Err(_), Access::Public) => Ok(None),
            (Err(error), Access::Granted) => Err(error),
        }
    }

    /// Checks that the user has proved who they are within the last `max_age`. A service has no sign-in.
    ///
    /// # Errors
    /// `REAUTHENTICATION_REQUIRED`; `PERMISSION_DENIED` for a personal access token and an impersonation, which prove nothing
    /// about the user.
    pub fn check_recent(&self, max_age: TimeDelta, now: DateTime<Utc>) -> Result<()> {
        match &self.caller {
            Caller::User { sign_in, .. } if sign_in.means != Means::Session => Err(needs_session()),
            Caller::User { sign_in, .. } if now - sign_in.at > max_age => {
                let seconds = max_age.num_seconds().to_string();
                Err(Error::new(Reason::ReauthenticationRequired).with("maxAgeSeconds", seconds))
            }
            _ => Ok(()),
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Checks that the caller holds a scope, beside that of the method.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, with the scope.
    pub fn check_scope(&self, name: &str) -> Result<()> {
        let is_held = self.caller.scopes().iter().any(|scope| scope.as_str() == name);
        if is_held { Ok(()) } else { Err(lacks(name)) }
    }

    /// Checks that the caller holds all of these scopes, so that a caller can't give more than it has.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, with the first scope that the caller lacks.
    pub fn check_scopes<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        names.into_iter().try_for_each(|name| self.check_scope(name))
    }

    /// Returns the permit of a user with other scopes, such as the present ones in Postgres. A personal access token and an
    /// impersonation have no more than before.
    #[must_use]
    pub fn with_scopes(mut self, present: Arc<[Scope]>) -> Self {
        if let Caller::User { scopes, sign_in, .. } = &mut self.caller {
            *scopes = match sign_in.means {
                Means::Session => present,
                Means::Token | Means::Application(_) | Means::Impersonation { .. } => {
                    scopes.iter().filter(|scope| present.contains(scope)).cloned().collect()
                }
            };
        }
        self
    }

    /// The rows that the caller reaches.
    pub fn visibility(&self) -> Visibility {
        match (&self.caller, self.reach) {
            (_, Reach::Any) => Visibility::All,
            (caller, Reach::OwnUser) => Visibility::Principal(caller.principal()),
            // A caller without an account has no permit for an account, and no policy can have an unspecified reach: such a
            // caller reaches nothing.
            (caller, Reach::OwnAccount) => {
                caller.account().map_or(Visibility::Principal(uuid::Uuid::nil()), Visibility::Account)
            }
            (_, Reach::Unspecified) => Visibility::Principal(uuid::Uuid::nil()),
        }
    }

    /// Returns the account of a new resource. A customer always gets its own account; any other caller must name one.
    ///
    /// # Errors
    /// `NOT_FOUND` if a customer names another account; `VALIDATION_FAILED` if the account is required and missing.
    pub fn account(&self, named: Option<AccountId>) -> Result<AccountId> {
        match (self.visibility(), named) {
            (Visibility::Account(own), None) => Ok(own),
            (Visibility::Account(own), Some(named)) if named == own => Ok(own),
            (Visibility::Account(_), Some(_)) => Err(Error::not_found("account")),
            (_, Some(named)) => Ok(named),
            (_, None) => Err(Error::field("accountId", "is required")),
        }
    }

    /// The user, the account of the session and the session; `None` for a service.
    pub fn user(&self) -> Option<(UserId, Option<AccountId>, SessionId)> {
        match &self.caller {
            Caller::User { id, account, session, .. } => Some((*id, *account, *session)),
            Caller::Service { .. } => None,
        }
    }
}

fn reach(method: &Method, caller: &Caller) -> Result<Reach> {
    if matches!(caller, Caller::User { sign_in, .. } if sign_in.needs_second_factor && !method.before_second_factor) {
        return Err(Reason::SecondFactorRequired.into());
    }
    // The key of an account may do what customers do, by the methods that need no person.
    let is_account_key = matches!(caller, Caller::Service { account: Some(_), .. });
    let accepts = !is_account_key || method.grant(Role::Service).is_some();
    let grant = method.grant(caller.role()).filter(|_| accepts).ok_or_else(|| wrong_role(method))?;
    let is_application = caller.application().is_some();
    if is_application && grant.scope.as_ref().is_none_or(|scope| !caller.scopes().contains(scope)) {
        let message = "An application calls only methods that require a scope, with the scope.";
        return Err(Error::with_message(Reason::PermissionDenied, message));
    }
    let reach = grant.reach_with(caller.scopes()).map_err(|scope| {
        let message = format!("The method requires the scope {scope}.");
        Error::with_message(Reason::PermissionDenied, message).with("scope", scope.as_str())
    })?;
    match (caller, reach) {
        (Caller::User { account: None, .. }, Reach::OwnAccount) => {
            Err(Error::with_message(Reason::PermissionDenied, "The method requires a session with an account."))
        }
        (_, Reach::OwnUser) if is_account_key => Err(wrong_role(method)),
        (_, reach) => Ok(reach),
    }
}

fn check_means(method: &Method, caller: &Caller) -> Result<()> {
    let Caller::User { sign_in, .. } = caller else { return Ok(()) };
    match sign_in.means {
        Means::Session => Ok(()),
        _ if method.in_person => Err(needs_session()),
        Means::Impersonation { allows_writes: false, .. } if method.effect == Effect::Write && !method.watch => {
            Err(Error::with_message(Reason::PermissionDenied, "The impersonation is read-only."))
        }
        Means::Token | Means::Application(_) | Means::Impersonation { .. } => Ok(()),
    }
}

/// Checks that a session of one account calls no method about the user beyond it that asks for a recent authentication, such as
/// one that adds a passkey.
fn check_confined(method: &Method, caller: &Caller) -> Result<()> {
    let is_about_user = || method.grant(caller.role()).is_some_and(|grant| grant.reach == Reach::OwnUser);
    match caller {
        Caller::User { sign_in, .. } if sign_in.is_confined && method.max_auth_age.is_some() && is_about_user() => {
            let message = "The session is of one account: sign in again for what concerns the user beyond it.";
            Err(Error::with_message(Reason::PermissionDenied, message))
        }
        _ => Ok(()),
    }
}

fn needs_session() -> Error {
    let message =
        "The request requires a session of the user: neither a personal access token nor an impersonation suffices.";
    Error::with_message(Reason::PermissionDenied, message)
}

fn lacks(scope: &str) -> Error {
    let message = format!("The request requires the scope {scope}.");
    Error::with_message(Reason::PermissionDenied, message).with("scope", scope)
}

/// Returns the error for a role without a grant. The error names the roles that may call the method.
fn wrong_role(method: &Method) -> Error {
    let names = method.grants.iter().map(|grant| grant.role.as_str_name().trim_start_matches("ROLE_").to_lowercase());
    let roles = names.collect::<Vec<_>>().join(", ");
    let message = format!("The method may be called by: {roles}.");
    Error::with_message(Reason::PermissionDenied, message).with("roles", roles)
}

/// The rows that a caller reaches. Every query over resources takes a visibility.
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
    /// Returns whether the caller reaches a row of this account and, if the row has one, this principal.
    pub fn reaches(self, of_account: AccountId, of_principal: impl Into<Option<uuid::Uuid>>) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => account == of_account,
            Self::Principal(principal) => of_principal.into() == Some(principal),
        }
    }

    /// Returns whether this visibility and a stored one are those of two accounts.
    pub(crate) fn is_of_other_account(self, stored: &[u8]) -> bool {
        matches!(self, Self::Account(_)) && stored.first() == Some(&1) && stored != self.bytes()
    }

    /// Returns the canonical encoding, for storage and comparison.
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

/// The client's address, derived through trusted proxies, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The idempotency key of a request, if its method takes one, as a request extension.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub String);
