//! Completes changes of addresses.

use std::net::IpAddr;

use crate::{
    identity::{
        auth::{networks::KnownNetworks, ops as auth},
        credential::model as token,
        email_change::store,
        mails::EmailChanged,
        second_factor::store::device as devices,
        user::store as user,
    },
    mail::{ops as mail, suppression::ops as suppression},
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Reason, Result},
    unit_of_work::Work,
};

/// Changes the address of a token's user, consumes the token and all password reset tokens, and queues the notice to the
/// address before, atomically. Other changes of the user that wait are dropped.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown, used or expired, or if the user's sessions were ended since the request;
/// `ALREADY_EXISTS` if another user has the address by now; `UNAVAILABLE` if Postgres is unreachable.
pub async fn confirm(app: &App, token: &str, from: IpAddr) -> Result<()> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let change = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let user = user::lock(connection, Visibility::All, change.user).await?;
        // Read again, because a concurrent request may have consumed the token before the lock was acquired.
        let change = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        if !change.is_open_to(&user) {
            return Err(Reason::InvalidToken.into());
        }
        let change = change.confirm(&user, now);
        let before = user.email.clone();
        let user = user.with_email(change.new.clone(), now);
        user::set_email(connection, &user, None).await?;
        suppression::follow(connection, &before, &user.email, now).await?;
        store::confirm(connection, &change).await?;
        store::delete_waiting(connection, user.id).await?;
        devices::delete_of_user(connection, user.id).await?;
        auth::use_up_resets(connection, user.id, now).await?;
        mail::send::<EmailChanged>(connection, change.id.0, Some(user.id.0), now).await?;
        work.audit(auth::of_user(user.id));
        Ok(user)
    });
    let user = transaction.await?;
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    tracing::info!(user = %user.id, "an address was changed");
    Ok(())
}
