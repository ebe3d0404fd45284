//! SQL of queues and tags.

use diesel::{
    sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

use crate::support::ticket::model::labels::{COMPARED_TICKETS, MAX_COMPARED_QUEUES, MAX_LABELS, NEWEST_TICKETS};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
};

/// Returns the queues in alphabetical order; if there are too many, those of the most accounts, by their newest tickets. A
/// loose index scan reads one index entry per queue, regardless of its number of tickets.
pub async fn queues(mut connection: &Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        WITH RECURSIVE found (name) AS (
            (SELECT queue FROM tickets ORDER BY queue LIMIT 1)
            UNION ALL
            SELECT (SELECT queue FROM tickets WHERE queue > found.name ORDER BY queue LIMIT 1)
            FROM found WHERE found.name IS NOT NULL),
        ranked AS (
            SELECT name
            FROM (SELECT name FROM found WHERE name IS NOT NULL LIMIT $2) AS compared,
            LATERAL (
                SELECT count(DISTINCT account_id) AS accounts, count(*) AS tickets
                FROM (
                    SELECT account_id FROM tickets WHERE queue = compared.name
                    ORDER BY created_at DESC, id DESC LIMIT $3) AS newest) AS counts
            ORDER BY accounts DESC, tickets DESC, name LIMIT $1)
        SELECT name FROM ranked ORDER BY name";
    let query = sql_query(SQL).bind::<BigInt, _>(MAX_LABELS).bind::<BigInt, _>(MAX_COMPARED_QUEUES);
    Ok(query.bind::<BigInt, _>(COMPARED_TICKETS).columns::<Text>().load(&mut connection).await?)
}

/// Returns the tags of the newest tickets, those of the most accounts first.
pub async fn tags(mut connection: &Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        SELECT tag AS name
        FROM (SELECT account_id, tags FROM tickets ORDER BY created_at DESC, id DESC LIMIT $2) AS newest,
            unnest(newest.tags) AS tag
        GROUP BY tag ORDER BY count(DISTINCT newest.account_id) DESC, count(*) DESC, tag LIMIT $1";
    let query = sql_query(SQL).bind::<BigInt, _>(MAX_LABELS).bind::<BigInt, _>(NEWEST_TICKETS);
    Ok(query.columns::<Text>().load(&mut connection).await?)
}
