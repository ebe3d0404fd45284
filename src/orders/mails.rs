//! Mail about orders.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::{
    events::OrderCreated,
    id::{OrderId, ProductId},
    order::{
        model::{Item, OrderNumber},
        ops::{items, read, to_customer},
    },
};
use crate::mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template};
use mainstay_kernel::{
    caller::Visibility,
    error::Result,
    events::EventKind as _,
    money::{Currency, Money},
};

/// An order was placed.
pub(crate) struct OrderConfirmation {
    number: OrderNumber,
    at: DateTime<Utc>,
    items: Vec<Item>,
    total: Money,
    link: Option<String>,
}

impl MailKind for OrderConfirmation {
    const NAME: &'static str = "order_confirmation";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "order_confirmation", ["de", "en"])];
    const EVENT: Option<&'static str> = Some(OrderCreated::NAME);

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let order = read(connection, Visibility::All, OrderId(mail.topic.id)).await?;
        let items = items(connection, &order).await?;
        let (number, total, link) = (order.number, order.total, links.app("orders", order.id));
        to_customer(connection, &order, Self { number, at: order.created_at, items, total, link }).await
    }

    /// # Panics
    /// Never: the amounts are valid in their currency.
    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let euro = Currency::parse("EUR").expect("a currency");
        let money = |minor| Money::new(minor, euro).expect("an amount");
        let item = |name: &str, quantity, minor| Item {
            product: ProductId(Uuid::nil()),
            name: name.to_owned(),
            quantity,
            unit_price: money(minor),
        };
        vec![Self {
            number: OrderNumber::new(100_042),
            at: now,
            items: vec![
                item("Snapshot desk, oak & steel", 2, 39_900),
                item("Lamp <small>", 5, 799),
                item("A name without any space: Donaudampfschifffahrtsgesellschaftskapitän", 1, 10),
            ],
            total: money(83_805),
            link: links.app("orders", Links::SAMPLE_ID),
        }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            number => self.number.to_string(), at => locale.time(self.at), total => locale.money(self.total),
            link => self.link,
            items_ordered => self.items.iter().map(|item| item_values(item, locale)).collect::<Vec<_>>(),
        }
    }
}

fn item_values(item: &Item, locale: Locale) -> Value {
    // The order's total is within bounds, so the amounts of its items are as well.
    let amount = item.amount().map(|amount| locale.money(amount)).unwrap_or_default();
    let (name, unit_price) = (one_line(&item.name), locale.money(item.unit_price));
    context! { name, quantity => item.quantity, unit_price, amount }
}
