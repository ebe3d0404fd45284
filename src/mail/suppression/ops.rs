//! Suppression of addresses: begun by reports of providers and by recipients, ended by an operator.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};

use crate::{
    identity::user::{model::EmailAddress, ops as user},
    mail::suppression::{
        model::{Reason, Suppression},
        store, token,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Reason as ErrorReason, Result},
    id::UserId,
    unit_of_work::Work,
};

/// The maximum length of a stored address.
const MAX_CHARS: usize = 320;

/// Returns an address in its stored form.
fn normalize(address: &str) -> String {
    EmailAddress::find(address.trim()).map_or_else(|_| address.trim().to_lowercase(), String::from)
}

fn key(app: &App) -> hmac::Key {
    app.secret.mac("unsubscribe tokens v1")
}

/// Returns at most `limit` suppressed addresses, newest first.
pub async fn list(connection: &mut Connection, limit: i64) -> Result<Vec<Suppression>> {
    store::list(connection, limit).await
}

/// Suppresses all mail, or only notifications, to an address, depending on the reason. A text that can't be an address is
/// ignored.
pub async fn suppress(connection: &mut Connection, address: &str, reason: Reason, now: DateTime<Utc>) -> Result<()> {
    let address = normalize(address);
    // No mail goes to such an address, and the other events of a provider's batch count.
    if !(1..=MAX_CHARS).contains(&address.chars().count()) || address.contains('\0') {
        return Ok(());
    }
    let suppression = Suppression { address, reason, created_at: now };
    if store::insert(connection, &suppression).await? {
        metrics::counter!("mainstay_mail_suppressions_total", "reason" => reason.name()).increment(1);
        tracing::warn!(
            reason = reason.name(),
            "an address is sent no more mail; `mainstay mail suppressions` lists it"
        );
    }
    Ok(())
}

/// Returns the reason why mail, or a notification, to an address is suppressed.
pub(crate) async fn reason(connection: &mut Connection, address: &str, notification: bool) -> Result<Option<Reason>> {
    store::reason(connection, &normalize(address), notification).await
}

/// Removes an address from the suppression list; returns whether it was suppressed.
pub async fn remove(connection: &mut Connection, address: &str) -> Result<bool> {
    Ok(store::remove(connection, &normalize(address)).await? > 0)
}

/// Keeps a user unsubscribed whose address changes. A bounce or a complaint stays with the address before.
pub(crate) async fn follow(
    connection: &mut Connection,
    from: &EmailAddress,
    to: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<()> {
    store::move_unsubscription(connection, [from.as_str(), to.as_str()], now).await
}

/// Returns the token with which a user unsubscribes from notifications.
pub(crate) fn unsubscribe_token(app: &App, user: UserId) -> String {
    token::write(&key(app), user)
}

/// Unsubscribes the user of a token from notifications; returns whether the token is valid. The token of a removed or erased
/// user changes nothing.
pub(crate) async fn unsubscribe(app: &App, token: &str) -> Result<bool> {
    let Some(id) = token::read(&key(app), token) else { return Ok(false) };
    let now = app.clock.now();
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            match user::read(connection, Visibility::All, id).await {
                Ok(user) if user.is_erased() => Ok(true),
                Ok(user) => suppress(connection, user.email.as_str(), Reason::Unsubscribed, now).await.map(|()| true),
                Err(error) if error.reason() == ErrorReason::NotFound => Ok(true),
                Err(error) => Err(error),
            }
        })
        .await
}
