//! Leases due jobs, and renews the leases.

use std::time::Duration;

use diesel::{
    deserialize::Queryable,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    database::{
        Connection,
        statement::{Prepare as _, Statement},
    },
    error::Result,
};

/// The free slots of a lane; 0 if it is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreeSlots {
    pub(crate) lane: &'static str,
    pub(crate) count: usize,
}

/// A job that this worker has leased, or a table with due rows.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct LeasedJob {
    pub(crate) id: i64,
    pub(crate) lease: Uuid,
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) payload: String,
    /// The number of started attempts, including this one.
    pub(crate) attempts: i32,
    pub(crate) max_attempts: i32,
    /// The trace of the job's origin.
    pub(crate) traceparent: Option<String>,
    /// Whether the job was replaced before its worker died, so that no work is left.
    pub(crate) is_replaced: bool,
}

/// The lane of a job is the one that this program declares for its kind (`kind`), regardless of the version that added
/// the job. After a kind has moved to another lane, no job is left behind, and none exceeds the lane's limit.
///
/// `plain`: the first due jobs of each kind, except jobs whose key has a running job. `head`: for each serial key, the
/// running job or else the first waiting one. It is found by a loose index scan over the keys, so that the jobs behind
/// it are not read; the scan runs only if a job with such a key is due. A running job is due once its lease has
/// expired, and is then taken like any other. `serial`: the first due jobs of `head` for each lane. `found`: of `plain`
/// and `serial`, as many jobs as the lane of their kind has free slots.
///
/// Two concurrent statements that do not yet see each other's changes may take two jobs with the same serial key. The
/// unique index rejects the second one.
///
/// The statement begins with `lane`, the numbers of the lanes with their free slots, and `kind`, the kinds with the
/// number and the slots of their lane.
const FIND: &str = "plain AS ( \
    SELECT job.id, job.due_at, kind.lane FROM kind, LATERAL ( \
        SELECT job.id, job.due_at FROM jobs AS job \
        WHERE job.kind = kind.name AND job.serial_key IS NULL AND job.dead_at IS NULL AND job.due_at <= now() \
            AND NOT EXISTS (SELECT FROM jobs AS running WHERE coalesce(running.serial_key, running.key) = job.key \
                AND running.lease IS NOT NULL AND running.id <> job.id) \
        ORDER BY job.due_at LIMIT kind.slots FOR UPDATE OF job SKIP LOCKED \
    ) AS job \
), head AS ( \
    SELECT first.* FROM ( \
        SELECT id, kind, serial_key, due_at FROM jobs WHERE serial_key IS NOT NULL AND dead_at IS NULL \
        ORDER BY serial_key, lease IS NULL, due_at LIMIT 1 \
    ) AS first WHERE EXISTS (SELECT FROM kind, LATERAL ( \
        SELECT FROM jobs AS job WHERE job.kind = kind.name AND job.serial_key IS NOT NULL AND job.dead_at IS NULL \
            AND job.due_at <= now() ORDER BY job.due_at LIMIT 1) AS due) \
    UNION ALL \
    SELECT next.* FROM head, LATERAL ( \
        SELECT id, kind, serial_key, due_at FROM jobs WHERE serial_key > head.serial_key AND dead_at IS NULL \
        ORDER BY serial_key, lease IS NULL, due_at LIMIT 1 \
    ) AS next \
), serial AS ( \
    SELECT job.id, job.due_at, lane.number AS lane FROM lane, LATERAL ( \
        SELECT job.id, job.due_at FROM kind JOIN head ON head.kind = kind.name JOIN jobs AS job ON job.id = head.id \
        WHERE kind.lane = lane.number AND head.due_at <= now() AND job.dead_at IS NULL AND job.due_at <= now() \
        ORDER BY job.due_at LIMIT lane.slots FOR UPDATE OF job SKIP LOCKED \
    ) AS job \
), found AS ( \
    SELECT job.id FROM lane, LATERAL ( \
        SELECT due.id FROM (SELECT * FROM plain UNION ALL SELECT * FROM serial) AS due WHERE due.lane = lane.number \
        ORDER BY due.due_at LIMIT lane.slots \
    ) AS job \
)";
const TAKE: &str = "UPDATE jobs SET lease = gen_random_uuid(), attempts = attempts + 1, due_at = now() + ?::float8 * interval '1 second', \
    last_error = CASE WHEN lease IS NULL THEN last_error ELSE 'its worker died' END \
WHERE id IN (SELECT id FROM found) \
RETURNING id, lease, kind, key, payload::text AS payload, attempts, max_attempts, traceparent, \
    EXISTS (SELECT FROM jobs AS next WHERE next.key = jobs.key AND next.lease IS NULL AND next.dead_at IS NULL \
        AND next.id <> jobs.id) AS is_replaced";

/// Returns the statement that takes due jobs of these kinds, each with the number of its lane. The same statement finds
/// out which of these tables have due rows, so that an idle worker sends only one. [`LeasedJob::due_rows`] returns the
/// number of such a table.
///
/// Kinds and lanes are constants. Postgres assumes ten elements in an array parameter, and would consider the plan for
/// the actual values so much cheaper that it planned at each call. Planning takes ten times as long as a poll that
/// finds nothing.
pub(crate) fn statement(
    lanes: usize,
    kinds: impl Iterator<Item = (&'static str, usize)>,
    rows: impl Iterator<Item = &'static str>,
) -> String {
    let lanes: Vec<_> = (1..=lanes).map(|number| format!("({number})")).collect();
    let kinds: Vec<_> = kinds.map(|(name, lane)| format!("('{}', {})", name.replace('\'', "''"), lane + 1)).collect();
    let due = rows.enumerate().map(|(number, rows)| {
        format!(
            " UNION ALL SELECT {}, '00000000-0000-0000-0000-000000000000', '', '', '', 0, 0, NULL, false \
             WHERE EXISTS (SELECT FROM {rows})",
            -1 - i64::try_from(number).unwrap_or_default()
        )
    });
    format!(
        "WITH RECURSIVE lane AS ( \
            SELECT number, slots FROM (SELECT ?::int[] AS free) AS room, (VALUES {}) AS lane (number), \
                LATERAL (SELECT free[number] AS slots) AS one WHERE slots > 0 \
        ), kind AS (SELECT kind.name, kind.lane, lane.slots FROM (VALUES {}) AS kind (name, lane) JOIN lane ON lane.number = kind.lane \
        ), {FIND}, taken AS ({TAKE}) SELECT * FROM taken{}",
        values_rows(&lanes, "(0)"),
        values_rows(&kinds, "('', 0)"),
        due.collect::<String>()
    )
}

impl LeasedJob {
    /// Returns the number of a table with due rows; `None` for a job.
    pub(crate) fn due_rows(&self) -> Option<usize> {
        usize::try_from(-1 - self.id).ok()
    }
}

/// Returns the rows of a VALUES list. Without rows it is a placeholder that matches nothing, because no list is empty.
fn values_rows(rows: &[String], placeholder: &str) -> String {
    if rows.is_empty() { placeholder.to_owned() } else { rows.join(", ") }
}

/// Leases due jobs for `term`, up to the free slots of all lanes, which are in the order of their numbers.
pub(crate) async fn take(
    connection: &mut Connection,
    statement: &str,
    free_slots: &[FreeSlots],
    term: Duration,
) -> Result<Vec<LeasedJob>> {
    let count = |lane: &FreeSlots| i32::try_from(lane.count).unwrap_or(i32::MAX);
    let statement = Statement::new(statement)
        .bind::<Array<Integer>, _>(free_slots.iter().map(count).collect::<Vec<_>>())
        .bind::<Double, _>(term.as_secs_f64())
        .columns::<(BigInt, SqlUuid, Text, Text, Text, Integer, Integer, Nullable<Text>, Bool)>();
    match statement.load(connection).await {
        // Another worker took a job with the same serial key. The next poll sees its change.
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Vec::new()),
        result => Ok(result?),
    }
}

/// Extends leases to `term` from now. Returns the ids of the leases that still exist.
pub(crate) async fn renew(connection: &mut Connection, leases: &[(i64, Uuid)], term: Duration) -> Result<Vec<i64>> {
    const SQL: &str = "UPDATE jobs SET due_at = now() + ?::float8 * interval '1 second' \
        FROM unnest(?::bigint[], ?::uuid[]) AS mine (id, lease) WHERE jobs.id = mine.id AND jobs.lease = mine.lease RETURNING jobs.id";
    let (ids, leases): (Vec<_>, Vec<_>) = leases.iter().copied().unzip();
    let renew = Statement::new(SQL)
        .bind::<Double, _>(term.as_secs_f64())
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Array<SqlUuid>, _>(leases);
    Ok(renew.columns::<BigInt>().load(connection).await?)
}
