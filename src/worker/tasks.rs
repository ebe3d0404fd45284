//! The implementations of the scheduled tasks. Each may run in two processes at once, and may stop at any point.

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use uuid::Uuid;

use crate::{
    app::App,
    error::Result,
    id::{InboundEventId, MailId, OperationId, WebhookDeliveryId},
    jobs::{self, DeliverWebhook, ImportTickets, Job, ProcessInboundEvent, SendMail, key_prefix},
    ops::{import, inbound_event, mail, refund, settle, subscription, webhook::delivery, work::ANSWERS_KEPT},
    store::{
        idempotency, import as files, inbound_event as events, login_limit, mail as mails, operation, password_reset,
        queue::{self, Waiting},
        ticket,
        webhook::delivery as deliveries,
    },
};

/// Until then a reused key is refused rather than executed again.
const KEYS_KEPT: TimeDelta = TimeDelta::days(30);
/// Until then an expired reset is still distinguished from an unknown one.
const RESETS_KEPT: TimeDelta = TimeDelta::days(1);
/// Longer than any provider redelivers an event, so that a duplicate is recognized.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(90);
/// Until then a delivery can be sent again.
const DELIVERIES_KEPT: TimeDelta = TimeDelta::days(30);
/// After this long no event causes the same mail again.
const MAILS_KEPT: TimeDelta = TimeDelta::days(30);
/// Until then the outcome of an operation can be read; longer than the lifetime of an idempotency key that refers to
/// it.
const OPERATIONS_KEPT: TimeDelta = TimeDelta::days(30);
/// Until then the reason of a job's failure can be read.
const DEAD_JOBS_KEPT: TimeDelta = TimeDelta::days(30);

/// Rows removed by one statement, so that none holds its locks for long.
const AT_ONCE: i64 = 1000;

/// Removes batches until one is incomplete; `$remove` is a call that returns how many rows it removed.
macro_rules! in_slices {
    ($app:expr, |$connection:ident| $remove:expr) => {{
        let mut removed = 0;
        loop {
            let slice = $app.database.autocommit(move |$connection| $remove.boxed()).await?;
            removed += slice;
            if slice < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
                break Ok(removed);
            }
        }
    }};
}

pub(super) async fn fold_ticket_counts(app: &App) -> Result<usize> {
    app.database.autocommit(|connection| ticket::fold_counts(connection).boxed()).await
}

pub(super) async fn rescue_payments(app: &App) -> Result<usize> {
    settle::rescue(app).await
}

pub(super) async fn find_refunds(app: &App) -> Result<usize> {
    refund::sync::begin_search(app, 3).await
}

/// Banks return refunds weeks after they were made.
pub(super) async fn find_returned_refunds(app: &App) -> Result<usize> {
    refund::sync::begin_search(app, 60).await
}

pub(super) async fn ask_about_subscriptions(app: &App) -> Result<usize> {
    subscription::ask_about_due(app).await
}

/// Ends each item that waits for a job that does not exist, by its id; returns how many there were.
async fn end<J: Job, F>(app: &App, waiting: Waiting, end: impl Fn(Uuid) -> F) -> Result<usize>
where
    F: Future<Output = Result<()>>,
{
    let find = app
        .database
        .autocommit(move |connection| queue::without_job(connection, waiting, key_prefix::<J>(), AT_ONCE).boxed());
    let left = find.await?;
    for id in &left {
        jobs::gone_is_done(end(*id).await)?;
    }
    Ok(left.len())
}

pub(super) async fn end_operations(app: &App) -> Result<usize> {
    let ended = end::<ImportTickets, _>(app, operation::WAITING, |id| import::abandon(app, OperationId(id))).await?;
    let forgotten: Result<usize> = in_slices!(app, |connection| files::forget(connection, AT_ONCE));
    Ok(ended + forgotten?)
}

pub(super) async fn end_inbound_events(app: &App) -> Result<usize> {
    let give_up = |id| inbound_event::give_up(app, InboundEventId(id));
    end::<ProcessInboundEvent, _>(app, events::WAITING, give_up).await
}

pub(super) async fn end_deliveries(app: &App) -> Result<usize> {
    end::<DeliverWebhook, _>(app, deliveries::WAITING, |id| delivery::give_up(app, WebhookDeliveryId(id))).await
}

pub(super) async fn end_mails(app: &App) -> Result<usize> {
    end::<SendMail, _>(app, mails::WAITING, |id| mail::give_up(app, MailId(id))).await
}

pub(super) async fn expire_keys(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let (answers, keys) = (now - ANSWERS_KEPT, now - KEYS_KEPT);
    let emptied: Result<usize> = in_slices!(app, |connection| idempotency::empty(connection, answers, AT_ONCE));
    let forgotten: Result<usize> = in_slices!(app, |connection| idempotency::forget(connection, keys, AT_ONCE));
    Ok(emptied? + forgotten?)
}

pub(super) async fn expire_login_limits(app: &App) -> Result<usize> {
    let now = app.clock.now();
    in_slices!(app, |connection| login_limit::forget(connection, now, AT_ONCE))
}

pub(super) async fn expire_resets(app: &App) -> Result<usize> {
    let before = app.clock.now() - RESETS_KEPT;
    in_slices!(app, |connection| password_reset::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_inbound_events(app: &App) -> Result<usize> {
    let before = app.clock.now() - EVENTS_KEPT;
    in_slices!(app, |connection| events::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_deliveries(app: &App) -> Result<usize> {
    let before = app.clock.now() - DELIVERIES_KEPT;
    in_slices!(app, |connection| deliveries::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_mails(app: &App) -> Result<usize> {
    let before = app.clock.now() - MAILS_KEPT;
    in_slices!(app, |connection| mails::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_operations(app: &App) -> Result<usize> {
    let before = app.clock.now() - OPERATIONS_KEPT;
    in_slices!(app, |connection| operation::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_dead_jobs(app: &App) -> Result<usize> {
    let before = app.clock.now() - DEAD_JOBS_KEPT;
    in_slices!(app, |connection| queue::forget_dead(connection, before, AT_ONCE))
}
