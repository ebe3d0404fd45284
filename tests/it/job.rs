//! Jobs and scheduled tasks: whatever dies in between, each one completes, with the visible effect of a single run.

mod dead;
mod outage;
mod places;
mod queue;
mod schedule;
mod workers;

use std::time::{Duration, Instant};

use crate::support::TestDatabase;

/// Waits until a statement selects this number.
async fn wait_for_count(database: &TestDatabase, statement: &str, wanted: i64) {
    let since = Instant::now();
    loop {
        let found = database.number(statement).await;
        if found == wanted {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(90), "{statement}: {found}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
