//! The mail `my_module.do_it_sample_item`.

use chrono::{DateTime, Utc};
use mainstay::mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, template};
use mainstay_kernel::{caller::Visibility, error::Result};
use serde::Serialize;

use super::{model::SampleItemId, store};

/// Mail about a sample item to a member of its account. The cause is the sample item, and the parent the member. An operation
/// sends it to all members: `mail::send_to_members::<DoItSampleItemMail>(connection, account, id.0, now)`.
#[derive(Debug)]
pub struct DoItSampleItemMail {
    changed_at: DateTime<Utc>,
    /// The page of the front end, if there is one.
    link: Option<String>,
}

/// The values for the template.
#[derive(Serialize)]
struct Values<'a> {
    changed_at: String,
    link: Option<&'a str>,
}

impl MailKind for DoItSampleItemMail {
    const NAME: &'static str = "my_module.do_it_sample_item";
    const TEMPLATES: &'static [Template] = &[template!("templates", "my_module.do_it_sample_item", ["en"])];
    /// Recipients may unsubscribe. Remove this line from mail that a transaction or security requires.
    const IS_NOTIFICATION: bool = true;

    /// Runs when the mail is sent, so that it shows the present state; nothing of it is stored.
    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let sample_item = store::get(connection, Visibility::All, SampleItemId(mail.topic.id)).await?;
        let content = Self { changed_at: sample_item.updated_at, link: links.app("sample-items", sample_item.id) };
        Draft::to_member(connection, mail.topic.user()?, sample_item.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self { changed_at: now, link: links.app("sample-items", Links::SAMPLE_ID) }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        Values { changed_at: locale.time(self.changed_at), link: self.link.as_deref() }
    }
}
