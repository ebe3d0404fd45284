//! The tables of the job queue, which `graphile_worker` owns, and its connections.

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

use crate::{
    database::{Connection, connect},
    error::{Error, Result},
};

/// The schema of the queue's tables.
pub const SCHEMA: &str = "graphile_worker";

/// Opens at most `size` connections for the queue, with the TLS settings of all other connections. The library's own
/// pool would trust other roots; it would also listen for notifications, which polling replaces.
///
/// # Errors
/// When the URL is invalid.
pub fn database(url: &SecretString, size: usize) -> anyhow::Result<graphile_worker::Database> {
    let mut config = connect::config(url.expose_secret())?;
    config.application_name("mainstay jobs");
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, connect::tls()?, recycling);
    Ok(TokioPostgresDatabase::new(Pool::builder(manager).max_size(size).build()?).into())
}

/// The advisory lock under which one instance migrates while the others wait.
const LOCK: i64 = 0x6d61_696e_6a6f_6273;

/// Migrates the tables of the queue to the version of the library. The library's migrations do not expect concurrent
/// instances, so the connection `lock` makes other instances wait.
///
/// # Errors
/// The first migration that fails.
pub async fn migrate(mut lock: Connection, url: &SecretString) -> anyhow::Result<()> {
    lock.batch_execute("SET statement_timeout = 0").await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut lock).await?;
    WorkerUtils::new(database(url, 1)?, SCHEMA).migrate().await?;
    Ok(())
}

/// A job as stored in the queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key of the job; at most one job per key waits.
    pub key: String,
    /// The key of the jobs that run one at a time, over all workers; `None`: any number may run at once. The library
    /// never removes its row for a key, which is harmless as long as there are few keys.
    pub serial_key: Option<String>,
    /// The payload, as JSON.
    pub payload: String,
}

/// Adds jobs of one kind within the caller's transaction, to start no earlier than `at`, if given. A waiting job with
/// the same key is replaced.
///
/// # Errors
/// Any error of Postgres.
pub async fn add(
    connection: &mut Connection,
    name: &str,
    max_attempts: i32,
    entries: Vec<Entry>,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM unnest($1::text[], $2::text[], $3::text[]) AS job (key, queue, payload), LATERAL \
                       graphile_worker.add_job($4, payload::json, job_key => key, queue_name => queue, \
                         max_attempts => $5, run_at => $6)";
    let count = entries.len();
    let added =
        bound(SQL, name, max_attempts, entries).bind::<Nullable<Timestamptz>, _>(at).execute(connection).await?;
    if added == count { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("jobs: {added} of {count} rows added"))) }
}

/// Adds those jobs whose key has no job that runs or may still be tried; returns how many were added.
///
/// # Errors
/// Any error of Postgres.
pub async fn add_missing(
    connection: &mut Connection,
    name: &str,
    max_attempts: i32,
    entries: Vec<Entry>,
) -> Result<usize> {
    // Materialized, because otherwise a job is added as soon as its line is read.
    const SQL: &str = "WITH missing AS MATERIALIZED ( \
                         SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS job (key, queue, payload) WHERE NOT EXISTS ( \
                           SELECT FROM graphile_worker.jobs WHERE jobs.key = job.key \
                           AND (locked_at IS NOT NULL OR attempts < max_attempts))) \
                       SELECT 1 FROM missing, LATERAL \
                       graphile_worker.add_job($4, payload::json, job_key => key, queue_name => queue, max_attempts => $5)";
    Ok(bound(SQL, name, max_attempts, entries).execute(connection).await?)
}

/// Binds the parameters of a statement: each field of the entries as an array, the kind, and the maximum number of
/// attempts.
fn bound<'q>(sql: &str, name: &str, max_attempts: i32, entries: Vec<Entry>) -> BoxedSqlQuery<'q, Pg, SqlQuery> {
    let (mut keys, mut serial_keys, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { key, serial_key, payload } in entries {
        keys.push(key);
        serial_keys.push(serial_key);
        payloads.push(payload);
    }
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Nullable<Text>>, _>(serial_keys)
        .bind::<Array<Text>, _>(payloads)
        .bind::<Text, _>(name.to_owned())
        .bind::<Integer, _>(max_attempts)
}

/// Whether a job of these kinds is due.
///
/// # Errors
/// Any error of Postgres.
pub async fn any_due(connection: &mut Connection, names: &[&str]) -> Result<bool> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.jobs WHERE task_identifier = ANY($1) \
                       AND locked_at IS NULL AND attempts < max_attempts AND run_at <= now() LIMIT 1";
    Ok(diesel::sql_query(SQL).bind::<Array<Text>, _>(names).execute(connection).await? > 0)
}

/// Whether a key has another job than `id` that runs or may still be tried.
///
/// # Errors
/// Any error of Postgres.
pub async fn has_other(connection: &mut Connection, key: &str, id: i64) -> Result<bool> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.jobs \
                       WHERE key = $1 AND id <> $2 AND (locked_at IS NOT NULL OR attempts < max_attempts)";
    Ok(diesel::sql_query(SQL).bind::<Text, _>(key).bind::<BigInt, _>(id).execute(connection).await? > 0)
}

/// Rows that each wait for a job, whose key ends with the id of the row.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// The table.
    pub table: &'static str,
    /// The condition for rows that wait, as SQL that matches an index.
    pub condition: &'static str,
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Returns at most `limit` rows that wait for a job that does not exist or has used up its attempts.
///
/// # Errors
/// Any error of Postgres.
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

/// Removes the waiting job of a key. A running job is left alone: the library's own function would make it count as
/// dead if its worker died.
///
/// # Errors
/// Any error of Postgres.
pub async fn remove(connection: &mut Connection, key: &str) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.complete_jobs(ARRAY( \
                         SELECT id FROM graphile_worker.jobs WHERE key = $1 AND locked_at IS NULL))";
    diesel::sql_query(SQL).bind::<Text, _>(key).execute(connection).await?;
    Ok(())
}

/// Shifts the next attempt of a failed job by a random part of its wait, so that jobs that failed together do not run
/// again together. The queue's own backoff is exponential and has no jitter.
///
/// # Errors
/// Any error of Postgres.
pub async fn spread(connection: &mut Connection, job: i64) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.jobs AS job, \
                       LATERAL graphile_worker.reschedule_jobs(ARRAY[job.id], \
                         run_at => job.run_at + (random() - 0.5) * greatest(job.run_at - now(), '0')) \
                       WHERE job.id = $1 AND job.locked_at IS NULL";
    diesel::sql_query(SQL).bind::<BigInt, _>(job).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` jobs whose last attempt failed before `before`; returns how many.
///
/// # Errors
/// Any error of Postgres.
pub async fn forget_dead(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "SELECT 1 FROM graphile_worker.complete_jobs(ARRAY( \
                         SELECT id FROM graphile_worker.jobs \
                         WHERE attempts >= max_attempts AND locked_at IS NULL AND updated_at < $1 LIMIT $2))";
    let removed = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(connection);
    Ok(removed.await?)
}
