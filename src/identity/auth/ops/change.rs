//! The change of a password by its user.

use std::net::IpAddr;

use secrecy::SecretString;

use super::{audited::of_user, prove::prove};
use crate::{
    identity::{
        auth::{password::Password, store},
        mails::PasswordChanged,
        passwords::Passwords,
        session::ops as session,
        user::store as users,
    },
    mail::ops as mail,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    error::{Reason, Result},
    id,
    unit_of_work::Work,
};

/// Sets a new password of the calling user, ends every other session and all reset tokens, and queues a mail about it,
/// atomically.
///
/// # Errors
/// `WRONG_PASSWORD`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`; `VALIDATION_FAILED`, also for a new password that is common or
/// like the user's address or name; `CONFLICT` if the password was changed, or all sessions were ended, meanwhile;
/// `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn change_password(
    app: &App,
    permit: &Permit,
    current: SecretString,
    new: SecretString,
    from: IpAddr,
) -> Result<()> {
    let (id, _, session) = session::caller(permit)?;
    let new = Password::choose(new)?;
    let (user, old) = prove(app, permit, current, from).await?;
    let hash = app.part::<Passwords>().hash(new, &user.email, &user.name).await?;
    let now = app.clock.now();
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        // The proof is about the old hash, and the session about the present epoch.
        if !users::change_password(connection, &user, [&old, &hash], session).await? {
            return Err(Reason::Conflict.into());
        }
        store::use_up(connection, id, now).await?;
        mail::send::<PasswordChanged>(connection, id::new(now), Some(id.0), now).await?;
        work.audit(of_user(id));
        Ok(())
    });
    transaction.await?;
    tracing::info!(user = %id, "a password was changed");
    session::remove_outdated(app, id).await;
    Ok(())
}
