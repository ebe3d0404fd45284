//! Password resets: a token in a mail, good once and for an hour.

use futures_util::FutureExt as _;
use secrecy::SecretString;

use crate::{
    app::App,
    domain::{mail::Subject, password::Password, token},
    error::{Error, Reason, Result},
    id::{self, UserId},
    ops::{mail, session},
    store::{Connection, password_reset as store, user},
};

/// Sends a reset token to an address, if a user has it.
///
/// The caller waits for one look-up and one mail to be queued, which both cases cost: for an address that nobody has, the
/// mail is to nobody. So neither the answer nor its time tells whether the address is known, and what was answered is not
/// forgotten when a server dies. The token is made when the mail is sent.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` while Postgres is away.
pub async fn request_reset(app: &App, email: String) -> Result<()> {
    app.limiter.login_as(&email).await?;
    let now = app.clock.now();
    let request = id::new(now);
    app.database
        .write(move |connection: &mut Connection| {
            async move {
                let found = user::by_email(connection, &email).await?;
                let user = found.map_or(UserId(request), |(user, _)| user.id);
                mail::send(connection, Subject::PasswordReset { request, user }, now).await
            }
            .boxed()
        })
        .await
}

/// Sets a new password and ends every session, together with the use of the token: all or nothing.
///
/// # Errors
/// `INVALID_TOKEN` for a token that is unknown, used or expired; `VALIDATION_FAILED`, `OVERLOADED`.
pub async fn confirm_reset(app: &App, token: &str, password: SecretString) -> Result<()> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let password = Password::choose(password)?;
    // Looked at before the hashing, which nobody without a token should make us do; decided again in the transaction.
    if !app.database.read(move |connection| store::is_good(connection, hash, now).boxed()).await? {
        return Err(Reason::InvalidToken.into());
    }
    let password_hash = app.passwords.hash(password).await?;
    let changed = app.database.write(move |connection: &mut Connection| {
        async move {
            let id = store::take(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
            user::set_password(connection, id, &password_hash).await?;
            Ok::<_, Error>(id)
        }
        .boxed()
    });
    let id = changed.await?;
    tracing::info!(user = %id, "a password was reset");
    session::tidy(app, id).await;
    Ok(())
}
