//! The table of changes.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{BATCH, Change, Cursor, Read, RecordedChange, Snapshot};
use crate::{
    database::{Connection, statement::Statement},
    error::{Error, Result},
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
struct Row {
    #[diesel(sql_type = Text)]
    snapshot: String,
    #[diesel(sql_type = Timestamptz)]
    taken_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<BigInt>)]
    writer: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
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

impl Row {
    /// Returns the change; `None` if the row has only the snapshot.
    fn change(self) -> Option<RecordedChange> {
        let change = Change {
            topic: self.topic?.into(),
            resource: self.resource_id?,
            account: AccountId(self.account_id?),
            principal: self.principal_id,
            version: self.version?,
            is_deleted: self.is_deleted?,
        };
        Some(RecordedChange { change, position: (self.writer?, self.number?) })
    }
}

/// Reads what follows a cursor, and the snapshot that it is read in. `None` for the cursor reads the snapshot alone.
pub(super) async fn read(connection: &mut Connection, cursor: Option<&Cursor>) -> Result<Read<RecordedChange>> {
    // Of both branches each is the range of an index, in its order.
    const SQL: &str = "WITH news AS ( \
            SELECT * FROM changes WHERE writer = ANY(?) AND (writer, number) > (?, ?) \
            UNION ALL SELECT * FROM changes WHERE writer >= ? AND (writer, number) > (?, ?)) \
        SELECT pg_current_snapshot()::text AS snapshot, now() AS taken_at, news.writer, news.number, topic, resource_id, \
            account_id, principal_id, version, is_deleted \
        FROM (SELECT) AS one LEFT JOIN ( \
            SELECT * FROM news WHERE writer < pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
                AND writer < ? AND writer <> ALL(?) ORDER BY writer, number LIMIT ?) AS news ON true \
        ORDER BY news.writer, news.number";
    let (end, running) = cursor.map_or((i64::MAX, &[][..]), Cursor::unread);
    let (until, still_running) = cursor.and_then(Cursor::until).unwrap_or((i64::MAX, &[]));
    let (writer, number) = cursor.map_or((0, 0), Cursor::after);
    let statement = Statement::new(SQL)
        .bind::<Array<BigInt>, _>(running)
        .bind::<BigInt, _>(writer)
        .bind::<BigInt, _>(number)
        .bind::<BigInt, _>(end)
        .bind::<BigInt, _>(writer)
        .bind::<BigInt, _>(number)
        .bind::<BigInt, _>(until)
        .bind::<Array<BigInt>, _>(still_running)
        .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let rows: Vec<Row> = statement.load(connection).await?;
    let first = rows.as_slice().first().ok_or_else(|| Error::internal(anyhow::anyhow!("no snapshot")))?;
    let snapshot = Snapshot::parse(&first.snapshot, first.taken_at);
    let snapshot = snapshot.ok_or_else(|| Error::internal(anyhow::anyhow!("the snapshot {}", first.snapshot)))?;
    Ok(Read { snapshot, entries: rows.into_iter().filter_map(Row::change).collect() })
}

/// Removes at most `limit` changes that are older than `age`, by the clock of Postgres, which noted them; returns how many.
pub(crate) async fn delete_expired(connection: &mut Connection, age: TimeDelta, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM changes WHERE (writer, number) IN ( \
                       SELECT writer, number FROM changes WHERE noted_at < statement_timestamp() - ? * interval '1 second' \
                       ORDER BY writer, number LIMIT ?)";
    let statement = Statement::new(SQL).bind::<BigInt, _>(age.num_seconds()).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}
