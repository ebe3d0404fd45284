//! Subscriptions, with the periods that were paid since they began, and a dead job about one of them.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{database::Connection, error::Result, queue::dead, unit_of_work::Work};
use uuid::Uuid;

use super::{Writer, sales::settle};
use crate::{
    orders::product::model::Interval,
    payments::settlement::ops::IntentContext,
    subscriptions::{
        id::SubscriptionId,
        job::SyncSubscription,
        model::{Cancellation, Subscription},
        ops as subscription,
    },
};

/// A subscription of the sample data.
struct Plan {
    /// The index of the customer.
    customer: usize,
    /// The index of the product.
    product: usize,
    card: &'static str,
    days_ago: i64,
    /// The kind of cancellation, and its time in days after the beginning.
    cancelled: Option<(Cancellation, i64)>,
}

const fn plan(customer: usize, product: usize, days_ago: i64) -> Plan {
    Plan { customer, product, card: "pm_card_visa", days_ago, cancelled: None }
}

const PLANS: [Plan; 9] = [
    plan(0, 1, 88),
    plan(1, 0, 81),
    plan(4, 0, 70),
    Plan { cancelled: Some((Cancellation::AtPeriodEnd, 40)), ..plan(5, 0, 64) },
    plan(7, 1, 52),
    // Its first renewal was declined, and the gateway will retry.
    Plan { card: "pm_sandbox_renewal_declined", ..plan(9, 0, 44) },
    Plan { cancelled: Some((Cancellation::Immediately, 9)), ..plan(10, 0, 37) },
    plan(11, 2, 23),
    Plan { card: "pm_card_chargeDeclinedIncorrectCvc", ..plan(13, 0, 6) },
];

/// Writes the subscriptions; returns their ids.
pub(super) async fn write(writer: &Writer) -> Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    for plan in &PLANS {
        ids.push(write_one(writer, plan).await?.0);
    }
    Ok(ids)
}

async fn write_one(writer: &Writer, plan: &Plan) -> Result<SubscriptionId> {
    let began_at = writer.now - TimeDelta::days(plan.days_ago);
    let (customer, product) = (&writer.cast.customers[plan.customer], writer.catalog.plans[plan.product]);
    let permit = customer.permit("subscriptions.v1.SubscriptionService/CreateSubscription")?;
    let app = writer.at(began_at)?;
    let (context, card) = (IntentContext::new(&app), plan.card.to_owned());
    let begin = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, began_at).await?;
        subscription::begin(work, context, None, product, card).await
    });
    let intent: Result<_> = begin.await;
    let Subscription { id, interval, .. } = settle(&app, intent?).await?;
    let cancelled_at = plan.cancelled.map(|(_, days)| began_at + TimeDelta::days(days));
    for end in period_ends(interval, began_at, writer.now) {
        if let (Some((how, _)), Some(at)) = (plan.cancelled, cancelled_at)
            && (end - TimeDelta::days(31)..end).contains(&at)
        {
            cancel(writer, plan, id, how, at).await?;
        }
        if end < writer.now {
            // The gateway is queried shortly after the end of each period.
            let (app, job) = (writer.at(end + TimeDelta::minutes(3))?, SyncSubscription::new(id));
            subscription::sync(&app, job, subscription::Entry::Omitted).await?;
        }
    }
    Ok(id)
}

/// Returns the ends of the periods that began until now.
fn period_ends(interval: Interval, began_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let end = |count: u32| interval.after(began_at, count).unwrap_or(now);
    let past = (1..).map(end).take_while(|end| *end < now);
    let mut ends: Vec<_> = past.collect();
    ends.push(end(u32::try_from(ends.len()).unwrap_or(0) + 1));
    ends
}

async fn cancel(writer: &Writer, plan: &Plan, id: SubscriptionId, how: Cancellation, at: DateTime<Utc>) -> Result<()> {
    let app = writer.at(at)?;
    let permit =
        writer.cast.customers[plan.customer].permit("subscriptions.v1.SubscriptionService/CancelSubscription")?;
    let context = IntentContext::new(&app);
    let begin = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        subscription::cancel(work, context, id, None, how).await
    });
    let intent: Result<_> = begin.await;
    settle(&app, intent?).await.map(drop)
}

/// Leaves a dead job about a subscription, which succeeds when an operator redrives it.
pub(super) async fn leave_dead_job(writer: &Writer, id: Uuid) -> Result<()> {
    let job = SyncSubscription::new(SubscriptionId(id));
    let error = Some("UNAVAILABLE: the gateway did not answer within 10s (sample)");
    let add = async move |connection: &mut Connection| dead::add(connection, &job, 10, error).await;
    writer.app.database.autocommit(add).await
}
