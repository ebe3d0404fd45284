//! Totals of ticket lists: exact from the counters, or counted up to a bound where there is no counter.

use diesel::{dsl::Select, prelude::*, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    schema::ticket_counts as counts,
    support::ticket::{
        model::Filter,
        store::{Boxed, OWN, WORDS, filtered_query, tickets},
    },
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, condition::Condition, count, statement::Prepare as _},
    error::Result,
    page::Total,
};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Sums counters. The migration that creates the counters defines it.
    #[aggregate]
    fn sum_of_counts(counts: BigInt) -> diesel::sql_types::Nullable<BigInt>;
}

/// Returns the number of matching tickets.
///
/// Totals that the counters cover (all tickets, those of an account, an assignee, or both, each by status and priority)
/// are exact and read a few dozen rows regardless of the number of tickets. The tickets of a requester, and those of
/// other filters, are counted up to [`count::BOUND`].
pub async fn total(mut connection: &Connection, visibility: Visibility, filter: &Filter) -> Result<Total> {
    let account = match (visibility, filter.account) {
        (Visibility::Account(own), Some(other)) if own != other => return Ok(Total::exact(0)),
        (Visibility::Account(own), _) => Some(own),
        (_, account) => account,
    };
    if !filter.is_counted() || matches!(visibility, Visibility::Principal(_)) {
        return count::bounded(connection, Box::new(matching_ids(visibility, filter))).await;
    }
    // The rows for all accounts, or for all assignees, have the nil id in that column.
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
    let tickets: Option<i64> = query.select(sum_of_counts(counts::tickets)).first(&mut connection).await?;
    Ok(Total::exact(tickets.unwrap_or(0)))
}

/// Merges the counters of individual writers, so that readers add up few rows. Returns the number of merged counters.
/// It does nothing while another process is merging.
pub async fn fold_counts(connection: &mut Connection) -> Result<usize> {
    let fold = diesel::sql_query("SELECT fold_ticket_counts()").columns::<BigInt>();
    let folded: i64 = fold.get_result(connection).await?;
    Ok(usize::try_from(folded).unwrap_or(0))
}

/// Selects the ids of the matching tickets, in no particular order, up to one more than [`count::BOUND`].
pub(crate) fn matching_ids<'q>(visibility: Visibility, filter: &Filter) -> Select<Boxed<'q>, tickets::id> {
    let mut query = filtered_query(visibility, filter);
    if !filter.query.is_empty() {
        query = query.filter(match visibility {
            Visibility::Account(_) => Condition::matches("words", filter.query.clone()).within(OWN),
            _ => Condition::matches(WORDS, filter.query.clone()),
        });
    }
    query.limit(count::BOUND + 1).select(tickets::id)
}
