//! Products: the price list for orders and subscriptions.

use chrono::{DateTime, Months, Utc};

use crate::orders::id::ProductId;
use crate::proto::orders::v1::Reason as OrdersReason;
use mainstay_kernel::{
    error::{Error, Result},
    money::Money,
    numbered::numbered,
};

numbered! {
    /// How often a subscription is billed.
    Interval {
        /// Every month, on the day the subscription began, or on the month's last day.
        Month = 1 => "month",
        /// Every year.
        Year = 2 => "year",
    }
}

impl Interval {
    /// Builds an interval from its column.
    pub(crate) fn from_column(number: i16) -> Result<Self> {
        Self::from_number(number.into())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("a row has the billing interval {number}")))
    }

    /// Returns the time `count` intervals after `anchor`; `None` if the time can't be represented. Counting from the
    /// anchor restores the 31st after a short month.
    pub fn after(self, anchor: DateTime<Utc>, count: u32) -> Option<DateTime<Utc>> {
        let months = if self == Self::Month { 1 } else { 12 };
        anchor.checked_add_months(Months::new(count.checked_mul(months)?))
    }
}

/// An item of the price list, which can be ordered or subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub id: ProductId,
    /// The product's name.
    pub name: String,
    /// The price of one unit.
    pub price: Money,
    /// The billing interval of a product sold by subscription; `None` for a product sold once, by order.
    pub interval: Option<Interval>,
    /// When it was archived, after which it can no longer be ordered or subscribed to.
    pub archived_at: Option<DateTime<Utc>>,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// New values for some of a product's fields. Currency and interval can't change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    /// The price, in the same currency.
    pub price: Option<Money>,
    /// Whether the product can no longer be ordered or subscribed to.
    pub archived: Option<bool>,
}

impl Product {
    /// Creates a product.
    pub fn new(name: String, price: Money, interval: Option<Interval>, now: DateTime<Utc>) -> Self {
        let id = ProductId::generate(now);
        Self { id, name, price, interval, archived_at: None, version: 1, created_at: now, updated_at: now }
    }

    /// Returns the next version, or `None` if nothing changes.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a price in another currency.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Result<Option<Self>> {
        let mut next = self.clone();
        if let Some(name) = patch.name {
            next.name = name;
        }
        if let Some(price) = patch.price {
            let currency = self.price.currency();
            if price.currency() != currency {
                return Err(Error::field(
                    "product.price.currencyCode",
                    format!("can't be changed from {}", currency.code()),
                ));
            }
            next.price = price;
        }
        if let Some(archived) = patch.archived {
            next.archived_at = archived.then(|| self.archived_at.unwrap_or(now));
        }
        let has_changed = next != *self;
        Ok(has_changed.then(|| Self { version: self.version + 1, updated_at: now, ..next }))
    }

    /// Returns the price, if the product can be ordered.
    ///
    /// # Errors
    /// `PRODUCT_UNAVAILABLE` if it is archived, `PRODUCT_SOLD_OTHERWISE`.
    pub fn order_price(&self) -> Result<Money> {
        match (self.archived_at, self.interval) {
            (None, None) => Ok(self.price),
            (None, Some(_)) => {
                Err(self.refuse(OrdersReason::ProductSoldOtherwise, "can be subscribed to, not ordered"))
            }
            (Some(_), _) => Err(self.refuse(OrdersReason::ProductUnavailable, "can no longer be ordered")),
        }
    }

    fn refuse(&self, reason: OrdersReason, why: &str) -> Error {
        Error::with_message(reason, format!("{} {why}.", self.name))
    }

    /// Returns the price and the billing interval, if the product can be subscribed to.
    ///
    /// # Errors
    /// `PRODUCT_UNAVAILABLE` if it is archived, `PRODUCT_SOLD_OTHERWISE`.
    pub fn subscribable(&self) -> Result<(Money, Interval)> {
        match (self.archived_at, self.interval) {
            (None, Some(interval)) => Ok((self.price, interval)),
            (None, None) => Err(self.refuse(OrdersReason::ProductSoldOtherwise, "can be ordered, not subscribed to")),
            (Some(_), _) => Err(self.refuse(OrdersReason::ProductUnavailable, "can no longer be subscribed to")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_from_the_day_it_began() {
        let day = |text: &str| format!("{text}T12:00:00Z").parse::<DateTime<Utc>>().expect("a time");
        let anchor = day("2027-01-31");
        let after = |interval: Interval, count| interval.after(anchor, count).expect("a time");
        assert_eq!(after(Interval::Month, 0), anchor);
        assert_eq!(after(Interval::Month, 1), day("2027-02-28"));
        assert_eq!(after(Interval::Month, 2), day("2027-03-31"));
        assert_eq!(after(Interval::Month, 13), day("2028-02-29"));
        assert_eq!(after(Interval::Year, 1), day("2028-01-31"));
        assert_eq!(Interval::Year.after(anchor, u32::MAX), None);
    }
}
