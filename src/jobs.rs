//! Work that goes on after its request was answered: enqueued in the request's transaction, done by any worker.
//!
//! The queue is graphile_worker's, in the same Postgres, so a job exists exactly when the transaction that wanted it
//! committed. A job may run more than once, never twice at a time: recovery hands the job of a dead worker to another.
//! What has to happen once is guarded by the operation's own rows.

mod chores;
mod import_tickets;

use std::time::Duration;

use diesel::sql_types::{Json, Text};
use diesel_async::RunQueryDsl;
use graphile_worker::{WorkerOptions, WorkerRecoveryConfig};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{app::App, error::Result, store::Connection};

/// The import of an uploaded file. Payload: `{"operation": id}`.
pub const IMPORT_TICKETS: &str = "import_tickets";

/// Enqueues a job in the caller's transaction.
///
/// # Errors
/// When the queue's schema is missing: `mainstay migrate` makes it.
pub async fn enqueue(connection: &mut Connection, task: &str, payload: &Value) -> Result<()> {
    diesel::sql_query("SELECT 1 FROM graphile_worker.add_job($1, $2)")
        .bind::<Text, _>(task)
        .bind::<Json, _>(payload)
        .execute(connection)
        .await?;
    Ok(())
}

/// Brings the queue's schema up to date.
///
/// # Errors
/// When Postgres is away or refuses.
pub async fn migrate(app: &App) -> anyhow::Result<()> {
    options(app).init().await?;
    Ok(())
}

fn options(app: &App) -> WorkerOptions {
    let url = app.config.database.url.as_ref().map_or("", |url| url.expose_secret());
    let recovery = WorkerRecoveryConfig::default()
        .heartbeat_interval(Duration::from_secs(5))
        .sweep_interval(Duration::from_secs(10))
        .sweep_threshold(Duration::from_secs(30))
        .recovery_delay(Duration::from_secs(1));
    WorkerOptions::default()
        .database_url(url)
        .max_pg_conn(4)
        .concurrency(app.config.jobs.concurrency)
        .listen_os_shutdown_signals(false)
        .worker_recovery(recovery)
        .add_extension(import_tickets::House(app.clone()))
        .define_job::<import_tickets::ImportTickets>()
}

/// Works on jobs until `stop`, then hands back what is not done. A Postgres that is away is waited for.
///
/// # Errors
/// Never; what goes wrong is logged and tried again.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let chores = tokio::spawn(chores::run(app.clone(), stop.clone()));
    while !stop.is_cancelled() {
        if let Err(error) = work(&app, &stop).await {
            tracing::error!(%error, "the job worker stopped; it starts again");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    chores.await?;
    Ok(())
}

async fn work(app: &App, stop: &CancellationToken) -> anyhow::Result<()> {
    let worker = options(app).init().await?;
    let running = worker.run();
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = stop.cancelled() => worker.request_shutdown(),
    }
    Ok(running.await?)
}
