//! What metrics say of the queue.

use diesel::{
    deserialize::QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    database::{Connection, statement::Statement},
    error::Result,
};

/// The jobs of a lane that are due and not taken.
#[derive(Debug, QueryableByName)]
pub(crate) struct Depth {
    #[diesel(sql_type = Text)]
    pub(crate) lane: String,
    /// Their number, counted up to a limit.
    #[diesel(sql_type = BigInt)]
    pub(crate) jobs: i64,
    /// For how many seconds the oldest has been due.
    #[diesel(sql_type = Double)]
    pub(crate) oldest_seconds: f64,
}

/// Returns the depth of each lane; counts at most `limit` jobs of each.
pub(crate) async fn depths(connection: &mut Connection, lanes: &[&str], limit: i32) -> Result<Vec<Depth>> {
    const SQL: &str = "SELECT lane.name AS lane, due.jobs, due.oldest_seconds FROM unnest(?::text[]) AS lane (name), LATERAL ( \
            SELECT count(*) AS jobs, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest_seconds FROM ( \
                SELECT due_at FROM jobs WHERE jobs.lane = lane.name AND dead_at IS NULL AND due_at <= now() \
                ORDER BY due_at LIMIT ?) AS due) AS due";
    let statement = Statement::new(SQL).bind::<Array<Text>, _>(lanes).bind::<Integer, _>(limit);
    Ok(statement.load(connection).await?)
}
