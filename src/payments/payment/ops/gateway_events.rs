//! Payment events that a gateway sends: late, repeatedly, in any order. A success is final and is accepted because the
//! event is signed. A failure may belong to an earlier attempt, so it only triggers a call to the gateway.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::payments::id::PaymentId;
use crate::payments::{
    gateway::Gateway,
    ledger::store as ledger,
    payment::{dispute_job::FindDisputed, model::Payment, store},
    refund::sync_job::SyncRefunds,
    settlement::{
        model::State,
        ops::{GatewayRequest as _, alert, commit_in},
    },
};
use crate::subscriptions::job::SyncSubscription;
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    money::Money,
    queue as jobs,
};

/// Commits that a payment succeeded, unless that is already known.
///
/// # Errors
/// `BUSINESS_RULE_VIOLATION`, after an alert, if the payment is unknown, the gateway or the amount differs, or the
/// payment has failed or succeeded with another charge. Nothing is booked then.
pub async fn on_succeeded(
    connection: &mut Connection,
    id: PaymentId,
    gateway: &str,
    gateway_id: String,
    amount: Option<Money>,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(payment) = get(connection, id).await? else {
        return Err(alert_and_refuse("unknown_payment", id, &format!("{gateway_id} is for an unknown payment")));
    };
    if payment.gateway != gateway || amount != Some(payment.amount) {
        let sum = amount.map_or_else(|| "an unknown amount".to_owned(), |amount| amount.to_string());
        let detail = format!("{gateway_id} at {gateway} moved {sum}, but {} was requested", payment.amount);
        return Err(alert_and_refuse("mismatch", id, &detail));
    }
    commit_in(connection, &payment, Ok(gateway_id.clone()), now).await?;
    match store::get(connection, Visibility::All, id).await?.state {
        State::Succeeded { gateway_id: earlier } if earlier == gateway_id => Ok(()),
        // The alert has already been raised.
        _ => Err(refusal(&format!("{gateway_id} moved the money of a payment that is settled otherwise"))),
    }
}

/// Makes a payment that the gateway reports as failed due, unless it is settled.
///
/// # Errors
/// Any database error.
pub async fn on_failed(connection: &mut Connection, id: PaymentId) -> Result<()> {
    match get(connection, id).await? {
        Some(payment) if payment.state == State::Pending => Payment::set_due(connection, id.0, None).await,
        _ => Ok(()),
    }
}

/// Queues a synchronization of a payment's refunds. The payment is found by this id, or else by the gateway's
/// `charge_id`. A charge that paid an invoice has no payment: its subscription is synchronized. Events about charges of
/// other users of the gateway account are ignored.
///
/// # Errors
/// Any database error.
pub async fn on_refunds_changed(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    charge_id: Option<&str>,
    invoice_id: Option<&str>,
) -> Result<()> {
    let payment = find(connection, id, gateway, charge_id).await?;
    if let Some(payment) = payment {
        return jobs::enqueue(connection, &SyncRefunds::new(payment)).await;
    }
    let Some(invoice) = invoice_id else { return Ok(()) };
    match ledger::invoiced_subscription(connection, invoice).await? {
        Some(subscription) => jobs::enqueue(connection, &SyncSubscription::new(subscription)).await,
        None => Ok(()),
    }
}

/// A dispute at the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Dispute<'e> {
    /// The gateway's id for it.
    pub id: &'e str,
    /// The gateway's id for what was charged, by which payments here are known.
    pub charge_id: Option<&'e str>,
    /// The gateway's id for the charge itself.
    pub charge: Option<&'e str>,
}

/// Raises an alert: the cardholder disputes a payment, so the gateway takes its money back, and an operator has to
/// answer before the gateway's deadline. Disputes are not in the ledger, because the gateway moves their money back and
/// forth separately from the payment. A dispute of a charge that is no payment here may be about the invoice of a
/// subscription; the gateway is asked.
///
/// # Errors
/// Any database error.
pub async fn on_disputed(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    dispute: Dispute<'_>,
) -> Result<()> {
    if let Some(payment) = find(connection, id, gateway, dispute.charge_id).await? {
        alert("disputed", payment.0, &format!("the cardholder disputes it: {}", dispute.id));
    } else if let Some(charge) = dispute.charge {
        let job = FindDisputed { dispute: dispute.id.to_owned(), charge: charge.to_owned() };
        jobs::enqueue(connection, &job).await?;
    }
    Ok(())
}

/// Raises the alert about a dispute if the charge paid an invoice of a subscription here. Others may use the gateway's
/// account, too.
///
/// # Errors
/// `UNAVAILABLE` if the gateway does not tell; any database error.
pub async fn find_disputed(app: &App, job: FindDisputed) -> Result<()> {
    let Some(external) = app.part::<Arc<dyn Gateway>>().external_refunds() else { return Ok(()) };
    let Some(invoice) = external.invoice_of_charge(&job.charge).await.map_err(Error::unavailable)? else {
        return Ok(());
    };
    let find = async move |connection: &mut Connection| ledger::invoiced_subscription(connection, &invoice).await;
    if let Some(subscription) = app.database.autocommit(find).await? {
        alert("disputed", subscription.0, &format!("the cardholder disputes an invoice of it: {}", job.dispute));
    }
    Ok(())
}

/// Returns the payment with this id, or else the payment with the gateway's `charge_id`.
async fn find(
    connection: &mut Connection,
    id: Option<PaymentId>,
    gateway: &str,
    charge_id: Option<&str>,
) -> Result<Option<PaymentId>> {
    let named = match id {
        Some(id) => get(connection, id).await?.map(|payment| payment.id),
        None => None,
    };
    match (named, charge_id) {
        (None, Some(charge_id)) => store::of_gateway(connection, gateway, charge_id).await,
        (named, _) => Ok(named),
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
