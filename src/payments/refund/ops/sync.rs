//! Synchronizes the refunds of a payment with the gateway's. Refunds that are pending here and done there are settled.
//! Refunds that were made at the gateway itself, such as in its dashboard, are adopted. Refunds that the bank returned
//! are reversed. Each refund is committed in a separate transaction, so synchronization is idempotent and can run in
//! any order and concurrently with refunds made here.

use crate::payments::config::PaymentsConfig;
use crate::payments::gateway::Gateway;
use chrono::{DateTime, TimeDelta};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::payments::id::{PaymentId, RefundId};
use crate::{
    orders::order::ops as order,
    payments::{
        events::RefundFailed,
        gateway::{FailedRefund, Movement, Refunds},
        ledger::{
            model::Posting,
            store::{self as ledger, RefundedInvoice},
        },
        payment::{
            model::{Payment, Refund},
            store as payment,
        },
        refund::{
            ops::{RefundIntent, event},
            search_job::FindRefunds,
            store,
            sync_job::SyncRefunds,
        },
        settlement::{
            model::{State, Status},
            ops::{self as settle, alert, refund::book, settle_in},
        },
    },
    subscriptions::job::SyncSubscription,
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    queue as jobs,
    unit_of_work::Work,
};

/// The pages of the gateway's refunds that one job reads.
const PAGES: usize = 20;
/// The number of attempts after which an alert is raised.
const MAX_QUIET_ATTEMPTS: u32 = 7;

/// Synchronizes the refunds of a payment, or schedules the job again: after the wait for an unknown outcome, doubled
/// each time, up to 64 times as long.
pub async fn sync(app: &App, job: SyncRefunds) -> Result<()> {
    let Some(why) = sync_once(app, job.payment).await? else { return Ok(()) };
    tracing::warn!(payment = %job.payment, attempts = job.attempts, why, "refunds are not in sync yet");
    if job.attempts >= MAX_QUIET_ATTEMPTS {
        alert("refunds_differ", job.payment.0, &why);
    }
    let at = app.clock.now() + app.config.section::<PaymentsConfig>().retry_wait() * (1 << job.attempts.min(6));
    let next = SyncRefunds { attempts: job.attempts.saturating_add(1), ..job };
    app.database.autocommit(async move |connection| jobs::repeat_at(connection, &next, at).await).await
}

/// Begins a search of the gateway's refunds of the last `days` days for changes that no webhook reported: refunds that
/// were made there, and refunds that the bank returned. Returns 0 if such a search is still running, or if the gateway
/// reports no external refunds.
pub async fn begin_search(app: &App, days: u32) -> Result<usize> {
    if app.part::<Arc<dyn Gateway>>().external_refunds().is_none() {
        return Ok(0);
    }
    let since = (app.clock.now() - TimeDelta::days(days.into())).timestamp();
    let job = FindRefunds { days, since, from: None, repetitions: 0 };
    let begin = app.database.autocommit(async move |connection| jobs::enqueue_missing(connection, &[job]).await);
    begin.await
}

/// Searches a number of pages of the gateway's refunds, and adds a job for each payment whose refunds differ. Then adds
/// the job for the next part of the search.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable, or if the gateway has not answered for hours; the jobs for differences found
/// so far are kept.
pub async fn find_missed(app: &App, job: FindRefunds, stop: &CancellationToken) -> Result<()> {
    let Some(external) = app.part::<Arc<dyn Gateway>>().external_refunds() else { return Ok(()) };
    let since = DateTime::from_timestamp(job.since, 0).unwrap_or_default();
    let (gateway, mut from) = (app.part::<Arc<dyn Gateway>>().name(), job.from);
    for _ in 0..PAGES {
        let (Refunds { moved: movements, failed }, next) = match external.refunds_since(since, from.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                let repetitions = job.repetitions.saturating_add(1);
                let rest = FindRefunds { from, repetitions, days: job.days, since: job.since };
                return settle::repeat(app, rest, job.repetitions, error).await;
            }
        };
        let of_invoice = |invoice: Option<&String>, refund: &String, is_returned| {
            Some(RefundedInvoice { invoice: invoice?.clone(), refund: refund.clone(), is_returned })
        };
        let refunds = movements.iter().map(|refund| of_invoice(refund.invoice_id.as_ref(), &refund.gateway_id, false));
        let returns = failed.iter().map(|refund| of_invoice(refund.invoice_id.as_ref(), &refund.gateway_id, true));
        let mut of_invoices: Vec<_> = refunds.chain(returns).flatten().collect();
        if !SyncSubscription::has_handler(app) {
            of_invoices.clear();
        }
        let movements = movements.into_iter().filter_map(|refund| Some((refund.gateway_id, refund.charge_id?)));
        let failed = failed.into_iter().filter_map(|refund| Some((refund.gateway_id, refund.charge_id?)));
        let (movements, failed): (Vec<_>, Vec<_>) = (movements.collect(), failed.collect());
        let enqueue = app.database.autocommit(async move |connection| {
            let payments = store::out_of_line(connection, gateway, &movements, &failed).await?;
            let payments: Vec<_> = payments.into_iter().map(SyncRefunds::new).collect();
            let subscriptions = ledger::refunded_subscriptions(connection, &of_invoices).await?;
            let subscriptions = subscriptions.into_iter().map(SyncSubscription::new);
            let subscriptions: Vec<_> = subscriptions.collect();
            // A payment that already has a job waiting for its next attempt keeps that job.
            let count = jobs::enqueue_missing(connection, &payments).await?;
            Ok::<_, Error>(count + jobs::enqueue_missing(connection, &subscriptions).await?)
        });
        enqueue.await?;
        from = next;
        if from.is_none() {
            return Ok(());
        }
        if stop.is_cancelled() {
            break;
        }
    }
    let rest = FindRefunds { from, repetitions: 0, days: job.days, since: job.since };
    app.database.autocommit(async move |connection| jobs::enqueue(connection, &rest).await).await
}

/// Raises an alert: the job of a payment will not be retried. `mainstay ledger check` lists the discrepancies it
/// leaves.
pub fn alert_failed(id: PaymentId) {
    alert("refunds_differ", id.0, "its refunds could not be synchronized");
}

/// Synchronizes the refunds of a payment once. Returns the reason to repeat the synchronization, if there is one.
async fn sync_once(app: &App, id: PaymentId) -> Result<Option<String>> {
    let mut payment = read(app, id).await?;
    if let Some(why) = settle::wrong_gateway(app, &payment.gateway) {
        return Ok(Some(why));
    }
    if payment.state == State::Pending {
        // A refunded payment was charged before, so its outcome is known to the gateway.
        settle::finish::<Payment>(app, id.0).await?;
        payment = read(app, id).await?;
    }
    let charge_id = match payment.state {
        State::Succeeded { gateway_id } => gateway_id,
        State::Pending => return Ok(Some("the outcome of the payment is not known yet".to_owned())),
        State::Failed(_) => {
            alert("mismatch", id.0, "the gateway refunded a payment that failed here");
            return Ok(None);
        }
    };
    let Some(external) = app.part::<Arc<dyn Gateway>>().external_refunds() else { return Ok(None) };
    let refunds = match external.refunds(&charge_id).await {
        Ok(refunds) => refunds,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let mut pending = None;
    // Returned refunds first: they free up amounts.
    for failed in refunds.failed {
        let reverse = async move |work: &mut Work| reverse(work, id, failed).await;
        if !app.database.transaction(reverse).await? {
            pending = Some("a returned refund is still pending here".to_owned());
        }
    }
    for movement in refunds.moved {
        let adopt = async move |work: &mut Work| adopt(work, id, movement).await;
        if !app.database.transaction(adopt).await? {
            pending = Some("a pending refund reserves the amount of a refund made at the gateway".to_owned());
        }
    }
    Ok(pending)
}

async fn read(app: &App, id: PaymentId) -> Result<Payment> {
    app.database.autocommit(async move |connection| payment::get(connection, Visibility::All, id).await).await
}

/// Takes one of the gateway's refunds into the ledger. Returns `false` if the amount is not available yet. Lock order:
/// order, payment, refund, as everywhere.
async fn adopt(work: &mut Work, id: PaymentId, movement: Movement) -> Result<bool> {
    let now = work.now();
    let connection = work.connection().await?;
    let order = payment::get(connection, Visibility::All, id).await?.order;
    let order = order::lock(connection, Visibility::All, order).await?;
    let payment = payment::lock(connection, Visibility::All, id).await?;
    let Movement { subject, gateway_id, amount, .. } = movement;
    if store::is_known(connection, id, &gateway_id).await? {
        return Ok(true);
    }
    let ours = of_payment(connection, id, subject.map(RefundId)).await?;
    let twin = match ours.map(|refund| (refund.state.status(), refund)) {
        Some((Status::Pending, refund)) if refund.amount == amount => {
            settle_in(work, &RefundIntent::of(refund, &payment)?, Ok(gateway_id)).await?;
            return Ok(true);
        }
        Some((Status::Pending, refund)) => {
            alert("mismatch", refund.id.0, &format!("{gateway_id} refunded {amount}"));
            return Ok(true);
        }
        // The gateway's refund is a different one: a refund that failed here was abandoned, and a refund that succeeded
        // was made twice.
        Some((Status::Failed, _)) | None => None,
        Some((Status::Succeeded, refund)) => Some(refund.id),
    };
    if payment.amount.currency() != amount.currency() {
        alert("mismatch", id.0, &format!("{gateway_id} refunded {amount} of {}", payment.amount));
        return Ok(true);
    }
    // The amount may be reserved for a pending refund that the gateway will reject; the rejection releases it.
    let reserved = match payment.reserve_refund(amount, now) {
        Ok(reserved) => reserved,
        Err(full) if full.is_rule() => return Ok(false),
        Err(error) => return Err(error),
    };
    let refund = Refund::adopt(&payment, amount, gateway_id.clone(), now);
    tracing::info!(payment = %id, refund = %refund.id, gateway_id, "a refund was made at the gateway itself");
    payment::update(connection, &reserved).await?;
    store::insert(connection, &refund).await?;
    book(work, order, &reserved, &refund, &gateway_id).await?;
    if let Some(twin) = twin {
        let why = format!("the gateway made a second refund for one request: {gateway_id}");
        alert("moved_twice", twin.0, &why);
    }
    Ok(true)
}

/// Reverses a refund that succeeded and was returned later. Its success was already reported, so an operator has to
/// decide what happens next. Returns `false` if the refund is still pending here: the gateway may still answer its key
/// with success, because the refund succeeded at first. A refund that was never in the ledger, or was already reversed,
/// stays unchanged.
async fn reverse(work: &mut Work, id: PaymentId, failed: FailedRefund) -> Result<bool> {
    let now = work.now();
    let connection = work.connection().await?;
    let order = payment::get(connection, Visibility::All, id).await?.order;
    let order = order::lock(connection, Visibility::All, order).await?;
    let payment = payment::lock(connection, Visibility::All, id).await?;
    let FailedRefund { gateway_id, subject, .. } = failed;
    let Some(refund) = store::lock_known(connection, id, &gateway_id).await? else {
        let ours = of_payment(connection, id, subject).await?;
        return Ok(ours.is_none_or(|refund| refund.state != State::Pending));
    };
    ledger::book(connection, &Posting::reversal(&refund, &gateway_id), now).await?;
    let refund = refund.mark_returned(now);
    store::update(connection, &refund).await?;
    payment::update(connection, &payment.release_refund(refund.amount, now)?).await?;
    let state = order.state.undo_refund();
    if state != order.state {
        order::update(connection, &order.with_state(state, now)).await?;
    }
    work.publish(event::<RefundFailed>(&refund));
    // Raised before the commit, because a repetition after a commit whose answer was lost finds nothing to reverse.
    let why = format!("the bank returned {}, which the cardholder is still owed", refund.amount);
    alert("refund_returned", refund.id.0, &why);
    Ok(true)
}

/// Locks and returns the refund that the gateway names, if it belongs to the payment.
async fn of_payment(connection: &mut Connection, payment: PaymentId, id: Option<RefundId>) -> Result<Option<Refund>> {
    let Some(id) = id else { return Ok(None) };
    match store::lock(connection, id).await {
        Ok(refund) => Ok(Some(refund).filter(|refund| refund.payment == payment)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err::<_, Error>(error),
    }
}
