//! Sessions are ended by their user, by the staff, or with a membership.

use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    contract::Policies,
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    unit_of_work::Work,
};

use crate::identity::{
    member::id::MemberId,
    revocation::ops as revocation,
    role::ops as role,
    session::{ops::caller, store as sessions},
    tokens::Tokens,
    user::store,
};

/// Checks that the caller may end sessions of a user, and logs it if the user is another one.
async fn check_power(work: &mut Work, policies: &Policies, user: UserId, what: &'static str) -> Result<()> {
    let permit = work.permit()?;
    let admin = permit.caller().principal();
    if admin != user.0 {
        let connection = work.connection().await?;
        let target = store::get(connection, Visibility::All, user).await?;
        role::check_power(connection, policies, permit, &target).await?;
        tracing::info!(%user, %admin, "{what}");
    }
    Ok(())
}

/// Ends a session of a user and its access tokens. Idempotent.
///
/// # Errors
/// `PERMISSION_DENIED` if the user is another one of the staff with a scope that the caller lacks; `NOT_FOUND` if the user has
/// no such session.
pub async fn end(work: &mut Work, policies: &Policies, user: UserId, id: SessionId) -> Result<()> {
    check_power(work, policies, user, "an admin ended a session of a user").await?;
    let connection = work.connection().await?;
    if !sessions::end(connection, user, id).await? {
        return Err(Error::not_found("session"));
    }
    revocation::revoke_session(connection, id).await
}

/// Ends the caller's current session. Idempotent, also for a session that was removed.
pub async fn leave(app: &App, permit: &Permit) -> Result<()> {
    let (user, _, session) = caller(permit)?;
    leave_session(app, user, session).await
}

/// Ends the session of a refresh token, the latest or an earlier one, like [`leave`].
///
/// # Errors
/// `INVALID_TOKEN` if the text is not a refresh token of this service; `UNAVAILABLE` if Postgres is unreachable.
pub async fn leave_by_token(app: &App, token: &str) -> Result<()> {
    let claim = app.part::<Tokens>().read_refresh(token).ok_or(Reason::InvalidToken)?;
    leave_session(app, claim.user, claim.session).await
}

/// Ends a session of a user and its access tokens. Idempotent.
pub(crate) async fn leave_session(app: &App, user: UserId, id: SessionId) -> Result<()> {
    // The revocation is first: it alone ends the session, also if the process dies in between.
    revocation::end_session(app, id).await?;
    app.database.autocommit(async move |connection| sessions::end(connection, user, id).await).await.map(drop)
}

/// Ends all sessions of a user by beginning a new epoch, which each refresh compares.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`end`]; `NOT_FOUND` if there is no such user.
pub async fn end_all(work: &mut Work, policies: &Policies, user: UserId) -> Result<()> {
    check_power(work, policies, user, "an admin ended all sessions of a user").await?;
    store::begin_epoch(work.connection().await?, user).await
}

/// Removes outdated state after the commit of a membership's end: drops its verified tokens from this instance's cache, and
/// ends its sessions, except one that a concurrent request has switched to another account. Correctness does not depend on
/// it, so a failure is only logged.
pub async fn remove_member(app: &App, user: UserId, member: MemberId) {
    app.part::<Tokens>().invalidate_member(member);
    let end = async move |connection: &mut Connection| sessions::end_of_member(connection, user, member).await;
    if let Err(error) = app.database.autocommit(end).await {
        tracing::debug!(error = error.detail(), "sessions of a membership that ended were left to expire");
    }
}

/// Removes outdated state after the commit of a new epoch: drops the user's verified tokens from this instance's cache,
/// and removes the user's ended sessions. Correctness does not depend on it, so a failure is only logged.
pub async fn remove_outdated(app: &App, user: UserId) {
    app.part::<Tokens>().invalidate_user(user);
    let delete = async move |connection: &mut Connection| sessions::delete_outdated(connection, user).await;
    if let Err(error) = app.database.autocommit(delete).await {
        tracing::debug!(error = error.detail(), "sessions of an earlier epoch were left to expire");
    }
}
