//! Calls of the Postgres functions that change and list partitions.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    sql_query,
    sql_types::{BigInt, Bool, Interval, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl as _;

use crate::{
    database::{Connection, statement::Prepare as _},
    error::Result,
};

/// Adds the partition of a time's month, and returns whether it was missing.
pub(super) async fn add(connection: &mut Connection, table: &'static str, at: DateTime<Utc>) -> Result<bool> {
    let query = sql_query("SELECT add_partition($1::regclass, $2)").bind::<Text, _>(table).bind::<Timestamptz, _>(at);
    Ok(query.columns::<Bool>().get_result(connection).await?)
}

/// Detaches the first partition that ended longer ago than `retention` and has no row for which the SQL condition
/// `unless` holds. Returns whether there was one.
pub(super) async fn detach(
    connection: &mut Connection,
    table: &'static str,
    now: DateTime<Utc>,
    retention: TimeDelta,
    unless: &'static str,
) -> Result<bool> {
    let query = sql_query("SELECT detach_partition($1::regclass, $2, $3, $4) AS changed");
    let query = query.bind::<Text, _>(table).bind::<Timestamptz, _>(now);
    let query = query.bind::<Interval, _>(retention).bind::<Text, _>(unless);
    Ok(query.columns::<Bool>().get_result(connection).await?)
}

/// Drops one detached partition, and returns whether there was one.
pub(super) async fn drop_detached(connection: &mut Connection, table: &'static str) -> Result<bool> {
    let query = sql_query("SELECT drop_detached($1::regclass) AS changed");
    Ok(query.bind::<Text, _>(table).columns::<Bool>().get_result(connection).await?)
}

/// Returns the time, before `until`, of the first row in the `DEFAULT` partition whose month may be added.
pub(super) async fn stray_time(
    connection: &mut Connection,
    table: &'static str,
    until: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let query = sql_query("SELECT stray_time($1::regclass, $2) AS time");
    let query = query.bind::<Text, _>(table).bind::<Timestamptz, _>(until);
    Ok(query.columns::<Nullable<Timestamptz>>().get_result(connection).await?)
}

/// Returns the end of the contiguous months from `now` on (`None` if the month of `now` is missing), and the number of
/// rows in the `DEFAULT` partition, counted up to 1,000.
pub(super) async fn state(
    connection: &mut Connection,
    table: &'static str,
    now: DateTime<Utc>,
) -> Result<(Option<DateTime<Utc>>, i64)> {
    let query = sql_query("SELECT until, strays FROM partition_state($1::regclass, $2)");
    let query = query.bind::<Text, _>(table).bind::<Timestamptz, _>(now);
    Ok(query.columns::<(Nullable<Timestamptz>, BigInt)>().get_result(connection).await?)
}
