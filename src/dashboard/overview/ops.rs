//! Reads the statistics of the modules. Access is checked for each caller; the statistics are the same for all.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    app::App,
    database::Reach,
    error::Result,
    module::Modules,
    queue::depth::{self, LaneDepth},
};

use crate::{
    identity::sign_in::{model::Hour, ops as sign_ins},
    orders::order::ops::stats as orders,
    payments::payment::ops::stats as payments,
    support::ticket::{model::stats::Stats, ops as tickets},
    webhooks::delivery::ops::stats as deliveries,
};

/// The statistics cover all accounts.
const REACH: Reach = Reach::across_accounts("statistics for the staff");

/// The statistics of orders and payments.
#[derive(Debug, Clone)]
pub struct Sales {
    /// The number of orders by status.
    pub orders: Vec<(i16, i64)>,
    /// The number of payments by status.
    pub payments: Vec<(i16, i64)>,
    /// When the oldest payment with an unknown outcome was created.
    pub oldest_pending: Option<DateTime<Utc>>,
}

/// The statistics of background work.
#[derive(Debug, Clone)]
pub struct Work {
    pub lanes: Vec<LaneDepth>,
    pub dead_jobs: i64,
    /// The number of deliveries by state.
    pub deliveries: Vec<(i16, i64)>,
    pub disabled_endpoints: i64,
}

/// Returns the statistics of tickets; the durations are those of tickets created since a time.
pub async fn tickets(app: &App, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<Stats> {
    app.database.query(REACH, async move |connection| tickets::stats(connection, since, now).await).await
}

/// Returns the statistics of the orders and payments that were created since a time.
pub async fn sales(app: &App, since: DateTime<Utc>) -> Result<Sales> {
    app.database
        .query(REACH, async move |connection| {
            Ok(Sales {
                orders: orders::by_status(connection, since).await?,
                payments: payments::by_status(connection, since).await?,
                oldest_pending: payments::oldest_pending(connection).await?,
            })
        })
        .await
}

/// Returns the hours that began since a time and had sign-ins, oldest first.
pub async fn sign_ins(app: &App, since: DateTime<Utc>) -> Result<Vec<Hour>> {
    app.database.read(async move |connection| sign_ins::hours(connection, since).await).await
}

/// Returns the statistics of background work; deliveries count if they were created since a time.
pub async fn work(app: &App, since: DateTime<Utc>) -> Result<Work> {
    let work = Modules::of(app).work();
    let lanes = depth::by_lane(app, work.jobs, work.rows).await?;
    app.database
        .query(REACH, async move |connection| {
            Ok(Work {
                lanes,
                dead_jobs: depth::count_dead(connection).await?,
                deliveries: deliveries::by_state(connection, since).await?,
                disabled_endpoints: deliveries::disabled_endpoints(connection).await?,
            })
        })
        .await
}
