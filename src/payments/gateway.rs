//! Payment gateways behind one trait. Modules declare the implementations, and PAYMENT_GATEWAY selects one by its name.
//!
//! A call to a gateway has one of three outcomes: done, refused, or unknown. An unknown outcome is expected on an
//! unreliable network, so it is not an error here; the caller repeats the request under the same key.

mod kind;
pub mod sandbox;
pub(crate) mod stripe;
mod subscriptions;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::payments::settlement::model::Failure;
use crate::{
    orders::id::OrderId,
    payments::id::{PaymentId, RefundId},
};
use mainstay_kernel::{breaker::Circuit, money::Money};

pub use crate::payments::ledger::model::Kind;
pub use kind::{GatewayKind, TakesPayments};
pub(crate) use kind::{check, open};
pub use subscriptions::{Cancel, NewCustomer, Subscribe, Subscriptions};

/// The maximum difference between the clocks of the gateway and of the servers.
pub(crate) const SKEW: TimeDelta = TimeDelta::minutes(10);

/// A charge to be made.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The idempotency key.
    pub key: String,
    /// The payment's id, which the gateway stores with the charge.
    pub payment: PaymentId,
    /// The order being paid.
    pub order: OrderId,
    pub amount: Money,
    /// The payment method, as a token of the gateway.
    pub method: String,
    /// The gateway's id for the customer, if there is one.
    pub customer: Option<String>,
}

/// A refund to be made.
#[derive(Debug, Clone)]
pub struct RefundRequest {
    /// The idempotency key.
    pub key: String,
    /// The refund's id, which the gateway stores with the refund.
    pub refund: RefundId,
    /// The gateway's id for the payment.
    pub charge_id: String,
    pub amount: Money,
}

/// The outcome of a request. By default, `T` is the gateway's id for the created object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T = String> {
    /// The gateway carried out the request; for a payment, money moved.
    Done(T),
    /// The gateway did nothing, and will do nothing under this key.
    Refused(Failure),
    /// The outcome is unknown.
    Unknown {
        /// The reason, for the log.
        why: String,
        /// Whether the gateway will repeat this answer under the same key.
        remembered: bool,
    },
}

/// The failure code of a request that named a customer whom the gateway no longer knows.
pub const CUSTOMER_MISSING: &str = "customer_missing";

/// The result of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T = String> {
    /// The gateway carried out the request; for a payment, money moved.
    Done(T),
    /// The gateway has no record of the request.
    Nothing,
    /// The gateway could not answer.
    Unknown {
        /// The reason, for the log.
        why: String,
    },
}

/// A movement of money, as recorded in the gateway's own books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The kind of movement.
    pub kind: Kind,
    /// The payment, refund or subscription it was for; `None` for a refund that was not requested here.
    pub subject: Option<Uuid>,
    /// The gateway's id for it.
    pub gateway_id: String,
    /// The gateway's id for the charge that was refunded.
    pub charge_id: Option<String>,
    /// The gateway's id for the invoice that was refunded, if the gateway reports it.
    pub invoice_id: Option<String>,
    /// The gateway's id for the subscription that was invoiced.
    pub subscription_id: Option<String>,
    pub amount: Money,
}

/// The refunds of a charge.
#[derive(Debug, Clone, Default)]
pub struct Refunds {
    /// The refunds that moved money.
    pub moved: Vec<Movement>,
    /// The refunds that moved no money, or whose money was returned.
    pub failed: Vec<FailedRefund>,
}

/// A refund that moved no money, or whose money was returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRefund {
    /// The gateway's id for it.
    pub gateway_id: String,
    /// The gateway's id for the charge that was refunded.
    pub charge_id: Option<String>,
    /// The gateway's id for the invoice that was refunded, if the gateway reports it.
    pub invoice_id: Option<String>,
    /// The refund's id here, if it was requested here.
    pub subject: Option<RefundId>,
}

/// What a charge paid. Both are `None` for a charge of another user of the gateway account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The payment that the gateway stores with the charge. The payment may be settled otherwise here.
    pub payment: Option<PaymentId>,
    /// The gateway's id for the invoice.
    pub invoice: Option<String>,
}

/// A page of the gateway's books.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    pub movements: Vec<Movement>,
    /// The cursor of the next page; `None` if this is the last one.
    pub next: Option<String>,
}

/// A payment gateway.
pub trait Gateway: Subscriptions + fmt::Debug + Send + Sync {
    /// The name, as in PAYMENT_GATEWAY.
    fn name(&self) -> &'static str;

    /// The state of the circuit breaker.
    fn circuit(&self) -> Circuit;

    /// Makes a charge.
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome>;

    /// Makes a refund.
    fn refund(&self, refund: RefundRequest) -> BoxFuture<'_, Outcome>;

    /// Makes a call that changes nothing, so that the circuit breaker notices that the gateway is back.
    fn probe(&self) -> BoxFuture<'_, ()>;

    /// Looks up the charge of a payment, under any key. Raises an alert for each further charge of the payment. If the
    /// only charge has another amount, raises an alert, and the outcome is unknown.
    fn find_charge(&self, payment: PaymentId, amount: Money) -> BoxFuture<'_, Lookup>;

    /// Does the same in the gateway's list of all charges made between two times. Unlike a look-up, a list does not
    /// lag. The outcome is unknown if the list is too long to be read.
    fn find_listed_charge(
        &self,
        payment: PaymentId,
        amount: Money,
        between: (DateTime<Utc>, DateTime<Utc>),
    ) -> BoxFuture<'_, Lookup>;

    /// Looks up a refund of a charge; alerts are raised as for charges.
    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str, amount: Money) -> BoxFuture<'a, Lookup>;

    /// Returns the interface to refunds that are made or returned outside this service; `None` if all refunds are
    /// requested here.
    fn external_refunds(&self) -> Option<&dyn ExternalRefunds>;

    /// Returns a page of the gateway's own books, in full or created since a time, from the beginning or from the
    /// cursor of an earlier page. The page may include refunds of charges made by other users of the gateway account,
    /// but not those charges.
    fn statement<'a>(
        &'a self,
        since: Option<DateTime<Utc>>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<Statement>>;
}

/// Refunds from outside this service: made in the gateway's dashboard, for example, or returned by a bank.
pub trait ExternalRefunds: Send + Sync {
    /// Returns every refund of a charge, whether or not it was requested here.
    fn refunds<'a>(&'a self, charge_id: &'a str) -> BoxFuture<'a, anyhow::Result<Refunds>>;

    /// Returns a page of the refunds made since a time, of any charge, newest first, from the beginning or from the
    /// cursor of an earlier page.
    fn refunds_since<'a>(
        &'a self,
        since: DateTime<Utc>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<(Refunds, Option<String>)>>;

    /// Returns what a charge paid.
    fn purpose_of_charge<'a>(&'a self, charge: &'a str) -> BoxFuture<'a, anyhow::Result<Purpose>>;
}
