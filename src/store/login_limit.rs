//! The log of credentials tried, while Redis is away.
//!
//! A key has as many slots as its quota has requests, each a row. A try takes a slot that is free and holds it for the
//! window; while none is free it is refused. A slot's holders thus lie more than a window apart, so no window holds
//! more than the quota. Each statement stands alone and the primary key is the only arbiter: two tries that want the
//! same slot can't both have it, and the one that lost looks for another. Times are Postgres' own, the same for
//! every instance.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest as _, Sha256};

use super::Connection;
use crate::{config::Quota, error::Result};

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It may go on.
    Admitted {
        /// How many more would be admitted now.
        remaining: u32,
    },
    /// There were too many.
    Refused {
        /// How long until one is admitted.
        wait: Duration,
    },
}

/// Slots of one key: a larger quota counts as this while Redis is away, and no statement grows with it.
const MAX_SLOTS: u32 = 100;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    taken: bool,
    #[diesel(sql_type = Integer)]
    free: i32,
    #[diesel(sql_type = Nullable<BigInt>)]
    wait_us: Option<i64>,
}

/// Takes a free slot of `key`, a hash.
///
/// # Errors
/// What Postgres fails with.
pub async fn attempt(connection: &mut Connection, key: &[u8; 16], quota: Quota) -> Result<Attempt> {
    // `free` and `wait_us` are as the statement found them, before it took one itself.
    const SQL: &str = "\
        WITH slots AS ( \
            SELECT slot, position, arrives_at, coalesce(arrives_at < statement_timestamp(), true) AS free \
            FROM unnest($1) WITH ORDINALITY AS wanted (slot, position) \
            LEFT JOIN login_limits ON key_hash = slot \
        ), took AS ( \
            INSERT INTO login_limits AS held (key_hash, arrives_at) \
            SELECT slot, statement_timestamp() + $2 * interval '1 microsecond' \
            FROM slots WHERE free ORDER BY position LIMIT 1 \
            ON CONFLICT (key_hash) DO UPDATE SET arrives_at = excluded.arrives_at \
            WHERE held.arrives_at < statement_timestamp() \
            RETURNING 1 \
        ) \
        SELECT EXISTS (SELECT FROM took) AS taken, \
               (count(*) FILTER (WHERE free))::integer AS free, \
               ceil(extract(epoch FROM min(arrives_at) FILTER (WHERE NOT free) - statement_timestamp()) * 1000000)::bigint \
                   AS wait_us \
        FROM slots";
    let slots: Vec<Vec<u8>> = (0..quota.requests.clamp(1, MAX_SLOTS)).map(|number| slot(key, number)).collect();
    let window_us = i64::try_from(quota.window.as_micros()).unwrap_or(i64::MAX / 4);
    // Losing a slot means that somebody else took it, so this ends when the slots do.
    for _ in 0..=slots.len() {
        let found: Found = diesel::sql_query(SQL)
            .bind::<Array<Binary>, _>(&slots)
            .bind::<BigInt, _>(window_us)
            .get_result(connection)
            .await?;
        if found.taken {
            return Ok(Attempt::Admitted { remaining: u32::try_from(found.free - 1).unwrap_or(0) });
        }
        if found.free == 0 {
            // A microsecond more, for a slot is free only after its time.
            let wait_us = found.wait_us.unwrap_or(window_us).max(0).unsigned_abs() + 1;
            return Ok(Attempt::Refused { wait: Duration::from_micros(wait_us) });
        }
    }
    Ok(Attempt::Refused { wait: Duration::from_secs(1) })
}

/// Removes at most `limit` slots that hold nothing back any more; returns how many.
///
/// # Errors
/// What Postgres answers.
pub async fn forget(connection: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<usize> {
    // Once more in the outer condition, for a slot may be taken in between.
    const SQL: &str = "DELETE FROM login_limits WHERE arrives_at < $1 AND ctid = ANY (ARRAY( \
                         SELECT ctid FROM login_limits WHERE arrives_at < $1 LIMIT $2))";
    let removed = diesel::sql_query(SQL).bind::<Timestamptz, _>(now).bind::<BigInt, _>(limit).execute(connection);
    Ok(removed.await?)
}

fn slot(key: &[u8; 16], number: u32) -> Vec<u8> {
    Sha256::new().chain_update(key).chain_update(number.to_be_bytes()).finalize().to_vec()
}
