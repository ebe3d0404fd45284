//! Mail with links that prove an address.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    identity::{
        auth::ops as auth,
        credential::model as token,
        email_change::{
            id::EmailChangeId,
            ops::{Notice as ChangeNotice, notice as change_notice, undo_notice},
        },
        invitation::{id::InvitationId, ops::notice as invitation_notice},
        mail_login::{
            id::MailLoginId,
            model::LIFE as MAIL_LOGIN_LIFE,
            ops::{Notice as LoginNotice, notice as login_notice},
        },
        registration::{
            id::RegistrationId,
            ops::{Notice, notice},
        },
        user::ops as user,
    },
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, template, unlinked},
};
use mainstay_kernel::{caller::Visibility, config::Quota, error::Result, schedule::HOUR};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The link resets the password of a user, the parent, once, until a time; the parent is no user if the address is unknown.
/// The cause is the request.
pub(crate) struct PasswordReset {
    link: String,
    until: DateTime<Utc>,
}

impl MailKind for PasswordReset {
    const NAME: &'static str = "password_reset";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "password_reset", ["de", "en"])];
    const IS_URGENT: bool = true;
    const IS_FOR_ANY_ADDRESS: bool = true;
    /// The lifetime of its token.
    const LIFETIME: TimeDelta = TimeDelta::hours(1);
    const LIMIT: Quota = Quota { requests: 5, window: HOUR };

    async fn compose(Compose { connection, mail, secret, links, now }: Compose<'_>) -> Result<Option<Draft>> {
        let user = user::read(connection, Visibility::All, mail.topic.user()?).await?;
        if !user.is_active() {
            return Ok(None);
        }
        let token = token::write_reset(secret, mail.id.0);
        let hash = token::hash(token.expose_secret());
        auth::store_reset(connection, hash, user.id, now, mail.expires_at).await?;
        let content = Self { link: links.reset(token.expose_secret()), until: mail.expires_at };
        Ok(Some(Draft::new(user.email, user.language, content)))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self { link: links.reset(Links::SAMPLE_TOKEN), until: now + TimeDelta::hours(1) }]
    }

    fn required_link(&self) -> Option<&str> {
        Some(&self.link)
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! { link => self.link, until => locale.time(self.until) }
    }
}

/// The link and the code sign a user in, once, until a time, in the browser that asked for them. The cause is the sign-in.
pub(crate) struct MailLogin {
    link: String,
    code: String,
    until: DateTime<Utc>,
}

impl MailKind for MailLogin {
    const NAME: &'static str = "mail_login";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "mail_login", ["de", "en"])];
    const IS_URGENT: bool = true;
    const IS_FOR_ANY_ADDRESS: bool = true;
    const LIFETIME: TimeDelta = MAIL_LOGIN_LIFE;
    const LIMIT: Quota = Quota { requests: 5, window: HOUR };

    async fn compose(Compose { connection, mail, secret, links, now }: Compose<'_>) -> Result<Option<Draft>> {
        let notice = login_notice(connection, secret, MailLoginId(mail.topic.id), now).await?;
        let Some(LoginNotice { email, language, token, code, until }) = notice else { return Ok(None) };
        let link = links.sign_in(token.expose_secret());
        Ok(Some(Draft::new(email, language, Self { link, code: code.expose_secret().to_owned(), until })))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let (link, code) = (links.sign_in(Links::SAMPLE_TOKEN), "12345678".to_owned());
        vec![Self { link, code, until: now + MAIL_LOGIN_LIFE }]
    }

    fn required_link(&self) -> Option<&str> {
        Some(&self.link)
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let (first, last) = self.code.split_at(self.code.len() / 2);
        context! { link => self.link, code => format!("{first} {last}"), until => locale.time(self.until) }
    }
}

/// The registration of an address was requested.
pub(crate) enum Registration {
    /// The link confirms the address, once, until a time.
    New { link: String, until: DateTime<Utc> },
    /// The address belongs to a user.
    Known { link: String },
}

impl MailKind for Registration {
    const NAME: &'static str = "registration";
    const TEMPLATES: &'static [Template] = &[
        template!("../../mail/templates", "registration", ["de", "en"]),
        template!("../../mail/templates", "already_registered", ["de", "en"]),
    ];
    const IS_URGENT: bool = true;
    const IS_FOR_ANY_ADDRESS: bool = true;
    /// The address is not confirmed. One mail suffices for the lifetime of the token, which is that of the mail.
    const LIMIT: Quota = Quota { requests: 1, window: DAY };
    const LIMITS_TAGGED: bool = true;

    async fn compose(Compose { connection, mail, secret, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let notice = notice(connection, secret, RegistrationId(mail.topic.id), mail.expires_at).await?;
        Ok(notice.map(|notice| match notice {
            Notice::Token(registration, token) => {
                let link = links.register(token.expose_secret());
                let content = Self::New { link, until: registration.expires_at };
                Draft::new(registration.email, registration.language, content)
            }
            // In the user's language, because the requester may be another person.
            Notice::Known(registration, language) => {
                Draft::new(registration.email, language, Self::Known { link: links.request_reset() })
            }
        }))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let until = now + TimeDelta::hours(24);
        let known = Self::Known { link: links.request_reset() };
        vec![Self::New { link: links.register(Links::SAMPLE_TOKEN), until }, known]
    }

    fn template(&self) -> &'static str {
        match self {
            Self::New { .. } => "registration",
            Self::Known { .. } => "already_registered",
        }
    }

    fn required_link(&self) -> Option<&str> {
        match self {
            Self::New { link, .. } => Some(link),
            Self::Known { .. } => None,
        }
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        match self {
            Self::New { link, until } => context! { link, until => locale.time(*until) },
            Self::Known { link } => context! { link },
        }
    }
}

/// A user, the parent, asked for another address. The cause is the change.
pub(crate) enum EmailChange {
    /// The link confirms the new address, once, until a time.
    Free { link: String, until: DateTime<Utc> },
    /// The new address belongs to another user.
    Taken { link: String },
}

impl MailKind for EmailChange {
    const NAME: &'static str = "email_change";
    const TEMPLATES: &'static [Template] = &[
        template!("../../mail/templates", "email_change", ["de", "en"]),
        template!("../../mail/templates", "email_taken", ["de", "en"]),
    ];
    const IS_URGENT: bool = true;
    const IS_FOR_ANY_ADDRESS: bool = true;
    /// The address is not confirmed, but the user may have to correct a mistyped address and return to it.
    const LIMIT: Quota = Quota { requests: 3, window: DAY };

    async fn compose(Compose { connection, mail, secret, links, now }: Compose<'_>) -> Result<Option<Draft>> {
        let notice = change_notice(connection, secret, EmailChangeId(mail.topic.id), now).await?;
        Ok(notice.map(|notice| match notice {
            ChangeNotice::Token(change, language, token) => {
                let link = links.confirm_email(token.expose_secret());
                Draft::new(change.new, language, Self::Free { link, until: change.expires_at })
            }
            ChangeNotice::Taken(change, language) => {
                Draft::new(change.new, language, Self::Taken { link: links.request_reset() })
            }
        }))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let until = now + TimeDelta::hours(24);
        let taken = Self::Taken { link: links.request_reset() };
        vec![Self::Free { link: links.confirm_email(Links::SAMPLE_TOKEN), until }, taken]
    }

    fn template(&self) -> &'static str {
        match self {
            Self::Free { .. } => "email_change",
            Self::Taken { .. } => "email_taken",
        }
    }

    fn required_link(&self) -> Option<&str> {
        match self {
            Self::Free { link, .. } => Some(link),
            Self::Taken { .. } => None,
        }
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        match self {
            Self::Free { link, until } => context! { link, until => locale.time(*until) },
            Self::Taken { link } => context! { link },
        }
    }
}

/// The address of a user, the parent, was changed: a notice to the address before, with a link that undoes it, once, until
/// a time. The cause is the change.
pub(crate) struct EmailChanged {
    at: DateTime<Utc>,
    link: String,
    until: DateTime<Utc>,
}

impl MailKind for EmailChanged {
    const NAME: &'static str = "email_changed";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "email_changed", ["de", "en"])];
    const IS_URGENT: bool = true;
    const LIMIT: Quota = Quota { requests: 5, window: HOUR };

    async fn compose(Compose { connection, mail, secret, links, now }: Compose<'_>) -> Result<Option<Draft>> {
        let notice = undo_notice(connection, secret, EmailChangeId(mail.topic.id), now).await?;
        let Some(notice) = notice else { return Ok(None) };
        let link = links.undo_email(notice.token.expose_secret());
        let content = Self { at: notice.confirmation.at, link, until: notice.until };
        Ok(Some(Draft::new(notice.confirmation.old, notice.language, content)))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self { at: now, link: links.undo_email(Links::SAMPLE_TOKEN), until: now + TimeDelta::days(7) }]
    }

    fn required_link(&self) -> Option<&str> {
        Some(&self.link)
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! { at => locale.time(self.at), link => self.link, until => locale.time(self.until) }
    }
}

/// An address was invited to an account. The link accepts it, once, until a time. The cause is an event, and the parent
/// the invitation.
pub(crate) struct Invitation {
    account: String,
    inviter: String,
    link: String,
    until: DateTime<Utc>,
}

impl MailKind for Invitation {
    const NAME: &'static str = "invitation";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "invitation", ["de", "en"])];
    const IS_FOR_ANY_ADDRESS: bool = true;
    /// An account may send many, so that one recipient gets few.
    const LIMIT: Quota = Quota { requests: 5, window: DAY };
    const LIMITS_TAGGED: bool = true;

    async fn compose(Compose { connection, mail, secret, links, now }: Compose<'_>) -> Result<Option<Draft>> {
        let notice = invitation_notice(connection, secret, InvitationId(mail.topic.parent()?), now).await?;
        let Some(notice) = notice else { return Ok(None) };
        let content = Self {
            account: notice.account_name,
            inviter: notice.inviter_name,
            link: links.invitation(notice.token.expose_secret()),
            until: notice.invitation.expires_at,
        };
        Ok(Some(Draft::new(notice.invitation.email, notice.language, content)))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self {
            account: "Analytical Engines <Ltd>".to_owned(),
            inviter: "Ada Lovelace".to_owned(),
            link: links.invitation(Links::SAMPLE_TOKEN),
            until: now + TimeDelta::days(7),
        }]
    }

    fn required_link(&self) -> Option<&str> {
        Some(&self.link)
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            account => unlinked(&self.account), inviter => unlinked(&self.inviter), link => self.link,
            until => locale.time(self.until),
        }
    }
}
