//! Overviews from the cache, because they count many rows and have many readers.

use std::{future::Future, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    cache::{Cache, Region},
    error::{Error, Result},
    grpc::render::time,
};
use prost::Message;

use crate::{
    dashboard::overview::ops,
    identity::sign_in::model::Hour,
    proto::dashboard::v1 as pb,
    support::ticket::model::stats::{AGES_HOURS, Durations, Load, Stats},
    webhooks::delivery::model::DeliveryState,
};

/// The lifetime of an overview, which nothing else ends.
const TTL: Duration = Duration::from_secs(10);
/// The lifetime of the overview of background work, which changes faster.
const WORK_TTL: Duration = Duration::from_secs(5);

/// The overviews. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedOverviews {
    tickets: Region<pb::TicketOverview>,
    sales: Region<pb::SalesOverview>,
    sign_ins: Region<pb::SignInOverview>,
    work: Region<pb::WorkOverview>,
}

impl CachedOverviews {
    pub fn new(cache: &Cache) -> Self {
        Self {
            tickets: cache.region("dashboard.tickets", TTL),
            sales: cache.region("dashboard.sales", TTL),
            sign_ins: cache.region("dashboard.sign_ins", TTL),
            work: cache.region("dashboard.work", WORK_TTL),
        }
    }

    /// Returns the overview of tickets, with the durations of tickets created in the last days.
    pub async fn tickets(&self, app: &App, days: i32) -> Result<pb::TicketOverview> {
        let read = move |app: App, now| async move { Ok(tickets(ops::tickets(&app, ago(now, days), now).await?, now)) };
        get_or_read(&self.tickets, app, &days.to_string(), read).await
    }

    /// Returns the overview of the orders and payments that were created in the last days.
    pub async fn sales(&self, app: &App, days: i32) -> Result<pb::SalesOverview> {
        let read = move |app: App, now| async move { Ok(sales(ops::sales(&app, ago(now, days)).await?, now)) };
        get_or_read(&self.sales, app, &days.to_string(), read).await
    }

    /// Returns the overview of the sign-ins of the last days.
    pub async fn sign_ins(&self, app: &App, days: i32) -> Result<pb::SignInOverview> {
        let read = move |app: App, now| async move { Ok(sign_ins(&ops::sign_ins(&app, ago(now, days)).await?, now)) };
        get_or_read(&self.sign_ins, app, &days.to_string(), read).await
    }

    /// Returns the overview of background work.
    pub async fn work(&self, app: &App) -> Result<pb::WorkOverview> {
        let read = |app: App, now| async move { Ok(work(ops::work(&app, ago(now, 1)).await?, now)) };
        get_or_read(&self.work, app, "", read).await
    }
}

/// Returns the cached value of a key, or reads and caches it.
async fn get_or_read<V: Message + Default, F: Future<Output = Result<V>> + Send + 'static>(
    region: &Region<V>,
    app: &App,
    key: &str,
    read: impl Fn(App, DateTime<Utc>) -> F + Clone + Send + Sync + 'static,
) -> Result<V> {
    let app = app.clone();
    let load = move || {
        let (app, read, now) = (app.clone(), read.clone(), app.clock.now());
        async move { read(app, now).await.map(Some) }
    };
    let value = region.get(key, load).await?;
    value.ok_or_else(|| Error::internal(anyhow::anyhow!("an overview was cached as absent")))
}

fn ago(now: DateTime<Utc>, days: i32) -> DateTime<Utc> {
    now - TimeDelta::days(days.into())
}

fn tickets(stats: Stats, now: DateTime<Utc>) -> pb::TicketOverview {
    let count = |(status, priority, ticket_count): (i16, i16, i64)| pb::TicketCount {
        status: status.into(),
        priority: priority.into(),
        ticket_count,
    };
    let age = |(band, ticket_count): (usize, i64)| pb::TicketAge {
        from_seconds: band.checked_sub(1).map_or(0, |before| AGES_HOURS[before] * 3600),
        until_seconds: AGES_HOURS.get(band).map(|hours| hours * 3600),
        ticket_count,
    };
    let load = |load: Load| pb::AgentLoad {
        agent_id: load.agent.to_string(),
        name: load.name,
        in_progress_count: load.in_progress,
        resolved_count: load.resolved,
    };
    let durations = |of: Durations| pb::TicketDurations {
        ticket_count: of.count,
        median_ms: of.median_ms,
        ninth_decile_ms: of.ninth_decile_ms,
    };
    pb::TicketOverview {
        as_of_time: Some(time(now)),
        counts: stats.counts.into_iter().map(count).collect(),
        ages: stats.ages.into_iter().enumerate().map(age).collect(),
        agents: stats.agents.into_iter().map(load).collect(),
        first_responses: Some(durations(stats.first_responses)),
        resolutions: Some(durations(stats.resolutions)),
    }
}

fn sales(sales: ops::Sales, now: DateTime<Utc>) -> pb::SalesOverview {
    let order = |(status, order_count): (i16, i64)| pb::OrderCount { status: status.into(), order_count };
    let payment = |(status, payment_count): (i16, i64)| pb::PaymentCount { status: status.into(), payment_count };
    pb::SalesOverview {
        as_of_time: Some(time(now)),
        orders: sales.orders.into_iter().map(order).collect(),
        payments: sales.payments.into_iter().map(payment).collect(),
        oldest_pending_time: sales.oldest_pending.map(time),
    }
}

fn sign_ins(hours: &[Hour], now: DateTime<Utc>) -> pb::SignInOverview {
    let hour = |hour: &Hour| pb::SignInHour {
        start_time: Some(time(hour.from)),
        accepted_count: hour.accepted,
        refused_count: hour.refused,
    };
    pb::SignInOverview {
        as_of_time: Some(time(now)),
        accepted_count: hours.iter().map(|hour| hour.accepted).sum(),
        refused_count: hours.iter().map(|hour| hour.refused).sum(),
        hours: hours.iter().map(hour).collect(),
    }
}

fn work(work: ops::Work, now: DateTime<Utc>) -> pb::WorkOverview {
    let lane = |lane: mainstay_kernel::queue::depth::LaneDepth| pb::LaneDepth {
        lane: lane.lane,
        due_count: lane.due,
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit")]
        oldest_due_ms: (lane.oldest_seconds * 1000.0) as i64,
    };
    let deliveries = |state: DeliveryState| {
        let row = work.deliveries.iter().find(|(number, _)| *number == state.number());
        row.map_or(0, |(_, count)| *count)
    };
    pb::WorkOverview {
        as_of_time: Some(time(now)),
        dead_job_count: work.dead_jobs,
        delivered_count: deliveries(DeliveryState::Delivered),
        pending_delivery_count: deliveries(DeliveryState::Pending),
        failed_delivery_count: deliveries(DeliveryState::Failed),
        disabled_endpoint_count: work.disabled_endpoints,
        lanes: work.lanes.into_iter().map(lane).collect(),
    }
}
