//! Registrations: pending confirmations of e-mail addresses.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{
    registration::id::RegistrationId,
    user::model::{EmailAddress, Language},
};

/// The lifetime of a registration's token. No second mail is sent to the address in that time.
pub const LIFE: TimeDelta = TimeDelta::hours(24);

/// Who may register without an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Every address.
    Open,
    /// No address: users are invited, or created by operators.
    Invitation,
    /// The addresses of these domains, in ASCII without capitals.
    Domains(Vec<String>),
}

impl RegistrationPolicy {
    /// Returns whether an address may register.
    pub fn admits(&self, email: &EmailAddress) -> bool {
        match self {
            Self::Open => true,
            Self::Invitation => false,
            Self::Domains(domains) => domains.iter().any(|domain| domain == email.domain()),
        }
    }
}

impl FromStr for RegistrationPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => return Ok(Self::Open),
            "invitation" => return Ok(Self::Invitation),
            _ => {}
        }
        let domain = |name: &str| {
            let address = EmailAddress::parse(&format!("any@{}", name.trim())).ok();
            let address = address.filter(|_| name.contains('.'));
            let fault = || format!("must be open, invitation or mail domains separated by commas: {name:?} is none");
            address.map(|address| address.domain().to_owned()).ok_or_else(fault)
        };
        text.split(',').map(domain).collect::<Result<_, _>>().map(Self::Domains)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_admits_the_addresses_of_its_domains() {
        let admits = |policy: &str, email: &str| {
            let policy: RegistrationPolicy = policy.parse().expect("a policy");
            policy.admits(&EmailAddress::parse(email).expect("an address"))
        };
        assert!(admits("open", "ada@example.org") && !admits("invitation", "ada@example.org"));
        for email in ["ada@example.org", "ada@bücher.example"] {
            assert!(admits("Example.org, bücher.example", email), "{email}");
        }
        for email in ["ada@sub.example.org", "ada@notexample.org", "ada@example.org.evil.example"] {
            assert!(!admits("example.org,bücher.example", email), "{email}");
        }
        for wrong in ["", "closed", "example.org,", "ada@example.org", "example .org"] {
            assert!(wrong.parse::<RegistrationPolicy>().is_err(), "{wrong:?}");
        }
    }
}
