//! Revocations in SQL.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::sql_types::{BigInt, Integer, Nullable, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::identity::{
    member::id::MemberId,
    revocation::model::{Epoch, Revocation, SubjectVersion},
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::{ServiceKeyId, SessionId, UserId},
};

/// Revokes the access tokens of a session.
pub async fn end_session(connection: &mut Connection, session: SessionId) -> Result<()> {
    insert(connection, Revocation { subject: session.0, epoch: None }).await
}

/// Revokes the access tokens of a user that an epoch, which the caller's transaction begins, does not admit.
pub async fn begin_epoch(connection: &mut Connection, user: UserId, epoch: Epoch) -> Result<()> {
    insert(connection, Revocation { subject: user.0, epoch: Some(epoch) }).await
}

/// Revokes the access tokens of a membership that ends.
pub async fn end_member(connection: &mut Connection, member: MemberId) -> Result<()> {
    insert(connection, Revocation { subject: member.0, epoch: None }).await
}

/// Revokes a service key.
pub async fn end_key(connection: &mut Connection, key: ServiceKeyId) -> Result<()> {
    insert(connection, Revocation { subject: key.0, epoch: None }).await
}

/// Revokes the access tokens of earlier versions of a subject, such as a role, which the caller's transaction changes.
pub async fn begin_version(connection: &mut Connection, version: SubjectVersion) -> Result<()> {
    let epoch = Some(Epoch { number: version.number, kept: None });
    insert(connection, Revocation { subject: version.subject, epoch }).await
}

async fn insert(connection: &mut Connection, revocation: Revocation) -> Result<()> {
    // The timestamp is Postgres' statement time, because other instances poll for rows younger than their last poll.
    const SQL: &str = "INSERT INTO revocations (subject, epoch, kept_session_id, revoked_at) \
                       VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (subject) DO UPDATE SET \
                       epoch = excluded.epoch, kept_session_id = excluded.kept_session_id, revoked_at = excluded.revoked_at";
    let (number, kept) = revocation.epoch.map(|epoch| (epoch.number, epoch.kept)).unzip();
    let statement = diesel::sql_query(SQL).bind::<SqlUuid, _>(revocation.subject);
    let statement = statement.bind::<Nullable<Integer>, _>(number);
    statement.bind::<Nullable<SqlUuid>, _>(kept.flatten()).prepared().execute(connection).await?;
    Ok(())
}

/// Returns the revocations of the last `period`, by the clock of Postgres.
pub async fn since(connection: &mut Connection, period: Duration) -> Result<Vec<Revocation>> {
    const SQL: &str = "SELECT subject, epoch, kept_session_id FROM revocations \
                       WHERE revoked_at > clock_timestamp() - $1 * interval '1 millisecond'";
    let period_ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX / 1_000_000);
    let query = diesel::sql_query(SQL).bind::<BigInt, _>(period_ms);
    let query = query.columns::<(SqlUuid, Nullable<Integer>, Nullable<SqlUuid>)>().prepared();
    let rows: Vec<(Uuid, Option<i32>, Option<SessionId>)> = query.load(connection).await?;
    let read = |(subject, epoch, kept): (_, Option<_>, _)| Revocation {
        subject,
        epoch: epoch.map(|number| Epoch { number, kept }),
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Removes at most `limit` revocations that are older than `age`, by the clock of Postgres, which timestamped them;
/// returns how many.
pub async fn delete_expired(connection: &mut Connection, age: TimeDelta, limit: i64) -> Result<usize> {
    // The condition is repeated, because a user may begin one more epoch in between.
    const SQL: &str = "DELETE FROM revocations WHERE revoked_at < statement_timestamp() - $1 * interval '1 second' \
                       AND subject = ANY (ARRAY(SELECT subject FROM revocations \
                           WHERE revoked_at < statement_timestamp() - $1 * interval '1 second' LIMIT $2))";
    let statement = diesel::sql_query(SQL).bind::<BigInt, _>(age.num_seconds()).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}
