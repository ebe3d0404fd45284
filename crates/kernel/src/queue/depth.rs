//! How much waits in the queue, and for how long.

use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl as _;

use crate::{
    app::App,
    database::Connection,
    error::Result,
    queue::{
        Kind,
        rows::Rows,
        store::{self, Depth},
    },
};

/// Due jobs of a lane, due rows of a table and dead jobs are counted up to this number.
pub const LIMIT: i32 = 10_000;

/// What waits in a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The name of the lane.
    pub lane: String,
    /// The number of jobs and rows that are due and not taken, each kind counted up to [`LIMIT`].
    pub due: i64,
    /// For how many seconds the first of them has been due.
    pub oldest_seconds: f64,
}

/// Returns what waits in each lane, by name.
///
/// # Errors
/// Any error of Postgres.
pub async fn waiting(app: &App, kinds: &[Kind], rows: &'static [Rows]) -> Result<Vec<Waiting>> {
    let mut lanes: Vec<_> =
        kinds.iter().map(|kind| kind.lane.name).chain(rows.iter().map(|rows| rows.lane.name)).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let read = async move |connection: &mut Connection| {
        let mut found: Vec<Waiting> =
            store::depths(connection, &lanes, LIMIT).await?.into_iter().map(Waiting::from).collect();
        for rows in rows {
            let due = rows.depth(connection, LIMIT).await?;
            for lane in found.iter_mut().filter(|found| found.lane == rows.lane.name) {
                lane.due += due.rows;
                lane.oldest_seconds = lane.oldest_seconds.max(due.oldest_seconds);
            }
        }
        found.sort_by(|one, other| one.lane.cmp(&other.lane));
        Ok(found)
    };
    app.database.autocommit(read).await
}

impl From<Depth> for Waiting {
    fn from(depth: Depth) -> Self {
        Self { lane: depth.lane, due: depth.jobs, oldest_seconds: depth.oldest_seconds }
    }
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

/// Returns the number of dead jobs, counted up to [`LIMIT`].
///
/// # Errors
/// Any error of Postgres.
pub async fn dead(connection: &mut Connection) -> Result<i64> {
    let sql =
        format!("SELECT count(*) AS jobs FROM (SELECT FROM jobs WHERE dead_at IS NOT NULL LIMIT {LIMIT}) AS dead");
    let counted: Counted = diesel::sql_query(sql).get_result(connection).await?;
    Ok(counted.jobs)
}
