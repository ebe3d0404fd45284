//! Orders: what an account wants to buy, at the prices of the moment it was placed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{money::Money, numbered, page::Key, product::Product};
use crate::{
    error::{Error, Result},
    id::{AccountId, OrderId, PaymentId, ProductId},
};

numbered! {
    /// Where an order stands.
    Status {
        /// It waits to be paid.
        Open = 1,
        /// A payment is under way.
        Paying = 2,
        /// It is paid.
        Paid = 3,
        /// It was called off before it was paid.
        Cancelled = 4,
        /// All that was paid was given back.
        Refunded = 5,
    }
}

/// Where an order stands, with what belongs to it there. A transition takes the state and may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits to be paid.
    Open,
    /// A payment is under way. While it is, nothing else may happen: what came of it may not be known yet.
    Paying {
        /// The payment.
        payment: PaymentId,
    },
    /// It is paid.
    Paid {
        /// The payment.
        payment: PaymentId,
        /// When.
        at: DateTime<Utc>,
    },
    /// It was called off before it was paid.
    Cancelled {
        /// When.
        at: DateTime<Utc>,
    },
    /// All that was paid was given back.
    Refunded {
        /// The payment.
        payment: PaymentId,
        /// When it was paid.
        paid_at: DateTime<Utc>,
        /// When the last of it was given back.
        at: DateTime<Utc>,
    },
}

impl State {
    /// The status without what belongs to it.
    pub fn status(self) -> Status {
        match self {
            Self::Open => Status::Open,
            Self::Paying { .. } => Status::Paying,
            Self::Paid { .. } => Status::Paid,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::Refunded { .. } => Status::Refunded,
        }
    }

    /// The payment that is under way or has paid.
    pub fn payment(self) -> Option<PaymentId> {
        match self {
            Self::Paying { payment } | Self::Paid { payment, .. } | Self::Refunded { payment, .. } => Some(payment),
            Self::Open | Self::Cancelled { .. } => None,
        }
    }

    /// When it was paid.
    pub fn paid_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Paid { at, .. } | Self::Refunded { paid_at: at, .. } => Some(at),
            _ => None,
        }
    }

    /// When it was called off or given back.
    pub fn ended_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Cancelled { at } | Self::Refunded { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Begins to pay.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it is open: an order is paid once.
    pub fn pay(self, payment: PaymentId) -> Result<Self> {
        match self {
            Self::Open => Ok(Self::Paying { payment }),
            other => Err(other.refuse()),
        }
    }

    /// Takes the money of the payment under way.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when that payment is not under way.
    pub fn paid(self, by: PaymentId, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Paying { payment } if payment == by => Ok(Self::Paid { payment, at }),
            other => Err(other.refuse()),
        }
    }

    /// Is open again, for the payment under way came to nothing.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when that payment is not under way.
    pub fn unpaid(self, by: PaymentId) -> Result<Self> {
        match self {
            Self::Paying { payment } if payment == by => Ok(Self::Open),
            other => Err(other.refuse()),
        }
    }

    /// Calls it off.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it is open.
    pub fn cancel(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Open => Ok(Self::Cancelled { at }),
            other => Err(other.refuse()),
        }
    }

    /// Notes that all that was paid was given back.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it is paid.
    pub fn refund(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Paid { payment, at: paid_at } => Ok(Self::Refunded { payment, paid_at, at }),
            other => Err(other.refuse()),
        }
    }

    /// Is paid as before, for something of what was given back came back.
    #[must_use]
    pub fn unrefunded(self) -> Self {
        match self {
            Self::Refunded { payment, paid_at, .. } => Self::Paid { payment, at: paid_at },
            other => other,
        }
    }

    fn refuse(self) -> Error {
        Error::rule(match self {
            Self::Open => "The order is not paid.",
            Self::Paying { .. } => "A payment for the order is under way.",
            Self::Paid { .. } => "The order is paid.",
            Self::Cancelled { .. } => "The order was cancelled.",
            Self::Refunded { .. } => "The order was refunded.",
        })
    }
}

/// One line of an order to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// How many, at least one.
    pub quantity: i32,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The product.
    pub product: ProductId,
    /// What it was called then.
    pub name: String,
    /// How many.
    pub quantity: i32,
    /// What one cost then.
    pub unit_price: Money,
}

impl Item {
    /// So many of a product, at its price of now.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it can't be ordered.
    pub fn of(product: &Product, quantity: i32) -> Result<Self> {
        let unit_price = product.offered()?;
        Ok(Self { product: product.id, name: product.name.clone(), quantity, unit_price })
    }

    /// The price of all of them.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when that is more than can be charged.
    pub fn amount(&self) -> Result<Money> {
        self.unit_price.times(self.quantity)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// The account that pays.
    pub account: AccountId,
    /// The user or service key that placed it.
    pub placed_by: Uuid,
    /// The sum of its items.
    pub total: Money,
    /// Where it stands.
    pub state: State,
    /// Where mail about it goes; `None`: to the user who placed it.
    pub confirmation_email: Option<String>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// An order with what it is of. Whoever moves it from state to state has no need of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Itemized {
    /// The order.
    pub order: Order,
    /// What it is of; never empty.
    pub items: Vec<Item>,
}

impl Order {
    /// A new, open order of some items.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` without items; `BUSINESS_RULE_VIOLATION` when the sum is more than can be charged, or of
    /// several currencies.
    pub fn place(
        account: AccountId,
        placed_by: Uuid,
        items: &[Item],
        confirmation_email: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let (first, rest) = items.split_first().ok_or_else(|| Error::field("items", "must have at least 1 item"))?;
        let total = rest.iter().try_fold(first.amount()?, |sum, item| sum.plus(item.amount()?))?;
        let id = OrderId::generate(now);
        let state = State::Open;
        Ok(Self {
            id,
            account,
            placed_by,
            total,
            state,
            confirmation_email,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// The next version, in another state.
    #[must_use]
    pub fn turned(self, state: State, now: DateTime<Utc>) -> Self {
        Self { state, version: self.version + 1, updated_at: now, ..self }
    }

    /// Where it stands in a list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// Which orders a list is of, beyond what the caller reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these; empty: any.
    pub statuses: Vec<Status>,
    /// This account's.
    pub account: Option<AccountId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
    }

    fn item(minor: i64, currency: &str, quantity: i32) -> Item {
        let currency = Currency::parse(currency).expect("a currency");
        let product = Product::new("A thing".into(), Money::new(minor, currency).expect("a price"), None, now());
        Item::of(&product, quantity).expect("offered")
    }

    fn place(items: Vec<Item>) -> Result<Order> {
        Order::place(AccountId(Uuid::nil()), Uuid::nil(), &items, None, now())
    }

    #[test]
    fn the_total_is_the_sum_of_one_currency() {
        assert_eq!(place(vec![item(150, "EUR", 2), item(1, "EUR", 3)]).expect("an order").total.minor(), 303);
        assert!(place(vec![]).is_err());
        assert!(place(vec![item(1, "EUR", 1), item(1, "USD", 1)]).is_err());
        assert!(place(vec![item(99_999_999, "EUR", 2)]).is_err());
        assert!(place(vec![item(99_999_999, "EUR", 1), item(1, "EUR", 1)]).is_err());
    }

    /// Every state and every transition: what is not named here is refused.
    #[test]
    fn only_these_transitions_are_allowed() {
        let (payment, other) = (PaymentId(Uuid::from_u128(1)), PaymentId(Uuid::from_u128(2)));
        let at = now();
        let states = [
            State::Open,
            State::Paying { payment },
            State::Paid { payment, at },
            State::Cancelled { at },
            State::Refunded { payment, paid_at: at, at },
        ];
        for state in states {
            let open = state == State::Open;
            let paying = state.status() == Status::Paying;
            assert_eq!(state.pay(payment).is_ok(), open, "{state:?}");
            assert_eq!(state.cancel(at).is_ok(), open, "{state:?}");
            assert_eq!(state.paid(payment, at).is_ok(), paying, "{state:?}");
            assert_eq!(state.unpaid(payment).is_ok(), paying, "{state:?}");
            assert!(state.paid(other, at).is_err() && state.unpaid(other).is_err(), "{state:?}");
            assert_eq!(state.refund(at).is_ok(), state.status() == Status::Paid, "{state:?}");
            let is_refunded = state.status() == Status::Refunded;
            assert_eq!(state.unrefunded(), if is_refunded { State::Paid { payment, at } } else { state }, "{state:?}");
        }
    }
}
