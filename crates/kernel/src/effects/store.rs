//! SQL of the table `effects`. Each row is an effect whose outcome is not stored yet.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension as _,
    deserialize::Queryable,
    sql_types::{Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Effect;
use crate::{
    database::{
        Connection,
        statement::{Prepare as _, Statement},
    },
    error::{Error, Result},
};

#[derive(Debug, Clone, Queryable)]
pub(super) struct Intent {
    pub(super) id: Uuid,
    pub(super) resource_id: Uuid,
    pub(super) request: String,
    pub(super) attempts: i32,
    pub(super) lookup_at: Option<DateTime<Utc>>,
    pub(super) repeat_until: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
}

impl Intent {
    #[cfg(test)]
    pub(super) fn sample(created_at: DateTime<Utc>) -> Self {
        let (id, resource_id, request) = (Uuid::nil(), Uuid::nil(), "{}".to_owned());
        Self { id, resource_id, request, attempts: 0, lookup_at: None, repeat_until: None, created_at }
    }

    pub(super) fn request<E: Effect>(&self) -> Result<E> {
        serde_json::from_str(&self.request).map_err(Error::internal)
    }
}

/// Stores an intent, unless one of its kind is pending for the resource. Returns whether it was stored.
pub(super) async fn insert(
    mut connection: &Connection,
    id: Uuid,
    kind: &str,
    resource: Uuid,
    request: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    const SQL: &str = "INSERT INTO effects (id, kind, resource_id, request, created_at) VALUES (?, ?, ?, ?::json, ?) \
        ON CONFLICT (kind, resource_id) DO NOTHING";
    let statement = Statement::new(SQL)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(kind)
        .bind::<SqlUuid, _>(resource)
        .bind::<Text, _>(request)
        .bind::<Timestamptz, _>(now);
    Ok(statement.execute(&mut connection).await? == 1)
}

const SELECT: &str =
    "SELECT id, resource_id, request::text AS request, attempts, lookup_at, repeat_until, created_at FROM effects";

type Columns = (SqlUuid, SqlUuid, Text, Integer, Nullable<Timestamptz>, Nullable<Timestamptz>, Timestamptz);

pub(super) async fn find(mut connection: &Connection, id: Uuid) -> Result<Option<Intent>> {
    let sql = format!("{SELECT} WHERE id = ?");
    let statement = Statement::new(&sql).bind::<SqlUuid, _>(id).columns::<Columns>();
    Ok(statement.get_result(&mut connection).await.optional()?)
}

pub(super) async fn of_resource(mut connection: &Connection, kind: &str, resource: Uuid) -> Result<Option<Intent>> {
    let sql = format!("{SELECT} WHERE kind = ? AND resource_id = ?");
    let statement = Statement::new(&sql).bind::<Text, _>(kind).bind::<SqlUuid, _>(resource).columns::<Columns>();
    Ok(statement.get_result(&mut connection).await.optional()?)
}

/// Stores what is known about the attempts of an intent, unless another worker has stored an attempt. Returns whether it was
/// stored.
pub(super) async fn update(
    mut connection: &Connection,
    before: &Intent,
    attempts: i32,
    lookup_at: Option<DateTime<Utc>>,
    repeat_until: Option<DateTime<Utc>>,
) -> Result<bool> {
    const SQL: &str = "UPDATE effects SET attempts = ?, lookup_at = ?, repeat_until = ? WHERE id = ? AND attempts = ?";
    let statement = Statement::new(SQL)
        .bind::<Integer, _>(attempts)
        .bind::<Nullable<Timestamptz>, _>(lookup_at)
        .bind::<Nullable<Timestamptz>, _>(repeat_until)
        .bind::<SqlUuid, _>(before.id)
        .bind::<Integer, _>(before.attempts);
    Ok(statement.execute(&mut connection).await? == 1)
}

/// Removes an intent; with a number of attempts, unless there was another one. Returns whether it was removed.
pub(super) async fn delete(mut connection: &Connection, id: Uuid, attempts: Option<i32>) -> Result<bool> {
    const SQL: &str = "DELETE FROM effects WHERE id = ? AND attempts = coalesce(?, attempts)";
    let statement = Statement::new(SQL).bind::<SqlUuid, _>(id).bind::<Nullable<Integer>, _>(attempts);
    Ok(statement.execute(&mut connection).await? == 1)
}

/// Removes the intent of a resource of which no attempt can have taken effect. Returns its key.
pub(super) async fn delete_unattempted(
    mut connection: &Connection,
    kind: &str,
    resource: Uuid,
) -> Result<Option<Uuid>> {
    const SQL: &str = "DELETE FROM effects WHERE kind = ? AND resource_id = ? AND lookup_at IS NULL RETURNING id";
    let statement = Statement::new(SQL).bind::<Text, _>(kind).bind::<SqlUuid, _>(resource);
    Ok(statement.columns::<SqlUuid>().get_result(&mut connection).await.optional()?)
}
