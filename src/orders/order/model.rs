//! Orders: purchases by an account, at the prices at which they were placed.

mod number;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::orders::product::model::Product;
use crate::proto::orders::v1::Reason as OrdersReason;
use crate::{
    orders::id::{OrderId, ProductId},
    payments::id::PaymentId,
};
use mainstay_kernel::{
    error::{Error, Result},
    id::AccountId,
    money::Money,
    numbered::numbered,
};

pub use number::OrderNumber;

numbered! {
    /// The status of an order.
    Status {
        /// The order awaits payment.
        Open = 1,
        /// A payment is in progress.
        Paying = 2,
        /// The order is paid.
        Paid = 3,
        /// The order was canceled before it was paid.
        Cancelled = 4,
        /// The full amount was refunded.
        Refunded = 5,
    }
}

/// The state of an order, with its data. A transition consumes the state and fails if the state does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The order awaits payment.
    Open,
    /// A payment is in progress. The order can't change until its outcome is known.
    Paying { payment: PaymentId },
    /// The order is paid.
    Paid {
        payment: PaymentId,
        /// When it was paid.
        at: DateTime<Utc>,
    },
    /// The order was canceled before it was paid.
    Cancelled {
        /// When it was canceled.
        at: DateTime<Utc>,
    },
    /// The full amount was refunded.
    Refunded {
        payment: PaymentId,
        /// When it was paid.
        paid_at: DateTime<Utc>,
        /// When the last part was refunded.
        at: DateTime<Utc>,
    },
}

impl State {
    /// Returns the status without its data.
    pub fn status(self) -> Status {
        match self {
            Self::Open => Status::Open,
            Self::Paying { .. } => Status::Paying,
            Self::Paid { .. } => Status::Paid,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::Refunded { .. } => Status::Refunded,
        }
    }

    /// Returns the payment that is in progress or that paid for the order.
    pub fn payment(self) -> Option<PaymentId> {
        match self {
            Self::Paying { payment } | Self::Paid { payment, .. } | Self::Refunded { payment, .. } => Some(payment),
            Self::Open | Self::Cancelled { .. } => None,
        }
    }

    /// Returns when it was paid.
    pub fn paid_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Paid { at, .. } | Self::Refunded { paid_at: at, .. } => Some(at),
            _ => None,
        }
    }

    /// Returns when it was canceled or fully refunded.
    pub fn ended_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Cancelled { at } | Self::Refunded { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Begins a payment.
    ///
    /// # Errors
    /// `ORDER_ALREADY_PAID`, `ORDER_PAYMENT_PENDING`, `ORDER_CANCELLED` or `ORDER_REFUNDED`, by its state: an order
    /// is paid only once.
    pub fn pay(self, payment: PaymentId) -> Result<Self> {
        match self {
            Self::Open => Ok(Self::Paying { payment }),
            other => Err(other.refuse()),
        }
    }

    /// Completes the payment in progress.
    ///
    /// # Errors
    /// The error that names the order's state, unless that payment is in progress.
    pub fn paid(self, by: PaymentId, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Paying { payment } if payment == by => Ok(Self::Paid { payment, at }),
            other => Err(other.refuse()),
        }
    }

    /// Opens the order again, because the payment in progress failed.
    ///
    /// # Errors
    /// The error that names the order's state, unless that payment is in progress.
    pub fn unpaid(self, by: PaymentId) -> Result<Self> {
        match self {
            Self::Paying { payment } if payment == by => Ok(Self::Open),
            other => Err(other.refuse()),
        }
    }

    /// Cancels the order.
    ///
    /// # Errors
    /// `ORDER_ALREADY_PAID`, `ORDER_PAYMENT_PENDING`, `ORDER_CANCELLED` or `ORDER_REFUNDED`, by its state.
    pub fn cancel(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Open => Ok(Self::Cancelled { at }),
            other => Err(other.refuse()),
        }
    }

    /// Marks the order as refunded in full.
    ///
    /// # Errors
    /// The error that names the order's state, unless the order is paid.
    pub fn refund(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Paid { payment, at: paid_at } => Ok(Self::Refunded { payment, paid_at, at }),
            other => Err(other.refuse()),
        }
    }

    /// Marks a refunded order as paid again, because a refund was returned by the bank.
    #[must_use]
    pub fn undo_refund(self) -> Self {
        match self {
            Self::Refunded { payment, paid_at, .. } => Self::Paid { payment, at: paid_at },
            other => other,
        }
    }

    fn refuse(self) -> Error {
        match self {
            Self::Open => Error::rule("The order is not paid."),
            Self::Paying { .. } => OrdersReason::OrderPaymentPending.into(),
            Self::Paid { .. } => OrdersReason::OrderAlreadyPaid.into(),
            Self::Cancelled { .. } => OrdersReason::OrderCancelled.into(),
            Self::Refunded { .. } => OrdersReason::OrderRefunded.into(),
        }
    }
}

/// One line of an order to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub product: ProductId,
    /// The number of units, at least one.
    pub quantity: i32,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub product: ProductId,
    /// The product's name when the order was placed.
    pub name: String,
    /// The number of units.
    pub quantity: i32,
    /// The price of one unit when the order was placed.
    pub unit_price: Money,
}

impl Item {
    /// Creates an item from a product, at its current price.
    ///
    /// # Errors
    /// `PRODUCT_UNAVAILABLE`, `PRODUCT_SOLD_OTHERWISE`, `AMOUNT_OUT_OF_RANGE`.
    pub fn of(product: &Product, quantity: i32) -> Result<Self> {
        let unit_price = product.order_price()?;
        Ok(Self { product: product.id, name: product.name.clone(), quantity, unit_price })
    }

    /// Returns the price of all units.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE`.
    pub fn amount(&self) -> Result<Money> {
        self.unit_price.times(self.quantity)
    }
}

/// A purchase by an account, at the prices at which it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub number: OrderNumber,
    /// The account that pays.
    pub account: AccountId,
    /// The user or service key that placed it.
    pub placed_by: Uuid,
    /// The sum of its items.
    pub total: Money,
    pub state: State,
    /// The address for mail about the order; if `None`, mail goes to the user who placed it.
    pub confirmation_email: Option<String>,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// An order to be stored; storing it assigns its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub id: OrderId,
    /// The account that pays.
    pub account: AccountId,
    /// The user or service key that places it.
    pub placed_by: Uuid,
    /// The sum of its items.
    pub total: Money,
    /// The address for mail about the order; if `None`, mail goes to the user who places it.
    pub confirmation_email: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl NewOrder {
    /// Returns the order with its number, open.
    pub fn with_number(self, number: OrderNumber) -> Order {
        let Self { id, account, placed_by, total, confirmation_email, created_at } = self;
        let (state, version, updated_at) = (State::Open, Order::FIRST_VERSION, created_at);
        Order { id, number, account, placed_by, total, state, confirmation_email, version, created_at, updated_at }
    }
}

/// An order with its items. Transitions do not need the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemizedOrder {
    pub order: Order,
    /// The items; never empty.
    pub items: Vec<Item>,
}

impl Order {
    /// The version of a new order.
    pub const FIRST_VERSION: i64 = 1;

    /// Places an order.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if there are no items; `AMOUNT_OUT_OF_RANGE` if the sum exceeds the maximum charge;
    /// `CURRENCIES_MIXED` if the items have different currencies.
    pub fn place(
        account: AccountId,
        placed_by: Uuid,
        items: &[Item],
        confirmation_email: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<NewOrder> {
        let (first, rest) = items.split_first().ok_or_else(|| Error::field("items", "must have at least 1 item"))?;
        let total = rest.iter().try_fold(first.amount()?, |sum, item| sum.plus(item.amount()?))?;
        Ok(NewOrder { id: OrderId::generate(now), account, placed_by, total, confirmation_email, created_at: now })
    }

    /// Returns the next version, in another state.
    #[must_use]
    pub fn with_state(self, state: State, now: DateTime<Utc>) -> Self {
        Self { state, version: self.version + 1, updated_at: now, ..self }
    }
}

/// A filter of orders, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only orders with one of these statuses; all if empty.
    pub statuses: Vec<Status>,
    /// Only orders of this account.
    pub account: Option<AccountId>,
    /// Only the order with this number.
    pub number: Option<OrderNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_kernel::money::Currency;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
    }

    fn item(minor: i64, currency: &str, quantity: i32) -> Item {
        let currency = Currency::parse(currency).expect("a currency");
        let product = Product::new("A thing".into(), Money::new(minor, currency).expect("a price"), None, now());
        Item::of(&product, quantity).expect("offered")
    }

    fn place(items: Vec<Item>) -> Result<NewOrder> {
        Order::place(AccountId(Uuid::nil()), Uuid::nil(), &items, None, now())
    }

    #[test]
    fn the_total_is_a_sum_in_one_currency() {
        assert_eq!(place(vec![item(150, "EUR", 2), item(1, "EUR", 3)]).expect("an order").total.minor(), 303);
        assert!(place(vec![]).is_err());
        assert!(place(vec![item(1, "EUR", 1), item(1, "USD", 1)]).is_err());
        assert!(place(vec![item(99_999_999, "EUR", 2)]).is_err());
        assert!(place(vec![item(99_999_999, "EUR", 1), item(1, "EUR", 1)]).is_err());
    }

    /// Covers every state and every transition: all others are refused.
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
            let is_paying = state.status() == Status::Paying;
            assert_eq!(state.pay(payment).is_ok(), open, "{state:?}");
            assert_eq!(state.cancel(at).is_ok(), open, "{state:?}");
            assert_eq!(state.paid(payment, at).is_ok(), is_paying, "{state:?}");
            assert_eq!(state.unpaid(payment).is_ok(), is_paying, "{state:?}");
            assert!(state.paid(other, at).is_err() && state.unpaid(other).is_err(), "{state:?}");
            assert_eq!(state.refund(at).is_ok(), state.status() == Status::Paid, "{state:?}");
            let is_refunded = state.status() == Status::Refunded;
            assert_eq!(state.undo_refund(), if is_refunded { State::Paid { payment, at } } else { state }, "{state:?}");
        }
    }
}
