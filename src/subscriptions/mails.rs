//! Mail about subscriptions.

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;
use serde::Serialize;

use super::{id::SubscriptionId, ops::read};
use crate::{
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template},
    payments::ledger::ops as ledger,
};
use mainstay_kernel::{
    caller::Visibility,
    error::Result,
    money::{Currency, Money},
};

/// A period of a subscription was paid. The cause is the transaction in the ledger, and the parent the subscription.
pub(crate) struct SubscriptionReceipt {
    product: String,
    amount: Money,
    at: DateTime<Utc>,
    period_end: DateTime<Utc>,
    invoice: String,
}

impl MailKind for SubscriptionReceipt {
    const NAME: &'static str = "subscription_receipt";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "subscription_receipt", ["de", "en"])];

    async fn compose(Compose { connection, mail, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let Some(amount) = ledger::amount(connection, mail.topic.id).await? else { return Ok(None) };
        let subscription = read(connection, Visibility::All, SubscriptionId(mail.topic.parent()?)).await?;
        let content = Self {
            period_end: subscription.state.period().map_or(mail.created_at, |period| period.end),
            product: subscription.product_name,
            amount,
            at: mail.created_at,
            invoice: mail.topic.id.to_string(),
        };
        Draft::to_member_or_owner(connection, subscription.subscribed_by, subscription.account, content).await
    }

    fn samples(_: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self {
            product: "Snapshot club".to_owned(),
            amount: sample_amount(),
            at: now,
            period_end: now + TimeDelta::days(30),
            invoice: Links::SAMPLE_ID.to_string(),
        }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            product => one_line(&self.product), amount => locale.money(self.amount), at => locale.time(self.at),
            period_end => locale.time(self.period_end), invoice => self.invoice,
        }
    }
}

/// The payment for a period of a subscription failed. The parent is the subscription.
pub(crate) struct SubscriptionUnpaid {
    product: String,
    amount: Money,
    at: DateTime<Utc>,
    link: Option<String>,
}

impl MailKind for SubscriptionUnpaid {
    const NAME: &'static str = "subscription_unpaid";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "subscription_unpaid", ["de", "en"])];

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let subscription = read(connection, Visibility::All, SubscriptionId(mail.topic.parent()?)).await?;
        let content = Self {
            product: subscription.product_name,
            amount: subscription.price,
            at: mail.created_at,
            link: links.app("subscriptions", subscription.id),
        };
        Draft::to_member_or_owner(connection, subscription.subscribed_by, subscription.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let link = links.app("subscriptions", Links::SAMPLE_ID);
        vec![Self { product: "Snapshot club".to_owned(), amount: sample_amount(), at: now, link }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            product => one_line(&self.product), amount => locale.money(self.amount), at => locale.time(self.at),
            link => self.link,
        }
    }
}

/// # Panics
/// Never: the amount is valid in its currency.
fn sample_amount() -> Money {
    Money::new(999, Currency::parse("EUR").expect("a currency")).expect("an amount")
}
