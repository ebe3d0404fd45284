//! The mails about the change of an address.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    credential::model as token,
    email_change::{
        id::EmailChangeId,
        model::{Confirmation, EmailChange},
        store,
    },
    user::{model::Language, store as user},
};
use mainstay_kernel::{caller::Visibility, database::Connection, error::Result, secret::SecretKey};

/// The content of the mail to a new address.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The token that confirms the address; the language of the user who asked for the change.
    Token(EmailChange, Language, SecretString),
    /// The address belongs to another user; that user's language.
    Taken(EmailChange, Language),
}

/// Creates the token that confirms a change, and stores its hash; `None` if the change can't be confirmed any more.
pub(crate) async fn notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: EmailChangeId,
    now: DateTime<Utc>,
) -> Result<Option<Notice>> {
    let Some(change) = store::find(connection, id, now).await? else { return Ok(None) };
    let user = user::get(connection, Visibility::All, change.user).await?;
    if !change.is_open_to(&user) {
        return Ok(None);
    }
    if let Some((owner, _)) = user::by_email(connection, &change.new).await? {
        return Ok(Some(Notice::Taken(change, owner.language)));
    }
    let token = token::write_email_change(secret, id.0);
    store::set_token(connection, &change, token::hash(token.expose_secret())).await?;
    Ok(Some(Notice::Token(change, user.language, token)))
}

/// The content of the mail to the address before.
#[derive(Debug)]
pub(crate) struct UndoNotice {
    pub(crate) confirmation: Confirmation,
    pub(crate) language: Language,
    pub(crate) token: SecretString,
    /// When the token expires.
    pub(crate) until: DateTime<Utc>,
}

/// Creates the token that undoes a confirmed change, and stores its hash; `None` if the change was undone.
pub(crate) async fn undo_notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: EmailChangeId,
    now: DateTime<Utc>,
) -> Result<Option<UndoNotice>> {
    let Some(change) = store::find(connection, id, now).await? else { return Ok(None) };
    let Some(confirmation) = change.confirmation.clone() else { return Ok(None) };
    let language = user::get(connection, Visibility::All, change.user).await?.language;
    let token = token::write_email_undo(secret, id.0);
    store::set_token(connection, &change, token::hash(token.expose_secret())).await?;
    Ok(Some(UndoNotice { confirmation, language, token, until: change.expires_at }))
}
