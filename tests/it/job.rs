//! Jobs and scheduled tasks: each one completes with the visible effect of a single run, even if workers die in
//! between.

mod dead;
mod outage;
mod places;
mod queue;
mod schedule;
mod workers;

use std::time::{Duration, Instant};

use crate::support::TestDatabase;

/// Waits until a statement selects this number.
async fn wait_for_count(database: &TestDatabase, statement: &str, expected: i64) {
    let since = Instant::now();
    loop {
        let count = database.number(statement).await;
        if count == expected {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(90), "{statement}: {count}, not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
