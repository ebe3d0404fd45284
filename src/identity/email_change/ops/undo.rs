//! Undoes changes of addresses.

use crate::{
    identity::{
        auth::ops as auth, credential::model as token, email_change::store, linked_identity::ops as identities,
        mails::PasswordReset, registration::ops::no_password, revocation::store as revocation,
        second_factor::ops::removal, service_key::store as service_keys, session::ops as session, user::store as user,
    },
    mail::{ops as mail, suppression::ops as suppression},
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Reason, Result},
    id,
    unit_of_work::Work,
};

/// Restores the address of a token's user from before a change, ends every session and personal access token, removes the
/// linked identities and the passkeys that were added since or shortly before, voids the password and queues the mail with a password reset, atomically: an unwanted change means that
/// a thief has the password, and may have made other ways to sign in. Later changes are undone
/// too. Earlier ones can still be undone, because they may be the thief's.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown, used or expired; `ALREADY_EXISTS` if another user has the address by now;
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn undo(app: &App, token: &str) -> Result<()> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let request = id::new(now);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let change = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let user = user::lock(connection, Visibility::All, change.user).await?;
        // Read again, because a concurrent request may have consumed the token before the lock was acquired.
        let change = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let confirmation = change.confirmation.ok_or(Reason::InvalidToken)?;
        let since = confirmation.at - removal::NEW_PASSKEY;
        let user = removal::remove_added_since(connection, user, since, now).await?;
        let before = user.email.clone();
        let user = user.recover(confirmation.old, now);
        user::set_email(connection, &user, Some(&no_password())).await?;
        suppression::follow(connection, &before, &user.email, now).await?;
        revocation::begin_epoch(connection, user.id, user.epoch).await?;
        identities::delete_all(connection, user.id, now).await?;
        service_keys::revoke_of_user(connection, user.id, now).await?;
        store::delete_waiting(connection, user.id).await?;
        store::delete_since(connection, user.id, confirmation.at).await?;
        auth::use_up_resets(connection, user.id, now).await?;
        mail::send::<PasswordReset>(connection, request, Some(user.id.0), now).await?;
        work.audit(auth::of_user(user.id));
        Ok(user.id)
    });
    let id = transaction.await?;
    tracing::warn!(user = %id, "the change of an address was undone");
    session::remove_outdated(app, id).await;
    Ok(())
}
