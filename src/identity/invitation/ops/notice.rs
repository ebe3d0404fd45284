//! The mail of an invitation.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    account::store as accounts,
    credential::model as token,
    invitation::{id::InvitationId, model::Invitation, store},
    user::{model::Language, store as users},
};
use mainstay_kernel::{caller::Visibility, database::Connection, error::Result, secret::SecretKey};

/// The content of an invitation's mail.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) invitation: Invitation,
    pub(crate) account_name: String,
    pub(crate) inviter_name: String,
    /// The language of the user who has the address, or else of the user who invites.
    pub(crate) language: Language,
    pub(crate) token: SecretString,
}

/// Creates the token of an invitation and stores its hash; `None` if the invitation was accepted or revoked, or has expired.
pub(crate) async fn notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: InvitationId,
    now: DateTime<Utc>,
) -> Result<Option<Notice>> {
    let invitation = store::get(connection, Visibility::All, id).await?;
    if invitation.expires_at <= now {
        return Ok(None);
    }
    let account_name = accounts::get(connection, Visibility::All, invitation.account).await?.name;
    let inviter = users::get(connection, Visibility::All, invitation.invited_by).await?;
    let user = users::by_email(connection, &invitation.email).await?;
    let language = user.map_or(inviter.language, |(user, _)| user.language);
    let token = token::write_invitation(secret, id.0);
    store::set_token(connection, id, token::hash(token.expose_secret())).await?;
    Ok(Some(Notice { invitation, account_name, inviter_name: inviter.name, language, token }))
}
