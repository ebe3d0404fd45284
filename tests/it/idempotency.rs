//! One effect and one response per key, for every failure in between.

mod connection_loss;
mod crashes;
mod duplicates;
mod replay;

use crate::support::TestDatabase;

/// The counts that must agree after any fault: tickets, their activities, counters and keys.
#[derive(Debug, PartialEq, Eq)]
struct Effects {
    tickets: i64,
    activities: i64,
    counter: i64,
    keys: i64,
}

impl Effects {
    fn of(count: i64) -> Self {
        Self { tickets: count, activities: count, counter: count, keys: count }
    }

    async fn in_database(database: &TestDatabase) -> Self {
        let any = "'00000000-0000-0000-0000-000000000000'";
        Self {
            tickets: database.number("SELECT count(*) FROM tickets").await,
            activities: database.number("SELECT count(*) FROM activities WHERE kind = 1").await,
            counter: database
                .number(&format!(
                    "SELECT coalesce(sum(tickets), 0)::bigint FROM ticket_counts WHERE account_id = {any} AND assignee_id = {any}"
                ))
                .await,
            keys: database.number("SELECT count(*) FROM idempotency_keys").await,
        }
    }
}
