//! Sessions: started by a sign-in, extended by refreshes, and ended by the user, by reuse of a refresh token, or by a
//! new epoch.

use crate::identity::config::IdentityConfig;
use crate::identity::session::store::Sessions;
use crate::identity::tokens::Tokens;
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;

use crate::identity::{
    revocation::ops as revocation,
    role::{
        model::{Assigned, Granted},
        ops as role,
    },
    session::model::{Device, Refresh, Session, SessionLife},
    signing_key::ops as signing_key,
    tokens::Pair,
    user::{model::User, store},
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::policy::BuiltInRole,
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
    unit_of_work::Work,
};

/// The number of times an operation is retried after a concurrent change of the session.
const MAX_ATTEMPTS: usize = 8;

/// Returns the calling user.
///
/// # Errors
/// `INTERNAL_ERROR` if the method is also granted to services, which is a bug.
pub fn caller(permit: &Permit) -> Result<(UserId, AccountId, SessionId)> {
    permit.user().ok_or_else(|| Error::internal(anyhow::anyhow!("only users have sessions")))
}

/// Returns the lifetime of sessions.
pub(crate) fn life(app: &App) -> SessionLife {
    let config = app.config.section::<IdentityConfig>();
    let time = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::days(365));
    SessionLife { unused: time(config.refresh_ttl), whole: time(config.session_max_age) }
}

/// Begins a session.
///
/// # Errors
/// `UNAVAILABLE` if the session store is unreachable.
pub async fn begin(app: &App, user: &User, device: Device) -> Result<Pair> {
    let granted = granted(app, user).await?;
    begin_with(app, user, &granted, device).await
}

/// Begins a session whose first access token has what a role grants, until it is refreshed. A test thus has callers of every
/// role without a user for each.
///
/// # Errors
/// `UNAVAILABLE` if the session store is unreachable.
pub async fn begin_with(app: &App, user: &User, granted: &Granted, device: Device) -> Result<Pair> {
    let session = Session::begin(user.id, user.epoch.number, device, app.clock.now(), life(app));
    app.part::<Sessions>().insert(&session).await?;
    issue(app, user, granted, &session).await
}

/// Exchanges a refresh token for a new pair. The user is read before the token is consumed, so that the client can
/// retry with the same token if Postgres is unreachable.
///
/// # Errors
/// `INVALID_TOKEN` if the text is not a refresh token of this service; `SESSION_REVOKED` if the session has ended, or
/// if the token was used before, which ends the session; `UNAVAILABLE` if Postgres or the session store is unreachable.
pub async fn refresh(app: &App, token: &str) -> Result<Pair> {
    let claim = app.part::<Tokens>().read_refresh(token).ok_or(Reason::InvalidToken)?;
    for _ in 0..MAX_ATTEMPTS {
        let entry = app.part::<Sessions>().find(claim.user, claim.session).await?.ok_or(Reason::SessionRevoked)?;
        let next = match entry.session.clone().refresh(claim.generation, app.clock.now(), life(app)) {
            Refresh::Over => return Err(Reason::SessionRevoked.into()),
            Refresh::Again(session) => {
                let user = owner(app, &session).await?;
                return issue(app, &user, &granted(app, &user).await?, &session).await;
            }
            Refresh::Reused => return Err(end_after_reuse(app, &entry.session).await?),
            Refresh::Rotated(session) => session,
        };
        let user = owner(app, &next).await?;
        let granted = granted(app, &user).await?;
        let next = Session { epoch: user.epoch.number, ..next };
        if app.part::<Sessions>().replace(&entry, &next).await? {
            return issue(app, &user, &granted, &next).await;
        }
    }
    Err(Reason::Conflict.into())
}

/// Ends a session, one of whose refresh tokens was used twice (RFC 9700, 4.14.2): either use may be a thief's. The
/// usual cause is a client that lost the response, so the user's other sessions continue. Returns the error to respond
/// with.
async fn end_after_reuse(app: &App, session: &Session) -> Result<Error> {
    let (id, user) = (session.id, session.user);
    leave_session(app, user, id).await?;
    tracing::warn!(session = %id, user = %user, "a refresh token was reused; its session was ended");
    metrics::counter!("mainstay_refresh_tokens_reused_total").increment(1);
    Ok(Reason::SessionRevoked.into())
}

/// Returns the user of a session, with the current role. The session has ended if the user was removed or has begun an
/// epoch that does not admit it, or if the session was revoked. The check covers a session store that is restored from older data.
async fn owner(app: &App, session: &Session) -> Result<User> {
    let (user, id) = (session.user, session.id);
    let owner = app.database.autocommit(async move |connection| store::owner(connection, user, id).await).await?;
    owner.filter(|user| user.epoch.admits(id, session.epoch)).ok_or_else(|| Reason::SessionRevoked.into())
}

/// Checks that a session of a user continues. An access token alone does not prove it: an instance accepts a token for up
/// to a second after its session has ended.
///
/// # Errors
/// `SESSION_REVOKED`; `UNAVAILABLE` if the session store is unreachable.
pub(crate) async fn check(app: &App, user: &User, id: SessionId) -> Result<()> {
    let stored = app.part::<Sessions>().find(user.id, id).await?.map(|entry| entry.session);
    let now = app.clock.now();
    let continues = |session: &Session| session.is_alive(now) && user.epoch.admits(id, session.epoch);
    stored.filter(continues).map(drop).ok_or_else(|| Reason::SessionRevoked.into())
}

/// Returns what the user's role grants now. Each customer is the only user of the account, and thus its owner.
async fn granted(app: &App, user: &User) -> Result<Granted> {
    role::granted(app, role::assigned(user, Assigned::BuiltIn(BuiltInRole::Owner))).await
}

async fn issue(app: &App, user: &User, granted: &Granted, session: &Session) -> Result<Pair> {
    let pair = match app.part::<Tokens>().issue(user, granted, session)? {
        Some(pair) => pair,
        None => {
            // No key exists yet: Postgres was unreachable or not migrated when this instance started.
            signing_key::refresh(app).await?;
            let pair = app.part::<Tokens>().issue(user, granted, session)?;
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
///
/// # Errors
/// `UNAVAILABLE` if the session store is unreachable.
pub(crate) async fn device(app: &App, user: UserId, session: SessionId) -> Result<Option<Device>> {
    Ok(app.part::<Sessions>().find(user, session).await?.map(|entry| entry.session.device))
}

/// Returns a user's sessions that can still be refreshed, newest first.
///
/// # Errors
/// `NOT_FOUND` if there is no such user; `UNAVAILABLE` if the session store or Postgres is unreachable.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>> {
    let epoch = app.database.autocommit(async move |connection| store::epoch(connection, user).await).await?;
    let (epoch, now) = (epoch.ok_or_else(|| Error::not_found("user"))?, app.clock.now());
    let mut sessions = app.part::<Sessions>().list(user).await?;
    sessions.retain(|session| session.is_alive(now) && epoch.admits(session.id, session.epoch));
    sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
    Ok(sessions)
}

/// Looks up a session of a user that is to be ended.
///
/// # Errors
/// `NOT_FOUND` if the user has no such session; `UNAVAILABLE` if the session store is unreachable.
pub async fn find(app: &App, user: UserId, id: SessionId) -> Result<()> {
    app.part::<Sessions>().find(user, id).await?.map(drop).ok_or_else(|| Error::not_found("session"))
}

/// Logs that an admin ends sessions of another user.
fn log_admin(work: &Work, user: UserId, what: &'static str) -> Result<()> {
    let admin = work.permit()?.caller().principal();
    if admin != user.0 {
        tracing::info!(%user, %admin, "{what}");
    }
    Ok(())
}

/// Ends a session of a user and its access tokens. Idempotent.
///
/// # Errors
/// Any error of Postgres.
pub async fn end(work: &mut Work, user: UserId, id: SessionId) -> Result<()> {
    log_admin(work, user, "an admin ended a session of a user")?;
    revocation::revoke_session(work.connection().await?, id).await
}

/// Marks a session as ended after the commit of [`end`]: on this instance, and in the session store. Correctness does
/// not depend on it, because each refresh asks Postgres too, so a failure is only logged.
pub async fn mark_ended(app: &App, user: UserId, id: SessionId) {
    app.part::<Tokens>().invalidate_session(id);
    if let Err(error) = mark_stored(app, user, id).await {
        tracing::debug!(error = error.detail(), "a session that was ended was left to expire");
    }
}

async fn mark_stored(app: &App, user: UserId, id: SessionId) -> Result<()> {
    for _ in 0..MAX_ATTEMPTS {
        let entry = app.part::<Sessions>().find(user, id).await?.ok_or_else(|| Error::not_found("session"))?;
        if entry.session.ended || app.part::<Sessions>().replace(&entry, &entry.session.clone().end()).await? {
            return Ok(());
        }
    }
    Err(Reason::Conflict.into())
}

/// Ends the caller's current session. Idempotent, also for a session that the store no longer has.
///
/// # Errors
/// `UNAVAILABLE` if the session store or Postgres is unreachable.
pub async fn leave(app: &App, permit: &Permit) -> Result<()> {
    let (user, _, session) = caller(permit)?;
    leave_session(app, user, session).await
}

/// Ends the session of a refresh token, the latest or an earlier one, like [`leave`].
///
/// # Errors
/// `INVALID_TOKEN` if the text is not a refresh token of this service; `UNAVAILABLE` if the session store or Postgres
/// is unreachable.
pub async fn leave_by_token(app: &App, token: &str) -> Result<()> {
    let claim = app.part::<Tokens>().read_refresh(token).ok_or(Reason::InvalidToken)?;
    leave_session(app, claim.user, claim.session).await
}

async fn leave_session(app: &App, user: UserId, id: SessionId) -> Result<()> {
    match mark_stored(app, user, id).await {
        Err(error) if error.reason() != Reason::NotFound => Err(error),
        _ => revocation::end_session(app, id).await,
    }
}

/// Ends all sessions of a user by beginning a new epoch, which each refresh compares. This works even if the session
/// store is unreachable.
///
/// # Errors
/// `NOT_FOUND` if there is no such user.
pub async fn end_all(work: &mut Work, user: UserId) -> Result<()> {
    log_admin(work, user, "an admin ended all sessions of a user")?;
    store::begin_epoch(work.connection().await?, user).await
}

/// Removes outdated state after the commit of a new epoch: drops the user's verified tokens from this instance's cache,
/// and removes the user's ended sessions from the store. Correctness does not depend on it, so a failure is only logged.
pub async fn remove_outdated(app: &App, user: UserId) {
    app.part::<Tokens>().invalidate_user(user);
    let removal = async {
        let epoch = app.database.autocommit(async move |connection| store::epoch(connection, user).await).await?;
        let sessions = app.part::<Sessions>().list(user).await?;
        let ended = |session: &&Session| epoch.is_none_or(|epoch| !epoch.admits(session.id, session.epoch));
        let past = sessions.iter().filter(ended);
        app.part::<Sessions>().remove(user, &past.map(|session| session.id).collect::<Vec<_>>()).await
    };
    if let Err(error) = removal.await {
        tracing::debug!(error = error.detail(), "sessions of an earlier epoch were left to expire");
    }
}
