//! The mail about a lease that ends soon.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay::mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template};
use mainstay_kernel::{caller::Visibility, error::Result};
use serde::Serialize;
use serde_json::json;

use super::{model::LeaseId, store};
use crate::vehicle::store as vehicles;

/// A lease ends soon. Each member of the account gets the mail: the cause is the lease, and the parent the member.
#[derive(Debug)]
pub struct LeaseEnding {
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
        let (plate, link) = (vehicle.plate.to_string(), links.app("leases", lease.id));
        let content = Self { plate, ends_at: lease.expires_at, link };
        Draft::to_member(connection, mail.topic.user()?, lease.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let link = links.app("leases", Links::SAMPLE_ID);
        vec![Self { plate: "M-AI 2036".to_owned(), ends_at: now + TimeDelta::days(3), link }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        json!({ "plate": one_line(&self.plate), "ends_at": locale.time(self.ends_at), "link": self.link })
    }
}
