//! Proof that the caller, who has an access token, also knows the password: the token alone may be stolen.

use std::net::IpAddr;

use secrecy::SecretString;

use crate::{
    identity::{
        auth::{limits, password::Password},
        passwords::{Passwords, Verdict},
        second_factor::model::MAX_AUTH_AGE,
        session::ops as session,
        user::{model::User, store},
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    error::{Error, Result},
};

/// Verifies the password of the calling user, who must also have authenticated recently if there is a second factor.
///
/// # Errors
/// Those of [`prove_password`]; `REAUTHENTICATION_REQUIRED`.
pub(crate) async fn prove(app: &App, permit: &Permit, password: SecretString, from: IpAddr) -> Result<(User, String)> {
    let (user, hash) = prove_password(app, permit, password, from).await?;
    if user.second_factor_at.is_some() {
        permit.check_recent(MAX_AUTH_AGE, app.clock.now())?;
    }
    Ok((user, hash))
}

/// Verifies the password of the calling user. Wrong passwords count against the limits on sign-in, so that an access
/// token permits no more guesses than an address. Returns the user and the hash of the password.
///
/// # Errors
/// `WRONG_PASSWORD`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`, `SESSION_REVOKED`; `NOT_FOUND` if the user was removed;
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn prove_password(
    app: &App,
    permit: &Permit,
    password: SecretString,
    from: IpAddr,
) -> Result<(User, String)> {
    let (id, _, session) = session::caller(permit)?;
    let row = app.database.autocommit(async move |connection| store::with_hash(connection, id).await).await?;
    let (user, hash) = row.ok_or_else(|| Error::not_found("user"))?;
    session::check(app, &user, session).await?;
    let (attempt, _) = limits::sign_in(app, &user.email, from, None).await?;
    let verdict = app.part::<Passwords>().verify(Password::attempt(password), &user.email, Some(hash.clone())).await;
    // As at a sign-in: counted in advance, and refunded unless the password was wrong.
    if !matches!(verdict, Ok(Verdict::Wrong)) {
        app.limiter.take_back(attempt).await;
    }
    match verdict? {
        Verdict::Wrong => {
            let fields = vec![("currentPassword".to_owned(), "is wrong".to_owned())];
            Err(Error::new(IdentityReason::WrongPassword).about(fields))
        }
        Verdict::Right | Verdict::RightOnceMore(_) => Ok((user, hash)),
    }
}
