//! Statistics of all tickets.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::support::ticket::model::stats::{AGES_HOURS, Durations, Load, Stats};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::UserId,
};

/// Returns the statistics of all tickets; the durations are of those created since a time.
pub async fn stats(mut connection: &Connection, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<Stats> {
    const COUNTS: &str = "SELECT status, priority, sum_of_counts(tickets) AS count FROM ticket_counts \
         WHERE account_id = $1 AND assignee_id = $1 GROUP BY status, priority HAVING sum_of_counts(tickets) <> 0 \
         ORDER BY status, priority";
    const AGENTS: &str = "SELECT users.id AS agent, users.name, in_progress, resolved FROM ( \
             SELECT assignee_id, coalesce(sum_of_counts(tickets) FILTER (WHERE status = 2), 0) AS in_progress, \
                 coalesce(sum_of_counts(tickets) FILTER (WHERE status = 3), 0) AS resolved \
             FROM ticket_counts WHERE account_id = $1 AND assignee_id <> $1 GROUP BY assignee_id) AS loads \
         JOIN users ON users.id = assignee_id WHERE in_progress + resolved > 0 \
         ORDER BY in_progress DESC, resolved DESC, users.id LIMIT 100";
    const AGES: &str = "SELECT width_bucket(created_at, $1) AS band, count(*) AS count FROM tickets \
         WHERE status IN (1, 2) GROUP BY band";
    const TIMES: &str = "SELECT count(response) AS responses, \
             percentile_disc(0.5) WITHIN GROUP (ORDER BY response) AS response_median, \
             percentile_disc(0.9) WITHIN GROUP (ORDER BY response) AS response_decile, \
             count(resolution) AS resolutions, \
             percentile_disc(0.5) WITHIN GROUP (ORDER BY resolution) AS resolution_median, \
             percentile_disc(0.9) WITHIN GROUP (ORDER BY resolution) AS resolution_decile \
         FROM (SELECT floor(extract(epoch FROM first.at - created_at) * 1000)::bigint AS response, \
                   floor(extract(epoch FROM resolved_at - created_at) * 1000)::bigint AS resolution \
               FROM tickets CROSS JOIN LATERAL ( \
                   SELECT min(comments.created_at) AS at FROM comments \
                   WHERE ticket_id = tickets.id AND author_role IN (2, 3) AND NOT is_internal) AS first \
               WHERE created_at >= $1) AS times";
    let counts = sql_query(COUNTS).bind::<SqlUuid, _>(Uuid::nil()).columns::<(SmallInt, SmallInt, BigInt)>();
    let counts = counts.load(&mut connection).await?;
    let agents = sql_query(AGENTS).bind::<SqlUuid, _>(Uuid::nil()).columns::<(SqlUuid, Text, BigInt, BigInt)>();
    let agents: Vec<(UserId, String, i64, i64)> = agents.load(&mut connection).await?;
    let load = |(agent, name, in_progress, resolved)| Load { agent, name, in_progress, resolved };
    // Ascending times: the band 0 is the oldest.
    let bounds: Vec<_> = AGES_HOURS.iter().rev().map(|hours| now - TimeDelta::hours(*hours)).collect();
    let bands = sql_query(AGES).bind::<Array<Timestamptz>, _>(bounds).columns::<(Integer, BigInt)>();
    let bands: Vec<(i32, i64)> = bands.load(&mut connection).await?;
    type Times = (BigInt, Nullable<BigInt>, Nullable<BigInt>);
    let times = sql_query(TIMES).bind::<Timestamptz, _>(since).columns::<(Times, Times)>();
    let (first_responses, resolutions) = times.get_result(&mut connection).await?;
    let durations = |(count, median_ms, ninth_decile_ms)| Durations { count, median_ms, ninth_decile_ms };
    let mut stats = Stats {
        counts,
        agents: agents.into_iter().map(load).collect(),
        first_responses: durations(first_responses),
        resolutions: durations(resolutions),
        ..Stats::default()
    };
    for (band, count) in bands {
        let youngest_first = AGES_HOURS.len().saturating_sub(usize::try_from(band).unwrap_or(0));
        stats.ages[youngest_first] = count;
    }
    Ok(stats)
}
