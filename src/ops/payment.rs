//! Payments: the intent is committed here; `settle` carries it out, whether or not anybody waits for it.

pub mod told;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::App,
    caller::Permit,
    domain::{
        page::{Start, Total},
        payment::{Filter, Payment, is_token},
        webhook::{Event, EventKind},
    },
    error::{Error, Reason, Result},
    gateway::Gateway,
    id::{OrderId, PaymentId},
    jobs::{self, Settle},
    outbound::Circuit,
    store::{Connection, order, payment as store},
};

/// What an intent is made under.
#[derive(Debug, Clone)]
pub struct Terms {
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) now: DateTime<Utc>,
    /// How long whoever made the intent may work on it.
    pub(super) lease: TimeDelta,
}

impl Terms {
    /// Those of the house.
    pub fn of(app: &App) -> Self {
        Self { gateway: app.gateway.clone(), now: app.clock.now(), lease: app.config.payments.lease() }
    }

    pub(super) fn until(&self) -> DateTime<Utc> {
        self.now + self.lease
    }

    /// What was begun at one gateway is unknown at every other one.
    pub(super) fn check_gateway(&self, begun_at: &str) -> Result<()> {
        if begun_at == self.gateway.name() {
            return Ok(());
        }
        let now = self.gateway.name();
        Err(Error::rule(format!("It was begun at the gateway {begun_at}, and this server works with {now}.")))
    }

    /// Nothing is begun that could not be carried out.
    pub(super) fn check_circuit(&self) -> Result<()> {
        match self.gateway.circuit() {
            Circuit::Open => Err(Error::new(Reason::CircuitOpen).retry_after(std::time::Duration::from_secs(5))),
            Circuit::Closed | Circuit::HalfOpen => Ok(()),
        }
    }
}

/// Commits to charging an order: the payment, the order that waits for it, and the job that sees to it if nobody else
/// does.
///
/// # Errors
/// `VALIDATION_FAILED` for a card number, `NOT_FOUND`, `BUSINESS_RULE_VIOLATION` unless the order is open, `CIRCUIT_OPEN`.
pub async fn begin(
    connection: &mut Connection,
    permit: Permit,
    terms: Terms,
    order: OrderId,
    method: String,
) -> Result<Payment> {
    let Terms { now, .. } = terms;
    if !is_token(&method) {
        return Err(Error::field(
            "paymentMethod",
            "must be a token of the gateway, like pm_card_visa, and no card number",
        ));
    }
    let order = order::lock(connection, permit.visibility(), order).await?;
    let id = PaymentId::generate(now);
    let paying = order.state.pay(id)?;
    terms.check_circuit()?;
    let (caller, gateway) = (permit.caller().principal(), terms.gateway.name());
    let payment = Payment::intend(id, &order, caller, gateway, method, now, terms.until())?;
    store::insert(connection, &payment).await?;
    order::update(connection, &order.turned(paying, now)).await?;
    jobs::enqueue_at(connection, &Settle::Payment(id), terms.until()).await?;
    Ok(payment)
}

/// Something that happened to a payment.
pub(super) fn event(kind: EventKind, payment: &Payment) -> Event {
    Event { kind, account: payment.account, resource: payment.id.0, version: payment.version }
}

/// One payment.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: PaymentId) -> Result<Payment> {
    store::get(connection, permit.visibility(), id).await
}

/// A page of payments, one more than asked for if there are more, and how many there are if that was asked.
///
/// # Errors
/// What Postgres answers.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    start: Start,
    limit: i64,
) -> Result<(Vec<Payment>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(store::total(connection, permit.visibility(), &filter).await?),
        Start::After(_) => None,
    };
    Ok((store::list(connection, permit.visibility(), &filter, start, limit + 1).await?, total))
}
