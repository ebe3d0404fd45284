//! Brings the refunds of a payment in line with the gateway's: what is pending here and done there is settled, what was
//! given back past us, in the gateway's own console, is adopted, and what came back is reversed. Each refund is a
//! transaction of its own, so it bears to be done twice, in any order, and beside refunds of ours.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;

use super::{Begun, event};
use crate::{
    app::App,
    caller::Visibility,
    domain::{
        effect::{State, Status},
        ledger::Posting,
        money::Money,
        payment::{Payment, Refund},
        webhook::EventKind,
    },
    error::{Error, Reason, Result},
    gateway::{FailedRefund, Movement, Refunds},
    id::{PaymentId, RefundId},
    jobs::{self, Settle, SyncRefunds},
    ops::{
        settle::{self, alert, commit_in, refund::book},
        webhook,
    },
    store::{Connection, ledger, order, payment, refund as store},
};

/// Tries in vain before a person is called.
const PATIENCE: u32 = 7;

/// Brings the refunds of a payment in line, or has the job come back later: after the wait of an unknown outcome, doubled
/// each time, up to 64 times as long.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn sync(app: &App, job: SyncRefunds) -> Result<()> {
    let Some(why) = look(app, job.payment).await? else { return Ok(()) };
    tracing::warn!(payment = %job.payment, tries = job.tries, why, "refunds are not in line yet");
    if job.tries >= PATIENCE {
        alert("refunds_differ", job.payment.0, &why);
    }
    let at = app.clock.now() + app.config.payments.retry_wait() * (1 << job.tries.min(6));
    let next = SyncRefunds { tries: job.tries.saturating_add(1), ..job };
    app.database.write(move |connection| async move { jobs::enqueue_at(connection, &next, at).await }.boxed()).await
}

/// Finds what no webhook told: refunds that were made at the gateway itself since `window` ago, and refunds of that time that
/// came back. The refunds of each payment concerned are looked at by a job. Returns how many payments that are.
///
/// # Errors
/// `UNAVAILABLE` while Postgres or the gateway is away; what was found by then has its jobs.
pub async fn find_missed(app: &App, window: TimeDelta) -> Result<usize> {
    let (since, gateway) = (app.clock.now() - window, app.gateway.name());
    let (mut count, mut from) = (0, None::<String>);
    loop {
        let page = app.gateway.refunds_since(since, from.as_deref()).await;
        let (Refunds { moved, failed }, next) = page.map_err(Error::unavailable)?;
        let moved = moved.into_iter().filter_map(|refund| Some((refund.gateway_id, refund.charge_id?)));
        let failed = failed.into_iter().filter_map(|refund| Some((refund.gateway_id, refund.charge_id?)));
        let (moved, failed): (Vec<_>, Vec<_>) = (moved.collect(), failed.collect());
        let missed = app.database.read(move |connection| {
            async move {
                let payments = store::out_of_line(connection, gateway, &moved, &failed).await?;
                let missed: Vec<_> = payments.into_iter().map(SyncRefunds::new).collect();
                // One whose job waits for its next try goes on waiting.
                jobs::enqueue_missing(connection, &missed).await
            }
            .boxed()
        });
        count += missed.await?;
        from = next;
        if from.is_none() {
            return Ok(count);
        }
    }
}

/// Calls a person: the job of a payment is not tried again. `mainstay ledger check` names what it leaves.
pub fn given_up(id: PaymentId) {
    alert("refunds_differ", id.0, "its refunds could not be brought in line");
}

/// Looks at the refunds of a payment once; why that has to be done again, if it has.
async fn look(app: &App, id: PaymentId) -> Result<Option<String>> {
    let mut payment = read(app, id).await?;
    if let Some(why) = settle::elsewhere(app, &payment.gateway) {
        return Ok(Some(why));
    }
    if payment.state == State::Pending {
        // What was given back was charged before: the gateway knows, so it is asked.
        settle::finish(app, Settle::Payment(id)).await?;
        payment = read(app, id).await?;
    }
    let charge_id = match payment.state {
        State::Succeeded { gateway_id } => gateway_id,
        State::Pending => return Ok(Some("what came of the payment is not known yet".to_owned())),
        State::Failed(_) => {
            alert("mismatch", id.0, "the gateway gave money back of a payment that failed here");
            return Ok(None);
        }
    };
    let refunds = match app.gateway.refunds(&charge_id).await {
        Ok(refunds) => refunds,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let (now, mut waits) = (app.clock.now(), None);
    // Those that came back first: they make room.
    for failed in refunds.failed {
        match app.database.write(move |connection| reverse(connection, id, failed, now).boxed()).await? {
            Reversed::Nothing => {}
            Reversed::Early => waits = Some("a refund that came back is pending here".to_owned()),
            Reversed::Refund(refund, amount) => alert(
                "refund_returned",
                refund.0,
                &format!("the bank did not take {amount:?} back, which its holder still awaits"),
            ),
        }
    }
    for movement in refunds.moved {
        let taken = app.database.write(move |connection| take_in(connection, id, movement, now).boxed());
        if !taken.await? {
            waits = Some("a refund that is pending here leaves no room for one that was made there".to_owned());
        }
    }
    Ok(waits)
}

async fn read(app: &App, id: PaymentId) -> Result<Payment> {
    app.database.read(move |connection| payment::get(connection, Visibility::All, id).boxed()).await
}

/// Takes one refund of the gateway's into the books; `false` when it does not fit in yet. The order is locked first, then
/// the payment, then the refund, as everywhere.
async fn take_in(connection: &mut Connection, id: PaymentId, movement: Movement, now: DateTime<Utc>) -> Result<bool> {
    let order = payment::get(connection, Visibility::All, id).await?.order;
    let order = order::lock(connection, Visibility::All, order).await?;
    let payment = payment::lock(connection, Visibility::All, id).await?;
    let Movement { subject, gateway_id, amount, .. } = movement;
    if store::is_known(connection, id, &gateway_id).await? {
        return Ok(true);
    }
    let ours = of_payment(connection, id, subject.map(RefundId)).await?;
    match ours.map(|refund| (refund.state.status(), refund)) {
        Some((Status::Pending, refund)) if refund.amount == amount => {
            commit_in(connection, &Begun::of(refund, &payment)?, Ok(gateway_id), now).await?;
            return Ok(true);
        }
        Some((Status::Pending, refund)) => {
            alert("mismatch", refund.id.0, &format!("{gateway_id} gave {amount:?} back"));
            return Ok(true);
        }
        // It is another one then, though nobody should have asked for it.
        Some((Status::Succeeded, refund)) => {
            alert(
                "moved_twice",
                refund.id.0,
                &format!("the gateway gave back again what it was asked to once: {gateway_id}"),
            );
        }
        // One that failed here was given up, and what the gateway did all the same is another one.
        Some((Status::Failed, _)) | None => {}
    }
    if payment.amount.currency() != amount.currency() {
        alert("mismatch", id.0, &format!("{gateway_id} gave {amount:?} back of {:?}", payment.amount));
        return Ok(true);
    }
    // What is set aside for a refund that the gateway will have to refuse is free again once it did.
    let aside = match payment.set_aside(amount, now) {
        Ok(aside) => aside,
        Err(full) if full.reason() == Reason::BusinessRuleViolation => return Ok(false),
        Err(error) => return Err(error),
    };
    let refund = Refund::adopt(&payment, amount, gateway_id.clone(), now);
    tracing::info!(payment = %id, refund = %refund.id, gateway_id, "a refund was made at the gateway itself");
    payment::update(connection, &aside).await?;
    store::insert(connection, &refund).await?;
    book(connection, order, &aside, &refund, &gateway_id, now).await?;
    Ok(true)
}

/// What became of a refund that failed at the gateway.
enum Reversed {
    /// Nothing: it never was in the books, or is no more.
    Nothing,
    /// Nothing yet: what we asked the gateway for is pending here. Its key may still answer that it succeeded, for that is
    /// what it did at first.
    Early,
    /// It is out of the books.
    Refund(RefundId, Money),
}

/// Takes a refund out of the books that succeeded and came back later. It was told as given back, so what becomes of it is a
/// matter for a person.
async fn reverse(
    connection: &mut Connection,
    id: PaymentId,
    failed: FailedRefund,
    now: DateTime<Utc>,
) -> Result<Reversed> {
    let order = payment::get(connection, Visibility::All, id).await?.order;
    let order = order::lock(connection, Visibility::All, order).await?;
    let payment = payment::lock(connection, Visibility::All, id).await?;
    let FailedRefund { gateway_id, subject, .. } = failed;
    let Some(refund) = store::lock_known(connection, id, &gateway_id).await? else {
        let ours = of_payment(connection, id, subject).await?;
        let is_pending = ours.is_some_and(|refund| refund.state == State::Pending);
        return Ok(if is_pending { Reversed::Early } else { Reversed::Nothing });
    };
    ledger::book(connection, &Posting::reversal(&refund, &gateway_id), now).await?;
    let refund = refund.returned(now);
    store::update(connection, &refund).await?;
    payment::update(connection, &payment.keep(refund.amount, now)?).await?;
    let state = order.state.unrefunded();
    if state != order.state {
        order::update(connection, &order.turned(state, now)).await?;
    }
    webhook::tell(connection, &[event(EventKind::RefundFailed, &refund)], now).await?;
    Ok(Reversed::Refund(refund.id, refund.amount))
}

/// The refund of ours that the gateway says one is for, held, if it is one of the payment's.
async fn of_payment(connection: &mut Connection, payment: PaymentId, id: Option<RefundId>) -> Result<Option<Refund>> {
    let Some(id) = id else { return Ok(None) };
    match store::lock(connection, id).await {
        Ok(refund) => Ok(Some(refund).filter(|refund| refund.payment == payment)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err::<_, Error>(error),
    }
}
