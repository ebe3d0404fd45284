//! Begins registrations.

use std::net::IpAddr;

use crate::{
    identity::{
        auth::limits,
        config::IdentityConfig,
        mails,
        registration::{model::Registration, store},
        user::model::{EmailAddress, Language},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{app::App, error::Result, unit_of_work::Work};

/// Sends a token to an address, or a notice if the address belongs to a user. Both cases do the same work, so timing
/// does not reveal whether the address is registered.
///
/// # Errors
/// `REGISTRATION_CLOSED`, which depends on the configuration and the address alone; `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn request(app: &App, email: EmailAddress, language: Language, from: IpAddr) -> Result<()> {
    admit(app, &email)?;
    limits::mail_request(app, from).await?;
    let now = app.clock.now();
    let registration = Registration::begin(email, language, now);
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            store::insert(connection, &registration).await?;
            mail::send::<mails::Registration>(connection, registration.id.0, None, now).await
        })
        .await
}

/// Checks that the configuration lets an address register.
///
/// # Errors
/// `REGISTRATION_CLOSED`.
pub(crate) fn admit(app: &App, email: &EmailAddress) -> Result<()> {
    if app.config.section::<IdentityConfig>().registration.admits(email) {
        return Ok(());
    }
    Err(IdentityReason::RegistrationClosed.into())
}
