//! Totals of ticket lists: exact from the counters, or bounded where only counting would tell.

use diesel::{prelude::*, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{matching, tickets};
use crate::{
    caller::Visibility,
    domain::{page::Total, ticket::Filter},
    error::Result,
    store::{Connection, schema::ticket_counts as counts},
};

#[diesel::declare_sql_function]
extern "SQL" {
    /// The sum of counters; defined by the migration that makes them.
    #[aggregate]
    fn sum_of_counts(counts: BigInt) -> diesel::sql_types::Nullable<BigInt>;
}

/// Counting stops here; beyond it the total is a lower bound.
pub(super) const COUNT_BOUND: i64 = 10_000;

/// How many tickets match.
///
/// Scopes the counters keep (everything, an account, an assignee, both, each by status and priority) are exact and
/// cost a few dozen rows however many tickets there are. A text search, or a requester's own tickets, is counted up to
/// [`COUNT_BOUND`].
pub async fn total(connection: &mut Connection, visibility: Visibility, filter: &Filter) -> Result<Total> {
    let account = match (visibility, filter.account) {
        (Visibility::Account(own), Some(other)) if own != other => return Ok(Total::exact(0)),
        (Visibility::Account(own), _) => Some(own),
        (_, account) => account,
    };
    if !filter.query.is_empty() || matches!(visibility, Visibility::Principal(_)) {
        return bounded(connection, visibility, filter).await;
    }
    let any = Uuid::nil();
    let mut query = counts::table
        .filter(counts::account_id.eq(account.map_or(any, |id| id.0)))
        .filter(counts::assignee_id.eq(filter.assignee.map_or(any, |id| id.0)))
        .into_boxed();
    if !filter.statuses.is_empty() {
        query = query.filter(counts::status.eq_any(filter.statuses.iter().map(|s| s.number()).collect::<Vec<_>>()));
    }
    if !filter.priorities.is_empty() {
        query = query.filter(counts::priority.eq_any(filter.priorities.iter().map(|p| p.number()).collect::<Vec<_>>()));
    }
    let tickets: Option<i64> = query.select(sum_of_counts(counts::tickets)).first(connection).await?;
    Ok(Total::exact(tickets.unwrap_or(0)))
}

async fn bounded(connection: &mut Connection, visibility: Visibility, filter: &Filter) -> Result<Total> {
    let found = i64::try_from(found(connection, visibility, filter).await?.len()).unwrap_or(i64::MAX);
    Ok(Total { rows: found.min(COUNT_BOUND), lower_bound: found > COUNT_BOUND })
}

/// What matches, in no order, up to one more than [`COUNT_BOUND`].
pub(super) async fn found(connection: &mut Connection, visibility: Visibility, filter: &Filter) -> Result<Vec<Uuid>> {
    Ok(matching(visibility, filter).select(tickets::id).limit(COUNT_BOUND + 1).load(connection).await?)
}
