//! What the additions and the removals of all second factors have in common.

use chrono::{DateTime, Utc};

use crate::identity::{
    auth::ops as auth,
    revocation::store as revocation,
    second_factor::{model, store},
    session::ops as session,
    user::{model::User, store as users},
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::Permit,
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    secret::random,
};

/// Returns the calling user, whose session continues.
pub(super) async fn caller(app: &App, permit: &Permit) -> Result<(User, SessionId)> {
    let (id, _, current) = session::caller(permit)?;
    let row = app.database.autocommit(async move |connection| users::with_hash(connection, id).await).await?;
    let (user, _) = row.ok_or_else(|| Error::not_found("user"))?;
    session::check(app, &user, current).await?;
    Ok((user, current))
}

/// Completes the addition of a factor to a locked user, and ends every session but one. Returns recovery codes for the first
/// factor.
///
/// # Errors
/// `CONFLICT` if the sessions were ended since `before` was read.
pub(super) async fn add(
    connection: &mut Connection,
    user: User,
    before: &User,
    current: SessionId,
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    if user.epoch != before.epoch {
        return Err(Reason::Conflict.into());
    }
    let (id, since) = (user.id, user.second_factor_at.unwrap_or(now));
    let mut codes = Vec::new();
    if user.second_factor_at.is_none() {
        let (new, hashes) = model::recovery_codes(std::array::from_fn(|_| random()));
        store::set_recovery_codes(connection, id, hashes).await?;
        codes = new;
    }
    let epoch = user.epoch.next(Some(current));
    let user = User { epoch, ..user.with_second_factor(Some(since), now) };
    users::update(connection, &user).await?;
    revocation::begin_epoch(connection, id, user.epoch).await?;
    Ok(codes)
}

/// Follows the commit of an addition: the session has proved the factor.
pub(super) async fn settle(app: &App, user: UserId, current: SessionId) {
    session::remove_outdated(app, user).await;
    // Recovery codes are shown once, so a failure must not lose them. Without the mark, the session proves the factor again.
    if let Err(error) = session::prove_second_factor(app, user, current).await {
        tracing::warn!(user = %user, error = error.detail(), "a session was not marked as proved by a second factor");
    }
}

/// Returns the record of a change of the factors of a user.
pub(super) fn record(user: UserId, what: &'static str) -> Record {
    auth::of_user(user).with("secondFactor", what)
}
