//! Reads an append-only table in the order of its commits.

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    pg::Pg,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{BATCH, Cursor, EntryBatch, Snapshot};
use crate::{
    database::{Connection, statement::Statement},
    error::{Error, Result},
};

/// The columns of an entry, beside its position. Each of them is nullable: a read without entries returns one row that
/// holds only the snapshot.
pub trait EntryRow: QueryableByName<Pg> + Send + 'static {
    /// The append-only table. Its columns `writer` and `number` form the position, and an index must begin with both.
    const TABLE: &'static str;
    /// The type that a row is converted to.
    type Entry;

    /// Returns the entry at a position; `None` if its columns are NULL.
    fn entry(self, position: (i64, i64)) -> Option<Self::Entry>;
}

#[derive(QueryableByName)]
struct Row<R> {
    #[diesel(sql_type = Text)]
    snapshot: String,
    #[diesel(sql_type = Timestamptz)]
    taken_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<BigInt>)]
    writer: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
    #[diesel(embed)]
    rest: R,
}

impl<R: EntryRow> Row<R> {
    fn entry(self) -> Option<R::Entry> {
        self.rest.entry((self.writer?, self.number?))
    }
}

/// Reads at most [`BATCH`] entries after a cursor, and the snapshot of the read. Without a cursor: the snapshot alone.
pub async fn read<R: EntryRow>(connection: &mut Connection, cursor: Option<&Cursor>) -> Result<EntryBatch<R::Entry>> {
    let table = R::TABLE;
    // Each branch of the UNION is an index range scan from one lower bound. With a second one, Postgres begins the scan at the
    // lower of both and passes every earlier entry of the table.
    let sql = format!(
        "WITH news AS ( \
            SELECT * FROM {table} WHERE writer = ANY(?) AND (writer, number) > (?, ?) \
            UNION ALL SELECT * FROM {table} WHERE (writer, number) > (?, ?)) \
        SELECT pg_current_snapshot()::text AS snapshot, now() AS taken_at, news.* \
        FROM (SELECT) AS one LEFT JOIN ( \
            SELECT * FROM news WHERE writer < pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
                AND writer < ? AND writer <> ALL(?) ORDER BY writer, number LIMIT ?) AS news ON true \
        ORDER BY news.writer, news.number"
    );
    let (end, running) = cursor.map_or((i64::MAX, &[][..]), Cursor::unread);
    let (until, still_running) = cursor.and_then(Cursor::until).unwrap_or((i64::MAX, &[]));
    let after = cursor.map_or((0, 0), Cursor::after);
    // The latter is before the first entry of the transaction `end`.
    let start = after.max((end, i64::MIN));
    let statement = Statement::new(&sql)
        .bind::<Array<BigInt>, _>(running)
        .bind::<BigInt, _>(after.0)
        .bind::<BigInt, _>(after.1)
        .bind::<BigInt, _>(start.0)
        .bind::<BigInt, _>(start.1)
        .bind::<BigInt, _>(until)
        .bind::<Array<BigInt>, _>(still_running)
        .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let rows: Vec<Row<R>> = statement.load(connection).await?;
    let first = rows.as_slice().first().ok_or_else(|| Error::internal(anyhow::anyhow!("no snapshot")))?;
    let snapshot = Snapshot::parse(&first.snapshot, first.taken_at);
    let snapshot = snapshot.ok_or_else(|| Error::internal(anyhow::anyhow!("the snapshot {}", first.snapshot)))?;
    Ok(EntryBatch { snapshot, entries: rows.into_iter().filter_map(Row::entry).collect() })
}
