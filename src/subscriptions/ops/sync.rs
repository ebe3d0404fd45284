//! Synchronizes a subscription with the gateway. A webhook event only triggers a query, because events may be late,
//! repeated, or out of order. The gateway's answers have none of these problems if they are processed in the order of
//! their requests.

use chrono::{DateTime, Utc};
use std::sync::Arc;

use crate::subscriptions::id::SubscriptionId;
use crate::{
    mail::ops as mail,
    payments::{
        Gateway, Lookup,
        ledger::ops as ledger,
        settlement::{
            model::Failure,
            ops::{self as settle, GatewayRequest as _, conclude},
        },
    },
    subscriptions::{
        events::{SubscriptionCancelled, SubscriptionUpdated},
        job::SyncSubscription,
        mails::{SubscriptionReceipt, SubscriptionUnpaid},
        model::{InvoiceRefund, Observation, Snapshot, State, Status, Subscription},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::Visibility,
    database::{Connection, pipeline::pipeline},
    error::Result,
    events::{Event, EventKind as _},
    fault, id,
    page::Start,
    queue as jobs,
    unit_of_work::Work,
};

/// The maximum number of subscriptions whose queries are queued by one statement.
const BATCH: i64 = 500;

/// The gateway's answer to a query.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The number of the query.
    pub(crate) number: i64,
    /// The subscription's state at the gateway.
    pub(crate) snapshot: Snapshot,
}

/// Whether the audit log has an entry of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The gateway has changed the subscription.
    Added,
    /// The call that caused the change has one, or the change is of the past, as those of the sample data.
    Omitted,
}

/// Queries the state of a subscription and processes the answer. If it is unknown whether the subscription has begun,
/// schedules its settlement instead.
///
/// # Errors
/// `NOT_FOUND`; `UNAVAILABLE` if Postgres is unreachable, or if the gateway has not answered for hours.
pub async fn sync(app: &App, job: SyncSubscription, entry: Entry) -> Result<()> {
    let id = job.subscription;
    let query = app.database.transaction(async move |work: &mut Work| {
        let (current, now) = (lock(work, id).await?, work.now());
        number_query(work.connection().await?, current.next_query(), now).await
    });
    let Some(Query { gateway, gateway_id, number }) = query.await? else { return Ok(()) };
    if let Some(why) = settle::wrong_gateway(app, &gateway) {
        tracing::warn!(subscription = %id, why, "the subscription can't be queried");
        return Ok(());
    }
    fault::point("sync.before")?;
    let snapshot = match app.part::<Arc<dyn Gateway>>().subscription(&gateway_id).await {
        Lookup::Done(snapshot) => snapshot,
        Lookup::Nothing => return repeat(app, job, "the gateway knows nothing of it").await,
        Lookup::Unknown { why } => return repeat(app, job, &why).await,
    };
    fault::point("sync.after")?;
    let answer = Answer { number, snapshot };
    let applied = app.database.transaction(async move |work: &mut Work| {
        let current = lock(work, id).await?;
        apply_answer(work, current, &answer, entry).await
    });
    applied.await?;
    Ok(())
}

/// Locks a subscription until the transaction ends.
async fn lock(work: &mut Work, id: SubscriptionId) -> Result<Subscription> {
    work.read(async |connection: &Connection| store::lock(connection, Visibility::All, id).await).await
}

async fn repeat(app: &App, job: SyncSubscription, why: &str) -> Result<()> {
    let error = anyhow::anyhow!("subscription {}: {why}", job.subscription);
    let next = SyncSubscription { repetitions: job.repetitions.saturating_add(1), ..job };
    settle::repeat(app, next, job.repetitions, error).await
}

/// A numbered query to the gateway.
struct Query {
    gateway: String,
    gateway_id: String,
    number: i64,
}

/// Stores a numbered query, and schedules the next one regardless of this one's outcome, so that subscriptions that
/// can't be queried do not starve the others. A cancellation with an unknown outcome becomes due again. Returns `None`
/// if there is nothing to query.
async fn number_query(
    connection: &mut Connection,
    subscription: Subscription,
    now: DateTime<Utc>,
) -> Result<Option<Query>> {
    match &subscription.state {
        State::Pending => {
            Subscription::set_due(connection, subscription.id.0, None).await?;
            Ok(None)
        }
        State::Failed(_) => Ok(None),
        State::Started { gateway_id, .. } => {
            store::update(connection, &subscription, now).await?;
            if subscription.pending_cancellation.is_some() {
                Subscription::set_due(connection, subscription.id.0, None).await?;
            }
            let (gateway, gateway_id) = (subscription.gateway.clone(), gateway_id.clone());
            Ok(Some(Query { gateway, gateway_id, number: subscription.last_query }))
        }
    }
}

/// Describes a duplicate: the gateway has a second subscription for the same id.
fn subscribed_twice(gateway_id: &str, ours: &State) -> String {
    format!("{gateway_id} is of a subscription that is {ours}")
}

fn refund_returned(refund: &InvoiceRefund) -> String {
    format!("the bank returned {} of {}, which the cardholder is still owed", refund.amount, refund.gateway_id)
}

/// Processes an answer: books paid invoices, and stores the locked subscription's state unless a later answer is
/// already stored. A payment never becomes unpaid, so any answer may book it. Returns the subscription if this call
/// settled it.
pub(crate) async fn apply_answer(
    work: &mut Work,
    current: Subscription,
    answer: &Answer,
    entry: Entry,
) -> Result<Option<Subscription>> {
    let now = work.now();
    let (Answer { number, snapshot }, id) = (answer, current.id);
    let is_ours = match &current.state {
        State::Pending => true,
        State::Started { gateway_id, .. } => *gateway_id == snapshot.gateway_id,
        State::Failed(_) => false,
    };
    if !is_ours {
        settle::alert("subscribed_twice", id.0, &subscribed_twice(&snapshot.gateway_id, &current.state));
        return Ok(None);
    }
    let was_unsettled = current.is_unsettled();
    let connection = work.connection().await?;
    let booked = ledger::book_invoices(connection, &current, &snapshot.invoices, now).await?;
    for invoice in booked.paid {
        mail::send::<SubscriptionReceipt>(connection, invoice, Some(current.id.0), now).await?;
    }
    for refund in booked.returned {
        settle::alert("refund_returned", current.id.0, &refund_returned(&refund));
    }
    match current.observe(*number, snapshot, now) {
        Observation::Changed(next) => {
            let settled = (was_unsettled && !next.is_unsettled()).then(|| next.clone());
            let store_response = async {
                match &settled {
                    Some(settled) => conclude::<Subscription>(connection, id.0, settled).await,
                    None => Ok(()),
                }
            };
            pipeline!(store::update(connection, &next, now), store_response)?;
            if next.state.status() == Status::PastDue && current.state.status() != Status::PastDue {
                mail::send::<SubscriptionUnpaid>(connection, id::new(now), Some(next.id.0), now).await?;
            }
            if current.last_query > *number {
                // A later query may have been answered before this change was made, and would undo it here.
                jobs::enqueue(connection, &SyncSubscription::new(id)).await?;
            }
            work.publish(event(&next));
            if entry == Entry::Added {
                work.audit(Record::updated(&current, &next));
            }
            return Ok(settled);
        }
        Observation::Unchanged(next) => store::update(connection, &next, now).await?,
        Observation::Stale => jobs::enqueue(connection, &SyncSubscription::new(id)).await?,
        Observation::Ended => {}
    }
    Ok(None)
}

/// Stores that a locked subscription never began, unless a later attempt has begun.
pub(crate) async fn fail(
    work: &mut Work,
    current: Subscription,
    failed: &Subscription,
    failure: Failure,
) -> Result<Option<Subscription>> {
    let now = work.now();
    let Some(next) = current.fail(failed.lease.attempt, failure, now) else { return Ok(None) };
    work.publish(event(&next));
    let store = async |connection: &Connection| {
        pipeline!(store::update(connection, &next, now), conclude::<Subscription>(connection, next.id.0, &next))
    };
    work.write(store).await?;
    Ok(Some(next))
}

fn event(subscription: &Subscription) -> Event {
    let has_ended = subscription.state.status() == Status::Cancelled;
    let kind = if has_ended { SubscriptionCancelled::NAME } else { SubscriptionUpdated::NAME };
    Event::of_kind(kind, subscription.account, subscription.id.0, subscription.version)
}

/// A gateway's event about a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayEvent<'a> {
    /// The subscription's id here, if the gateway knows it.
    pub id: Option<SubscriptionId>,
    /// The gateway's id for the subscription.
    pub gateway_id: Option<&'a str>,
    /// Whether the event implies that the subscription was active or paid.
    pub lives: bool,
}

/// Queues a query for the subscription of an event: the one with this id, or else the one with the gateway's id. Events
/// about other subscriptions are ignored. Raises an alert for a second active subscription at the gateway, and for one
/// that is active there although it failed here: such a subscription collects money every period that is not in the
/// ledger.
pub async fn gateway_event(connection: &mut Connection, gateway: &str, event: GatewayEvent<'_>) -> Result<()> {
    let Some(subscription) = store::find(connection, gateway, event.id, event.gateway_id).await? else { return Ok(()) };
    let other = event.gateway_id.filter(|theirs| match &subscription.state {
        State::Pending => false,
        State::Failed(_) => true,
        State::Started { gateway_id, .. } => gateway_id != theirs,
    });
    if let Some(other) = other.filter(|_| event.lives) {
        settle::alert("subscribed_twice", subscription.id.0, &subscribed_twice(other, &subscription.state));
    }
    match subscription.state {
        State::Failed(_) => Ok(()),
        State::Pending | State::Started { .. } => {
            jobs::enqueue(connection, &SyncSubscription::new(subscription.id)).await
        }
    }
}

/// Queues queries for all due subscriptions, regardless of events. This makes up for lost webhook events, and supports
/// gateways that send none. Returns their number.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable; the earlier batches stay queued.
pub async fn query_due(app: &App) -> Result<usize> {
    let (now, mut start, mut count) = (app.clock.now(), Start::Offset(0), 0);
    loop {
        let due = app
            .database
            .autocommit(async move |connection| store::due(connection, now, start.page(BATCH)).await)
            .await?;
        let Some(last) = due.last() else { return Ok(count) };
        // A queued subscription stays due until its query begins, so each batch begins where the last one ended.
        start = Start::After(*last);
        let jobs: Vec<_> = due.iter().map(|key| SyncSubscription::new(SubscriptionId(key.id))).collect();
        // A subscription whose job is waiting for its next attempt keeps that job.
        count +=
            app.database.autocommit(async move |connection| jobs::enqueue_missing(connection, &jobs).await).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        payments::settlement::model::FailureKind,
        subscriptions::model::{Period, Phase},
    };
    use mainstay_kernel::money::{Currency, Money};

    #[test]
    fn alerts_say_in_words_what_is_wrong() {
        let now = DateTime::UNIX_EPOCH;
        let state_of =
            |phase| State::Started { gateway_id: "sub_1".to_owned(), phase, period: Period { start: now, end: now } };
        let failure = Failure {
            kind: FailureKind::Declined,
            code: "insufficient_funds".to_owned(),
            message: "Your card has insufficient funds.".to_owned(),
        };
        for (state, text) in [
            (State::Pending, "pending"),
            (state_of(Phase::Active), "active as sub_1"),
            (state_of(Phase::PastDue), "past due as sub_1"),
            (state_of(Phase::Cancelled(now)), "cancelled as sub_1"),
            (State::Failed(failure), "failed (insufficient_funds)"),
        ] {
            assert_eq!(subscribed_twice("sub_2", &state), format!("sub_2 is of a subscription that is {text}"));
        }
        let amount = Money::new(1999, Currency::parse("EUR").expect("a currency")).expect("an amount");
        let refund = InvoiceRefund { gateway_id: "re_1".to_owned(), amount, is_returned: true };
        assert_eq!(refund_returned(&refund), "the bank returned EUR 19.99 of re_1, which the cardholder is still owed");
    }
}
