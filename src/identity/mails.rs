//! Mail about users, accounts and their security.

mod address;
mod deletion;
mod sign_in;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use serde::Serialize;

use crate::{
    identity::{account_domain::ops as account_domain, second_factor::model::RESET_DELAY},
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, template, unlinked},
};
use mainstay_kernel::{config::Quota, error::Result, schedule::HOUR};

pub(crate) use address::{EmailChange, EmailChanged, Invitation, MailLogin, PasswordReset, Registration};
pub(crate) use deletion::{DeletionDone, DeletionScheduled};
pub(crate) use sign_in::SignIn;

/// Declares notices to a user, who is the parent, of what happened with the sign-in. The cause is an event.
macro_rules! notices {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $is_urgent:literal, $per_hour:literal, $delay:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $kind {
            at: DateTime<Utc>,
            link: String,
        }

        impl MailKind for $kind {
            const NAME: &'static str = $name;
            const TEMPLATES: &'static [Template] = &[template!("../mail/templates", $name, ["de", "en"])];
            const IS_URGENT: bool = $is_urgent;
            const LIMIT: Quota = Quota { requests: $per_hour, window: HOUR };

            async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
                let content = Self { at: mail.created_at + $delay, link: links.request_reset() };
                Draft::to_user(connection, mail.topic.user()?, content).await
            }

            fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
                vec![Self { at: now + $delay, link: links.request_reset() }]
            }

            fn values(&self, locale: Locale) -> impl Serialize {
                context! { at => locale.time(self.at), link => self.link }
            }
        }
    )*};
}

// A recovery code works once, and the other changes follow a recent authentication: 10 in an hour are enough.
notices! {
    /// A user changed the password.
    PasswordChanged = "password_changed", true, 5, TimeDelta::zero();
    /// A user added a second factor.
    SecondFactorAdded = "second_factor_added", true, 10, TimeDelta::zero();
    /// The second factor of a user was removed.
    SecondFactorRemoved = "second_factor_removed", true, 10, TimeDelta::zero();
    /// A user used a recovery code.
    RecoveryCodeUsed = "recovery_code_used", true, 10, TimeDelta::zero();
    /// An admin has reset the second factor of a user, who can cancel it until the time in the mail.
    SecondFactorReset = "second_factor_reset", true, 10, RESET_DELAY;
    /// A person at a sign-in provider was linked to a user.
    IdentityLinked = "identity_linked", true, 10, TimeDelta::zero();
    /// A user unlinked a person at a sign-in provider.
    IdentityUnlinked = "identity_unlinked", true, 10, TimeDelta::zero();
    /// A user added a passkey.
    PasskeyAdded = "passkey_added", true, 10, TimeDelta::zero();
    /// A user removed a passkey.
    PasskeyRemoved = "passkey_removed", true, 10, TimeDelta::zero();
    /// A passkey was refused, because its counter did not increase.
    PasskeyRefused = "passkey_refused", true, 10, TimeDelta::zero();
    /// Staff has started to act in the name of a user.
    Impersonation = "impersonation", false, 20, TimeDelta::zero();
}

/// Mail domains of accounts that a user, the parent, owns are no longer proved.
pub(crate) struct DomainLapsed {
    /// The domains, each with the name of its account.
    domains: Vec<(String, String)>,
}

/// The most lapsed domains that a mail names.
const MAX_DOMAINS: i64 = 20;

impl MailKind for DomainLapsed {
    const NAME: &'static str = "domain_lapsed";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "domain_lapsed", ["de", "en"])];

    async fn compose(Compose { connection, mail, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let user = mail.topic.user()?;
        let domains = account_domain::lapsed_of_owner(connection, user, MAX_DOMAINS).await?;
        if domains.is_empty() {
            return Ok(None);
        }
        Draft::to_user(connection, user, Self { domains }).await
    }

    fn samples(_: Links<'_>, _: DateTime<Utc>) -> Vec<Self> {
        vec![Self { domains: vec![("engines.example".to_owned(), "Analytical Engines <Ltd>".to_owned())] }]
    }

    fn values(&self, _: Locale) -> impl Serialize {
        context! {
            domains => self.domains.iter().map(|(domain, account)| {
                context! { domain => unlinked(domain), account => unlinked(account) }
            }).collect::<Vec<_>>(),
        }
    }
}
