//! Users add and remove an authenticator app, and renew their recovery codes.

use chrono::{DateTime, Utc};

use super::{factors, removal};
use crate::{
    identity::{
        mails::{SecondFactorAdded, SecondFactorRemoved},
        second_factor::{
            model::{self, SECRET_BYTES, Stored},
            ops::open,
            store,
        },
        session::ops as session,
        user::store as users,
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Reason, Result},
    id::{self, UserId},
    secret::{SecretKey, random},
    unit_of_work::Work,
};

/// Creates the secret of an app that awaits its confirmation. Returns it in Base32, and as a URI that names `issuer`.
///
/// # Errors
/// `ALREADY_EXISTS` if the user has an app.
pub async fn enroll(work: &mut Work, secret: &SecretKey, issuer: &str) -> Result<(String, String)> {
    let (id, ..) = session::caller(&work.permit()?)?;
    let plain: [u8; SECRET_BYTES] = random();
    let sealed = secret.seal(&model::label(id), &plain)?;
    let connection = work.connection().await?;
    let user = users::lock(connection, Visibility::All, id).await?;
    if store::find(connection, id).await?.is_some_and(|stored| stored.has_app()) {
        let message = "You have an authenticator app already; remove it first.";
        return Err(Error::with_message(Reason::AlreadyExists, message));
    }
    store::enroll(connection, id, sealed).await?;
    Ok(model::written(&plain, issuer, user.email.as_str()))
}

/// Adds the app with a code of its secret, ends every other session, and queues a mail, atomically. Returns recovery codes if
/// it is the first factor.
///
/// # Errors
/// `WRONG_CODE`; `NO_SECOND_FACTOR` if none awaits its confirmation; `CONFLICT` if the sessions were ended meanwhile;
/// `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn confirm(app: &App, permit: &Permit, code: String) -> Result<Vec<String>> {
    let (before, current) = factors::caller(app, permit).await?;
    let (id, secret) = (before.id, app.secret.clone());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let user = users::lock(connection, Visibility::All, id).await?;
        let awaits = |stored: &Stored| !stored.secret.is_empty() && !stored.has_app();
        let stored = store::find(connection, id).await?.filter(awaits).ok_or(IdentityReason::NoSecondFactor)?;
        let opened = open(&secret, id, &stored.secret)?;
        let step = model::step_of(&opened, &code, stored.last_step, now).ok_or(IdentityReason::WrongCode)?;
        store::accept_step(connection, id, step).await?;
        let codes = factors::add(connection, user, &before, current, now).await?;
        mail::send::<SecondFactorAdded>(connection, id::new(now), Some(id.0), now).await?;
        work.audit(factors::record(id, "added"));
        Ok(codes)
    });
    let codes = transaction.await?;
    tracing::info!(user = %id, "a second factor was added");
    factors::settle(app, id, current).await;
    Ok(codes)
}

/// Replaces the recovery codes of the calling user, and returns the new ones.
///
/// # Errors
/// `NO_SECOND_FACTOR`.
pub async fn regenerate(work: &mut Work) -> Result<Vec<String>> {
    let (id, ..) = session::caller(&work.permit()?)?;
    let (codes, hashes) = model::recovery_codes(std::array::from_fn(|_| random()));
    let connection = work.connection().await?;
    if users::lock(connection, Visibility::All, id).await?.second_factor_at.is_none() {
        return Err(IdentityReason::NoSecondFactor.into());
    }
    store::set_recovery_codes(connection, id, hashes).await?;
    Ok(codes)
}

/// Removes the app of the calling user, and queues a mail. Without an app, changes nothing.
pub async fn remove(work: &mut Work) -> Result<()> {
    let (id, ..) = session::caller(&work.permit()?)?;
    let now = work.now();
    let connection = work.connection().await?;
    let user = users::lock(connection, Visibility::All, id).await?;
    if store::find(connection, id).await?.is_some_and(|stored| stored.has_app()) {
        let has_other = store::passkey::count(connection, id).await? > 0;
        if has_other {
            store::remove_app(connection, id).await?;
        }
        let user = removal::after_removal(connection, user, has_other, now).await?;
        users::update(connection, &user).await?;
        tell_removed(connection, id, now).await?;
    }
    Ok(())
}

/// Queues the mail about the end of an app, or of all factors.
pub(super) async fn tell_removed(connection: &Connection, user: UserId, now: DateTime<Utc>) -> Result<()> {
    mail::send::<SecondFactorRemoved>(connection, id::new(now), Some(user.0), now).await
}
