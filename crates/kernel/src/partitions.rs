//! Tables that are partitioned by month: those that only grow, and whose old rows are removed by the month instead of one by
//! one.
//!
//! A module declares such a table `PARTITION BY RANGE` of an id that is a UUIDv7, with a `DEFAULT` partition, and registers
//! it with [`Module::partitioned`](crate::module::Module::partitioned). The rest is done here, by functions in Postgres (see
//! the kernel's migration): `mainstay migrate` and a scheduled task add the months ahead, and the task removes those that
//! ended longer ago than rows are kept.
//!
//! An insert never lacks a partition: a row of a month that has none, because the task did not run or a clock is wrong, is in
//! the `DEFAULT` partition, from which the task moves it. No change waits for its locks for longer than 200 ms, because
//! everyone else waits behind it; it is tried again, at last by the next run.

mod store;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Months, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::{
    app::App,
    config::Config,
    database::Connection,
    error::{Error, Reason, Result},
    fault,
};

/// How many months after the current one have partitions, so that the task may fail for some weeks.
const MONTHS_AHEAD: u32 = 2;
/// The most months that one run adds for rows in the `DEFAULT` partition.
const MAX_STRAY_MONTHS: usize = 12;
/// How often a change is attempted while its locks are held by others, and the delay in between.
const MAX_ATTEMPTS: usize = 3;
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A table that is partitioned by month.
#[derive(Debug, Clone, Copy)]
pub struct PartitionedTable {
    table: &'static str,
    retention: fn(&Config) -> Option<TimeDelta>,
    unless: &'static str,
}

impl PartitionedTable {
    /// Describes a table, by its name in SQL, with its schema if that is not `public`. Its rows are kept forever.
    #[must_use]
    pub fn by_month(table: &'static str) -> Self {
        Self { table, retention: |_| None, unless: "false" }
    }

    /// Sets how long rows are kept: a month is dropped once it ended that long ago, so its rows are kept for up to a month
    /// longer. `None`: forever.
    #[must_use]
    pub fn retention(mut self, retention: fn(&Config) -> Option<TimeDelta>) -> Self {
        self.retention = retention;
        self
    }

    /// Sets a condition in SQL for rows that are still needed, however old they are: their months stay.
    #[must_use]
    pub fn unless(mut self, unless: &'static str) -> Self {
        self.unless = unless;
        self
    }

    /// The name of the table in SQL, with its schema if that is not `public`.
    pub(crate) fn table(&self) -> &'static str {
        self.table.strip_prefix("public.").unwrap_or(self.table)
    }

    /// Adds the present month and those ahead; returns how many were missing.
    async fn add_ahead(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let Self { table, .. } = self;
        let mut count = 0;
        for months in 0..=MONTHS_AHEAD {
            let at = now.checked_add_months(Months::new(months)).unwrap_or(now);
            count += usize::from(retry_locked(app, |connection| Box::pin(store::add(connection, table, at))).await?);
        }
        Ok(count)
    }

    /// Adds the months of the rows in the `DEFAULT` partition, which move there; returns how many.
    async fn add_strays(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let Self { table, .. } = self;
        let until = now.checked_add_months(Months::new(MONTHS_AHEAD)).unwrap_or(now);
        for count in 0..MAX_STRAY_MONTHS {
            let stray =
                app.database.autocommit(async move |connection| store::stray_time(connection, table, until).await);
            let Some(at) = stray.await? else { return Ok(count) };
            // A month that exists by now takes its rows itself.
            if !retry_locked(app, |connection| Box::pin(store::add(connection, table, at))).await? {
                return Ok(count);
            }
        }
        Ok(MAX_STRAY_MONTHS)
    }

    /// Detaches the months past the retention; returns how many there were.
    async fn detach(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let Self { table, unless, .. } = self;
        let Some(retention) = (self.retention)(&app.config) else { return Ok(0) };
        let mut detached = 0;
        while retry_locked(app, |connection| Box::pin(store::detach(connection, table, now, retention, unless))).await?
        {
            detached += 1;
        }
        Ok(detached)
    }

    /// Drops the detached partitions, also those of an earlier run that was interrupted.
    async fn drop_detached(self, app: &App) -> Result<()> {
        let Self { table, .. } = self;
        while retry_locked(app, |connection| Box::pin(store::drop_detached(connection, table))).await? {
            tracing::info!(table, "a month past its retention was dropped");
        }
        Ok(())
    }

    async fn maintain(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let ahead = self.add_ahead(app, now).await?;
        // Before the strays: the month of one may be that of a detached partition, whose name it needs.
        self.drop_detached(app).await?;
        // Those that can't be moved hold nothing else up.
        let strays = self.add_strays(app, now).await;
        let detached = self.detach(app, now).await?;
        fault::point("partitions.detached")?;
        self.drop_detached(app).await?;
        Ok(ahead + strays? + detached)
    }
}

/// Adds the months ahead of all tables, as the scheduled task does, for a database that no worker has seen yet. A table whose
/// locks are taken is left to the task.
///
/// # Errors
/// Any error of Postgres.
pub async fn prepare(app: &App, tables: &[PartitionedTable]) -> Result<()> {
    let now = app.clock.now();
    for table in tables {
        let Err(error) = table.add_ahead(app, now).await else { continue };
        if !is_lock_timeout(&error) {
            return Err(error);
        }
        tracing::warn!(table = table.table, "its partitions are left to the task keep_partitions");
    }
    Ok(())
}

/// The scheduled task `keep_partitions`: adds the months ahead, and drops those past their retention. Returns how many
/// months changed.
pub(crate) async fn maintain(app: App, tables: Arc<[PartitionedTable]>) -> Result<usize> {
    let (now, mut total, mut failed) = (app.clock.now(), 0, None);
    for table in tables.iter().copied() {
        match table.maintain(&app, now).await {
            Ok(count) => total += count,
            // A failure of one table must not stop the others.
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(total), Err)
}

/// Measures how far the months reach, and how many rows are in none of them.
pub(crate) fn measure(app: App, tables: &'static [PartitionedTable]) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let now = app.clock.now();
        for PartitionedTable { table, .. } in tables.iter().copied() {
            let read = app.database.autocommit(async move |connection| store::state(connection, table, now).await);
            let (until, strays) = read.await?;
            let end = metrics::gauge!("mainstay_partitions_end_timestamp_seconds", "table" => table);
            #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
            end.set(until.unwrap_or(now).timestamp() as f64);
            #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
            metrics::gauge!("mainstay_partition_stray_rows", "table" => table).set(strays as f64);
        }
        Ok(())
    })
}

/// Makes a change, and tries again while others hold its locks. The future is boxed, because rustc can't prove yet that one
/// of an `AsyncFn` is `Send` here.
async fn retry_locked(
    app: &App,
    change: impl for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<bool>> + Send + Sync,
) -> Result<bool> {
    let mut attempts = 1;
    loop {
        match app.database.autocommit(async |connection| change(connection).await).await {
            Err(error) if is_lock_timeout(&error) && attempts < MAX_ATTEMPTS => tokio::time::sleep(RETRY_DELAY).await,
            result => return result,
        }
        attempts += 1;
    }
}

/// Whether the locks were not available in time.
fn is_lock_timeout(error: &Error) -> bool {
    error.reason() == Reason::Conflict
}
