//! Users: people who sign in.

mod email;
mod language;

use chrono::{DateTime, Utc};

use crate::{
    files::avatar::model::Avatar,
    identity::{revocation::model::Epoch, role::id::RoleId},
};
use mainstay_kernel::{
    contract::validate::{check, text},
    error::{Error, Result},
    id::{AccountId, UserId},
    numbered::numbered,
};

pub use email::EmailAddress;
pub use language::Language;

numbered! {
    /// The role of a user. Internal callers have scopes instead.
    Role {
        /// A customer reaches the account of the session only.
        Customer = 1,
        /// An agent works for all accounts, with the scopes of agents or of a custom role of the staff.
        Agent = 2,
        /// An admin has every scope.
        Admin = 3,
    }
}

/// The role of a user with the custom role that an agent may have in place of the built-in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaffRole {
    pub role: Role,
    pub custom: Option<RoleId>,
}

numbered! {
    /// Whether a user may sign in.
    State {
        /// The user may sign in.
        Active = 1,
        /// An admin has deactivated the user.
        Deactivated = 2,
    }
}

/// The deactivation of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivation {
    pub at: DateTime<Utc>,
    /// The reason, in the words of an admin.
    pub reason: String,
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// The email address; unique.
    pub email: EmailAddress,
    pub name: String,
    pub role: Role,
    /// The custom role of an agent in place of the built-in one ([`StaffRole::custom`]).
    pub staff_role: Option<RoleId>,
    /// The language of mail to the user.
    pub language: Language,
    /// The present epoch, which determines the valid sessions and access tokens.
    pub epoch: Epoch,
    pub avatar: Option<Avatar>,
    /// The deactivation, unless the user is active.
    pub deactivation: Option<Deactivation>,
    /// The time at which the user added the second factor; `None` without one.
    pub second_factor_at: Option<DateTime<Utc>>,
    /// The time of the erasure of the data, scheduled or past; `None` if the user stays.
    pub deletion_at: Option<DateTime<Utc>>,
    /// The version, which each change visible to callers increments by one.
    pub version: i64,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user was last updated.
    pub updated_at: DateTime<Utc>,
}

impl User {
    /// Creates an active user, in version 1.
    pub fn new(email: EmailAddress, name: String, role: Role, now: DateTime<Utc>) -> Self {
        Self {
            id: UserId::generate(now),
            email,
            name,
            role,
            staff_role: None,
            language: Language::default(),
            epoch: Epoch::default(),
            avatar: None,
            deactivation: None,
            second_factor_at: None,
            deletion_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the user with the new values. If no value differs, the version stays the same.
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
    pub fn in_role(self, role: Role, staff_role: Option<RoleId>, now: DateTime<Utc>) -> Self {
        Self { role, staff_role, epoch: self.epoch.next(None), version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with a second factor since a time, or without one.
    #[must_use]
    pub fn with_second_factor(self, since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { second_factor_at: since, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns whether the user is active without a scheduled deletion, as a new owner of an account must be.
    pub fn is_staying(&self) -> bool {
        self.is_active() && self.deletion_at.is_none()
    }

    /// Returns the user with a scheduled deletion, and a new epoch, which ends every session.
    #[must_use]
    pub fn schedule_deletion(self, at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let (deletion_at, epoch) = (Some(at), self.epoch.next(None));
        Self { deletion_at, epoch, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with another time of the deletion, or without one.
    #[must_use]
    pub fn with_deletion(self, deletion_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { deletion_at, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns whether the user may sign in.
    pub fn is_active(&self) -> bool {
        self.deactivation.is_none()
    }

    /// Returns whether the data was erased: the erasure gives the user an address in this domain, which has no mail.
    pub fn is_erased(&self) -> bool {
        self.email.domain() == "erased.invalid"
    }

    /// Returns the state.
    pub fn state(&self) -> State {
        if self.is_active() { State::Active } else { State::Deactivated }
    }

    /// Returns the user as deactivated, with a new epoch, which ends every session.
    #[must_use]
    pub fn deactivate(self, reason: String, now: DateTime<Utc>) -> Self {
        let deactivation = Some(Deactivation { at: now, reason });
        Self { deactivation, epoch: self.epoch.next(None), version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with another address.
    #[must_use]
    pub fn with_email(self, email: EmailAddress, now: DateTime<Utc>) -> Self {
        Self { email, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the user with the address that an unwanted change replaced, and a new epoch, which ends every session.
    #[must_use]
    pub fn recover(self, email: EmailAddress, now: DateTime<Utc>) -> Self {
        Self { epoch: self.epoch.next(None), ..self.with_email(email, now) }
    }

    /// Returns the user as active again. The sessions that the deactivation ended stay ended.
    #[must_use]
    pub fn reactivate(self, now: DateTime<Utc>) -> Self {
        Self { deactivation: None, version: self.version + 1, updated_at: now, ..self }
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

/// Returns the name of a user of a provider: the stated name or, if absent or invalid, the local part of the address.
pub fn name_of(stated: Option<&str>, email: &EmailAddress) -> String {
    let local = || email.as_str().split('@').next().unwrap_or_default().to_owned();
    stated.and_then(|text| name(text).ok()).unwrap_or_else(local)
}

/// A user as the recipient of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub user: UserId,
    pub email: String,
    pub language: Language,
}

/// A filter of users, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only users who are members of this account.
    pub account: Option<AccountId>,
    /// Only users with one of these roles; all if empty. A role that users can't have, such as that of services,
    /// matches none.
    pub roles: Vec<i16>,
    /// Only the user with this address.
    pub email: Option<EmailAddress>,
    /// Only users in this state.
    pub state: Option<State>,
}

/// New values for some of a user's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    pub language: Option<Language>,
}

/// The numbers of users by the kind of their password hash. A kind is a scheme with its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashKinds {
    /// The users with a hash of the current kind; 0 if there is no other kind.
    pub current: i64,
    /// The most frequent other kinds: the beginning of their hashes, and the number of users.
    pub others: Vec<(String, i64)>,
}

/// A user in a line of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedUser {
    pub user: User,
    /// Whether the other program has confirmed the address.
    pub is_confirmed: bool,
    /// The stored form of the password hash. Without a password, no password matches the hash.
    pub password_hash: String,
    pub has_password: bool,
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
