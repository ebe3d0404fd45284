//! Users add, renew and remove their second factor.

use crate::{
    identity::{
        auth::ops as auth,
        revocation::store as revocation,
        second_factor::{
            model::{self, SECRET_BYTES},
            ops::open,
            store,
        },
        session::ops as session,
        user::{model::User, store as users},
    },
    mail::{model::Topic, ops as mail},
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

/// Creates the secret of a factor that awaits its confirmation. Returns it in Base32, and as a URI that names `issuer`.
///
/// # Errors
/// `ALREADY_EXISTS` if the user has a second factor.
pub async fn enroll(work: &mut Work, secret: &SecretKey, issuer: &str) -> Result<(String, String)> {
    let (id, ..) = session::caller(&work.permit()?)?;
    let plain: [u8; SECRET_BYTES] = random();
    let sealed = secret.seal(&model::label(id), &plain)?;
    let connection = work.connection().await?;
    let user = users::lock(connection, Visibility::All, id).await?;
    if user.second_factor_at.is_some() {
        return Err(Error::with_message(Reason::AlreadyExists, "You have a second factor already; remove it first."));
    }
    store::enroll(connection, id, sealed).await?;
    Ok(model::written(&plain, issuer, user.email.as_str()))
}

/// Adds the factor with a code of its secret, ends every other session, and queues a mail, atomically. Returns the recovery
/// codes.
///
/// # Errors
/// `WRONG_CODE`; `NO_SECOND_FACTOR` if none awaits its confirmation; `CONFLICT` if the sessions were ended meanwhile;
/// `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn confirm(app: &App, permit: &Permit, code: String) -> Result<Vec<String>> {
    let (id, _, current) = session::caller(permit)?;
    let row = app.database.autocommit(async move |connection| users::with_hash(connection, id).await).await?;
    let (before, _) = row.ok_or_else(|| Error::not_found("user"))?;
    session::check(app, &before, current).await?;
    let (secret, (codes, hashes)) = (app.secret.clone(), model::recovery_codes(std::array::from_fn(|_| random())));
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let user = users::lock(connection, Visibility::All, id).await?;
        let stored = store::find(connection, id).await?.filter(|_| user.second_factor_at.is_none());
        let stored = stored.ok_or(IdentityReason::NoSecondFactor)?;
        if user.epoch != before.epoch {
            return Err(Reason::Conflict.into());
        }
        let opened = open(&secret, id, &stored.secret)?;
        let step = model::step_of(&opened, &code, stored.last_step, now).ok_or(IdentityReason::WrongCode)?;
        store::accept_step(connection, id, step).await?;
        store::set_recovery_codes(connection, id, hashes).await?;
        let epoch = user.epoch.next(Some(current));
        let user = User { epoch, ..user.with_second_factor(Some(now), now) };
        users::update(connection, &user).await?;
        revocation::begin_epoch(connection, id, user.epoch).await?;
        mail::send(connection, Topic::SecondFactorAdded { event: id::new(now), user: id }, now).await?;
        work.audit(auth::of_user(id).with("secondFactor", "added"));
        Ok(())
    });
    transaction.await?;
    tracing::info!(user = %id, "a second factor was added");
    session::remove_outdated(app, id).await;
    // The codes are shown once, so a failure must not lose them. Without the mark, the session proves the factor again.
    if let Err(error) = session::prove_second_factor(app, id, current).await {
        tracing::warn!(user = %id, error = error.detail(), "a session was not marked as proved by a second factor");
    }
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

/// Removes the second factor of the calling user, and queues a mail. Without a factor, changes nothing.
pub async fn remove(work: &mut Work) -> Result<()> {
    let (id, ..) = session::caller(&work.permit()?)?;
    let now = work.now();
    let connection = work.connection().await?;
    let user = users::lock(connection, Visibility::All, id).await?;
    if user.second_factor_at.is_some() {
        store::delete(connection, id, None).await?;
        users::update(connection, &user.with_second_factor(None, now)).await?;
        tell_removed(connection, id, now).await?;
    }
    Ok(())
}

/// Queues the mail about the end of a factor.
pub(super) async fn tell_removed(
    connection: &mut Connection,
    user: UserId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
    mail::send(connection, Topic::SecondFactorRemoved { event: id::new(now), user }, now).await
}
