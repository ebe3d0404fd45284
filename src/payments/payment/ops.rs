//! Payments. The intent is committed here; [`settlement`](crate::payments::settlement::ops) carries it out, whether or
//! not the caller waits.

pub mod gateway_events;

use crate::{orders::id::OrderId, payments::id::PaymentId};
use crate::{
    orders::order::ops as order,
    payments::{
        payment::{
            model::{Filter, Payment, PaymentMethod},
            store,
        },
        settlement::ops::IntentContext,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::Result,
    events::{Event, EventKind},
    page::{Listed, Page},
    unit_of_work::Work,
};

// For other modules, which act without a caller.
pub(crate) use store::{get as read, stats};

/// Commits the intent to charge an order: the payment, which a worker settles if the caller's process does not, and the
/// order's new state.
///
/// # Errors
/// `VALIDATION_FAILED` if the method is a card number, `NOT_FOUND`, `CIRCUIT_OPEN`; unless the order is open,
/// `ORDER_ALREADY_PAID`, `ORDER_PAYMENT_PENDING`, `ORDER_CANCELLED` or `ORDER_REFUNDED`, by its state.
pub async fn begin(work: &mut Work, context: IntentContext, order: OrderId, method: String) -> Result<Payment> {
    let (permit, now) = (work.permit()?, context.now);
    let method = PaymentMethod::parse(method)?;
    let lock = async |connection: &Connection| order::lock(connection, permit.visibility(), order).await;
    let order = work.read(lock).await?;
    let id = PaymentId::generate(now);
    let state = order.state.pay(id)?;
    context.check_circuit()?;
    let (caller, gateway) = (permit.caller().principal(), context.gateway.name());
    let payment = Payment::intend(id, &order, caller, gateway, method, now, context.until())?;
    let order = order.with_state(state, now);
    // One round trip, in this order: the order refers to the payment.
    let begin = async |connection: &Connection| {
        pipeline!(store::insert(connection, payment), order::update(connection, &order))
    };
    let (payment, ()) = work.write(begin).await?;
    Ok(payment)
}

/// Measures how long the oldest payment has waited for its outcome; 0 if no payment waits.
pub async fn measure_unsettled(app: App) -> Result<()> {
    let oldest = app.database.autocommit(async |connection| stats::oldest_pending(connection).await).await?;
    let age = oldest.and_then(|oldest| (app.clock.now() - oldest).to_std().ok()).unwrap_or_default();
    metrics::gauge!("mainstay_payments_oldest_unsettled_seconds").set(age.as_secs_f64());
    Ok(())
}

/// Returns an event about a payment.
pub(crate) fn event<E: EventKind>(payment: &Payment) -> Event {
    Event::of::<E>(payment.account, payment.id.0, payment.version)
}

/// Returns a payment.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: PaymentId) -> Result<Payment> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of payments plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<Payment>> {
    store::list(connection, permit.visibility(), &filter, page).await
}
