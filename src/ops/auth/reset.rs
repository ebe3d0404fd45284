//! Password resets: a token in a mail, good once and for an hour.

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::{
    app::App,
    domain::{password::Password, token, user::User},
    email::Mail,
    error::{Error, Reason, Result},
    identity::random,
    ops::session,
    store::{Connection, password_reset as store, user},
};

/// How long a token is good.
const LIFE: TimeDelta = TimeDelta::hours(1);
/// Mails on their way at once; beyond it callers are told to come back.
const MAX_PENDING: usize = 64;

static PENDING: Semaphore = Semaphore::const_new(MAX_PENDING);

/// Sends a reset token to an address, if a user has it.
///
/// The caller waits for the one look-up that both cases cost; token and mail are made after the answer, so neither the
/// answer nor its time tells whether the address is known.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`, `OVERLOADED`; `UNAVAILABLE` while Postgres is away.
pub async fn request_reset(app: &App, email: String) -> Result<()> {
    app.limiter.login_as(&email).await?;
    let busy = |_| Error::new(Reason::Overloaded).retry_after(std::time::Duration::from_secs(1));
    let pending = PENDING.try_acquire().map_err(busy)?;
    let found = app.database.read(|connection| async move { user::by_email(connection, &email).await }.boxed()).await?;
    let app = app.clone();
    let work = async move {
        let _pending = pending;
        let Some((user, _)) = found else { return };
        if let Err(cause) = send(&app, user).await {
            tracing::error!(cause, "a password reset was not sent");
        }
    };
    tokio::spawn(work.in_current_span());
    Ok(())
}

async fn send(app: &App, user: User) -> Result<(), String> {
    let token = token::write_reset(&random());
    let (hash, id, now) = (token::hash(token.expose_secret()), user.id, app.clock.now());
    let stored = app.database.read(move |connection| store::insert(connection, hash, id, now, now + LIFE).boxed());
    stored.await.map_err(|error| format!("{:?}", error.source()))?;
    let text = format!(
        "Somebody, most likely you, asked to reset the password of your account.\n\n\
         Your reset token, good once within the next hour:\n\n    {}\n\n\
         Send it with the new password to POST /api/v1/auth/password-reset/confirm.\n\
         If it was not you, there is nothing to do.",
        token.expose_secret()
    );
    let mail = Mail { to: user.email, subject: "Reset your password", text: text.into() };
    app.mail.send(mail).await.map_err(|error| format!("{error:#}"))
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
