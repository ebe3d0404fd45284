//! Records the outcomes of runs. The lease is a fencing token: a run whose lease another worker has changes nothing.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    database::{
        Connection,
        statement::{Prepare as _, Statement},
    },
    error::Result,
};

/// A job to run again.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    pub(crate) id: i64,
    pub(crate) lease: Uuid,
    pub(crate) wait: Duration,
    /// The number of attempts that are not counted.
    pub(crate) returned_attempts: i32,
    /// The error of the attempt; `None` keeps the previous one.
    pub(crate) error: Option<String>,
}

/// Removes completed jobs. Returns whether another job was waiting for one of them.
pub(crate) async fn complete(connection: &mut Connection, leases: &[(i64, Uuid)]) -> Result<bool> {
    const SQL: &str = "DELETE FROM jobs USING unnest(?::bigint[], ?::uuid[]) AS done (id, lease) \
        WHERE jobs.id = done.id AND jobs.lease = done.lease \
        RETURNING jobs.serial_key IS NOT NULL OR EXISTS (SELECT FROM jobs AS next \
            WHERE next.key = jobs.key AND next.lease IS NULL AND next.dead_at IS NULL) AS is_followed";
    let (ids, leases): (Vec<_>, Vec<_>) = leases.iter().copied().unzip();
    let delete = Statement::new(SQL).bind::<Array<BigInt>, _>(ids).bind::<Array<SqlUuid>, _>(leases);
    let are_followed: Vec<bool> = delete.columns::<Bool>().load(connection).await?;
    Ok(are_followed.contains(&true))
}

/// Makes jobs wait again. A job that was replaced while it ran is removed, because its replacement covers its subject.
/// The row is inserted anew, because an insert, unlike an update, can yield to a replacement that commits meanwhile.
/// The lock order is that of keys, as in [`enqueue`](super::super::enqueue), which prevents deadlocks.
pub(crate) async fn retry(connection: &mut Connection, retries: &[Retry]) -> Result<()> {
    const SQL: &str = "WITH ended AS ( \
            DELETE FROM jobs USING unnest(?::bigint[], ?::uuid[], ?::float8[], ?::int[], ?::text[]) AS ended (id, lease, wait, returned, error) \
            WHERE jobs.id = ended.id AND jobs.lease = ended.lease RETURNING jobs.*, wait, returned, error) \
        INSERT INTO jobs (id, kind, key, serial_key, payload, due_at, attempts, max_attempts, last_error, created_at, traceparent) \
        SELECT id, kind, key, serial_key, payload, now() + wait * interval '1 second', attempts - returned, \
            max_attempts, coalesce(error, last_error), created_at, traceparent FROM ended ORDER BY key \
        ON CONFLICT (key) WHERE lease IS NULL AND dead_at IS NULL DO NOTHING";
    let retries = retries.to_vec();
    Statement::new(SQL)
        .bind::<Array<BigInt>, _>(retries.iter().map(|retry| retry.id).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(retries.iter().map(|retry| retry.lease).collect::<Vec<_>>())
        .bind::<Array<Double>, _>(retries.iter().map(|retry| retry.wait.as_secs_f64()).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(retries.iter().map(|retry| retry.returned_attempts).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(retries.into_iter().map(|retry| retry.error).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Marks a job as dead.
pub(crate) async fn mark_dead(connection: &mut Connection, id: i64, lease: Uuid, error: Option<&str>) -> Result<()> {
    const SQL: &str = "UPDATE jobs SET lease = NULL, dead_at = now(), last_error = coalesce(?, last_error) \
        WHERE id = ? AND lease = ?";
    Statement::new(SQL)
        .bind::<Nullable<Text>, _>(error)
        .bind::<BigInt, _>(id)
        .bind::<SqlUuid, _>(lease)
        .execute(connection)
        .await?;
    Ok(())
}
