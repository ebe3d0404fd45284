//! Sessions: started by a sign-in, extended by refreshes, and ended by the user, by reuse of a refresh token, or by a
//! new epoch. They are rows in Postgres, which each of these reads anyway, so that a cache in front would save nothing.

mod end;
mod exchange;
mod grant;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;

use crate::identity::{
    account_provider::id::AccountProviderId,
    config::{IdentityConfig, SecondFactorPolicy},
    member::{
        model::{Member, Membership, SignInPolicy},
        store as members,
    },
    role::{limits::SessionLimits, model::Granted, ops as role},
    second_factor::model::MAX_AUTH_AGE,
    session::{
        model::{Device, Proof, Refresh, Session, SessionLife},
        store::{self as sessions, StoredSession},
    },
    signing_key::ops as signing_key,
    tokens::{Pair, Tokens},
    user::{
        model::{Role, User},
        store::{self, Wanted},
    },
};
use crate::proto::identity::v1::Reason as IdentityReason;
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::Connection,
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
};

pub(crate) use end::leave_session;
pub use end::{end, end_all, leave, leave_by_token, remove_member, remove_outdated};
pub(crate) use exchange::{prove_second_factor, refresh_grant, renew};
pub use exchange::{refresh, switch};
pub(crate) use grant::{begin_grant, end_of, issue_grant, of_access, of_code};

/// Returns whether any person has signed in.
pub(crate) async fn any(connection: &mut Connection) -> Result<bool> {
    sessions::any(connection).await
}

/// Returns the calling user.
///
/// # Errors
/// `INTERNAL_ERROR` if the method is also granted to services, which is a bug.
pub fn caller(permit: &Permit) -> Result<(UserId, Option<AccountId>, SessionId)> {
    permit.user().ok_or_else(|| Error::internal(anyhow::anyhow!("only users have sessions")))
}

/// Returns the lifetime of sessions with a role. The lifetime of the staff is no longer than that of customers.
pub(crate) fn life(app: &App, role: Role) -> SessionLife {
    let config = app.config.section::<IdentityConfig>();
    let time = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::days(365));
    let of_people = SessionLife { unused: time(config.refresh_ttl), whole: time(config.session_max_age) };
    let of_staff = SessionLife { unused: time(config.staff_session_idle), whole: time(config.staff_session_max_age) };
    if role == Role::Customer { of_people } else { of_people.shortest(of_staff) }
}

/// Begins a session of an account: the named one, or else that of the user's last session, or else that of the oldest
/// membership. Of several accounts, one that requires another provider is not taken. A session of the provider of an account
/// names the account.
///
/// # Errors
/// `NOT_FOUND` if the user is not a member of the named account; `PROVIDER_REQUIRED` if the account, or each of them, requires
/// another provider; `UNAVAILABLE` if Postgres is unreachable.
pub async fn begin(
    app: &App,
    user: &User,
    device: Device,
    account: Option<AccountId>,
    provider: Option<AccountProviderId>,
    proof: Proof,
) -> Result<Pair> {
    let (member, policy) = match membership(app, user, account, provider).await? {
        Some(Membership { member, policy, .. }) => (Some(member), policy),
        None => (None, SignInPolicy::default()),
    };
    let session = new(app, user, device).renew(proof).of_account(member.as_ref()).of_provider(provider);
    let granted = granted(app, user, member.as_ref(), needs_second_factor(app, user, &session, policy)).await?;
    insert(app, &session).await?;
    if user.staff_role.is_some() {
        // The policy of the membership lacks the limits of a role of the staff.
        return owner(app, &session, None).await?.issue(app, &session).await;
    }
    issue(app, user, (member.as_ref(), policy.limits), &granted, &session).await
}

async fn insert(app: &App, session: &Session) -> Result<()> {
    app.database.autocommit(async move |connection| sessions::insert(connection, session).await).await
}

async fn read(app: &App, user: UserId, id: SessionId) -> Result<Option<StoredSession>> {
    app.database.autocommit(async move |connection| sessions::find(connection, user, id).await).await
}

async fn read_all(app: &App, user: UserId) -> Result<Vec<(Session, SessionLimits)>> {
    app.database.autocommit(async move |connection| sessions::list(connection, user).await).await
}

async fn replace(app: &App, entry: &StoredSession, next: &Session) -> Result<bool> {
    app.database.autocommit(async move |connection| sessions::replace(connection, entry, next).await).await
}

fn new(app: &App, user: &User, device: Device) -> Session {
    Session::begin(user.id, user.epoch.number, device, app.clock.now(), life(app, user.role))
}

/// Begins a session whose first access token has what a role grants, until it is refreshed. A test thus has callers of every
/// role without a user for each.
pub async fn begin_with(
    app: &App,
    user: &User,
    member: Option<&Member>,
    granted: &Granted,
    device: Device,
) -> Result<Pair> {
    let session = new(app, user, device).of_account(member);
    insert(app, &session).await?;
    issue(app, user, (member, SessionLimits::default()), granted, &session).await
}

/// Returns the membership that a new session of a user has; `None` if the user is a member of no account.
async fn membership(
    app: &App,
    user: &User,
    account: Option<AccountId>,
    provider: Option<AccountProviderId>,
) -> Result<Option<Membership>> {
    let id = user.id;
    let mut members = app.database.autocommit(async move |connection| members::of_user(connection, id).await).await?;
    let check = |own: &Membership| check_provider(user, Some(&own.member), own.policy, provider);
    if let Some(account) = account {
        let membership = members.into_iter().find(|membership| membership.member.account == account);
        let membership = membership.ok_or_else(|| Error::not_found("account"))?;
        return check(&membership).map(|()| Some(membership));
    }
    let refusal = members.first().map_or(Ok(()), check);
    members.retain(|membership| check(membership).is_ok());
    if members.is_empty() {
        return refusal.map(|()| None);
    }
    // Without a choice, no session is looked up.
    if members.len() < 2 {
        return Ok(members.into_iter().next());
    }
    let last = read_all(app, id)
        .await?
        .into_iter()
        .map(|(session, _)| session)
        .max_by_key(|session| session.refreshed_at)
        .and_then(|session| session.account);
    let place = members.iter().position(|own| last.is_some_and(|last| last.member == own.member.id));
    Ok(members.into_iter().nth(place.unwrap_or(0)))
}

/// Returns the session of a refresh token, which stays valid.
///
/// # Errors
/// `INVALID_TOKEN` if the text is not a refresh token of this service; `SESSION_REVOKED` if the session has ended or the token
/// was used before; `REAUTHENTICATION_REQUIRED` if it has ended in its account; `SECOND_FACTOR_REQUIRED` if the user must prove
/// or add a second factor first; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn of_token(app: &App, token: &str) -> Result<Session> {
    let claim = app.part::<Tokens>().read_refresh(token).ok_or(Reason::InvalidToken)?;
    let session = read(app, claim.user, claim.session).await?.ok_or(Reason::SessionRevoked)?.session;
    if session.grant.is_some() {
        return Err(Reason::InvalidToken.into());
    }
    let now = app.clock.now();
    let (Refresh::Rotated(_) | Refresh::Again(_)) = session.clone().refresh(claim.generation, now) else {
        return Err(Reason::SessionRevoked.into());
    };
    let owner = owner(app, &session, None).await?;
    owner.check(app, &session, now)?;
    if needs_second_factor(app, &owner.user, &session, owner.policy) {
        return Err(Reason::SecondFactorRequired.into());
    }
    Ok(session)
}

/// Checks that the user of a session has proved who they are recently.
///
/// # Errors
/// `REAUTHENTICATION_REQUIRED`.
pub(crate) fn check_recent(session: &Session, now: DateTime<Utc>) -> Result<()> {
    if now - session.authenticated_at <= MAX_AUTH_AGE {
        return Ok(());
    }
    let seconds = MAX_AUTH_AGE.num_seconds().to_string();
    Err(Error::new(Reason::ReauthenticationRequired).with("maxAgeSeconds", seconds))
}

/// The user of a session with the current role, and the membership.
struct Owner {
    user: User,
    member: Option<Member>,
    /// What the account of the membership requires, and the roles of the user.
    policy: SignInPolicy,
}

impl Owner {
    fn life(&self, app: &App) -> SessionLife {
        life(app, self.user.role)
    }

    /// Checks that a session continues in the membership; see [`Session::check`].
    fn check(&self, app: &App, session: &Session, now: DateTime<Utc>) -> Result<()> {
        session.check(now, self.life(app), self.policy.limits)
    }

    async fn issue(&self, app: &App, session: &Session) -> Result<Pair> {
        let (user, member) = (&self.user, self.member.as_ref());
        let needs = needs_second_factor(app, user, session, self.policy);
        let granted = granted(app, user, member, needs).await?;
        issue(app, user, (member, self.policy.limits), &granted, session).await
    }
}

/// Checks that a session which began with a provider may have a membership. The staff reaches every account without one.
fn check_provider(
    user: &User,
    member: Option<&Member>,
    policy: SignInPolicy,
    provider: Option<AccountProviderId>,
) -> Result<()> {
    match (member, policy.enforced) {
        (Some(member), Some(enforced)) if user.role == Role::Customer => enforced.check(member.is_owner(), provider),
        _ => Ok(()),
    }
}

/// Returns whether the user must prove a second factor, or add one, before anything else. The account decides about the factors
/// at its own provider.
fn needs_second_factor(app: &App, user: &User, session: &Session, policy: SignInPolicy) -> bool {
    let of_staff = app.config.section::<IdentityConfig>().second_factor_staff == SecondFactorPolicy::Required;
    let of_account = policy.requires_second_factor && session.provider.is_none();
    let is_required = of_account || (of_staff && user.role != Role::Customer);
    is_required && !(session.has_second_factor && user.second_factor_at.is_some())
}

/// Returns the user of a session with the current role, and the membership: that of the session or, if an account is named,
/// that in this account. A session without an account takes the oldest membership. The session has ended if the user was
/// removed or has begun an epoch that does not admit it, if its membership ended, or if it was revoked. A session of the
/// provider of an account has no other account.
async fn owner(app: &App, session: &Session, account: Option<AccountId>) -> Result<Owner> {
    let (user, id) = (session.user, session.id);
    let is_other = |account| session.account.is_none_or(|own| own.account != account);
    if session.provider.is_some() && account.is_some_and(is_other) {
        return Err(IdentityReason::SessionOfOneAccount.into());
    }
    let wanted = match (account, session.account) {
        (Some(account), _) => Wanted::Account(account),
        (None, Some(own)) => Wanted::Member(own.member),
        (None, None) => Wanted::Oldest,
    };
    let owner = app.database.autocommit(async move |connection| store::owner(connection, user, id, wanted).await);
    let owner = owner.await?.filter(|(user, ..)| user.epoch.admits(id, session.epoch));
    // The provider of an account never speaks for the staff, which the customer may have joined since.
    let owner = owner.filter(|(user, ..)| session.provider.is_none() || user.role == Role::Customer);
    let (user, member, policy) = owner.ok_or(Reason::SessionRevoked)?;
    check_provider(&user, member.as_ref(), policy, session.provider)?;
    match (&member, wanted) {
        (None, Wanted::Member(_)) => Err(Reason::SessionRevoked.into()),
        (None, Wanted::Account(_)) => Err(Error::not_found("account")),
        _ => Ok(Owner { user, member, policy }),
    }
}

/// Checks that a session of a user continues. An access token alone does not prove it: an instance accepts a token for up
/// to a second after its session has ended.
///
/// # Errors
/// `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn check(app: &App, user: &User, id: SessionId) -> Result<()> {
    let stored = read(app, user.id, id).await?.map(|entry| entry.session);
    let now = app.clock.now();
    let continues = |session: &Session| session.is_alive(now) && user.epoch.admits(id, session.epoch);
    stored.filter(continues).map(drop).ok_or_else(|| Reason::SessionRevoked.into())
}

/// Returns what the user's role grants now: that of the staff, or else that of the member in the account of the session.
async fn granted(app: &App, user: &User, member: Option<&Member>, needs_second_factor: bool) -> Result<Granted> {
    if needs_second_factor {
        return Ok(Granted::UntilSecondFactor);
    }
    match (user.role, member) {
        (Role::Agent | Role::Admin, _) => role::granted(app, role::of_staff(user)).await,
        (Role::Customer, Some(member)) => role::granted(app, member.role.assigned()).await,
        (Role::Customer, None) => Ok(Granted::Nothing),
    }
}

/// Issues the tokens of a session, which end with it in the membership.
async fn issue(
    app: &App,
    user: &User,
    (member, limits): (Option<&Member>, SessionLimits),
    granted: &Granted,
    session: &Session,
) -> Result<Pair> {
    let session = &Session { expires_at: session.end_within(limits), ..session.clone() };
    let pair = match app.part::<Tokens>().issue(user, member, granted, session)? {
        Some(pair) => pair,
        None => {
            // No key exists yet: Postgres was unreachable or not migrated when this instance started.
            signing_key::refresh(app).await?;
            let pair = app.part::<Tokens>().issue(user, member, granted, session)?;
            pair.ok_or_else(|| Error::unavailable(anyhow::anyhow!("no key signs access tokens")))?
        }
    };
    // The user has just been read, so the token's first use on this instance need not check again.
    let access = pair.access.expose_secret();
    if let Ok(verified) = app.part::<Tokens>().verify(access) {
        app.part::<Tokens>().insert_verified(access, verified);
    }
    Ok(pair)
}

/// Returns the device of a session; `None` if the store no longer has it.
pub(crate) async fn device(app: &App, user: UserId, session: SessionId) -> Result<Option<Device>> {
    Ok(read(app, user, session).await?.map(|entry| entry.session.device))
}

/// Returns a user's sessions that can still be refreshed for some account, newest first. The expiry of each is its end in its
/// account.
///
/// # Errors
/// `NOT_FOUND` if there is no such user; `UNAVAILABLE` if Postgres is unreachable.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>> {
    let epoch = app.database.autocommit(async move |connection| store::epoch(connection, user).await).await?;
    let (epoch, now) = (epoch.ok_or_else(|| Error::not_found("user"))?, app.clock.now());
    let mut sessions = read_all(app, user).await?;
    sessions.retain(|(session, _)| session.is_alive(now) && epoch.admits(session.id, session.epoch));
    let bounded = |(session, limits): (Session, _)| Session { expires_at: session.end_within(limits), ..session };
    let mut sessions: Vec<_> = sessions.into_iter().map(bounded).collect();
    sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
    Ok(sessions)
}
