//! What the tasks of the schedule do. Each bears to be done by two processes at a time, and stops anywhere.

use chrono::TimeDelta;
use futures_util::FutureExt as _;

use super::{DeliverWebhook, ImportTickets, ProcessInboundEvent, SendMail};
use crate::{
    app::App,
    error::Result,
    ops::{import, inbound_event, mail, settle, subscription, webhook::delivery},
    store::{idempotency, inbound_event as events, mail as mails, operation, queue, sweep as store, webhook},
};

/// Answers are replayed for a day.
const ANSWERS_KEPT: TimeDelta = TimeDelta::hours(24);
/// A key is refused, rather than run again, until then.
const KEYS_KEPT: TimeDelta = TimeDelta::days(30);
/// A reset that expired lately is still told apart from one that never was.
const RESETS_KEPT: TimeDelta = TimeDelta::days(1);
/// Events are known again for longer than any provider tells them again.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(90);
/// What endpoints were told can be told again until then.
const DELIVERIES_KEPT: TimeDelta = TimeDelta::days(30);
/// Nothing causes the same mail again after so long.
const MAILS_KEPT: TimeDelta = TimeDelta::days(30);
/// What became of an operation can be asked until then; longer than a key that answers with it is good.
const OPERATIONS_KEPT: TimeDelta = TimeDelta::days(30);
/// Why a job failed can be read until then.
const DEAD_JOBS_KEPT: TimeDelta = TimeDelta::days(30);

/// Rows removed by one statement, so that none holds its locks for long.
const AT_ONCE: i64 = 1000;

/// Removes a slice at a time until one comes out short; `$remove` is a call that says how many it removed.
macro_rules! in_slices {
    ($app:expr, |$connection:ident| $remove:expr) => {{
        let mut removed = 0;
        loop {
            let slice = $app.database.read(move |$connection| $remove.boxed()).await?;
            removed += slice;
            if slice < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
                break Ok(removed);
            }
        }
    }};
}

pub(super) async fn rescue_payments(app: &App) -> Result<usize> {
    settle::rescue(app).await
}

pub(super) async fn ask_about_subscriptions(app: &App) -> Result<usize> {
    subscription::ask_about_due(app).await
}

pub(super) async fn end_operations(app: &App) -> Result<usize> {
    let left = app.database.read(|connection| store::orphans(connection, ImportTickets::KEY_PREFIX).boxed()).await?;
    for operation in &left {
        import::abandon(app, *operation).await?;
    }
    let chunks = app.database.read(|connection| store::upload_chunks(connection).boxed()).await?;
    Ok(left.len() + chunks)
}

pub(super) async fn end_inbound_events(app: &App) -> Result<usize> {
    let left = app.database.read(|connection| events::orphans(connection, ProcessInboundEvent::KEY_PREFIX).boxed());
    let left = left.await?;
    for event in &left {
        inbound_event::give_up(app, *event).await?;
    }
    Ok(left.len())
}

pub(super) async fn end_deliveries(app: &App) -> Result<usize> {
    let left = app.database.read(|connection| webhook::orphans(connection, DeliverWebhook::KEY_PREFIX).boxed()).await?;
    for delivery in &left {
        delivery::give_up(app, *delivery).await?;
    }
    Ok(left.len())
}

pub(super) async fn end_mails(app: &App) -> Result<usize> {
    let left = app.database.read(|connection| mails::orphans(connection, SendMail::KEY_PREFIX).boxed()).await?;
    for mail in &left {
        mail::give_up(app, *mail).await?;
    }
    Ok(left.len())
}

pub(super) async fn expire_keys(app: &App) -> Result<usize> {
    let now = app.clock.now();
    app.database
        .read(move |connection| idempotency::sweep(connection, now - ANSWERS_KEPT, now - KEYS_KEPT).boxed())
        .await
}

pub(super) async fn expire_login_limits(app: &App) -> Result<usize> {
    let now = app.clock.now();
    app.database.read(move |connection| store::login_limits(connection, now).boxed()).await
}

pub(super) async fn expire_resets(app: &App) -> Result<usize> {
    let before = app.clock.now() - RESETS_KEPT;
    app.database.read(move |connection| store::password_resets(connection, before).boxed()).await
}

pub(super) async fn forget_inbound_events(app: &App) -> Result<usize> {
    let before = app.clock.now() - EVENTS_KEPT;
    in_slices!(app, |connection| events::forget(connection, before, AT_ONCE))
}

pub(super) async fn forget_deliveries(app: &App) -> Result<usize> {
    let before = app.clock.now() - DELIVERIES_KEPT;
    in_slices!(app, |connection| webhook::forget(connection, before, AT_ONCE))
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
