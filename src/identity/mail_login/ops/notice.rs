//! The mail of a sign-in.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    credential::model as token,
    mail_login::{id::MailLoginId, model::Sent, store},
    user::{
        model::{EmailAddress, Language},
        store as user,
    },
};
use mainstay_kernel::{database::Connection, error::Result, secret::SecretKey};

/// The content of the mail.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) email: EmailAddress,
    pub(crate) language: Language,
    pub(crate) token: SecretString,
    pub(crate) code: SecretString,
    /// When both expire.
    pub(crate) until: DateTime<Utc>,
}

/// Creates the token and the code of a sign-in, and stores the hash of the token; `None` if no active user has the address, or
/// the sign-in has ended.
pub(crate) async fn notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: MailLoginId,
    now: DateTime<Utc>,
) -> Result<Option<Notice>> {
    let Some(login) = store::find(connection, id, now).await? else { return Ok(None) };
    let user = user::by_email(connection, &login.email).await?.map(|(user, _)| user);
    let Some(user) = user.filter(|user| user.is_active()) else { return Ok(None) };
    let token = token::write_mail_login(secret, id.0);
    let sent = Sent { user: user.id, epoch: user.epoch.number, token_hash: token::hash(token.expose_secret()) };
    store::set_sent(connection, id, &sent).await?;
    let code = token::write_mail_code(secret, id.0);
    Ok(Some(Notice { email: user.email, language: user.language, token, code, until: login.expires_at }))
}
