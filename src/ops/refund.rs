//! Refunds: what is to go back is set aside with the intent, under the payment's lock, so that refunds asked for at once
//! can't add up to more than was charged.

pub mod sync;

use super::settle::Terms;
use crate::{
    caller::Permit,
    domain::{
        effect::State,
        money::Money,
        page::{Start, Total},
        payment::{Payment, Refund},
        webhook::{Event, EventKind},
    },
    error::{Error, Result},
    id::{PaymentId, RefundId},
    jobs::{self, Settle},
    store::{Connection, payment, refund as store},
};

/// An intent to give money back, and what was charged where.
#[derive(Debug, Clone)]
pub struct RefundIntent {
    /// The refund.
    pub refund: Refund,
    /// The payment's gateway.
    pub gateway: String,
    /// The payment's id there.
    pub charge_id: String,
}

impl RefundIntent {
    /// A refund of a payment.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for a payment that did not succeed, which has no refunds.
    pub(super) fn of(refund: Refund, payment: &Payment) -> Result<Self> {
        let State::Succeeded { gateway_id } = &payment.state else {
            return Err(Error::internal(anyhow::anyhow!("payment {} has a refund and did not succeed", payment.id)));
        };
        Ok(Self { refund, gateway: payment.gateway.clone(), charge_id: gateway_id.clone() })
    }
}

/// Commits to giving money back: all that is left, unless an amount is named.
///
/// # Errors
/// `NOT_FOUND`, `BUSINESS_RULE_VIOLATION` when less is left or it was charged at another gateway, `CIRCUIT_OPEN`.
pub async fn begin(
    connection: &mut Connection,
    permit: Permit,
    terms: Terms,
    id: PaymentId,
    amount_minor: Option<i64>,
) -> Result<RefundIntent> {
    let payment = payment::lock(connection, permit.visibility(), id).await?;
    let left = payment.refundable()?;
    let amount = amount_minor.map_or(Ok(left), |minor| Money::new(minor, left.currency()))?;
    let aside = payment.set_aside(amount, terms.now)?;
    terms.check_gateway(&payment.gateway)?;
    terms.check_circuit()?;
    let refund = Refund::intend(&payment, amount, permit.caller().principal(), terms.now, terms.until());
    payment::update(connection, &aside).await?;
    store::insert(connection, &refund).await?;
    jobs::enqueue_at(connection, &Settle::Refund(refund.id), terms.until()).await?;
    RefundIntent::of(refund, &payment)
}

/// Something that happened to a refund.
pub(super) fn event(kind: EventKind, refund: &Refund) -> Event {
    Event { kind, account: refund.account, resource: refund.id.0, version: refund.version }
}

/// One refund.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: RefundId) -> Result<Refund> {
    store::get(connection, permit.visibility(), id).await
}

/// A page of a payment's refunds, one more than asked for if there are more, and how many there are if that was asked.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    id: PaymentId,
    start: Start,
    limit: i64,
) -> Result<(Vec<Refund>, Option<Total>)> {
    payment::get(connection, permit.visibility(), id).await?;
    let total = match start {
        Start::Offset(_) => Some(store::total(connection, id).await?),
        Start::After(_) => None,
    };
    Ok((store::list(connection, id, start, limit + 1).await?, total))
}
