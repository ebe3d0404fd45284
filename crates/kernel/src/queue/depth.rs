//! Queue depth: the number and the age of due jobs and rows, by lane.

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;

use crate::{
    app::App,
    database::{Connection, statement::Prepare as _},
    error::Result,
    queue::{Kind, rows::Rows, store},
};

/// The bound up to which due jobs of a lane, due rows of a table and dead jobs are counted.
pub const LIMIT: i32 = 10_000;
/// The lane name of jobs that this program can't run, because they belong to another version.
pub const UNKNOWN: &str = "unknown";

/// The depth of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneDepth {
    /// The name of the lane, or [`UNKNOWN`].
    pub lane: String,
    /// The number of due jobs and rows that are not taken, each counted up to [`LIMIT`].
    pub due: i64,
    /// The time in seconds for which the oldest of them has been due.
    pub oldest_seconds: f64,
}

/// Returns the depth of each lane, sorted by name, and last that of jobs that this program can't run, if any.
///
/// # Errors
/// Any error of Postgres.
pub async fn by_lane(app: &App, kinds: &[Kind], rows: &'static [Rows]) -> Result<Vec<LaneDepth>> {
    let mut lanes: Vec<_> = kinds.iter().map(|kind| kind.lane).chain(rows.iter().map(|rows| rows.lane)).collect();
    lanes.sort_unstable_by_key(|lane| lane.name);
    lanes.dedup_by_key(|lane| lane.name);
    let mut depths: Vec<_> = lanes.into_iter().map(|lane| LaneDepth::empty(lane.name)).collect();
    let read = async move |connection: &mut Connection| {
        let (by_kind, mut by_table) = (store::depths(connection, LIMIT).await?, Vec::new());
        for rows in rows {
            by_table.push((rows.lane.name, rows.depth(connection, LIMIT).await?));
        }
        Ok((by_kind, by_table))
    };
    let (by_kind, by_table) = app.database.autocommit(read).await?;
    for depth in by_kind {
        let mut all = kinds.iter().chain(rows.iter().map(|rows| &rows.kind));
        let lane = all.find(|kind| kind.name == depth.kind).map_or(UNKNOWN, |kind| kind.lane.name);
        add(&mut depths, lane, depth.jobs, depth.oldest_seconds);
    }
    for depth in &mut depths {
        depth.due = depth.due.min(LIMIT.into());
    }
    for (lane, depth) in by_table {
        add(&mut depths, lane, depth.rows, depth.oldest_seconds);
    }
    Ok(depths)
}

fn add(depths: &mut Vec<LaneDepth>, lane: &str, due: i64, oldest_seconds: f64) {
    if !depths.iter().any(|depth| depth.lane == lane) {
        depths.push(LaneDepth::empty(lane));
    }
    for depth in depths.iter_mut().filter(|depth| depth.lane == lane) {
        depth.due += due;
        depth.oldest_seconds = depth.oldest_seconds.max(oldest_seconds);
    }
}

impl LaneDepth {
    pub(crate) fn empty(lane: &str) -> Self {
        Self { lane: lane.to_owned(), due: 0, oldest_seconds: 0.0 }
    }
}

/// Returns the number of dead jobs, counted up to [`LIMIT`].
///
/// # Errors
/// Any error of Postgres.
pub async fn count_dead(mut connection: &Connection) -> Result<i64> {
    let sql =
        format!("SELECT count(*) AS jobs FROM (SELECT FROM jobs WHERE dead_at IS NOT NULL LIMIT {LIMIT}) AS dead");
    Ok(diesel::sql_query(sql).columns::<BigInt>().get_result(&mut connection).await?)
}
