//! The last run of each scheduled task.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::database::schema::scheduled_tasks;
use crate::{database::Connection, error::Result, schedule::model::LastRun};

type Row = (String, Option<DateTime<Utc>>, Option<DateTime<Utc>>, Option<DateTime<Utc>>, Option<String>);

/// Returns the last run of each task that was ever registered.
///
/// # Errors
/// Any error of Postgres.
pub async fn last_runs(connection: &mut Connection) -> Result<HashMap<String, LastRun>> {
    let rows: Vec<Row> = scheduled_tasks::table.load(connection).await?;
    let row = |(name, started_at, finished_at, succeeded_at, error)| {
        (name, LastRun { started_at, finished_at, succeeded_at, error })
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Adds rows for tasks that have none.
///
/// # Errors
/// Any error of Postgres.
pub async fn register(connection: &mut Connection, names: &[&str]) -> Result<()> {
    let rows: Vec<_> = names.iter().map(|name| scheduled_tasks::name.eq(*name)).collect();
    diesel::insert_into(scheduled_tasks::table).values(rows).on_conflict_do_nothing().execute(connection).await?;
    Ok(())
}

/// Claims a task at `now`, if it last started at `expected`; returns `false` if another worker has claimed it since.
///
/// # Errors
/// Any error of Postgres.
pub async fn claim(
    connection: &mut Connection,
    name: &str,
    expected: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let target = scheduled_tasks::table
        .filter(scheduled_tasks::name.eq(name))
        .filter(scheduled_tasks::last_started_at.is_not_distinct_from(expected));
    let claimed = diesel::update(target).set(scheduled_tasks::last_started_at.eq(now)).execute(connection).await?;
    Ok(claimed == 1)
}

/// Stores the outcome of the run that began at `started_at`, unless another run has begun.
///
/// # Errors
/// Any error of Postgres.
pub async fn finish(
    connection: &mut Connection,
    name: &str,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    error: Option<&str>,
) -> Result<()> {
    use scheduled_tasks::dsl;
    let target = dsl::scheduled_tasks.filter(dsl::name.eq(name)).filter(dsl::last_started_at.eq(started_at));
    let finished = (dsl::last_finished_at.eq(now), dsl::last_error.eq(error));
    match error {
        None => diesel::update(target).set((finished, dsl::last_succeeded_at.eq(now))).execute(connection).await?,
        Some(_) => diesel::update(target).set(finished).execute(connection).await?,
    };
    Ok(())
}
