//! Counters of sign-ins.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, SmallInt, Timestamptz},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
};

use crate::{
    identity::sign_in::model::{Hour, Outcome},
    schema::sign_ins,
};

/// Counts an attempt of the hour of `now`, in one of several rows, so that concurrent attempts rarely contend for a row
/// lock.
pub async fn count(connection: &Connection, outcome: Outcome, now: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "INSERT INTO sign_ins (hour, outcome, slot, attempts) \
                       VALUES (date_trunc('hour', $1, 'UTC'), $2, floor(random() * 8), 1) \
                       ON CONFLICT (hour, outcome, slot) DO UPDATE SET attempts = sign_ins.attempts + 1";
    let query = diesel::sql_query(SQL).bind::<Timestamptz, _>(now).bind::<SmallInt, _>(outcome.number());
    query.prepared().execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the hours that began since a time and had attempts, oldest first.
pub async fn hours(connection: &Connection, since: DateTime<Utc>) -> Result<Vec<Hour>> {
    let attempts = |outcome: Outcome| {
        let filter = format!("coalesce(sum(attempts) FILTER (WHERE outcome = {}), 0)::bigint", outcome.number());
        sql::<BigInt>(&filter)
    };
    let query = sign_ins::table.filter(sign_ins::hour.ge(since)).group_by(sign_ins::hour).order(sign_ins::hour);
    let query = query.select((sign_ins::hour, attempts(Outcome::Accepted), attempts(Outcome::Refused)));
    let rows: Vec<(DateTime<Utc>, i64, i64)> = query.load(&mut &*connection).await?;
    Ok(rows.into_iter().map(|(from, accepted, refused)| Hour { from, accepted, refused }).collect())
}

/// Removes the hours that began before a time; returns the number of rows.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>) -> Result<usize> {
    Ok(diesel::delete(sign_ins::table.filter(sign_ins::hour.lt(before))).execute(connection).await?)
}
