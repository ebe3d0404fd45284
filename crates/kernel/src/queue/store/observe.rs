//! Queue depth queries, for metrics.

use diesel::{
    deserialize::Queryable,
    sql_types::{BigInt, Double, Integer, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    database::{
        Connection,
        statement::{Prepare as _, Statement},
    },
    error::Result,
};

/// The due jobs of a kind that are not taken.
#[derive(Debug, Queryable)]
pub(crate) struct Depth {
    pub(crate) kind: String,
    /// Their number, counted up to a limit.
    pub(crate) jobs: i64,
    /// The time in seconds for which the oldest has been due.
    pub(crate) oldest_seconds: f64,
}

/// Returns the depth of each kind with due jobs, including kinds that this program does not know. It counts at most
/// `limit` jobs of each kind with a serial key, and as many without. A loose index scan finds the kinds.
pub(crate) async fn depths(connection: &mut Connection, limit: i32) -> Result<Vec<Depth>> {
    const SQL: &str = "WITH RECURSIVE plain AS ( \
            (SELECT kind FROM jobs WHERE serial_key IS NULL AND dead_at IS NULL ORDER BY kind LIMIT 1) \
            UNION ALL \
            SELECT next.kind FROM plain, LATERAL ( \
                SELECT jobs.kind FROM jobs WHERE jobs.kind > plain.kind AND serial_key IS NULL AND dead_at IS NULL \
                ORDER BY jobs.kind LIMIT 1) AS next \
        ), serial AS ( \
            (SELECT kind FROM jobs WHERE serial_key IS NOT NULL AND dead_at IS NULL ORDER BY kind LIMIT 1) \
            UNION ALL \
            SELECT next.kind FROM serial, LATERAL ( \
                SELECT jobs.kind FROM jobs WHERE jobs.kind > serial.kind AND serial_key IS NOT NULL AND dead_at IS NULL \
                ORDER BY jobs.kind LIMIT 1) AS next \
        ), due AS ( \
            SELECT plain.kind, one.due_at FROM plain, LATERAL ( \
                SELECT due_at FROM jobs WHERE jobs.kind = plain.kind AND serial_key IS NULL AND dead_at IS NULL \
                    AND due_at <= now() ORDER BY due_at LIMIT ?) AS one \
            UNION ALL \
            SELECT serial.kind, one.due_at FROM serial, LATERAL ( \
                SELECT due_at FROM jobs WHERE jobs.kind = serial.kind AND serial_key IS NOT NULL AND dead_at IS NULL \
                    AND due_at <= now() ORDER BY due_at LIMIT ?) AS one \
        ) \
        SELECT kind, count(*) AS jobs, extract(epoch FROM now() - min(due_at))::float8 AS oldest_seconds \
        FROM due GROUP BY kind";
    let statement = Statement::new(SQL).bind::<Integer, _>(limit).bind::<Integer, _>(limit);
    Ok(statement.columns::<(Text, BigInt, Double)>().load(connection).await?)
}
