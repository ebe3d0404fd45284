//! Begins sign-ins by mail.

use std::net::IpAddr;

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    identity::{
        auth::limits,
        config::IdentityConfig,
        credential::model as token,
        mail_login::{
            model::{LIFE, MailLogin},
            store,
        },
        mails,
        user::model::EmailAddress,
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{app::App, error::Result, secret::random, unit_of_work::Work};

/// A sign-in by mail that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The secret that the browser keeps, and sends with its answer.
    pub binding: SecretString,
    /// How long the mail works.
    pub life: TimeDelta,
}

/// Returns whether people may sign in by mail.
pub fn is_offered(app: &App) -> bool {
    app.config.section::<IdentityConfig>().mail_sign_in
}

/// Checks that people may sign in by mail.
///
/// # Errors
/// `MAIL_SIGN_IN_DISABLED`.
pub(super) fn admit(app: &App) -> Result<()> {
    if is_offered(app) { Ok(()) } else { Err(IdentityReason::MailSignInDisabled.into()) }
}

/// Sends a link and a code to an address, if a user has it. Both cases do the same work: the user is looked up when the mail is
/// sent, which for an unknown address has no recipient.
///
/// # Errors
/// `MAIL_SIGN_IN_DISABLED`, `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn begin(app: &App, email: EmailAddress, from: IpAddr) -> Result<Begun> {
    admit(app)?;
    limits::mail_request(app, from).await?;
    let now = app.clock.now();
    let login = MailLogin::begin(email, now);
    let binding = token::write_mail_binding(&random());
    let hash = token::hash(binding.expose_secret());
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            store::insert(connection, &login, hash).await?;
            mail::send::<mails::MailLogin>(connection, login.id.0, None, now).await
        })
        .await?;
    Ok(Begun { binding, life: LIFE })
}
