//! The consents of a user.

use mainstay_kernel::{
    audit::Record,
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
    unit_of_work::Work,
};

use crate::identity::{
    oauth::{model::Consent, store},
    oauth_client::{id::OauthClientId, store as clients},
    session::{ops as session, store as sessions},
    user::{model::Role, store as users},
};

/// Stores that a user has agreed to scopes of an application, in the account of a session, beside those of before.
pub(super) async fn agree(
    work: &mut Work,
    client: OauthClientId,
    (user, account): (UserId, Option<AccountId>),
    scopes: &[String],
) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let mut agreed = store::find_consent(connection, user, client).await?;
    let new: Vec<_> = scopes.iter().filter(|scope| !agreed.contains(scope)).cloned().collect();
    agreed.extend(new);
    store::put_consent(connection, user, client, &agreed, now).await?;
    let is_staff = users::get(connection, Visibility::All, user).await?.role != Role::Customer;
    let record = Record::about("identity.oauth_consent", Some(client.0), account).by(user, is_staff);
    work.audit(record.with("scopes", agreed));
    Ok(())
}

/// Returns the consents of the caller.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn list(connection: &Connection, permit: &Permit) -> Result<Vec<Consent>> {
    let (user, ..) = session::caller(permit)?;
    store::list_consents(connection, user).await
}

/// Withdraws a consent of the caller, and ends the sessions of the application with the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub(crate) async fn withdraw(work: &mut Work, client: OauthClientId) -> Result<()> {
    let (user, account, _) = session::caller(&work.permit()?)?;
    let connection = work.connection().await?;
    // The locks have the order of a decision about a device.
    clients::keep(connection, client).await?;
    store::device::delete_of(connection, user, client).await?;
    if !store::delete_consent(connection, user, client).await? {
        return Err(Error::not_found("consent"));
    }
    // After the codes: an exchange that was faster has begun its session.
    sessions::end_of_client(connection, client, Some(user)).await?;
    work.audit(Record::about("identity.oauth_consent", Some(client.0), account).with("withdrawn", true));
    Ok(())
}
