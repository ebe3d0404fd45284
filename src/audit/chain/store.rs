//! The chain in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Binary, Bool, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{
        Connection,
        schema::{audit_chain, audit_links},
        statement::Prepare as _,
    },
    error::Result,
    id,
};
use uuid::Uuid;

use crate::audit::chain::model::{Head, Link, StoredEntry};

/// The columns of an entry, which `E` stands for.
const ENTRY: &str = "entry.id, entry.writer, entry.method, entry.outcome, entry.actor_kind, entry.actor_id, \
    entry.account_id, entry.resource_kind, entry.resource_id, entry.request_id, entry.changes::text AS changes, \
    entry.salt, entry.personal::text AS personal, entry.personal_digest";

/// An entry, whose columns are null where there is none.
#[derive(Debug, QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    writer: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    outcome: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    actor_kind: Option<i16>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    actor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    account_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    resource_kind: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    resource_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    changes: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    personal: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    personal_digest: Option<Vec<u8>>,
}

impl EntryRow {
    fn entry(self) -> Option<StoredEntry> {
        Some(StoredEntry {
            id: self.id?,
            writer: self.writer?,
            method: self.method?,
            outcome: self.outcome?,
            actor_kind: self.actor_kind?,
            actor_id: self.actor_id,
            account_id: self.account_id,
            resource_kind: self.resource_kind?,
            resource_id: self.resource_id,
            request_id: self.request_id,
            changes: self.changes?,
            salt: self.salt,
            personal: self.personal,
            personal_digest: self.personal_digest,
        })
    }
}

/// Locks the end of the chain.
pub async fn lock_head(mut connection: &Connection) -> Result<Head> {
    let (number, hash, link, writer, entry) = audit_chain::table
        .select((
            audit_chain::number,
            audit_chain::hash,
            audit_chain::link_id,
            audit_chain::writer,
            audit_chain::entry_id,
        ))
        .for_update()
        .first(&mut connection)
        .await?;
    Ok(Head { number, hash, link, writer, entry })
}

/// Returns the next entries in the order of their transactions, of which none runs any more: a later transaction cannot add
/// an entry before them.
pub async fn next(mut connection: &Connection, after: &Head, limit: i64) -> Result<Vec<StoredEntry>> {
    // An entry may be in the chain already after a restore, see `is_restored`. The sub-select makes that a look-up per
    // entry, whatever the statistics say.
    let sql = format!(
        "SELECT {ENTRY} FROM audit_entries AS entry \
         WHERE (writer, id) > ($1, $2) \
         AND writer < pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
         AND (SELECT count(*) FROM audit_links WHERE entry_id = entry.id) = 0 ORDER BY writer, id LIMIT $3"
    );
    let query = sql_query(sql).bind::<BigInt, _>(after.writer).bind::<SqlUuid, _>(after.entry);
    let rows: Vec<EntryRow> = query.bind::<BigInt, _>(limit).prepared().load(&mut connection).await?;
    Ok(rows.into_iter().filter_map(EntryRow::entry).collect())
}

/// Returns the entries without a link in the order of their times, whose transactions have ended: those of this server of
/// Postgres, and those of another one from which a backup was restored.
pub async fn next_restored(mut connection: &Connection, limit: i64) -> Result<Vec<StoredEntry>> {
    let sql = format!(
        "SELECT {ENTRY} FROM audit_entries AS entry \
         WHERE (writer < pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
             OR writer >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint) \
         AND NOT EXISTS (SELECT FROM audit_links WHERE entry_id = entry.id) ORDER BY id LIMIT $1"
    );
    let rows: Vec<EntryRow> = sql_query(sql).bind::<BigInt, _>(limit).prepared().load(&mut connection).await?;
    Ok(rows.into_iter().filter_map(EntryRow::entry).collect())
}

#[derive(QueryableByName)]
struct FlagRow {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

/// Returns whether the last transaction in the chain is one of the future: a logical backup was restored on another server
/// of Postgres, whose transactions have lower numbers.
pub async fn is_restored(mut connection: &Connection, head: &Head) -> Result<bool> {
    let sql = "SELECT $1 >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS flag";
    let row: FlagRow = sql_query(sql).bind::<BigInt, _>(head.writer).prepared().get_result(&mut connection).await?;
    Ok(row.flag)
}

/// Adds links, and moves the end of the chain.
pub async fn add(mut connection: &Connection, links: &[Link], head: &Head) -> Result<()> {
    use audit_links::{digest, entry_id, hash, id, number, seal};
    let rows: Vec<_> = links
        .iter()
        .map(|link| {
            let keys = (id.eq(link.id), number.eq(link.number), entry_id.eq(link.entry));
            (keys, digest.eq(&link.digest), hash.eq(&link.hash), seal.eq(link.seal.as_ref()))
        })
        .collect();
    diesel::insert_into(audit_links::table).values(rows).execute(&mut connection).await?;
    set_head(connection, head).await
}

/// Moves the end of the chain.
pub async fn set_head(mut connection: &Connection, head: &Head) -> Result<()> {
    let update = diesel::update(audit_chain::table).set((
        audit_chain::number.eq(head.number),
        audit_chain::hash.eq(&head.hash),
        audit_chain::link_id.eq(head.link),
        audit_chain::writer.eq(head.writer),
        audit_chain::entry_id.eq(head.entry),
    ));
    update.exactly(1, "update audit_chain").execute(&mut connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = SqlUuid)]
    link_id: Uuid,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = SqlUuid)]
    entry_id: Uuid,
    #[diesel(sql_type = Binary)]
    digest: Vec<u8>,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    seal: Option<Vec<u8>>,
    #[diesel(embed)]
    entry: EntryRow,
}

/// Returns links with their entries, in the order of the links. The entries are looked up one by one: a join would read all
/// entries for each page of links.
pub async fn links(mut connection: &Connection, after: Uuid, limit: i64) -> Result<Vec<(Link, Option<StoredEntry>)>> {
    let sql = format!(
        "SELECT link.id AS link_id, link.number, link.entry_id, link.digest, link.hash, link.seal, {ENTRY} \
         FROM (SELECT * FROM audit_links WHERE id > $1 ORDER BY id LIMIT $2) AS link \
         LEFT JOIN LATERAL (SELECT * FROM audit_entries WHERE audit_entries.id = link.entry_id LIMIT 1) AS entry ON true \
         ORDER BY link.id"
    );
    let query = sql_query(sql).bind::<SqlUuid, _>(after).bind::<BigInt, _>(limit);
    let rows: Vec<LinkRow> = query.prepared().load(&mut connection).await?;
    let pair = |row: LinkRow| {
        let LinkRow { link_id: id, number, entry_id, digest, hash, seal, entry } = row;
        (Link { id, number, entry: entry_id, digest, hash, seal }, entry.entry())
    };
    Ok(rows.into_iter().map(pair).collect())
}

#[derive(QueryableByName)]
struct UnchainedRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Bool)]
    is_chained: bool,
    #[diesel(sql_type = Bool)]
    is_passed: bool,
}

/// An entry, whether it has a link, and whether the chain has passed its transaction.
pub type Chained = (Uuid, bool, bool);

/// Returns entries in the order of their ids, before a time.
pub async fn entries(
    mut connection: &Connection,
    after: Uuid,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Chained>> {
    let sql = "SELECT entry.id, (SELECT count(*) FROM audit_links WHERE entry_id = entry.id) > 0 AS is_chained, \
         (entry.writer, entry.id) <= (chain.writer, chain.entry_id) AS is_passed \
         FROM audit_entries AS entry, audit_chain AS chain WHERE entry.id > $1 AND entry.id < $2 \
         ORDER BY entry.id LIMIT $3";
    let query = sql_query(sql).bind::<SqlUuid, _>(after).bind::<SqlUuid, _>(id::lower_bound(before));
    let rows: Vec<UnchainedRow> = query.bind::<BigInt, _>(limit).prepared().load(&mut connection).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.is_chained, row.is_passed)).collect())
}
