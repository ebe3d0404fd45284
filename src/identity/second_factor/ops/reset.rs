//! The removal of all factors of a user who has lost them: by an admin after a delay, or at once by an operator.

use chrono::{DateTime, Utc};

use super::enroll::tell_removed;
use crate::{
    identity::{
        auth::ops as auth,
        mails::SecondFactorReset,
        revocation::store as revocation,
        role::ops as roles,
        second_factor::{
            model::{RESET_DELAY, SecondFactor},
            store,
        },
        session::ops as session,
        user::{
            model::{EmailAddress, User},
            store as users,
        },
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    contract::Policies,
    error::{Error, Result},
    id::{self, UserId},
    schedule::BATCH,
    unit_of_work::Work,
};

/// Requests the removal of a user's factors after [`RESET_DELAY`], and queues a mail. A reset that waits keeps its time. The
/// delay takes the place of a second admin: the user, who reads the mail, cancels it with a code of the app or a passkey.
///
/// # Errors
/// `NOT_FOUND`, `NO_SECOND_FACTOR`; `PERMISSION_DENIED` if the user has a role of the staff with a scope that the caller
/// lacks.
pub async fn request_reset(work: &mut Work, policies: &Policies, id: UserId) -> Result<SecondFactor> {
    let (permit, now) = (work.permit()?, work.now());
    let admin = permit.caller().principal();
    let connection = work.connection().await?;
    let user = users::lock(connection, Visibility::All, id).await?;
    roles::check_power(connection, policies, permit, &user).await?;
    let stored = store::find(connection, id).await?;
    let Some(stored) = stored.filter(|_| user.second_factor_at.is_some()) else {
        return Err(IdentityReason::NoSecondFactor.into());
    };
    let reset_at = store::request_reset(connection, id, now + RESET_DELAY).await?;
    if stored.reset_at.is_none() {
        mail::send::<SecondFactorReset>(connection, id::new(now), Some(id.0), now).await?;
    }
    tracing::info!(user = %id, %admin, "the reset of a second factor was requested");
    let passkeys = store::passkey::count(connection, id).await?;
    let factor = SecondFactor::of(user.second_factor_at, Some(&stored), passkeys);
    work.audit(auth::of_user(id).with("secondFactor", "reset requested").with("resetAt", reset_at.to_rfc3339()));
    Ok(SecondFactor { reset_at: Some(reset_at), ..factor })
}

/// Performs the resets that are due. Returns how many.
pub async fn perform_due_resets(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let due = app.database.autocommit(async move |connection| store::due_resets(connection, now, BATCH).await).await?;
    let mut count = 0;
    for user in due {
        count += usize::from(remove(app, user, Some(now)).await?);
    }
    Ok(count)
}

/// Removes the factors of the user with an address at once: the operator's way when no admin can sign in.
///
/// # Errors
/// `NOT_FOUND`, `NO_SECOND_FACTOR`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn reset(app: &App, email: &str) -> Result<UserId> {
    let email = EmailAddress::find(email)?;
    let found = app.database.autocommit(async move |connection| users::by_email(connection, &email).await).await?;
    let (user, _) = found.ok_or_else(|| Error::not_found("user"))?;
    if !remove(app, user.id, None).await? {
        return Err(IdentityReason::NoSecondFactor.into());
    }
    tracing::warn!(user = %user.id, "an operator removed a second factor");
    Ok(user.id)
}

/// Removes the app and the passkeys, ends every session of the user, and queues a mail, atomically. With a time, only if a reset
/// is due by then: the user may have canceled it. Returns whether it did.
async fn remove(app: &App, id: UserId, due_by: Option<DateTime<Utc>>) -> Result<bool> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let user = users::lock(connection, Visibility::All, id).await?;
        if user.second_factor_at.is_none() || !store::delete(connection, id, due_by).await? {
            return Ok(false);
        }
        store::passkey::delete_of_user(connection, id).await?;
        let user = User { epoch: user.epoch.next(None), ..user.with_second_factor(None, now) };
        users::update(connection, &user).await?;
        revocation::begin_epoch(connection, id, user.epoch).await?;
        tell_removed(connection, id, now).await?;
        work.audit(auth::of_user(id).with("secondFactor", "reset"));
        Ok(true)
    });
    let is_removed = transaction.await?;
    if is_removed {
        session::remove_outdated(app, id).await;
    }
    Ok(is_removed)
}
