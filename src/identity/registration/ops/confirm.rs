//! Completes registrations.

use std::net::IpAddr;

use secrecy::SecretString;

use super::{
    create::{Profile, register},
    request::admit,
};
use crate::identity::{
    account_domain::ops as account_domain,
    auth::{networks::KnownNetworks, password::Password},
    credential::model as token,
    passwords::Passwords,
    registration::store,
    user::model::{Language, Role, User},
};
use mainstay_kernel::{
    app::App,
    error::{Reason, Result},
    unit_of_work::Work,
};

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub password: SecretString,
    /// The user's name.
    pub name: String,
    /// The name of the account; if empty, the user's name. A user who joins an account has no use for it.
    pub account_name: String,
    /// The language of mail; the registration's language if absent.
    pub language: Option<Language>,
}

/// Creates a user, a customer, and an account that the user owns, and consumes the token, atomically. A user whose mail domain
/// an account has verified joins that account instead.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown, used or expired; `REGISTRATION_CLOSED`; `ALREADY_EXISTS` if the user was created
/// meanwhile; `VALIDATION_FAILED`, `OVERLOADED`.
pub async fn confirm(app: &App, token: &str, new: NewUser, from: IpAddr) -> Result<User> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let NewUser { password, name, account_name, language } = new;
    let password = Password::choose(password)?;
    // As with a password reset, callers without a valid token cause no hashing.
    let email = app.database.autocommit(async move |connection| store::address(connection, hash, now).await).await?;
    let email = email.ok_or(Reason::InvalidToken)?;
    // The configuration may have changed since the request.
    admit(app, &email)?;
    account_domain::renew(app, &email).await?;
    let password_hash = app.part::<Passwords>().hash(password, &email, &name).await?;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let (email, registered_in) = store::take(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let language = language.unwrap_or(registered_in);
        let profile = Profile { email, name, account_name, role: Role::Customer, language };
        let registered = register(connection, profile, Some(&password_hash), now).await?;
        work.audit(registered.record());
        Ok(registered.user)
    });
    let user = transaction.await?;
    tracing::info!(user = %user.id, "a user registered");
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    Ok(user)
}
