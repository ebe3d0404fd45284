//! Registrations: pending confirmations of e-mail addresses.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{
    registration::id::RegistrationId,
    user::model::{EmailAddress, Language},
};

/// The lifetime of a registration's token. No second mail is sent to the address in that time.
pub const LIFE: TimeDelta = TimeDelta::hours(24);

/// A registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub id: RegistrationId,
    pub email: EmailAddress,
    /// The language of the mail, and of the user.
    pub language: Language,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

impl Registration {
    /// Begins the registration of an address, whether or not the address belongs to a user.
    pub fn begin(email: EmailAddress, language: Language, now: DateTime<Utc>) -> Self {
        Self { id: RegistrationId::generate(now), email, language, expires_at: now + LIFE }
    }
}
