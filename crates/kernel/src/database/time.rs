//! The clock of Postgres, for times that one instance stores and another compares, such as the end of a lease. The
//! clocks of the instances' hosts may differ.

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

/// Returns the time of the statement's execution (`clock_timestamp()`).
pub async fn now(connection: &Connection) -> Result<DateTime<Utc>> {
    let row: Row = Statement::new("SELECT clock_timestamp() AS now").get_result(&mut &*connection).await?;
    Ok(row.now)
}
