//! Password resets, by a token that is sent by mail, can be used once, and expires after an hour.

use super::audited::of_user;
use crate::identity::passwords::Passwords;
use secrecy::SecretString;
use std::net::IpAddr;

use crate::{
    identity::{
        auth::{limits, networks::KnownNetworks, password::Password, store},
        credential::model as token,
        mails::PasswordReset,
        second_factor::ops::removal,
        service_key::store as service_keys,
        session::ops as session,
        user::{model::EmailAddress, store as user},
    },
    mail::ops as mail,
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Reason, Result},
    id::{self, UserId},
    unit_of_work::Work,
};

/// Sends a reset token to an address, if a user has it.
///
/// Both cases take one look-up and queue one mail; for an unknown address, the mail has no recipient. So neither the
/// response nor its timing reveals whether the address is known, and the request survives a crash of the server. The
/// token is generated when the mail is sent.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn request_reset(app: &App, email: EmailAddress, from: IpAddr) -> Result<()> {
    limits::mail_request(app, from).await?;
    let now = app.clock.now();
    let request = id::new(now);
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let row = user::by_email(connection, &email).await?;
            let user = row.map_or(UserId(request), |(user, _)| user.id);
            mail::send::<PasswordReset>(connection, request, Some(user.0), now).await
        })
        .await
}

/// Sets a new password, ends every session and personal access token, removes new passkeys, and consumes the token, atomically: a
/// thief of the password may have made tokens and passkeys.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown, used or expired, or its user is deactivated; `VALIDATION_FAILED`, also for a
/// password that is common or like the user's address or name; `OVERLOADED`.
pub async fn confirm_reset(app: &App, token: &str, password: SecretString, from: IpAddr) -> Result<()> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let password = Password::choose(password)?;
    // The token is checked before hashing, so that callers without a valid token cause no hashing. The transaction
    // checks it again.
    let user = app.database.autocommit(async move |connection| store::user(connection, hash, now).await).await?;
    let (email, name) = user.ok_or(Reason::InvalidToken)?;
    let password_hash = app.part::<Passwords>().hash(password, &email, &name).await?;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let id = store::take(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let user = user::lock(connection, Visibility::All, id).await?;
        removal::remove_added_since(connection, user, now - removal::NEW_PASSKEY, now).await?;
        let email = user::set_password(connection, id, &password_hash, now).await?;
        service_keys::revoke_of_user(connection, id, now).await?;
        work.audit(of_user(id));
        Ok((id, email.ok_or(Reason::InvalidToken)?))
    });
    let (id, email) = transaction.await?;
    app.part::<KnownNetworks>().remember(&email, from).await;
    tracing::info!(user = %id, "a password was reset");
    session::remove_outdated(app, id).await;
    Ok(())
}
