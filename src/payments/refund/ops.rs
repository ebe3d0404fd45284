//! Refunds: the amount is reserved together with the intent, under the payment's lock, so that concurrent refunds never
//! add up to more than was charged.

pub mod sync;

use crate::orders::id::OrderId;
use crate::payments::id::{PaymentId, RefundId};
use crate::payments::{
    payment::{
        model::{Payment, Refund},
        store as payment,
    },
    refund::store,
    settlement::{model::State, ops::IntentContext},
};
use mainstay_kernel::{
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    events::{Event, EventKind},
    money::Money,
    page::{Listed, Page},
    unit_of_work::Work,
};

// For mail, which acts without a caller.
pub(crate) use store::get as read;

/// An intent to refund, with the charge it refunds.
#[derive(Debug, Clone)]
pub struct RefundIntent {
    pub refund: Refund,
    /// The order that was paid.
    pub order: OrderId,
    /// The gateway that made the charge.
    pub gateway: String,
    /// The gateway's id for the charge.
    pub charge_id: String,
}

impl RefundIntent {
    /// Returns the intent for a refund of a payment.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the payment did not succeed; such a payment has no refunds.
    pub(crate) fn of(refund: Refund, payment: &Payment) -> Result<Self> {
        let State::Succeeded { gateway_id } = &payment.state else {
            return Err(Error::internal(anyhow::anyhow!("payment {} has a refund and did not succeed", payment.id)));
        };
        let (order, gateway) = (payment.order, payment.gateway.clone());
        Ok(Self { refund, order, gateway, charge_id: gateway_id.clone() })
    }
}

/// Commits the intent to refund an amount, or the whole remaining amount.
///
/// # Errors
/// `NOT_FOUND`; the reason that prevents a refund of the amount (such as `REFUND_EXCEEDS_PAYMENT`); `GATEWAY_CHANGED`;
/// `CIRCUIT_OPEN`.
pub async fn begin(
    work: &mut Work,
    context: IntentContext,
    id: PaymentId,
    amount: Option<Money>,
) -> Result<RefundIntent> {
    let permit = work.permit()?;
    let lock = async |connection: &Connection| payment::lock(connection, permit.visibility(), id).await;
    let payment = work.read(lock).await?;
    let rest = payment.refundable()?;
    let amount = amount.unwrap_or(rest);
    let reserved = payment.reserve_refund(amount, context.now)?;
    context.check_gateway(&payment.gateway)?;
    context.check_circuit()?;
    let refund = Refund::intend(&payment, amount, permit.caller().principal(), context.now, context.until());
    let begin = async |connection: &Connection| {
        pipeline!(payment::update(connection, &reserved), store::insert(connection, &refund)).map(drop)
    };
    work.write(begin).await?;
    RefundIntent::of(refund, &payment)
}

/// Returns an event about a refund.
pub(crate) fn event<E: EventKind>(refund: &Refund) -> Event {
    Event::of::<E>(refund.account, refund.id.0, refund.version)
}

/// Returns a refund.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: RefundId) -> Result<Refund> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of a payment's refunds plus one more if another page follows, and the total unless paging by key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn list(connection: &Connection, permit: Permit, id: PaymentId, page: Page) -> Result<Listed<Refund>> {
    payment::get(connection, permit.visibility(), id).await?;
    store::list(connection, id, page).await
}
