//! The dead-letter queue: jobs without attempts left, and jobs that represent a row that was given up. They stay until
//! an operator redrives them or their retention ends.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    deserialize::Queryable,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    database::{
        Connection, after_commit,
        statement::{Prepare as _, Statement},
    },
    error::{Error, Result},
    queue::{self, Job},
    telemetry::traces::traceparent,
};

/// A job without attempts left, or one that represents a row that was given up.
#[derive(Debug, Clone, Queryable, serde::Serialize)]
pub struct DeadJob {
    /// The id.
    pub id: i64,
    /// The kind of job.
    pub kind: String,
    /// The payload, as JSON.
    pub payload: String,
    /// The number of started attempts.
    pub attempts: i32,
    /// The error of the last attempt.
    pub error: Option<String>,
    /// The time at which it was given up.
    pub dead_at: DateTime<Utc>,
}

/// The columns of a dead job.
type Columns = (BigInt, Text, Text, Integer, Nullable<Text>, Timestamptz);

/// Adds a dead job within the caller's transaction. It represents a [row](super::rows) that was given up after
/// `attempts` attempts, so that the row is listed and counted like any dead job. A redrive makes the row due again.
///
/// # Errors
/// Any error of Postgres.
pub async fn add<J: Job>(connection: &Connection, job: &J, attempts: i32, error: Option<&str>) -> Result<()> {
    const SQL: &str = "INSERT INTO jobs \
        (kind, key, serial_key, payload, max_attempts, attempts, last_error, traceparent, dead_at) \
        VALUES (?, ?, ?, ?::json, ?, ?, ?, ?, now())";
    Statement::new(SQL)
        .bind::<Text, _>(J::NAME)
        .bind::<Text, _>(queue::key::<J>(job.subject()))
        .bind::<Nullable<Text>, _>(job.serial_key())
        .bind::<Text, _>(serde_json::to_string(job).map_err(Error::internal)?)
        .bind::<Integer, _>(J::MAX_ATTEMPTS)
        .bind::<Integer, _>(attempts)
        .bind::<Nullable<Text>, _>(error)
        .bind::<Nullable<Text>, _>(traceparent())
        .execute(&mut &*connection)
        .await?;
    after_commit::run(|| metrics::counter!("mainstay_jobs_total", "kind" => J::NAME, "outcome" => "dead").increment(1));
    Ok(())
}

/// Returns at most `limit` dead jobs, newest first, optionally of one kind.
///
/// # Errors
/// Any error of Postgres.
pub async fn list(mut connection: &Connection, kind: Option<&str>, limit: i64) -> Result<Vec<DeadJob>> {
    const SQL: &str = "SELECT id, kind, payload::text AS payload, attempts, last_error AS error, dead_at FROM jobs \
        WHERE dead_at IS NOT NULL AND kind = coalesce(?, kind) ORDER BY dead_at DESC, id DESC LIMIT ?";
    let statement = Statement::new(SQL).bind::<Nullable<Text>, _>(kind).bind::<BigInt, _>(limit);
    Ok(statement.columns::<Columns>().load(&mut connection).await?)
}

/// Redrives dead jobs with all their attempts: the given ids, or without ids at most `limit` of a kind, oldest first. A
/// job is removed instead if another one with the same key waits. Returns the number of dead jobs that were found.
///
/// # Errors
/// Any error of Postgres.
pub async fn redrive(connection: &mut Connection, ids: &[i64], kind: Option<&str>, limit: i64) -> Result<usize> {
    // The rows are inserted anew, in the order of keys, and yield to a waiting job, as in a retry.
    const SQL: &str = "WITH dead AS ( \
            DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE dead_at IS NOT NULL \
                AND (id = ANY(?) OR kind = ?) ORDER BY dead_at, id LIMIT ? FOR UPDATE SKIP LOCKED) \
            RETURNING jobs.*), again AS ( \
            INSERT INTO jobs (id, kind, key, serial_key, payload, max_attempts, last_error, created_at, traceparent) \
            SELECT id, kind, key, serial_key, payload, max_attempts, last_error, created_at, traceparent FROM dead \
            ORDER BY key, id DESC \
            ON CONFLICT (key) WHERE lease IS NULL AND dead_at IS NULL DO NOTHING) \
        SELECT id, kind, payload::text AS payload, attempts, last_error AS error, dead_at FROM dead";
    let dead: Vec<DeadJob> = Statement::new(SQL)
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Nullable<Text>, _>(kind)
        .bind::<BigInt, _>(limit)
        .columns::<Columns>()
        .load(connection)
        .await?;
    after_commit::wake_workers();
    Ok(dead.len())
}

/// Removes at most `limit` dead jobs older than `age`, and returns their number. The age is measured by the clock of
/// Postgres, which also set `dead_at`.
pub(crate) async fn delete_expired(connection: &mut Connection, age: TimeDelta, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM jobs WHERE id IN ( \
        SELECT id FROM jobs WHERE dead_at < statement_timestamp() - ? * interval '1 second' LIMIT ?)";
    let statement = Statement::new(SQL).bind::<BigInt, _>(age.num_seconds()).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}
