//! The stored lines of the log.

mod follow;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Bool, Interval, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    dashboard::system_log::model::{Filter, Level, Line},
    schema::system_logs as logs,
};
use mainstay_kernel::{
    database::{Connection, condition::Condition, optional_column::optional, seek::seek, statement::Prepare as _},
    error::{Error, Result},
    page::Page,
};

pub use follow::follow;

/// The number of partitions, used as a ring: all but the current one are full.
pub const PARTITIONS: u32 = 8;

/// A line without its whole text, which is read only on request.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = logs)]
struct Row {
    id: Uuid,
    logged_at: DateTime<Utc>,
    level: i16,
    message: String,
    method: Option<String>,
    request_id: Option<String>,
    principal_id: Option<String>,
}

impl TryFrom<(Row, String)> for Line {
    type Error = Error;

    fn try_from((row, line): (Row, String)) -> Result<Self> {
        let level = Level::from_number(row.level.into())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("system_logs: the level {}", row.level)))?;
        Ok(Self {
            id: row.id,
            at: row.logged_at,
            level,
            message: row.message,
            method: row.method,
            request_id: row.request_id,
            principal_id: row.principal_id,
            line,
        })
    }
}

/// Stores lines.
pub async fn insert(connection: &mut Connection, lines: &[Line]) -> Result<()> {
    const SQL: &str = "
        WITH ring AS (UPDATE system_log_ring SET lines = lines + cardinality($1) RETURNING slot)
        INSERT INTO system_logs (slot, id, logged_at, level, message, method, request_id, principal_id, line, number)
        SELECT ring.slot, new.* FROM ring, unnest($1, $2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY AS new";
    fn column<'l, T>(lines: &'l [Line], of: impl Fn(&'l Line) -> T) -> Vec<T> {
        lines.iter().map(of).collect()
    }
    let query = sql_query(SQL)
        .bind::<Array<SqlUuid>, _>(column(lines, |line| line.id))
        .bind::<Array<Timestamptz>, _>(column(lines, |line| line.at))
        .bind::<Array<SmallInt>, _>(column(lines, |line| line.level.number()))
        .bind::<Array<Text>, _>(column(lines, |line| line.message.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(lines, |line| line.method.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column(lines, |line| line.request_id.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(column(lines, |line| line.principal_id.as_deref()))
        .bind::<Array<Text>, _>(column(lines, |line| line.line.as_str()));
    query.execute(connection).await?;
    Ok(())
}

/// Advances to the next partition and truncates it, if the current one has enough lines or is old enough; returns
/// whether it did.
///
/// # Errors
/// Any error of Postgres, for example when another transaction reads the next partition.
pub async fn rotate(connection: &mut Connection, max_lines: i64, max_age: TimeDelta) -> Result<bool> {
    let query = sql_query("SELECT rotate_system_logs($1, $2)");
    let query = query.bind::<BigInt, _>(max_lines).bind::<Interval, _>(max_age).columns::<Bool>();
    Ok(query.get_result(connection).await?)
}

/// Returns a page of lines, newest first, without their whole texts unless these are requested.
pub async fn list(connection: &mut Connection, filter: &Filter, page: Page, texts: bool) -> Result<Vec<Line>> {
    let query = logs::table.select((Row::as_select(), optional(logs::line, texts))).into_boxed();
    let mut query = seek(query, page, "(system_logs.logged_at, system_logs.id)", true);
    if let Some(from) = filter.from {
        query = query.filter(logs::logged_at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(logs::logged_at.lt(until));
    }
    query = match filter.level {
        // Literals instead of parameters, so that the partial index applies.
        Some(Level::Error) => query.filter(Condition::plain("system_logs.level <= 1")),
        Some(Level::Warning) => query.filter(Condition::plain("system_logs.level <= 2")),
        Some(level) => query.filter(logs::level.le(level.number())),
        None => query,
    };
    if let Some(method) = &filter.method {
        query = query.filter(logs::method.eq(method));
    }
    if let Some(id) = &filter.request_id {
        query = query.filter(logs::request_id.eq(id));
    }
    if let Some(id) = &filter.principal_id {
        query = query.filter(logs::principal_id.eq(id));
    }
    if let Some(text) = &filter.text {
        let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
        query = query.filter(logs::line.ilike(format!("%{escaped}%")));
    }
    let rows: Vec<(Row, String)> = query.order((logs::logged_at.desc(), logs::id.desc())).load(connection).await?;
    rows.into_iter().map(Line::try_from).collect()
}
