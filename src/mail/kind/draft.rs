//! The recipient and the values of a mail.

use std::fmt;

use crate::{
    identity::user::{
        model::{Contact, EmailAddress, Language},
        ops as user,
    },
    mail::{kind::Content, model::Mail},
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::Result,
    id::{AccountId, UserId},
};
use uuid::Uuid;

/// A mail that is not rendered yet. Its `Debug` output shows neither the address nor the values.
pub struct Draft {
    /// The recipient's address.
    pub(crate) to: String,
    pub(crate) language: Language,
    pub(crate) content: Box<dyn Content>,
    /// The recipient, if that is known to be a user: the link of a notification unsubscribes this user.
    pub(crate) user: Option<UserId>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft")
    }
}

impl Draft {
    /// Addresses a mail to an address, in a language.
    pub fn new(to: impl Into<String>, language: Language, content: impl Content + 'static) -> Self {
        Self { to: to.into(), language, content: Box::new(content), user: None }
    }

    /// Addresses a mail to an address, in the language of its user, or in English.
    pub async fn to_address(
        connection: &mut Connection,
        to: &str,
        content: impl Content + 'static,
    ) -> Result<Option<Self>> {
        let user = match EmailAddress::find(to) {
            Ok(address) => user::by_email(connection, &address).await?,
            Err(_) => None,
        };
        let (user, language) = user.map(|(user, _)| (user.id, user.language)).unzip();
        Ok(Some(Self { user, ..Self::new(to, language.unwrap_or_default(), content) }))
    }

    /// Addresses a mail to the present address of a user whose data was not erased. A notice of security reaches a deactivated
    /// user, too: otherwise whoever impersonated the user could prevent it.
    ///
    /// # Errors
    /// `NOT_FOUND`, which leaves the mail without a recipient; any database error.
    pub async fn to_user(
        connection: &mut Connection,
        id: UserId,
        content: impl Content + 'static,
    ) -> Result<Option<Self>> {
        let user = user::read(connection, Visibility::All, id).await?;
        if user.is_erased() {
            return Ok(None);
        }
        Ok(Some(Self { user: Some(id), ..Self::new(user.email, user.language, content) }))
    }

    /// Addresses a mail to a user, if that user is an active member of an account.
    pub async fn to_member(
        connection: &mut Connection,
        id: UserId,
        account: AccountId,
        content: impl Content + 'static,
    ) -> Result<Option<Self>> {
        let contact = user::contact(connection, id.0, account).await?;
        Ok(contact.map(|contact| Self::to_contact(contact, content)))
    }

    /// Addresses a mail about money to an active member of an account or, if that user has left it, was deactivated or was a
    /// service key of the account, to the longest-standing active owner, or else to the deactivated member.
    pub async fn to_member_or_owner(
        connection: &mut Connection,
        principal: Uuid,
        account: AccountId,
        content: impl Content + 'static,
    ) -> Result<Option<Self>> {
        let contact = user::contact_or_owner(connection, principal, account).await?;
        Ok(contact.map(|contact| Self::to_contact(contact, content)))
    }

    fn to_contact(contact: Contact, content: impl Content + 'static) -> Self {
        Self { user: Some(contact.user), ..Self::new(contact.email, contact.language, content) }
    }

    /// Adds what is not in Postgres.
    pub(crate) async fn complete(self, app: &App, mail: &Mail) -> Self {
        Self { content: self.content.complete(app, mail).await, ..self }
    }
}
