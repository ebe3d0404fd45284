//! The lines that follow others, in the order of their commits.

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_query,
    sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::dashboard::system_log::{
    model::{Level, Line},
    stored::StoredLine,
};
use mainstay_kernel::{
    changes::{BATCH, Cursor, Read, Snapshot},
    database::Connection,
    error::{Error, Result},
};

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
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logged_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    level: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    principal_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

impl Row {
    fn into_line(self) -> Option<StoredLine> {
        let line = Line {
            id: self.id?,
            at: self.logged_at?,
            level: Level::from_number(self.level?.into())?,
            message: self.message?,
            method: self.method,
            request_id: self.request_id,
            principal_id: self.principal_id,
            line: self.line?,
        };
        Some(StoredLine { line, position: (self.writer?, self.number?) })
    }
}

/// Reads what follows a cursor, and the snapshot that it is read in. `None` for the cursor reads the snapshot alone.
///
/// # Errors
/// Any error of Postgres.
pub async fn follow(connection: &mut Connection, cursor: Option<&Cursor>) -> Result<Read<StoredLine>> {
    // As the kernel reads changes.
    const SQL: &str = "WITH news AS ( \
            SELECT * FROM system_logs WHERE writer = ANY($1) AND (writer, number) > ($2, $3) \
            UNION ALL SELECT * FROM system_logs WHERE writer >= $4 AND (writer, number) > ($2, $3)) \
        SELECT pg_current_snapshot()::text AS snapshot, now() AS taken_at, news.* \
        FROM (SELECT) AS one LEFT JOIN ( \
            SELECT * FROM news WHERE writer < pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
                AND writer < $5 AND writer <> ALL($6) ORDER BY writer, number LIMIT $7) AS news ON true \
        ORDER BY news.writer, news.number";
    let (end, running) = cursor.map_or((i64::MAX, &[][..]), Cursor::unread);
    let (until, still_running) = cursor.and_then(Cursor::until).unwrap_or((i64::MAX, &[]));
    let (writer, number) = cursor.map_or((0, 0), Cursor::after);
    let query = sql_query(SQL)
        .bind::<Array<BigInt>, _>(running)
        .bind::<BigInt, _>(writer)
        .bind::<BigInt, _>(number)
        .bind::<BigInt, _>(end)
        .bind::<BigInt, _>(until)
        .bind::<Array<BigInt>, _>(still_running)
        .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let rows: Vec<Row> = query.load(connection).await?;
    let first = rows.as_slice().first().ok_or_else(|| Error::internal(anyhow::anyhow!("no snapshot")))?;
    let snapshot = Snapshot::parse(&first.snapshot, first.taken_at);
    let snapshot = snapshot.ok_or_else(|| Error::internal(anyhow::anyhow!("the snapshot {}", first.snapshot)))?;
    Ok(Read { snapshot, entries: rows.into_iter().filter_map(Row::into_line).collect() })
}
