//! The mail to the address of a registration.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    credential::model as token,
    registration::{id::RegistrationId, model::Registration, store},
    user::{model::Language, store as user},
};
use mainstay_kernel::{database::Connection, error::Result, secret::SecretKey};

/// The content of a registration's mail.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The token that confirms the address.
    Token(Registration, SecretString),
    /// The address belongs to an existing user; the user's language.
    Known(Registration, Language),
}

/// Creates the token of a registration and stores its hash; `None` if the registration no longer exists. The token is
/// valid until `until`, the time after which its mail is not sent. A redriven mail extends that by a day.
pub(crate) async fn notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: RegistrationId,
    until: DateTime<Utc>,
) -> Result<Option<Notice>> {
    let Some(registration) = store::find(connection, id).await? else { return Ok(None) };
    if let Some((user, _)) = user::by_email(connection, &registration.email).await? {
        return Ok(Some(Notice::Known(registration, user.language)));
    }
    let token = token::write_registration(secret, id.0);
    let expires_at = registration.expires_at.max(until);
    store::set_token(connection, id, token::hash(token.expose_secret()), expires_at).await?;
    Ok(Some(Notice::Token(Registration { expires_at, ..registration }, token)))
}
