//! The clock of Postgres, which all instances share: for what one of them writes down and another compares, such as how long
//! a lease lasts. The clocks of their hosts may differ.

use chrono::{DateTime, Utc};
use diesel::{deserialize::QueryableByName, sql_types::Timestamptz};
use diesel_async::RunQueryDsl;

use super::{Connection, statement::Statement};
use crate::error::Result;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// Returns the time, as it is when this is executed.
///
/// # Errors
/// Any error of Postgres.
pub async fn now(connection: &Connection) -> Result<DateTime<Utc>> {
    let row: Row = Statement::new("SELECT clock_timestamp() AS now").get_result(&mut &*connection).await?;
    Ok(row.now)
}
