//! Users list, add, rename and remove their passkeys.

use super::{
    ceremony::{self, Begun},
    factors, removal,
};
use crate::{
    identity::{
        linked_identity::store as identities,
        mails::{PasskeyAdded, PasskeyRemoved},
        revocation::store as revocation,
        second_factor::{
            id::PasskeyId,
            model::{Ceremony, MAX_PASSKEYS, Passkey, Purpose},
            relying_party::{Attestation, RelyingParty},
            store::passkey as store,
        },
        session::ops as session,
        user::{model::User, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Reason, Result},
    id,
    unit_of_work::Work,
};

/// Returns the passkeys of the calling user, oldest first.
pub async fn list_passkeys(connection: &Connection, permit: &Permit) -> Result<Vec<Passkey>> {
    store::list(connection, session::caller(permit)?.0).await
}

fn check_count(count: usize) -> Result<()> {
    if count < MAX_PASSKEYS {
        return Ok(());
    }
    let message = format!("A user can have at most {MAX_PASSKEYS} passkeys.");
    Err(Error::with_message(Reason::BusinessRuleViolation, message))
}

/// Begins adding a passkey in the session of the calling user.
///
/// # Errors
/// `PASSKEYS_UNAVAILABLE`, `SESSION_REVOKED`; `BUSINESS_RULE_VIOLATION` if the user has the maximum number of passkeys;
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn enroll_passkey(app: &App, permit: &Permit) -> Result<Begun> {
    let (user, current) = factors::caller(app, permit).await?;
    let others = ceremony::credentials(app, user.id).await?;
    check_count(others.len())?;
    let ceremony = Ceremony::begin(Purpose::Enroll(user.id, current));
    let options = app.part::<RelyingParty>().creation_options(&user, &others, ceremony.challenge())?;
    Ok(Begun::new(app, ceremony, options))
}

/// Adds a passkey, ends every other session, and queues a mail, atomically. Returns the passkey and, for the first factor, the
/// recovery codes.
///
/// # Errors
/// `INVALID_PASSKEY`, also for a ceremony that is not valid, or not any more; `PASSKEYS_UNAVAILABLE`, `SESSION_REVOKED`; `ALREADY_EXISTS` if a user has the passkey; `BUSINESS_RULE_VIOLATION` if the user has the maximum number
/// of passkeys; `CONFLICT` if the sessions were ended meanwhile; `UNAVAILABLE` if Postgres is unreachable.
pub async fn confirm_passkey(
    app: &App,
    permit: &Permit,
    token: &str,
    response: &Attestation,
    name: String,
) -> Result<(Passkey, Vec<String>)> {
    let (before, current) = factors::caller(app, permit).await?;
    let id = before.id;
    let ceremony = ceremony::take(app, token, Purpose::Enroll(id, current)).await?;
    let credential = app.part::<RelyingParty>().register(id, response, ceremony.challenge())?;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let user = users::lock(connection, Visibility::All, id).await?;
        check_count(store::count(connection, id).await?)?;
        let passkey =
            Passkey { id: PasskeyId::generate(now), user: id, name, credential, created_at: now, used_at: None };
        store::insert(connection, &passkey).await?;
        let codes = factors::add(connection, user, &before, current, now).await?;
        mail::send::<PasskeyAdded>(connection, id::new(now), Some(id.0), now).await?;
        work.audit(factors::record(id, "passkey added").with("passkey", passkey.id.to_string()));
        Ok((passkey, codes))
    });
    let added = transaction.await?;
    tracing::info!(user = %id, passkey = %added.0.id, "a passkey was added");
    factors::settle(app, id, current).await;
    Ok(added)
}

/// Renames a passkey of the calling user.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn rename_passkey(work: &mut Work, id: PasskeyId, name: &str) -> Result<Passkey> {
    let (user, ..) = session::caller(&work.permit()?)?;
    let renamed = store::rename(work.connection().await?, user, id, name).await?;
    renamed.ok_or_else(|| Error::not_found("passkey"))
}

/// Removes a passkey of the calling user, ends every other session, and queues a mail. The user signs in with the providers
/// that have the issuers.
///
/// # Errors
/// `NOT_FOUND`; `LAST_SIGN_IN_METHOD` if the user has no password, no other passkey and no identity at such a provider.
pub async fn remove_passkey(work: &mut Work, id: PasskeyId, issuers: &[String]) -> Result<()> {
    let (user_id, _, current) = session::caller(&work.permit()?)?;
    let now = work.now();
    let connection = work.connection().await?;
    // The lock serializes with other changes of the ways in which the user signs in.
    let user = users::lock(connection, Visibility::All, user_id).await?;
    if !store::delete(connection, user_id, id).await? {
        return Err(Error::not_found("passkey"));
    }
    let others = store::count(connection, user_id).await?;
    if others == 0 && !users::has_password(connection, user_id).await? {
        let identities = identities::list(connection, user_id).await?;
        if !identities.iter().any(|identity| issuers.contains(&identity.issuer)) {
            return Err(IdentityReason::LastSignInMethod.into());
        }
    }
    let user = removal::without_removed(connection, user, others, now).await?;
    let epoch = user.epoch.next(Some(current));
    let user = User { epoch, ..user };
    users::update(connection, &user).await?;
    revocation::begin_epoch(connection, user_id, user.epoch).await?;
    mail::send::<PasskeyRemoved>(connection, id::new(now), Some(user_id.0), now).await?;
    work.audit(factors::record(user_id, "passkey removed").with("passkey", id.to_string()));
    Ok(())
}
