//! The job queue's tables, which `graphile_worker` owns, and the connections it works through.

use chrono::{DateTime, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use diesel::{
    deserialize::QueryableByName,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use graphile_worker::{WorkerUtils, tokio_postgres::TokioPostgresDatabase};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Connection, connect};
use crate::error::{Error, Result};

/// The schema of the queue's tables.
pub const SCHEMA: &str = "graphile_worker";

/// Connections for the queue: at most `size`, with the TLS of every other connection of ours. The library's own way
/// from a URL would trust other roots; it would also listen for notifications, in whose stead the queue is polled.
///
/// # Errors
/// When the URL is not one.
pub fn database(url: &SecretString, size: usize) -> anyhow::Result<graphile_worker::Database> {
    let mut config = connect::config(url.expose_secret())?;
    config.application_name("mainstay jobs");
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, connect::tls()?, recycling);
    Ok(TokioPostgresDatabase::new(Pool::builder(manager).max_size(size).build()?).into())
}

/// The advisory lock that lets one instance migrate while the others wait.
const LOCK: i64 = 0x6d61_696e_6a6f_6273;

/// Brings the queue's tables to the library's version. The library's migrations know of no other instance, so `lock`
/// is a connection that keeps others waiting until they are done.
///
/// # Errors
/// The first migration that fails.
pub async fn migrate(mut lock: Connection, url: &SecretString) -> anyhow::Result<()> {
    lock.batch_execute("SET statement_timeout = 0").await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut lock).await?;
    WorkerUtils::new(database(url, 1)?, SCHEMA).migrate().await?;
    Ok(())
}

/// A job as the queue has it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What tells it apart: one of a key waits at most.
    pub key: String,
    /// Which row it stands in, if in one: of those in a row one runs at a time, over all workers. A row is never
    /// removed, so there is no harm in few of them alone.
    pub row: Option<String>,
    /// What the job is made of, as JSON.
    pub payload: String,
}

/// Adds jobs of one kind within the caller's transaction, not to be begun before a time, if one is given. One of the
/// same key that still waits is replaced.
///
/// # Errors
/// What Postgres answers.
pub async fn add(
    connection: &mut Connection,
    name: &str,
    max_attempts: i32,
    entries: Vec<Entry>,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM unnest($1, $2, $3) AS job (key, queue, payload), LATERAL \
                       graphile_worker.add_job($4, payload::json, job_key => key, queue_name => queue, \
                         max_attempts => $5, run_at => $6)";
    let count = entries.len();
    let added =
        bound(SQL, name, max_attempts, entries).bind::<Nullable<Timestamptz>, _>(at).execute(connection).await?;
    if added == count { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("jobs: {added} of {count} rows added"))) }
}

/// As [`add`], but for those of whose key there is a job that runs or may still be tried; returns how many were added.
///
/// # Errors
/// What Postgres answers.
pub async fn add_missing(
    connection: &mut Connection,
    name: &str,
    max_attempts: i32,
    entries: Vec<Entry>,
) -> Result<usize> {
    // Materialized, for a job is added as soon as its line is read.
    const SQL: &str = "WITH missing AS MATERIALIZED ( \
                         SELECT * FROM unnest($1, $2, $3) AS job (key, queue, payload) WHERE NOT EXISTS ( \
                           SELECT FROM graphile_worker.jobs WHERE jobs.key = job.key \
                           AND (locked_at IS NOT NULL OR attempts < max_attempts))) \
                       SELECT 1 FROM missing, LATERAL \
                       graphile_worker.add_job($4, payload::json, job_key => key, queue_name => queue, max_attempts => $5)";
    Ok(bound(SQL, name, max_attempts, entries).execute(connection).await?)
}

/// One statement's parameters: each column of the entries as an array, the kind, and how often it is tried.
fn bound<'q>(sql: &str, name: &str, max_attempts: i32, entries: Vec<Entry>) -> BoxedSqlQuery<'q, Pg, SqlQuery> {
    let (mut keys, mut rows, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { key, row, payload } in entries {
        keys.push(key);
        rows.push(row);
        payloads.push(payload);
    }
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Nullable<Text>>, _>(rows)
        .bind::<Array<Text>, _>(payloads)
        .bind::<Text, _>(name.to_owned())
        .bind::<Integer, _>(max_attempts)
}

/// Whether there is another job than `id` of a key that runs or may still be tried.
///
/// # Errors
/// What Postgres answers.
pub async fn has_other(connection: &mut Connection, key: &str, id: i64) -> Result<bool> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.jobs \
                       WHERE key = $1 AND id <> $2 AND (locked_at IS NOT NULL OR attempts < max_attempts)";
    Ok(diesel::sql_query(SQL).bind::<Text, _>(key).bind::<BigInt, _>(id).execute(connection).await? > 0)
}

/// Rows of ours that wait for a job each, whose key ends with the row's id.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Where they are.
    pub table: &'static str,
    /// Which of them wait, as a condition in SQL that an index has.
    pub condition: &'static str,
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// At most `limit` of those that wait for a job there is none of any more, or whose job used up its tries.
///
/// # Errors
/// What Postgres answers.
pub async fn without_job(
    connection: &mut Connection,
    waiting: Waiting,
    key_prefix: String,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let Waiting { table, condition } = waiting;
    let sql = format!(
        "SELECT id FROM {table} WHERE {condition} AND NOT EXISTS ( \
           SELECT FROM graphile_worker.jobs WHERE key = $1 || {table}.id::text \
           AND (locked_at IS NOT NULL OR attempts < max_attempts)) LIMIT $2"
    );
    let left: Vec<Left> =
        diesel::sql_query(sql).bind::<Text, _>(key_prefix).bind::<BigInt, _>(limit).load(connection).await?;
    Ok(left.into_iter().map(|left| left.id).collect())
}

/// Removes a job of a key that waits. One that runs is left alone: the library's own way would have it count as dead
/// should its worker die.
///
/// # Errors
/// What Postgres answers.
pub async fn remove(connection: &mut Connection, key: &str) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.complete_jobs(ARRAY( \
                         SELECT id FROM graphile_worker.jobs WHERE key = $1 AND locked_at IS NULL))";
    diesel::sql_query(SQL).bind::<Text, _>(key).execute(connection).await?;
    Ok(())
}

/// Moves the next try of a failed job by a random part of its wait, so that jobs that failed together don't come back
/// together. The queue's own backoff is exponential and the same for all.
///
/// # Errors
/// What Postgres answers.
pub async fn spread(connection: &mut Connection, job: i64) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.jobs AS job, \
                       LATERAL graphile_worker.reschedule_jobs(ARRAY[job.id], \
                         run_at => job.run_at + (random() - 0.5) * greatest(job.run_at - now(), '0')) \
                       WHERE job.id = $1 AND job.locked_at IS NULL";
    diesel::sql_query(SQL).bind::<BigInt, _>(job).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` jobs whose last try failed before `before`; returns how many.
///
/// # Errors
/// What Postgres answers.
pub async fn forget_dead(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.complete_jobs(ARRAY( \
                         SELECT id FROM graphile_worker.jobs \
                         WHERE attempts >= max_attempts AND locked_at IS NULL AND updated_at < $1 LIMIT $2))";
    let removed = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(connection);
    Ok(removed.await?)
}
