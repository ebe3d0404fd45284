//! Work that stands in the row that it is about: a second row in the queue, which would have to be kept in step with it,
//! would cost more than the work's own transaction does.
//!
//! The table has a column `due_at`, with a partial index: when a worker is to look at the row next, or null if nothing is
//! to be done. Whoever works on a row puts that time off for as long as its lease lasts; so if the process dies, the row is
//! due again. Workers take due rows beside the due jobs, in the slots of the same lanes, by turns. The column `traceparent`
//! (text, or null) has the [trace](traceparent) of whatever added the row, which the work continues. Whoever adds a row that
//! is due at once [tells](after_commit::wake_workers) the workers of this process.
//!
//! How long a row is worked on before it is given up is up to the module. One that is given up is due no more, and leaves a
//! [dead job](super::dead::add), so that operators find all that failed in one place.
//!
//! A module can't count the attempts at a row that it can't even read. So a row whose work fails before it has put the row
//! off becomes a job of the name of that work: its attempts are counted and wait for each other, and it ends like any other
//! job, dead, with its last error. The row itself is looked at again once in an hour or so, since what it stands for, such as
//! a payment, is not over; it becomes no other job while its dead one is there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_types::{BigInt, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::App,
    database::{Connection, after_commit, statement::Statement},
    error::{Error, Result},
    queue::{Kind, Lane, ignore_not_found, outage::add_jitter},
    telemetry::traces,
};

/// How many attempts there are at a row that can't be worked on, before its job is dead: with their waits, about half an hour.
const MAX_ATTEMPTS: i32 = 8;
/// How long after it became a job a row is looked at again for its own sake: by then, the job has ended.
const NEXT_LOOK: Duration = Duration::from_secs(60 * 60);

/// The rows of a table that may be due.
pub trait DueRows: 'static {
    /// The name of the work, for logs and metrics.
    const NAME: &'static str;
    /// The table, with the columns `id`, `due_at` and `traceparent`.
    const TABLE: &'static str;
    /// Which rows of the table, as an expression of SQL without parameters: for a table whose rows are in several lanes. Each of
    /// its conditions is to have a partial index on `due_at`.
    const CONDITION: &'static str = "true";
    /// The lane.
    const LANE: Lane = Lane::SHARED;

    /// Works on a row. It must put `due_at` off before anything that takes longer than a few seconds, and at the end.
    ///
    /// # Errors
    /// What prevented it. The row is due again when it says; one that was not put off becomes a job, of this name and in this
    /// lane, which runs this again. `NOT_FOUND` counts as success.
    fn run(app: &App, id: Uuid) -> impl Future<Output = Result<()>> + Send;
}

/// What the worker needs to know of a table without its type.
#[derive(Debug, Clone)]
pub struct Rows {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// The due rows, as what follows FROM.
    pub(super) due: String,
    take: String,
    depth: String,
    hand_over: String,
    pub(super) run: fn(App, Uuid) -> BoxFuture<'static, Result<()>>,
    /// What a row becomes that can't be worked on.
    pub(super) kind: Kind,
}

/// The content of a job that a row became.
#[derive(Deserialize)]
struct RowJob {
    row: Uuid,
}

/// A due row, which was put off for as long as its lease lasts.
#[derive(QueryableByName)]
pub(super) struct DueRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    /// Until when.
    #[diesel(sql_type = Timestamptz)]
    pub(super) due_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) traceparent: Option<String>,
}

#[derive(QueryableByName)]
pub(crate) struct Depth {
    /// The number of due rows, counted up to a limit.
    #[diesel(sql_type = BigInt)]
    pub(crate) rows: i64,
    /// For how many seconds the oldest has been due.
    #[diesel(sql_type = Double)]
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
        let hand_over = format!(
            "WITH failed AS (UPDATE {table} SET due_at = now() + ?::float8 * interval '1 second' \
                WHERE id = ? AND due_at = ? RETURNING id, traceparent) \
             INSERT INTO jobs (kind, key, payload, traceparent, attempts, max_attempts, due_at, last_error) \
             SELECT '{name}', '{name}:' || failed.id::text, json_build_object('row', failed.id), failed.traceparent, \
                1, {MAX_ATTEMPTS}, now() + ?::float8 * interval '1 second', ? FROM failed \
             WHERE NOT EXISTS (SELECT FROM jobs WHERE dead_at IS NOT NULL AND key = '{name}:' || failed.id::text) \
             ON CONFLICT (key) WHERE lease IS NULL AND dead_at IS NULL DO NOTHING"
        );
        let run = |app: App, id| async move { ignore_not_found(D::run(&app, id).await) }.boxed();
        Self { name, lane: D::LANE, due, take, depth, hand_over, run, kind: Self::kind::<D>() }
    }

    /// Returns the job that a row becomes.
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
            // Nothing waits for the job: what waits for the row still does.
            give_up: |_, _| async { Ok(()) }.boxed(),
        }
    }

    /// Takes at most `limit` due rows, and puts them off for `term`.
    pub(super) async fn take(&self, connection: &mut Connection, limit: usize, term: Duration) -> Result<Vec<DueRow>> {
        let statement = Statement::new(&self.take)
            .bind::<Double, _>(term.as_secs_f64())
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(statement.load(connection).await?)
    }

    /// Has a row whose work failed become a job, which runs after `wait`; unless the work has put the row off, or the row has
    /// become a job before, if only one that is dead by now.
    pub(super) async fn hand_over(
        &self,
        connection: &mut Connection,
        (id, due_at): (Uuid, DateTime<Utc>),
        wait: Duration,
        error: &str,
    ) -> Result<()> {
        let statement = Statement::new(&self.hand_over)
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
        Ok(Statement::new(&self.depth).bind::<Integer, _>(limit).get_result(connection).await?)
    }
}

/// Returns what the column `traceparent` of a new row is to be: that of the current request or job, if its trace is recorded
/// by anybody. All others need no place in the row.
pub fn traceparent() -> Option<String> {
    traces::traceparent().filter(|text| traces::is_sampled(text))
}

/// Makes a row that waits due at `at`, or at once. A row with nothing to be done stays as it is.
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
