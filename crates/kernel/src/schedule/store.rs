//! SQL of the `scheduled_tasks` table: the last run of each task. All times come from the clock of Postgres.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    database::{
        Connection,
        schema::scheduled_tasks,
        statement::{Prepare as _, Statement},
    },
    error::Result,
    schedule::model::LastRun,
};

/// Returns the last run of each registered task, and the time of Postgres. Without any task, the time is meaningless.
pub async fn last_runs(connection: &mut Connection) -> Result<(HashMap<String, LastRun>, DateTime<Utc>)> {
    const SQL: &str = "SELECT name, last_started_at, last_finished_at, last_succeeded_at, last_error, \
        statement_timestamp() AS now FROM scheduled_tasks";
    type Time = Nullable<Timestamptz>;
    let statement = Statement::new(SQL).columns::<(Text, (Time, Time, Time, Nullable<Text>), Timestamptz)>();
    let mut now = DateTime::default();
    let mut runs = HashMap::new();
    for (name, (started_at, finished_at, succeeded_at, error), at) in statement.load(connection).await? {
        now = at;
        runs.insert(name, LastRun { started_at, finished_at, succeeded_at, error });
    }
    Ok((runs, now))
}

/// Adds missing rows of tasks.
pub async fn register(connection: &mut Connection, names: &[&str]) -> Result<()> {
    let rows: Vec<_> = names.iter().map(|name| scheduled_tasks::name.eq(*name)).collect();
    diesel::insert_into(scheduled_tasks::table).values(rows).on_conflict_do_nothing().execute(connection).await?;
    Ok(())
}

/// Claims a task, if its last start was `expected` (compare-and-set). Returns the new start, or `None` if another
/// worker has claimed it since.
pub async fn claim(
    connection: &mut Connection,
    name: &str,
    expected: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    const SQL: &str = "UPDATE scheduled_tasks SET last_started_at = statement_timestamp() \
        WHERE name = ? AND last_started_at IS NOT DISTINCT FROM ? RETURNING last_started_at";
    let statement = Statement::new(SQL).bind::<Text, _>(name).bind::<Nullable<Timestamptz>, _>(expected);
    Ok(statement.columns::<Timestamptz>().get_result(connection).await.optional()?)
}

/// Stores the outcome of the run that began at `started_at`, unless a later run has begun.
pub async fn finish(
    connection: &mut Connection,
    name: &str,
    started_at: DateTime<Utc>,
    error: Option<&str>,
) -> Result<()> {
    const SQL: &str = "UPDATE scheduled_tasks SET last_finished_at = statement_timestamp(), last_error = ?, \
        last_succeeded_at = CASE WHEN ? THEN statement_timestamp() ELSE last_succeeded_at END \
        WHERE name = ? AND last_started_at = ?";
    let statement = Statement::new(SQL)
        .bind::<Nullable<Text>, _>(error)
        .bind::<Bool, _>(error.is_none())
        .bind::<Text, _>(name)
        .bind::<Timestamptz, _>(started_at);
    statement.execute(connection).await?;
    Ok(())
}
