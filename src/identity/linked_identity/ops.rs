//! Users list, link and unlink the people at providers with whom they sign in.

use chrono::{DateTime, Utc};

use crate::{
    identity::{
        auth::ops as auth,
        linked_identity::{
            id::LinkedIdentityId,
            model::{LinkedIdentity, MAX_PER_USER},
            store,
        },
        mails::{IdentityLinked, IdentityUnlinked},
        provider::model::Person,
        second_factor::store::passkey as passkeys,
        session::ops as session,
        user::{model::EmailAddress, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Reason, Result},
    id::{self, UserId},
    unit_of_work::Work,
};

/// Returns the identity of a person, if it is linked.
pub(crate) async fn find(connection: &mut Connection, person: &Person) -> Result<Option<LinkedIdentity>> {
    store::find(connection, person).await
}

/// Returns the identities of the calling user, oldest first.
pub async fn list_own(connection: &Connection, permit: &Permit) -> Result<Vec<LinkedIdentity>> {
    store::list(connection, session::caller(permit)?.0).await
}

/// Returns the identities of a user, oldest first.
///
/// # Errors
/// `NOT_FOUND` if the caller reaches no such user.
pub async fn list(connection: &Connection, permit: &Permit, user: UserId) -> Result<Vec<LinkedIdentity>> {
    users::get(connection, permit.visibility(), user).await?;
    store::list(connection, user).await
}

/// Links a person to a user.
///
/// # Errors
/// `ALREADY_EXISTS` if the person is linked to a user; `BUSINESS_RULE_VIOLATION` if the user has the maximum number of
/// identities.
pub(crate) async fn insert(work: &mut Work, user: UserId, person: &Person) -> Result<()> {
    let now = work.now();
    let identity = LinkedIdentity {
        id: LinkedIdentityId::generate(now),
        user,
        provider: person.provider,
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        // Of a text that is no address, nothing is kept.
        email: person.email.as_deref().and_then(|email| EmailAddress::parse(email).ok()).map(String::from),
        created_at: now,
    };
    let connection = work.connection().await?;
    // The lock serializes with other links of the user.
    users::lock(connection, Visibility::All, user).await?;
    if store::list(connection, user).await?.len() >= MAX_PER_USER {
        let message = format!("A user can have at most {MAX_PER_USER} identities.");
        return Err(Error::with_message(Reason::BusinessRuleViolation, message));
    }
    store::insert(connection, &identity).await
}

/// Links a person to an existing user, and queues a mail about it.
///
/// # Errors
/// As [`insert`].
pub(crate) async fn link(work: &mut Work, user: UserId, person: &Person) -> Result<()> {
    insert(work, user, person).await?;
    let now = work.now();
    mail::send::<IdentityLinked>(work.connection().await?, id::new(now), Some(user.0), now).await?;
    work.audit(auth::of_user(user).with("linkedIdentity", "linked").with("issuer", person.issuer.as_str()));
    Ok(())
}

/// Removes all identities of a user, and queues a mail if there is one.
pub(crate) async fn delete_all(connection: &Connection, user: UserId, now: DateTime<Utc>) -> Result<()> {
    if store::delete_of_user(connection, user).await? == 0 {
        return Ok(());
    }
    mail::send::<IdentityUnlinked>(connection, id::new(now), Some(user.0), now).await
}

/// Removes an identity of the calling user, and queues a mail. The user signs in with the providers that have the issuers.
///
/// # Errors
/// `NOT_FOUND`; `LAST_SIGN_IN_METHOD` if the user has no password, no passkey and no other identity at such a provider, or at the
/// provider of an account.
pub async fn delete(work: &mut Work, id: LinkedIdentityId, issuers: &[String]) -> Result<()> {
    let (user, ..) = session::caller(&work.permit()?)?;
    let now = work.now();
    let connection = work.connection().await?;
    // The lock serializes with other changes of the ways in which the user signs in.
    users::lock(connection, Visibility::All, user).await?;
    let identities = store::list(connection, user).await?;
    let identity = identities.iter().find(|identity| identity.id == id);
    let identity = identity.ok_or_else(|| Error::not_found("linked identity"))?;
    let is_usable = |other: &LinkedIdentity| other.provider.is_some() || issuers.contains(&other.issuer);
    let is_left = |other: &LinkedIdentity| other.id != id && is_usable(other);
    if !identities.iter().any(is_left)
        && !users::has_password(connection, user).await?
        && passkeys::count(connection, user).await? == 0
    {
        return Err(IdentityReason::LastSignInMethod.into());
    }
    store::delete(connection, id).await?;
    mail::send::<IdentityUnlinked>(connection, id::new(now), Some(user.0), now).await?;
    let record = auth::of_user(user).with("linkedIdentity", "unlinked").with("issuer", identity.issuer.as_str());
    work.audit(record);
    Ok(())
}
