//! Begins changes of addresses.

use std::net::IpAddr;

use secrecy::SecretString;

use crate::{
    identity::{
        auth::{limits, ops as auth},
        email_change::{model::EmailChange, store},
        mails,
        user::model::EmailAddress,
    },
    mail::ops as mail,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    error::{Error, Result},
    unit_of_work::Work,
};

/// Sends a token to the new address of the calling user, or a notice if the address belongs to another user. Both cases
/// do the same work. An earlier change that waits is replaced.
///
/// # Errors
/// `WRONG_PASSWORD`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`, `SESSION_REVOKED`; `VALIDATION_FAILED` if the user has the
/// address; `UNAVAILABLE` if Postgres is unreachable.
pub async fn request(
    app: &App,
    permit: &Permit,
    password: SecretString,
    new: EmailAddress,
    from: IpAddr,
) -> Result<()> {
    let (user, _) = auth::prove(app, permit, password, from).await?;
    if new == user.email {
        return Err(Error::field("email", "is the user's address already"));
    }
    limits::mail_request(app, from).await?;
    let (id, now) = (user.id, app.clock.now());
    let change = EmailChange::begin(&user, new, now);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        store::insert(connection, &change).await?;
        mail::send::<mails::EmailChange>(connection, change.id.0, Some(change.user.0), now).await?;
        work.audit(auth::of_user(id));
        Ok(())
    });
    transaction.await?;
    tracing::info!(user = %id, "a user asked for another address");
    Ok(())
}
