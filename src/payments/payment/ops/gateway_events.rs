//! Payment events that a gateway sends: late, repeatedly, in any order. A success is final and is accepted because the
//! event is signed. A failure may belong to an earlier attempt, so it only triggers a call to the gateway.

use std::sync::Arc;

use crate::payments::id::PaymentId;
use crate::payments::{
    gateway::{Gateway, Purpose},
    ledger::store as ledger,
    payment::{dispute_job::FindDisputed, model::Payment, refund_job::FindRefunded, store},
    refund::sync_job::SyncRefunds,
    settlement::{
        model::State,
        ops::{GatewayRequest as _, alert, settle_in},
    },
};
use crate::subscriptions::{id::SubscriptionId, job::SyncSubscription};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    money::Money,
    queue as jobs,
    unit_of_work::Work,
};

/// Commits that a payment succeeded, unless that is already known.
///
/// # Errors
/// `BUSINESS_RULE_VIOLATION`, after an alert, if the payment is unknown, the gateway or the amount differs, or the
/// payment has failed or succeeded with another charge. Nothing is booked then.
pub async fn on_succeeded(
    work: &mut Work,
    id: PaymentId,
    gateway: &str,
    gateway_id: String,
    amount: Option<Money>,
) -> Result<()> {
    let Some(payment) = get(work.connection().await?, id).await? else {
        return Err(alert_and_refuse("unknown_payment", id, &format!("{gateway_id} is for an unknown payment")));
    };
    if payment.gateway != gateway || amount != Some(payment.amount) {
        let sum = amount.map_or_else(|| "an unknown amount".to_owned(), |amount| amount.to_string());
        let detail = format!("{gateway_id} at {gateway} moved {sum}, but {} was requested", payment.amount);
        return Err(alert_and_refuse("mismatch", id, &detail));
    }
    settle_in(work, &payment, Ok(gateway_id.clone())).await?;
    match store::get(work.connection().await?, Visibility::All, id).await?.state {
        State::Succeeded { gateway_id: earlier } if earlier == gateway_id => Ok(()),
        // The alert has already been raised.
        _ => Err(refusal(&format!("{gateway_id} moved the money of a payment that is settled otherwise"))),
    }
}

/// Makes a payment that the gateway reports as failed due, unless it is settled.
pub async fn on_failed(connection: &mut Connection, id: PaymentId) -> Result<()> {
    match get(connection, id).await? {
        Some(payment) if payment.state == State::Pending => Payment::set_due(connection, id.0, None).await,
        _ => Ok(()),
    }
}

/// A charge at the gateway that was refunded.
#[derive(Debug, Clone, Copy)]
pub struct RefundedCharge<'e> {
    /// The gateway's id for what was charged, by which payments here are known.
    pub payment_intent: Option<&'e str>,
    /// The gateway's id for the charge itself.
    pub charge: Option<&'e str>,
    /// The gateway's id for the invoice that it paid, if the event names it.
    pub invoice: Option<&'e str>,
}

/// Queues a synchronization of a payment's refunds. The payment is found by this id, or else by the gateway's
/// `payment_intent`. A charge that paid an invoice has no payment: a job finds its subscription.
pub async fn on_refunds_changed(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    refunded: RefundedCharge<'_>,
) -> Result<()> {
    if let Some(payment) = find(connection, id, gateway, refunded.payment_intent).await? {
        return jobs::enqueue(connection, &SyncRefunds::new(payment)).await;
    }
    let Some(charge) = refunded.charge else { return Ok(()) };
    let job = FindRefunded { charge: charge.to_owned(), invoice: refunded.invoice.map(str::to_owned) };
    jobs::enqueue(connection, &job).await
}

/// Queues a synchronization of the refunds of a charge. Unless the event named the invoice, the gateway tells what the charge
/// paid. Charges of other users of the gateway account are ignored, and subscriptions in a program without their module.
///
/// # Errors
/// `UNAVAILABLE` if the gateway does not tell; any database error.
pub async fn find_refunded(app: &App, job: FindRefunded) -> Result<()> {
    let purpose = match (job.invoice, app.part::<Arc<dyn Gateway>>().external_refunds()) {
        (Some(invoice), _) => Purpose { payment: None, invoice: Some(invoice) },
        (None, Some(external)) => external.purpose_of_charge(&job.charge).await.map_err(Error::unavailable)?,
        (None, None) => return Ok(()),
    };
    let has_subscriptions = SyncSubscription::has_handler(app);
    let enqueue = app.database.autocommit(async move |connection: &mut Connection| {
        match known_purpose(connection, purpose).await? {
            Some(Known::Payment(payment)) => jobs::enqueue(connection, &SyncRefunds::new(payment)).await,
            Some(Known::Subscription(subscription)) if has_subscriptions => {
                jobs::enqueue(connection, &SyncSubscription::new(subscription)).await
            }
            Some(Known::Subscription(_)) | None => Ok(()),
        }
    });
    enqueue.await
}

/// A dispute at the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Dispute<'e> {
    /// The gateway's id for it.
    pub id: &'e str,
    /// The gateway's id for what was charged, by which payments here are known.
    pub payment_intent: Option<&'e str>,
    /// The gateway's id for the charge itself.
    pub charge: Option<&'e str>,
}

/// Raises an alert: the cardholder disputes a payment, so the gateway takes its money back, and an operator has to
/// answer before the gateway's deadline. Disputes are not in the ledger, because the gateway moves their money back and
/// forth separately from the payment. A dispute of a charge that is not booked for a payment here may be about the
/// invoice of a subscription, or about another charge of a payment; the gateway is asked.
pub async fn on_disputed(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    dispute: Dispute<'_>,
) -> Result<()> {
    if let Some(payment) = find(connection, id, gateway, dispute.payment_intent).await? {
        alert("disputed", payment.0, &format!("the cardholder disputes it: {}", dispute.id));
    } else if let Some(charge) = dispute.charge {
        let job = FindDisputed { dispute: dispute.id.to_owned(), charge: charge.to_owned() };
        jobs::enqueue(connection, &job).await?;
    }
    Ok(())
}

/// Raises the alert about a dispute if the charge names a payment here, whether or not it is booked, or paid an invoice
/// of a subscription here. Others may use the gateway's account, too.
///
/// # Errors
/// `UNAVAILABLE` if the gateway does not tell; any database error.
pub async fn find_disputed(app: &App, job: FindDisputed) -> Result<()> {
    let Some(external) = app.part::<Arc<dyn Gateway>>().external_refunds() else { return Ok(()) };
    let purpose = external.purpose_of_charge(&job.charge).await.map_err(Error::unavailable)?;
    let find = async move |connection: &mut Connection| known_purpose(connection, purpose).await;
    let FindDisputed { dispute, charge } = job;
    match app.database.autocommit(find).await? {
        Some(Known::Payment(payment)) => {
            alert("disputed", payment.0, &format!("the cardholder disputes {charge}, a charge of it: {dispute}"));
        }
        Some(Known::Subscription(subscription)) => {
            alert("disputed", subscription.0, &format!("the cardholder disputes an invoice of it: {dispute}"));
        }
        None => {}
    }
    Ok(())
}

/// What a charge paid here.
enum Known {
    Payment(PaymentId),
    Subscription(SubscriptionId),
}

/// Returns what a charge paid here; `None` for a charge of another user of the gateway account.
async fn known_purpose(connection: &mut Connection, purpose: Purpose) -> Result<Option<Known>> {
    if let Some(payment) = find_named(connection, purpose.payment).await? {
        return Ok(Some(Known::Payment(payment)));
    }
    let Some(invoice) = purpose.invoice else { return Ok(None) };
    Ok(ledger::invoiced_subscription(connection, &invoice).await?.map(Known::Subscription))
}

/// Returns the payment with this id, or else the payment with the gateway's `payment_intent`.
async fn find(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    payment_intent: Option<&str>,
) -> Result<Option<PaymentId>> {
    match (find_named(connection, id).await?, payment_intent) {
        (None, Some(payment_intent)) => store::of_gateway(connection, gateway, payment_intent).await,
        (named, _) => Ok(named),
    }
}

/// Returns the payment that the gateway names, if it is one here.
async fn find_named(connection: &mut Connection, id: Option<PaymentId>) -> Result<Option<PaymentId>> {
    match id {
        Some(id) => Ok(get(connection, id).await?.map(|payment| payment.id)),
        None => Ok(None),
    }
}

async fn get(connection: &mut Connection, id: PaymentId) -> Result<Option<Payment>> {
    match store::get(connection, Visibility::All, id).await {
        Ok(payment) => Ok(Some(payment)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn alert_and_refuse(cause: &'static str, id: PaymentId, detail: &str) -> Error {
    alert(cause, id.0, detail);
    refusal(detail)
}

/// A retry would not change anything.
fn refusal(detail: &str) -> Error {
    Error::rule("The event does not match the payment.").caused_by(anyhow::anyhow!(detail.to_owned()))
}
