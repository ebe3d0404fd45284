//! What has had its time, and what is left behind.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, SmallInt, Text, Uuid},
};
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{login_limits, password_resets},
};
use crate::{domain::operation::Status, error::Result, id::OperationId};

/// Removes password resets that expired before `before`.
///
/// # Errors
/// What Postgres answers.
pub async fn password_resets(connection: &mut Connection, before: DateTime<Utc>) -> Result<usize> {
    let expired = password_resets::table.filter(password_resets::expires_at.lt(before));
    Ok(diesel::delete(expired).execute(connection).await?)
}

/// Removes login limits that limit nothing any more.
///
/// # Errors
/// What Postgres answers.
pub async fn login_limits(connection: &mut Connection, now: DateTime<Utc>) -> Result<usize> {
    let passed = login_limits::table.filter(login_limits::arrives_at.lt(now));
    Ok(diesel::delete(passed).execute(connection).await?)
}

/// Removes the uploaded files of operations that ended.
///
/// # Errors
/// What Postgres answers.
pub async fn upload_chunks(connection: &mut Connection) -> Result<usize> {
    const SQL: &str = "DELETE FROM upload_chunks USING operations \
                       WHERE operations.id = upload_chunks.operation_id AND operations.state >= $1";
    Ok(diesel::sql_query(SQL).bind::<SmallInt, _>(Status::Succeeded.number()).execute(connection).await?)
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = Uuid)]
    id: OperationId,
}

/// Operations that wait for a job there is none of any more, or whose job used up its tries.
///
/// # Errors
/// What Postgres answers.
pub async fn orphans(connection: &mut Connection, key_prefix: &str) -> Result<Vec<OperationId>> {
    const SQL: &str = "SELECT id FROM operations WHERE state < $1 AND NOT EXISTS ( \
                         SELECT 1 FROM graphile_worker.jobs WHERE key = $2 || operations.id::text \
                         AND (locked_at IS NOT NULL OR attempts < max_attempts))";
    let orphans: Vec<Orphan> = diesel::sql_query(SQL)
        .bind::<SmallInt, _>(Status::Succeeded.number())
        .bind::<Text, _>(key_prefix)
        .load(connection)
        .await?;
    Ok(orphans.into_iter().map(|orphan| orphan.id).collect())
}

#[derive(QueryableByName)]
struct Folded {
    #[diesel(sql_type = BigInt)]
    folded: i64,
}

/// Merges the ticket counters of single writers; returns how many there were.
///
/// # Errors
/// What Postgres answers.
pub async fn fold_ticket_counts(connection: &mut Connection) -> Result<i64> {
    let folded: Folded = diesel::sql_query("SELECT fold_ticket_counts() AS folded").get_result(connection).await?;
    Ok(folded.folded)
}
