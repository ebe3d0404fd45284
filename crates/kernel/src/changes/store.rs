//! SQL of the `changes` table.

use chrono::TimeDelta;
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Change, EntryRow, RecordedChange};
use crate::{
    database::{Connection, statement::Statement},
    error::Result,
    id::AccountId,
};

pub(super) async fn insert(connection: &Connection, changes: &[Change]) -> Result<()> {
    const SQL: &str = "INSERT INTO changes (topic, resource_id, account_id, principal_id, version, is_deleted) \
        SELECT * FROM unnest(?::text[], ?::uuid[], ?::uuid[], ?::uuid[], ?::bigint[], ?::boolean[])";
    fn column<'c, T>(changes: &'c [Change], of: impl Fn(&'c Change) -> T) -> Vec<T> {
        changes.iter().map(of).collect()
    }
    let statement = Statement::new(SQL)
        .bind::<Array<Text>, _>(column(changes, |change| &*change.topic))
        .bind::<Array<SqlUuid>, _>(column(changes, |change| change.resource))
        .bind::<Array<SqlUuid>, _>(column(changes, |change| change.account.0))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(changes, |change| change.principal))
        .bind::<Array<BigInt>, _>(column(changes, |change| change.version))
        .bind::<Array<Bool>, _>(column(changes, |change| change.is_deleted));
    statement.execute(&mut &*connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    topic: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    resource_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    account_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    principal_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_deleted: Option<bool>,
}

impl EntryRow for Row {
    const TABLE: &'static str = "changes";
    type Entry = RecordedChange;

    fn entry(self, position: (i64, i64)) -> Option<RecordedChange> {
        let change = Change {
            topic: self.topic?.into(),
            resource: self.resource_id?,
            account: AccountId(self.account_id?),
            principal: self.principal_id,
            version: self.version?,
            is_deleted: self.is_deleted?,
        };
        Some(RecordedChange { change, position })
    }
}

/// Removes at most `limit` changes older than `age`, and returns their number. The age is measured by the clock of
/// Postgres, which also set `noted_at`.
pub(crate) async fn delete_expired(connection: &mut Connection, age: TimeDelta, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM changes WHERE (writer, number) IN ( \
                       SELECT writer, number FROM changes WHERE noted_at < statement_timestamp() - ? * interval '1 second' \
                       ORDER BY writer, number LIMIT ?)";
    let statement = Statement::new(SQL).bind::<BigInt, _>(age.num_seconds()).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}
