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
        effect::State,
        ledger::Posting,
        money::Money,
        payment::{Payment, Refund},
        webhook::EventKind,
    },
    error::{Error, Reason, Result},
    gateway::Movement,
    id::{PaymentId, RefundId},
    jobs::{self, Settle, SyncRefunds},
    ops::{
        settle::{self, alert, commit_in, refund::book},
        webhook,
    },
    store::{Connection, ledger, order, payment, refund as store},
};

/// What was given back before is in line, or its job was given up.
const LATELY: TimeDelta = TimeDelta::days(3);
/// Refunds that one statement looks for.
const AT_ONCE: usize = 1000;
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

/// Reads what the gateway gave back lately, and has the refunds of each payment looked at of which one is not known: what no
/// webhook told is found all the same. Returns how many there were.
///
/// # Errors
/// `UNAVAILABLE` while Postgres or the gateway is away.
pub async fn find_missed(app: &App) -> Result<usize> {
    let since = app.clock.now() - LATELY;
    let movements = app.gateway.refunds_since(since).await.map_err(Error::unavailable)?;
    let there = movements.into_iter().filter_map(|movement| Some((movement.gateway_id, movement.charge_id?)));
    let (there, gateway) = (there.collect::<Vec<_>>(), app.gateway.name());
    let mut count = 0;
    for part in there.chunks(AT_ONCE).map(<[_]>::to_vec) {
        let missed = app.database.read(move |connection| {
            async move {
                let payments = store::unknown(connection, gateway, &part).await?;
                let missed: Vec<_> = payments.into_iter().map(SyncRefunds::new).collect();
                // One whose job waits for its next try goes on waiting.
                jobs::enqueue_missing(connection, &missed).await
            }
            .boxed()
        });
        count += missed.await?;
    }
    Ok(count)
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
    for gateway_id in refunds.failed {
        let reversed = app.database.write(move |connection| reverse(connection, id, gateway_id, now).boxed());
        if let Some((refund, amount)) = reversed.await? {
            alert(
                "refund_returned",
                refund.0,
                &format!("the bank did not take {amount:?} back, which its holder still awaits"),
            );
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
    if let Some(refund) = ours(connection, id, subject.map(RefundId)).await? {
        if refund.amount == amount {
            commit_in(connection, &Begun::of(refund, &payment)?, Ok(gateway_id), now).await?;
        } else {
            alert("mismatch", refund.id.0, &format!("{gateway_id} gave {amount:?} back"));
        }
        return Ok(true);
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

/// Takes a refund out of the books that succeeded and came back later, if there is one; which, and how much it was of. It
/// was told as given back, so what becomes of it is a matter for a person.
async fn reverse(
    connection: &mut Connection,
    id: PaymentId,
    gateway_id: String,
    now: DateTime<Utc>,
) -> Result<Option<(RefundId, Money)>> {
    let order = payment::get(connection, Visibility::All, id).await?.order;
    let order = order::lock(connection, Visibility::All, order).await?;
    let payment = payment::lock(connection, Visibility::All, id).await?;
    let Some(refund) = store::lock_known(connection, id, &gateway_id).await? else { return Ok(None) };
    ledger::book(connection, &Posting::reversal(&refund, &gateway_id), now).await?;
    let refund = refund.returned(now);
    store::update(connection, &refund).await?;
    payment::update(connection, &payment.keep(refund.amount, now)?).await?;
    let state = order.state.unrefunded();
    if state != order.state {
        order::update(connection, &order.turned(state, now)).await?;
    }
    webhook::tell(connection, &[event(EventKind::RefundFailed, &refund)], now).await?;
    Ok(Some((refund.id, refund.amount)))
}

/// The refund of ours that a movement is for, held, if it is pending. One that failed here was given up, and what the
/// gateway did all the same is another one.
async fn ours(connection: &mut Connection, payment: PaymentId, id: Option<RefundId>) -> Result<Option<Refund>> {
    let Some(id) = id else { return Ok(None) };
    match store::lock(connection, id).await {
        Ok(refund) => Ok(Some(refund).filter(|refund| refund.payment == payment && refund.state == State::Pending)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err::<_, Error>(error),
    }
}
