//! Payment gateways behind one trait; PAYMENT_GATEWAY chooses.
//!
//! What a gateway says is one of three things: it was done, it will not be done, or neither is known. The third is the
//! normal answer of a network on a bad day, so it is no error here; whoever asked asks again under the same key.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{
    clock::Clock,
    config,
    domain::{effect::Failure, money::Money},
    id::{OrderId, PaymentId, RefundId},
    outbound::Circuit,
    store::Database,
};

mod sandbox;
pub(crate) mod stripe;
mod subscriptions;

pub use crate::domain::ledger::Kind;
pub use subscriptions::{Cancel, Newcomer, Subscribe, Subscriptions};

/// A charge to be made.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The gateway does it once for one key.
    pub key: String,
    /// The payment, which the gateway keeps with it.
    pub payment: PaymentId,
    /// The order it pays for.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// What to charge: a token of the gateway.
    pub method: String,
    /// What the gateway knows by whom it is paid, if it does.
    pub customer: Option<String>,
}

/// Money to be given back.
#[derive(Debug, Clone)]
pub struct Return {
    /// The gateway does it once for one key.
    pub key: String,
    /// The refund, which the gateway keeps with it.
    pub refund: RefundId,
    /// What the gateway knows the payment by.
    pub charge_id: String,
    /// How much.
    pub amount: Money,
}

/// What came of asking. What is told of what was done is its id at the gateway, where nothing more is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T = String> {
    /// It was done; for money, it moved.
    Done(T),
    /// Nothing was done, and under this key nothing will be.
    Refused(Failure),
    /// Not known.
    Unknown {
        /// Why, for the log.
        why: String,
        /// Whether the gateway keeps giving this answer under the key.
        remembered: bool,
    },
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T = String> {
    /// It was done; for money, it moved.
    Done(T),
    /// The gateway knows of nothing.
    Nothing,
    /// It could not say.
    Unknown {
        /// Why, for the log.
        why: String,
    },
}

/// Money that moved, as the gateway's own books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// What it was.
    pub kind: Kind,
    /// The payment, the refund or the subscription it was for; `None` for a refund that was not asked for here.
    pub subject: Option<Uuid>,
    /// What the gateway knows it by.
    pub gateway_id: String,
    /// What the gateway knows the charge by that a refund is of.
    pub charge_id: Option<String>,
    /// What the gateway knows the subscription by that an invoice is of.
    pub subscription_id: Option<String>,
    /// How much.
    pub amount: Money,
}

/// The refunds of a charge.
#[derive(Debug, Clone, Default)]
pub struct Refunds {
    /// Those that moved money.
    pub moved: Vec<Movement>,
    /// Those that moved none, or whose money came back.
    pub failed: Vec<FailedRefund>,
}

/// A refund that moved no money, or whose money came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRefund {
    /// What the gateway knows it by.
    pub gateway_id: String,
    /// What the gateway knows the charge by that it is of.
    pub charge_id: Option<String>,
    /// The refund here that it was for, if it was asked for here.
    pub subject: Option<RefundId>,
}

/// Some of the gateway's books.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// What moved.
    pub movements: Vec<Movement>,
    /// Where the next part begins; `None`: this is the last one.
    pub next: Option<String>,
}

/// A gateway.
pub trait Gateway: Subscriptions + fmt::Debug + Send + Sync {
    /// Its name, as PAYMENT_GATEWAY has it.
    fn name(&self) -> &'static str;

    /// Whether it can be asked at all.
    fn circuit(&self) -> Circuit;

    /// Charges.
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome>;

    /// Gives back.
    fn give_back(&self, refund: Return) -> BoxFuture<'_, Outcome>;

    /// Looks for the charge of a payment, whatever key it was made under.
    fn find_charge(&self, payment: PaymentId) -> BoxFuture<'_, Found>;

    /// Looks for a refund of a charge.
    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str) -> BoxFuture<'a, Found>;

    /// Every refund of a charge, whoever asked for it.
    fn refunds<'a>(&'a self, charge_id: &'a str) -> BoxFuture<'a, anyhow::Result<Refunds>>;

    /// Refunds that were made since a time, whoever's charge they are of: a page of them, newest first, from the
    /// beginning or where an earlier page said.
    fn refunds_since<'a>(
        &'a self,
        since: DateTime<Utc>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<(Refunds, Option<String>)>>;

    /// The gateway's own books, part by part, from the beginning or where an earlier part said. Refunds of other
    /// people's charges may be among them; their charges are not.
    fn statement<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, anyhow::Result<Statement>>;
}

/// The gateway of the configuration.
///
/// # Errors
/// When the system has no root certificates, or the key is no header value.
pub fn open(config: &config::Payments, database: &Database, clock: &Clock) -> anyhow::Result<Arc<dyn Gateway>> {
    Ok(match &config.gateway {
        config::Gateway::Sandbox => Arc::new(sandbox::Sandbox::new(database.clone(), clock.clone())),
        config::Gateway::Stripe { secret_key, base_url } => {
            Arc::new(stripe::Stripe::new(secret_key, base_url, config.bounds())?)
        }
    })
}
