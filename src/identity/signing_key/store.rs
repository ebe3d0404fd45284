//! The keys that sign access tokens.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::BigInt};
use diesel_async::RunQueryDsl;

use crate::{
    identity::signing_key::{keys::SealedKey, model::Life},
    schema::signing_keys,
};
use mainstay_kernel::{
    database::{Connection, integrity::rows_touched},
    error::Result,
};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys, treat_none_as_default_value = false)]
struct Row {
    id: String,
    private_key: Vec<u8>,
    public_key: Vec<u8>,
    created_at: DateTime<Utc>,
    signs_from: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

/// Returns the keys that had not retired by `retired_after`: keys that sign, will sign, or may have signed tokens that
/// are still valid.
pub async fn list(connection: &mut Connection, retired_after: DateTime<Utc>) -> Result<Vec<SealedKey>> {
    let matters = signing_keys::retired_at.is_null().or(signing_keys::retired_at.gt(retired_after));
    let query = signing_keys::table.filter(matters).order(signing_keys::created_at).select(Row::as_select());
    let rows: Vec<Row> = query.load(connection).await?;
    let key = |row: Row| {
        let Row { id, private_key, public_key, created_at, signs_from, retired_at } = row;
        SealedKey { id, private_key, public_key, life: Life { created_at, signs_from, retired_at } }
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Takes a lock that excludes concurrent rotations on all instances until the transaction ends.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    // "mainkeys" in ASCII.
    const ROTATION: i64 = 0x6d61_696e_6b65_7973;
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(ROTATION).execute(connection).await?;
    Ok(())
}

/// Stores a new key, retires the others at the time it begins to sign, and removes the keys that retired before
/// `delete_before`.
pub async fn rotate(connection: &mut Connection, key: SealedKey, delete_before: DateTime<Utc>) -> Result<()> {
    let Life { created_at, signs_from, retired_at } = key.life;
    let others = signing_keys::table.filter(signing_keys::retired_at.is_null());
    diesel::update(others).set(signing_keys::retired_at.eq(signs_from)).execute(connection).await?;
    diesel::delete(signing_keys::table.filter(signing_keys::retired_at.lt(delete_before))).execute(connection).await?;
    let SealedKey { id, private_key, public_key, .. } = key;
    let row = Row { id, private_key, public_key, created_at, signs_from, retired_at };
    let inserted = diesel::insert_into(signing_keys::table).values(row).execute(connection).await?;
    rows_touched(inserted, 1, "insert signing_keys")
}
