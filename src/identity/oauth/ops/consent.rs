//! The consents of a user.

use mainstay_kernel::{
    audit::Record,
    caller::Permit,
    database::Connection,
    error::{Error, Result},
    unit_of_work::Work,
};

use crate::identity::{
    oauth::{model::Consent, store},
    oauth_client::id::OauthClientId,
    session::{ops as session, store as sessions},
};

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
    if !store::delete_consent(connection, user, client).await? {
        return Err(Error::not_found("consent"));
    }
    // After the codes: an exchange that was faster has begun its session.
    sessions::end_of_client(connection, client, Some(user)).await?;
    work.audit(Record::about("identity.oauth_consent", Some(client.0), account).with("withdrawn", true));
    Ok(())
}
