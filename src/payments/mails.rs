//! Mail about payments and refunds.

use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Serialize;

use super::{
    events::{PaymentSucceeded, RefundSucceeded},
    id::{PaymentId, RefundId},
    payment::ops::read as read_payment,
    refund::ops::read as read_refund,
};
use crate::{
    mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, template},
    orders::order::{
        model::OrderNumber,
        ops::{read as read_order, to_customer},
    },
};
use mainstay_kernel::{
    caller::Visibility,
    error::Result,
    events::EventKind as _,
    money::{Currency, Money},
};

/// An order was paid.
pub(crate) struct PaymentReceipt {
    number: OrderNumber,
    amount: Money,
    at: DateTime<Utc>,
    payment: String,
    link: Option<String>,
}

impl MailKind for PaymentReceipt {
    const NAME: &'static str = "payment_receipt";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "payment_receipt", ["de", "en"])];
    const EVENT: Option<&'static str> = Some(PaymentSucceeded::NAME);

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let payment = read_payment(connection, Visibility::All, PaymentId(mail.topic.id)).await?;
        let order = read_order(connection, Visibility::All, payment.order).await?;
        let content = Self {
            number: order.number,
            amount: payment.amount,
            at: mail.created_at,
            payment: payment.id.to_string(),
            link: links.app("orders", order.id),
        };
        to_customer(connection, &order, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self {
            number: OrderNumber::new(100_042),
            amount: sample_amount(83_805),
            at: now,
            payment: Links::SAMPLE_ID.to_string(),
            link: links.app("orders", Links::SAMPLE_ID),
        }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let Self { number, amount, at, payment, link } = self;
        context! {
            number => number.to_string(), amount => locale.money(*amount), at => locale.time(*at), payment, link,
        }
    }
}

/// A refund was made.
pub(crate) struct Refund {
    number: OrderNumber,
    amount: Money,
    at: DateTime<Utc>,
    refund: String,
    link: Option<String>,
}

impl MailKind for Refund {
    const NAME: &'static str = "refund";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "refund", ["de", "en"])];
    const EVENT: Option<&'static str> = Some(RefundSucceeded::NAME);

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let refund = read_refund(connection, Visibility::All, RefundId(mail.topic.id)).await?;
        let payment = read_payment(connection, Visibility::All, refund.payment).await?;
        let order = read_order(connection, Visibility::All, payment.order).await?;
        let content = Self {
            number: order.number,
            amount: refund.amount,
            at: mail.created_at,
            refund: mail.topic.id.to_string(),
            link: links.app("orders", order.id),
        };
        to_customer(connection, &order, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self {
            number: OrderNumber::new(100_042),
            amount: sample_amount(3_995),
            at: now,
            refund: Links::SAMPLE_ID.to_string(),
            link: links.app("orders", Links::SAMPLE_ID),
        }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let Self { number, amount, at, refund, link } = self;
        context! {
            number => number.to_string(), amount => locale.money(*amount), at => locale.time(*at), refund, link,
        }
    }
}

/// # Panics
/// Never: the amount is valid in its currency.
fn sample_amount(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("a currency")).expect("an amount")
}
