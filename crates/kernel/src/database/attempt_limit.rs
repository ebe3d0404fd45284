//! Attempt limits in Postgres, the fallback while Redis is unavailable.
//!
//! A key has one slot, a row, for each request of its quota. An attempt takes a free slot and occupies it for the
//! window; without a free slot, the attempt is rejected. Successive attempts on a slot are therefore more than a window
//! apart, so that no window contains more attempts than the quota. Each statement is a separate transaction, and the
//! primary key is the only arbiter: of two attempts on the same slot only one succeeds, and the other one tries another
//! slot. All times come from the clock of Postgres, which is the same for every instance.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest as _, Sha256};

use crate::{config::Quota, database::Connection, error::Result};

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The attempt may continue. It occupies the slot.
    Admitted(Slot),
    /// The quota is used up.
    Refused {
        /// The time until a slot is free. It is one second if concurrent attempts took all free slots.
        wait: Duration,
    },
}

/// An occupied slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    key_hash: Vec<u8>,
    arrives_at: DateTime<Utc>,
}

/// The most slots of one key. While Redis is unavailable, a larger quota is reduced to it, which bounds a statement.
const MAX_SLOTS: u32 = 100;

#[derive(QueryableByName)]
struct SlotRow {
    #[diesel(sql_type = Nullable<Binary>)]
    key_hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    arrives_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    free: i32,
    #[diesel(sql_type = Nullable<BigInt>)]
    wait_us: Option<i64>,
}

/// Takes a free slot of `key`, which is a hash. A quota of more than 100 requests counts as one of 100.
pub async fn attempt(connection: &mut Connection, key: &[u8; 16], quota: Quota) -> Result<Attempt> {
    // A slot is occupied until its `arrives_at`. `free` and `wait_us` describe the state before the statement.
    const SQL: &str = "\
        WITH slots AS ( \
            SELECT slot, position, arrives_at, coalesce(arrives_at < statement_timestamp(), true) AS free \
            FROM unnest($1) WITH ORDINALITY AS wanted (slot, position) \
            LEFT JOIN attempt_limits ON key_hash = slot \
        ), took AS ( \
            INSERT INTO attempt_limits AS stored (key_hash, arrives_at) \
            SELECT slot, statement_timestamp() + $2 * interval '1 microsecond' \
            FROM slots WHERE free ORDER BY position LIMIT 1 \
            ON CONFLICT (key_hash) DO UPDATE SET arrives_at = excluded.arrives_at \
            WHERE stored.arrives_at < statement_timestamp() \
            RETURNING key_hash, arrives_at \
        ) \
        SELECT (SELECT key_hash FROM took) AS key_hash, (SELECT arrives_at FROM took) AS arrives_at, \
               (count(*) FILTER (WHERE free))::integer AS free, \
               ceil(extract(epoch FROM min(arrives_at) FILTER (WHERE NOT free) - statement_timestamp()) * 1000000)::bigint \
                   AS wait_us \
        FROM slots";
    let slots: Vec<Vec<u8>> = (0..quota.requests.clamp(1, MAX_SLOTS)).map(|number| slot(key, number)).collect();
    let window_us = i64::try_from(quota.window.as_micros()).unwrap_or(i64::MAX / 4);
    // Each lost race means that another attempt has taken a slot. The loop therefore ends when no slot is free, unless
    // some expire meanwhile.
    for _ in 0..=slots.len() {
        let row: SlotRow = diesel::sql_query(SQL)
            .bind::<Array<Binary>, _>(&slots)
            .bind::<BigInt, _>(window_us)
            .get_result(connection)
            .await?;
        if let (Some(key_hash), Some(arrives_at)) = (row.key_hash, row.arrives_at) {
            return Ok(Attempt::Admitted(Slot { key_hash, arrives_at }));
        }
        if row.free == 0 {
            // One microsecond is added, because a slot is free only after its `arrives_at`.
            let wait_us = row.wait_us.unwrap_or(window_us).max(0).unsigned_abs() + 1;
            return Ok(Attempt::Refused { wait: Duration::from_micros(wait_us) });
        }
    }
    Ok(Attempt::Refused { wait: Duration::from_secs(1) })
}

/// Frees slots, so that their attempts do not count. A slot that another attempt has taken since is kept.
pub async fn release(connection: &mut Connection, slots: &[Slot]) -> Result<()> {
    const SQL: &str = "DELETE FROM attempt_limits USING unnest($1, $2) AS slot (hash, until) \
                       WHERE key_hash = hash AND arrives_at = until";
    let (hashes, times): (Vec<_>, Vec<_>) = slots.iter().map(|slot| (slot.key_hash.clone(), slot.arrives_at)).unzip();
    let release = diesel::sql_query(SQL).bind::<Array<Binary>, _>(hashes).bind::<Array<Timestamptz>, _>(times);
    release.execute(connection).await?;
    Ok(())
}

/// Deletes at most `limit` expired slots, and returns their number. Expiry is decided by the clock of Postgres, so that
/// a process with a fast clock frees none early.
pub async fn delete_expired(connection: &mut Connection, limit: i64) -> Result<usize> {
    // The outer condition repeats the inner one, because a concurrent attempt may take a slot in between.
    const SQL: &str = "DELETE FROM attempt_limits WHERE arrives_at < statement_timestamp() AND ctid = ANY (ARRAY( \
                         SELECT ctid FROM attempt_limits WHERE arrives_at < statement_timestamp() LIMIT $1))";
    Ok(diesel::sql_query(SQL).bind::<BigInt, _>(limit).execute(connection).await?)
}

fn slot(key: &[u8; 16], number: u32) -> Vec<u8> {
    Sha256::new().chain_update(key).chain_update(number.to_be_bytes()).finalize().to_vec()
}
