//! What is sent to the address of a registration.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    credential::model as token,
    registration::{id::RegistrationId, model::Registration, store},
    user::{model::Language, store as user},
};
use mainstay_kernel::{database::Connection, error::Result, secret::SecretKey};

/// What the mail about a registration says.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The token, with which the address can be confirmed.
    Token(Registration, SecretString),
    /// A user has the address; and the user's language.
    Known(Registration, Language),
}

/// Makes the token of a registration, of which only the hash is stored; `None` if there is no such registration any more.
/// The token is valid for as long as its mail is worth sending, `until`: one that is redriven has a day more.
///
/// # Errors
/// Any error of Postgres.
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
