//! Monthly partitions of append-only tables, whose expired rows are dropped by the month.
//!
//! A module declares such a table `PARTITION BY RANGE` of a UUIDv7 id, with a `DEFAULT` partition, and registers it
//! with [`Module::partitioned`](crate::module::Module::partitioned). Functions in Postgres (see the kernel's migration)
//! maintain the partitions: `mainstay migrate` and a scheduled task add the months ahead, and the task drops months
//! past their retention.
//!
//! An insert always finds a partition. If the task did not run or a clock is wrong, a row goes into the `DEFAULT`
//! partition, from which the task moves it. A change waits at most 200 ms for its locks, because all later statements
//! on the table queue behind it. A change that times out is retried, and finally left to the next run.

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

/// The number of future months with partitions. The task may therefore fail for some weeks.
const MONTHS_AHEAD: u32 = 2;
/// The most months that one run adds for rows in the `DEFAULT` partition.
const MAX_STRAY_MONTHS: usize = 12;
/// The number of attempts at a change whose locks are held, and the delay between them.
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
    /// Describes a table by its SQL name, with its schema unless that is `public`. By default, rows are kept forever.
    #[must_use]
    pub fn by_month(table: &'static str) -> Self {
        Self { table, retention: |_| None, unless: "false" }
    }

    /// Sets the retention. A month is dropped when the retention has elapsed since its end, so that rows are kept for
    /// up to a month longer. `None` keeps rows forever.
    #[must_use]
    pub fn retention(mut self, retention: fn(&Config) -> Option<TimeDelta>) -> Self {
        self.retention = retention;
        self
    }

    /// Sets a SQL condition for rows that are still needed. A month with such a row is kept.
    #[must_use]
    pub fn unless(mut self, unless: &'static str) -> Self {
        self.unless = unless;
        self
    }

    /// Returns the SQL name of the table, with its schema unless that is `public`.
    pub(crate) fn table(&self) -> &'static str {
        self.table.strip_prefix("public.").unwrap_or(self.table)
    }

    /// Adds the partitions of the present month and the months ahead. Returns the number of missing ones.
    async fn add_ahead(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let Self { table, .. } = self;
        let mut count = 0;
        for months in 0..=MONTHS_AHEAD {
            let at = now.checked_add_months(Months::new(months)).unwrap_or(now);
            count += usize::from(retry_locked(app, |connection| Box::pin(store::add(connection, table, at))).await?);
        }
        Ok(count)
    }

    /// Adds partitions for the months of rows in the `DEFAULT` partition, and moves the rows. Returns their number.
    async fn add_strays(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let Self { table, .. } = self;
        let until = now.checked_add_months(Months::new(MONTHS_AHEAD)).unwrap_or(now);
        for count in 0..MAX_STRAY_MONTHS {
            let stray =
                app.database.autocommit(async move |connection| store::stray_time(connection, table, until).await);
            let Some(at) = stray.await? else { return Ok(count) };
            // An existing partition receives its rows directly.
            if !retry_locked(app, |connection| Box::pin(store::add(connection, table, at))).await? {
                return Ok(count);
            }
        }
        Ok(MAX_STRAY_MONTHS)
    }

    /// Detaches the months past the retention, and returns their number.
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

    async fn drop_detached(self, app: &App) -> Result<()> {
        let Self { table, .. } = self;
        while retry_locked(app, |connection| Box::pin(store::drop_detached(connection, table))).await? {
            tracing::info!(table, "a month past its retention was dropped");
        }
        Ok(())
    }

    async fn maintain(self, app: &App, now: DateTime<Utc>) -> Result<usize> {
        let ahead = self.add_ahead(app, now).await?;
        // This step precedes the strays, because a stray's month may need the name of a detached partition.
        self.drop_detached(app).await?;
        // A failure to move strays does not block the other steps.
        let strays = self.add_strays(app, now).await;
        let detached = self.detach(app, now).await?;
        fault::point("partitions.detached")?;
        self.drop_detached(app).await?;
        Ok(ahead + strays? + detached)
    }
}

/// Adds the months ahead of all tables, as the scheduled task does, for a database without a worker so far. A table
/// with a lock timeout is left to the task.
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

/// Runs the scheduled task `keep_partitions`: adds the months ahead, and drops those past their retention. Returns the
/// number of changed months.
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

/// Applies a change, and retries it after a lock timeout. The future is boxed, because rustc can't yet prove that the
/// future of an `AsyncFn` is `Send` here.
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

fn is_lock_timeout(error: &Error) -> bool {
    error.reason() == Reason::Conflict
}
