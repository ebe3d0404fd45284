//! The mail about a lease that ends soon.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay::{
    identity::directory::ops as directory,
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template},
};
use mainstay_kernel::{caller::Visibility, error::Result};
use serde::Serialize;
use serde_json::json;

use super::{model::LeaseId, store};
use crate::vehicle::store as vehicles;

/// A lease ends soon. Each member of the account gets the mail: the cause is the lease, and the parent the member.
#[derive(Debug)]
pub struct LeaseEnding {
    name: String,
    plate: String,
    ends_at: DateTime<Utc>,
    link: Option<String>,
}

impl MailKind for LeaseEnding {
    const NAME: &'static str = "fleet.lease_ending";
    const TEMPLATES: &'static [Template] = &[template!("templates", "fleet.lease_ending", ["de", "en"])];
    const IS_NOTIFICATION: bool = true;

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let lease = store::get(connection, Visibility::All, LeaseId(mail.topic.id)).await?;
        if lease.ended_at.is_some() {
            return Ok(None);
        }
        let vehicle = vehicles::get(connection, lease.vehicle).await?;
        let user = mail.topic.user()?;
        let person = directory::person(connection, Visibility::All, user).await?;
        let (plate, link) = (vehicle.plate.to_string(), links.app("leases", lease.id));
        let content = Self { name: person.name, plate, ends_at: lease.expires_at, link };
        Draft::to_member(connection, user, lease.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let link = links.app("leases", Links::SAMPLE_ID);
        let (name, plate) = ("Ada Lovelace".to_owned(), "M-AI 2036".to_owned());
        vec![Self { name, plate, ends_at: now + TimeDelta::days(3), link }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let (name, plate) = (one_line(&self.name), one_line(&self.plate));
        json!({ "name": name, "plate": plate, "ends_at": locale.time(self.ends_at), "link": self.link })
    }
}
