//! Due rows: work that is scheduled in the row that it is about. A second row in the queue would have to be kept
//! consistent with it, and would cost more than the transaction of the work.
//!
//! The table has a column `due_at` with a partial index. It holds the time at which a worker should process the row
//! next, or NULL without work. A worker leases a row by moving that time to the end of the lease, so that the row is
//! due again if the process dies. Workers take due rows beside due jobs, in the slots of the same lanes, in turns. The
//! column `traceparent` (text, nullable) has the [trace](traceparent) of the row's origin, which the work continues.
//! Code that adds a row that is due at once [notifies](after_commit::wake_workers) the workers of this process.
//!
//! The module decides how long a row is retried. A row that it gives up is not due any more and leaves a
//! [dead job](super::dead::add), so that operators find all failures in one place.
//!
//! A module can't count the attempts at a row that it can't even read. A row whose work fails before the row was
//! rescheduled therefore becomes a job with the name of the work. The job has attempts, backoff, and in the end a dead
//! job with the last error. The row itself is retried about every hour, because its subject, such as a payment, is not
//! yet settled. It does not become another job while its dead job exists.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::Queryable,
    sql_types::{BigInt, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::App,
    database::{
        Connection, after_commit,
        statement::{Prepare as _, Statement},
    },
    error::{Error, Result},
    queue::{Kind, Lane, ignore_not_found, outage::add_jitter},
    telemetry::traces,
};

/// The attempts at a row that can't be processed, before its job is dead. With backoff they take half an hour.
const MAX_ATTEMPTS: i32 = 8;
/// The time after which a row that became a job is due again. The job has ended by then.
const NEXT_LOOK: Duration = Duration::from_secs(60 * 60);

/// A table with rows that may be due.
pub trait DueRows: 'static {
    /// The name of the work, for logs and metrics.
    const NAME: &'static str;
    /// The table, with the columns `id`, `due_at` and `traceparent`.
    const TABLE: &'static str;
    /// The subset of the rows, as a SQL expression without parameters, for a table with rows in several lanes. Each
    /// condition needs a partial index on `due_at`.
    const CONDITION: &'static str = "true";
    /// The lane.
    const LANE: Lane = Lane::SHARED;

    /// Processes a row. It must reschedule the row (`due_at`) before any step of more than seconds, and at the end.
    ///
    /// # Errors
    /// The failure. The row is due again at `due_at`. A row that was not rescheduled becomes a job with this name in
    /// this lane, which calls this function again. `NOT_FOUND` counts as success.
    fn run(app: &App, id: Uuid) -> impl Future<Output = Result<()>> + Send;
}

/// A type-erased [`DueRows`].
#[derive(Debug, Clone)]
pub struct Rows {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// The due rows, as the part of a query after FROM.
    pub(super) due: String,
    take: String,
    depth: String,
    convert_to_job: String,
    pub(super) run: fn(App, Uuid) -> BoxFuture<'static, Result<()>>,
    /// The kind of job that a row becomes when it can't be processed.
    pub(super) kind: Kind,
}

/// The payload of a job that a row became.
#[derive(Deserialize)]
struct RowJob {
    row: Uuid,
}

/// A due row, leased by a later `due_at`.
#[derive(Queryable)]
pub(super) struct DueRow {
    pub(super) id: Uuid,
    /// The end of the lease.
    pub(super) due_at: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
}

#[derive(Queryable)]
pub(crate) struct Depth {
    /// The number of due rows, counted up to a limit.
    pub(crate) rows: i64,
    /// The time in seconds for which the oldest has been due.
    pub(crate) oldest_seconds: f64,
}

impl Rows {
    /// Returns the rows of a table.
    pub fn of<D: DueRows>() -> Self {
        let table = D::TABLE;
        let due = format!("{table} WHERE due_at <= now() AND {}", D::CONDITION);
        let take = format!(
            "UPDATE {table} SET due_at = now() + ?::float8 * interval '1 second' WHERE id IN (\
             SELECT id FROM {due} ORDER BY due_at LIMIT ? FOR NO KEY UPDATE SKIP LOCKED) RETURNING id, due_at, traceparent"
        );
        let depth = format!(
            "SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest_seconds \
             FROM (SELECT due_at FROM {due} ORDER BY due_at LIMIT ?) AS due"
        );
        let name = D::NAME;
        let convert_to_job = format!(
            "WITH failed AS (UPDATE {table} SET due_at = now() + ?::float8 * interval '1 second' \
                WHERE id = ? AND due_at = ? RETURNING id, traceparent) \
             INSERT INTO jobs (kind, key, payload, traceparent, attempts, max_attempts, due_at, last_error) \
             SELECT '{name}', '{name}:' || failed.id::text, json_build_object('row', failed.id), failed.traceparent, \
                1, {MAX_ATTEMPTS}, now() + ?::float8 * interval '1 second', ? FROM failed \
             WHERE NOT EXISTS (SELECT FROM jobs WHERE dead_at IS NOT NULL AND key = '{name}:' || failed.id::text) \
             ON CONFLICT (key) WHERE lease IS NULL AND dead_at IS NULL DO NOTHING"
        );
        let run = |app: App, id| async move { ignore_not_found(D::run(&app, id).await) }.boxed();
        Self { name, lane: D::LANE, due, take, depth, convert_to_job, run, kind: Self::kind::<D>() }
    }

    /// Returns the kind of job that a row becomes.
    fn kind<D: DueRows>() -> Kind {
        Kind {
            name: D::NAME,
            lane: D::LANE,
            run: |app, payload, _| {
                async move {
                    let RowJob { row } = serde_json::from_str(&payload).map_err(Error::internal)?;
                    ignore_not_found(D::run(&app, row).await)
                }
                .boxed()
            },
            // Giving up the job affects only the job: the row is still due later.
            give_up: |_, _| async { Ok(()) }.boxed(),
        }
    }

    /// Leases at most `limit` due rows for `term`.
    pub(super) async fn take(&self, connection: &mut Connection, limit: usize, term: Duration) -> Result<Vec<DueRow>> {
        let statement = Statement::new(&self.take)
            .bind::<Double, _>(term.as_secs_f64())
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(statement.columns::<(SqlUuid, Timestamptz, Nullable<Text>)>().load(connection).await?)
    }

    /// Turns a row with failed work into a job, which runs after `wait`. It does nothing if the work has rescheduled
    /// the row, or if the row already has a job, even a dead one.
    pub(super) async fn convert_to_job(
        &self,
        connection: &mut Connection,
        (id, due_at): (Uuid, DateTime<Utc>),
        wait: Duration,
        error: &str,
    ) -> Result<()> {
        let statement = Statement::new(&self.convert_to_job)
            .bind::<Double, _>(add_jitter(NEXT_LOOK).as_secs_f64())
            .bind::<SqlUuid, _>(id)
            .bind::<Timestamptz, _>(due_at)
            .bind::<Double, _>(wait.as_secs_f64())
            .bind::<Text, _>(error);
        statement.execute(connection).await?;
        Ok(())
    }

    /// Counts the due rows.
    pub(super) async fn depth(&self, connection: &mut Connection, limit: i32) -> Result<Depth> {
        let statement = Statement::new(&self.depth).bind::<Integer, _>(limit).columns::<(BigInt, Double)>();
        Ok(statement.get_result(connection).await?)
    }
}

/// Returns the value of the column `traceparent` for a new row: that of the current request or job if its trace is
/// sampled, else `None`.
pub fn traceparent() -> Option<String> {
    traces::traceparent().filter(|text| traces::is_sampled(text))
}

/// Makes a waiting row due at `at`, or at once. A row without work (NULL) stays unchanged.
///
/// # Errors
/// Any error of Postgres.
pub async fn set_due<D: DueRows>(connection: &mut Connection, id: Uuid, at: Option<DateTime<Utc>>) -> Result<()> {
    let sql = format!("UPDATE {} SET due_at = coalesce(?, now()) WHERE id = ? AND due_at IS NOT NULL", D::TABLE);
    let statement = Statement::new(&sql).bind::<Nullable<Timestamptz>, _>(at);
    statement.bind::<SqlUuid, _>(id).execute(connection).await?;
    if at.is_none() {
        after_commit::wake_workers();
    }
    Ok(())
}
