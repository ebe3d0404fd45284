//! Mail about deletions.

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    identity::deletion::{
        id::DeletionNoticeId,
        ops::{CompletionNotice, ScheduleNotice, completion_notice, schedule_notice},
    },
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template},
};
use mainstay_kernel::error::Result;

/// The deletion of a user or, if it has a name, of an account was scheduled; the link cancels it until a time. The cause is
/// the notice, and the parent the deletion.
pub(crate) struct DeletionScheduled {
    account: Option<String>,
    link: String,
    until: DateTime<Utc>,
}

impl MailKind for DeletionScheduled {
    const NAME: &'static str = "deletion_scheduled";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "deletion_scheduled", ["de", "en"])];

    async fn compose(Compose { connection, mail, secret, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let schedule = schedule_notice(connection, secret, DeletionNoticeId(mail.topic.id)).await?;
        let Some(ScheduleNotice { notice, account, erase_at, token }) = schedule else { return Ok(None) };
        let link = links.cancel_deletion(token.expose_secret());
        Ok(Some(Draft::new(notice.email, notice.language, Self { account, link, until: erase_at })))
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let accounts = [None, Some("Analytical Engines Ltd".to_owned())];
        let (link, until) = (links.cancel_deletion(Links::SAMPLE_TOKEN), now + TimeDelta::days(14));
        accounts.map(|account| Self { account, link: link.clone(), until }).into()
    }

    fn required_link(&self) -> Option<&str> {
        Some(&self.link)
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            account => self.account.as_deref().map(one_line), link => self.link, until => locale.time(self.until),
        }
    }
}

/// The data of a user or an account was erased. The cause is the notice, and the parent the deletion.
pub(crate) struct DeletionDone {
    is_of_account: bool,
    at: DateTime<Utc>,
}

impl MailKind for DeletionDone {
    const NAME: &'static str = "deletion_done";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "deletion_done", ["de", "en"])];

    async fn compose(Compose { connection, mail, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let completion = completion_notice(connection, DeletionNoticeId(mail.topic.id)).await?;
        let Some(CompletionNotice { notice, is_of_account }) = completion else { return Ok(None) };
        Ok(Some(Draft::new(notice.email, notice.language, Self { is_of_account, at: mail.created_at })))
    }

    fn samples(_: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        [false, true].map(|is_of_account| Self { is_of_account, at: now }).into()
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! { is_of_account => self.is_of_account, at => locale.time(self.at) }
    }
}
