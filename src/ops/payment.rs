//! Payments: the intent is committed here; `settle` carries it out, whether or not anybody waits for it.

pub mod gateway_events;

use super::settle::Terms;
use crate::{
    caller::Permit,
    domain::{
        page::{Start, Total},
        payment::{Filter, Payment, PaymentMethod},
        webhook::{Event, EventKind},
    },
    error::Result,
    id::{OrderId, PaymentId},
    jobs::{self, Settle},
    store::{Connection, order, payment as store},
};

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
    let method = PaymentMethod::parse(method)?;
    let order = order::lock(connection, permit.visibility(), order).await?;
    let id = PaymentId::generate(now);
    let paying = order.state.pay(id)?;
    terms.check_circuit()?;
    let (caller, gateway) = (permit.caller().principal(), terms.gateway.name());
    let payment = Payment::intend(id, &order, caller, gateway, method, now, terms.until())?;
    let payment = store::insert(connection, payment).await?;
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
