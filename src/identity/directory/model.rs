//! A person as other modules see it.

use mainstay_kernel::id::UserId;

use crate::identity::user::model::{EmailAddress, Language, User};

/// A person who signs in. The name and the address are personal data: a module that stores them declares their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user, whom a row of another module names.
    pub id: UserId,
    /// The display name.
    pub name: String,
    /// The address for mail. It may change, so that it identifies no one.
    pub email: EmailAddress,
    /// The language of mail.
    pub language: Language,
    /// Whether the person may sign in.
    pub is_active: bool,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        let is_active = user.is_active();
        Self { id: user.id, name: user.name, email: user.email, language: user.language, is_active }
    }
}
