//! Removes what has had its time, and ends what was left behind.

use chrono::TimeDelta;
use futures_util::FutureExt as _;

use super::{DeliverWebhook, ImportTickets, ProcessInboundEvent};
use crate::{
    app::App,
    error::Result,
    ops::{import, inbound_event, settle, subscription, webhook::delivery},
    store::{idempotency, inbound_event as events, sweep as store, webhook},
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
/// Events or deliveries forgotten at once.
const AT_ONCE: i64 = 5000;

/// Sweeps once. Every part stands alone and bears to be done by two processes at a time.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn sweep(app: &App) -> Result<()> {
    let now = app.clock.now();
    let database = &app.database;
    let keys =
        database.read(move |connection| idempotency::sweep(connection, now - ANSWERS_KEPT, now - KEYS_KEPT).boxed());
    let keys = keys.await?;
    let resets = database.read(move |connection| store::password_resets(connection, now - RESETS_KEPT).boxed()).await?;
    let limits = database.read(move |connection| store::login_limits(connection, now).boxed()).await?;
    let chunks = database.read(|connection| store::upload_chunks(connection).boxed()).await?;
    let orphans = database.read(|connection| store::orphans(connection, ImportTickets::KEY_PREFIX).boxed()).await?;
    for orphan in &orphans {
        import::abandon(app, *orphan).await?;
    }
    let dead = database.read(|connection| events::orphans(connection, ProcessInboundEvent::KEY_PREFIX).boxed()).await?;
    for event in dead {
        inbound_event::give_up(app, event).await?;
    }
    let old = database.read(move |connection| events::forget(connection, now - EVENTS_KEPT, AT_ONCE).boxed());
    let old = old.await?;
    let lost = database.read(|connection| webhook::orphans(connection, DeliverWebhook::KEY_PREFIX).boxed()).await?;
    for lost in lost {
        delivery::give_up(app, lost).await?;
    }
    let told = database.read(move |connection| webhook::forget(connection, now - DELIVERIES_KEPT, AT_ONCE).boxed());
    let told = told.await?;
    tracing::debug!(old, told, "webhooks forgotten");
    let rescued = settle::rescue(app).await?;
    let due = subscription::ask_about_due(app).await?;
    tracing::debug!(due, "subscriptions asked about");
    tracing::debug!(keys, resets, limits, chunks, orphans = orphans.len(), rescued, "swept");
    Ok(())
}
