//! SQL of the `jobs` table: adding and removing jobs.

mod end;
mod observe;
mod take;

pub(crate) use end::{Retry, complete, mark_dead, retry};
pub(crate) use observe::depths;
pub(crate) use take::{FreeSlots, LeasedJob, renew, statement, take};

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;

use crate::{
    database::{
        Connection, after_commit,
        statement::{Prepare as _, Statement},
    },
    error::Result,
    telemetry::traces::traceparent,
};

/// Jobs of one kind, as stored.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) kind: &'static str,
    pub(crate) max_attempts: i32,
    /// The serial key and the payload, as JSON, by key. The order of keys is the lock order: concurrent statements that
    /// lock rows in different orders can deadlock.
    pub(crate) entries: BTreeMap<String, (Option<String>, String)>,
}

/// The beginning of a statement that adds the jobs of a batch ([`execute`]).
const ADD: &str = "INSERT INTO jobs (kind, max_attempts, traceparent, due_at, key, serial_key, payload) \
    SELECT ?, ?::int, ?, coalesce(?, now()), job.key, job.serial_key, job.payload::json \
    FROM unnest(?::text[], ?::text[], ?::text[]) AS job (key, serial_key, payload)";
/// The condition of a key that has a waiting job.
const ON_WAITING: &str = "ON CONFLICT (key) WHERE lease IS NULL AND dead_at IS NULL";

/// Adds jobs within the caller's transaction, due at `at` or at once. A waiting job with the same key is replaced.
pub(crate) async fn add(connection: &Connection, mut batch: Batch, at: Option<DateTime<Utc>>) -> Result<()> {
    const REPLACE: &str = "DO UPDATE SET payload = excluded.payload, due_at = excluded.due_at, \
        serial_key = excluded.serial_key, max_attempts = excluded.max_attempts, traceparent = excluded.traceparent, \
        attempts = 0, last_error = NULL";
    static ONE: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO jobs (kind, max_attempts, traceparent, due_at, key, serial_key, payload) \
             VALUES (?, ?::int, ?, coalesce(?, now()), ?, ?, ?::json) {ON_WAITING} {REPLACE}"
        )
    });
    static MANY: LazyLock<String> = LazyLock::new(|| format!("{ADD} {ON_WAITING} {REPLACE}"));
    // Nearly all batches have one job, for which Postgres needs a tenth less time without arrays.
    if batch.entries.len() == 1
        && let Some((key, (serial_key, payload))) = batch.entries.pop_first()
    {
        let statement = begin(&ONE, &batch, at).bind::<Text, _>(key);
        let statement = statement.bind::<Nullable<Text>, _>(serial_key).bind::<Text, _>(payload);
        statement.execute(&mut &*connection).await?;
    } else {
        execute(connection, &MANY, batch, at).await?;
    }
    if at.is_none() {
        after_commit::wake_workers();
    }
    Ok(())
}

/// Adds a job within the caller's transaction, to start no earlier than `at`, unless a job with the same key waits.
pub(crate) async fn add_unless_waiting(connection: &Connection, batch: Batch, at: DateTime<Utc>) -> Result<()> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("{ADD} {ON_WAITING} DO NOTHING"));
    execute(connection, &SQL, batch, Some(at)).await.map(drop)
}

/// Adds those jobs whose key has no job that waits or runs; returns how many were added.
pub(crate) async fn add_missing(connection: &Connection, batch: Batch) -> Result<usize> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{ADD} WHERE NOT EXISTS (SELECT FROM jobs \
                WHERE coalesce(jobs.serial_key, jobs.key) = coalesce(job.serial_key, job.key) \
                AND jobs.key = job.key AND jobs.lease IS NOT NULL) {ON_WAITING} DO NOTHING"
        )
    });
    let count = execute(connection, &SQL, batch, None).await?;
    after_commit::wake_workers();
    Ok(count)
}

/// Binds the parameters that all jobs of a batch share.
fn begin<'q>(sql: &'q str, batch: &Batch, at: Option<DateTime<Utc>>) -> Statement<'q> {
    Statement::new(sql)
        .bind::<Text, _>(batch.kind)
        .bind::<Integer, _>(batch.max_attempts)
        .bind::<Nullable<Text>, _>(traceparent())
        .bind::<Nullable<Timestamptz>, _>(at)
}

/// Runs a statement that begins with [`ADD`], and returns the number of added jobs.
async fn execute(connection: &Connection, sql: &str, batch: Batch, at: Option<DateTime<Utc>>) -> Result<usize> {
    let statement = begin(sql, &batch, at);
    let (keys, jobs): (Vec<_>, Vec<_>) = batch.entries.into_iter().unzip();
    let (serial_keys, payloads): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    let statement = statement
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Nullable<Text>>, _>(serial_keys)
        .bind::<Array<Text>, _>(payloads);
    Ok(statement.execute(&mut &*connection).await?)
}

/// Removes the waiting job of a key. A running job continues.
pub(crate) async fn remove(connection: &Connection, key: &str) -> Result<()> {
    const SQL: &str = "DELETE FROM jobs WHERE key = ? AND lease IS NULL AND dead_at IS NULL";
    Statement::new(SQL).bind::<Text, _>(key).execute(&mut &*connection).await?;
    Ok(())
}

pub(crate) async fn waits(connection: &mut Connection, key: &str) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM jobs WHERE key = ? AND lease IS NULL AND dead_at IS NULL) AS found";
    Ok(Statement::new(SQL).bind::<Text, _>(key).columns::<Bool>().get_result(connection).await?)
}

/// Removes the waiting and the dead jobs of keys.
pub(crate) async fn remove_all(connection: &Connection, keys: Vec<String>) -> Result<()> {
    const SQL: &str = "DELETE FROM jobs WHERE key = ANY(?) AND lease IS NULL";
    Statement::new(SQL).bind::<Array<Text>, _>(keys).execute(&mut &*connection).await?;
    Ok(())
}
