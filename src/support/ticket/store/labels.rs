//! SQL of queues and tags.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

use crate::support::ticket::model::labels::{MAX_LABELS, NEWEST_TICKETS};
use mainstay_kernel::{database::Connection, error::Result};

#[derive(QueryableByName)]
struct Label {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Returns the queues of all tickets in alphabetical order. A loose index scan reads one index entry per queue,
/// regardless of its number of tickets.
pub async fn queues(connection: &mut Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        WITH RECURSIVE found (name) AS (
            (SELECT queue FROM tickets ORDER BY queue LIMIT 1)
            UNION ALL
            SELECT (SELECT queue FROM tickets WHERE queue > found.name ORDER BY queue LIMIT 1)
            FROM found WHERE found.name IS NOT NULL)
        SELECT name FROM found WHERE name IS NOT NULL LIMIT $1";
    let labels: Vec<Label> = sql_query(SQL).bind::<BigInt, _>(MAX_LABELS).load(connection).await?;
    Ok(labels.into_iter().map(|label| label.name).collect())
}

/// Returns the tags of the newest tickets, the most frequent first.
pub async fn tags(connection: &mut Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        SELECT tag AS name
        FROM (SELECT tags FROM tickets ORDER BY created_at DESC, id DESC LIMIT $2) AS newest, unnest(newest.tags) AS tag
        GROUP BY tag ORDER BY count(*) DESC, tag LIMIT $1";
    let query = sql_query(SQL).bind::<BigInt, _>(MAX_LABELS).bind::<BigInt, _>(NEWEST_TICKETS);
    let labels: Vec<Label> = query.load(connection).await?;
    Ok(labels.into_iter().map(|label| label.name).collect())
}
