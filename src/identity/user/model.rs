//! Users, and the accounts they belong to.

mod email;
mod language;

use chrono::{DateTime, Utc};

use crate::files::avatar::model::Avatar;
use mainstay_kernel::{
    contract::validate::{check, text},
    error::{Error, Result},
    id::{AccountId, UserId},
    numbered::numbered,
    page::Key,
};

pub use email::EmailAddress;
pub use language::Language;

numbered! {
    /// The role of a user. Internal callers have scopes instead.
    Role {
        /// Sees the user's account only.
        Customer = 1,
        /// Works on the tickets of all accounts.
        Agent = 2,
        /// Has an agent's permissions, and manages users and keys.
        Admin = 3,
    }
}

/// A customer organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// The account the user belongs to.
    pub account: AccountId,
    /// The email address; unique.
    pub email: EmailAddress,
    pub name: String,
    pub role: Role,
    /// The language of mail to the user.
    pub language: Language,
    /// The epoch; sessions and access tokens of an earlier epoch are void.
    pub session_epoch: i32,
    pub avatar: Option<Avatar>,
    /// The version, which each change visible to callers increments by one.
    pub version: i64,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user was last updated.
    pub updated_at: DateTime<Utc>,
}

impl User {
    /// Creates a user of an account.
    pub fn new(account: AccountId, email: EmailAddress, name: String, role: Role, now: DateTime<Utc>) -> Self {
        let id = UserId::generate(now);
        Self {
            id,
            account,
            email,
            name,
            role,
            language: Language::default(),
            session_epoch: 0,
            avatar: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the user with the new values; the same version if no value differs.
    #[must_use]
    pub fn apply(self, patch: Patch, now: DateTime<Utc>) -> Self {
        let name = patch.name.unwrap_or_else(|| self.name.clone());
        let language = patch.language.unwrap_or_else(|| self.language.clone());
        if (&name, &language) == (&self.name, &self.language) {
            return self;
        }
        Self { name, language, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with another avatar, or without one.
    #[must_use]
    pub fn with_avatar(self, avatar: Option<Avatar>, now: DateTime<Utc>) -> Self {
        Self { avatar, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with another role, and a new epoch, which ends every session.
    #[must_use]
    pub fn in_role(self, role: Role, now: DateTime<Utc>) -> Self {
        Self { role, session_epoch: self.session_epoch + 1, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the position in a list by creation time.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// The maximum length of a user's name, in characters.
pub const MAX_NAME_CHARS: usize = 100;

/// Validates and normalizes a user's name that the contract's rules did not check.
///
/// # Errors
/// `VALIDATION_FAILED`.
pub fn name(text: &str) -> Result<String> {
    let name = text::line(text.to_owned()).map_err(|fault| Error::field("name", fault))?;
    if check::characters(&name) > MAX_NAME_CHARS {
        return Err(Error::field("name", format!("must be at most {MAX_NAME_CHARS} characters")));
    }
    Ok(name)
}

/// A recipient's mail address and language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub email: String,
    pub language: Language,
}

/// A filter of users, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only users of this account.
    pub account: Option<AccountId>,
    /// Only users with one of these roles; all if empty. A role that users can't have, such as that of services,
    /// matches none.
    pub roles: Vec<i16>,
    /// Only the user with this address.
    pub email: Option<EmailAddress>,
}

/// New values for some of a user's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    pub language: Option<Language>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_seen() {
        assert_eq!(name(" Ada\u{301} ").expect("a name"), "Ad\u{e1}");
        assert_eq!(name("\u{200f}\u{5d0}\u{5d1}").expect("a name"), "\u{200f}\u{5d0}\u{5d1}");
        for wrong in ["", "  ", "\u{200b}", "\u{3164}", "Ada\nLovelace", "Ada\u{2028}Lovelace", "a\0", &"a".repeat(101)]
        {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
