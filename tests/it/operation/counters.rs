//! The counters behind exact totals match the tickets under concurrent changes, and no transaction waits for them.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::support::{TestApp, TestDatabase, database::connect};

/// Every scope whose counter differs from the number of its tickets.
const DIFFERENCES: &str = "
    WITH counted AS (
        SELECT account_id, assignee_id, status, priority, sum(tickets) AS tickets FROM ticket_counts GROUP BY 1, 2, 3, 4
    ), present AS (
        SELECT scope.account_id, scope.assignee_id, status, priority, count(*) AS tickets FROM tickets
        CROSS JOIN LATERAL (VALUES
            ('00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid),
            (tickets.account_id, '00000000-0000-0000-0000-000000000000'),
            ('00000000-0000-0000-0000-000000000000', tickets.assignee_id),
            (tickets.account_id, tickets.assignee_id)) AS scope (account_id, assignee_id)
        WHERE scope.assignee_id IS NOT NULL GROUP BY 1, 2, 3, 4
    )
    SELECT count(*) FROM counted FULL JOIN present USING (account_id, assignee_id, status, priority)
    WHERE coalesce(counted.tickets, 0) <> coalesce(present.tickets, 0)";

const INSERT: &str = "
    INSERT INTO tickets (id, account_id, subject, body, kind, status, priority, queue, language, created_at, updated_at)
    SELECT gen_random_uuid(), (SELECT id FROM accounts ORDER BY random() + n LIMIT 1), 's', 'b', 1, 1,
        1 + (random() * 3)::int, 'q', 'en', now(), now() FROM generate_series(1, 3) AS n";

const CHANGES: [&str; 6] = [
    INSERT,
    INSERT,
    "UPDATE tickets SET status = 2, assignee_id = (SELECT id FROM users ORDER BY random() LIMIT 1) WHERE id IN
        (SELECT id FROM tickets WHERE status = 1 ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED)",
    "UPDATE tickets SET status = 3, resolved_at = now() WHERE id IN
        (SELECT id FROM tickets WHERE status < 3 ORDER BY random() LIMIT 2 FOR UPDATE SKIP LOCKED)",
    "UPDATE tickets SET priority = 1 + priority % 4, subject = 't' WHERE id IN
        (SELECT id FROM tickets ORDER BY random() LIMIT 5 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM tickets WHERE id IN (SELECT id FROM tickets ORDER BY random() LIMIT 2 FOR UPDATE SKIP LOCKED)",
];

/// Changes tickets at random, partly in longer transactions, some of which roll back.
async fn change(url: String, seed: u64) {
    let client = connect(&url).await;
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..60 {
        let steps: Vec<_> = (0..random.random_range(1..4)).map(|_| CHANGES[random.random_range(0..6)]).collect();
        let end = if random.random_bool(0.2) { "ROLLBACK" } else { "COMMIT" };
        client.batch_execute("BEGIN").await.expect("begun");
        for step in steps {
            client.batch_execute(step).await.expect("changed");
        }
        client.batch_execute(end).await.expect("ended");
    }
}

async fn fold(url: String) {
    let client = connect(&url).await;
    for _ in 0..60 {
        client.batch_execute("SELECT fold_ticket_counts()").await.expect("folded");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn database_with_people() -> (TestApp, std::sync::Arc<TestDatabase>) {
    let app = TestApp::start().await;
    app.cast().await;
    let database = app.database.clone();
    (app, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_match_the_tickets_after_concurrent_changes() {
    let (_app, database) = database_with_people().await;
    let writers = (0..6).map(|seed| tokio::spawn(change(database.url.clone(), seed)));
    let folders = (0..2).map(|_| tokio::spawn(fold(database.url.clone())));
    for task in writers.chain(folders).collect::<Vec<_>>() {
        task.await.expect("no deadlock, no failure");
    }
    assert_eq!(database.number(DIFFERENCES).await, 0, "before the last fold");
    database.sql("SELECT fold_ticket_counts()").await;
    assert_eq!(database.number(DIFFERENCES).await, 0, "after it");
    assert_eq!(database.number("SELECT count(*) FROM ticket_counts WHERE writer <> 0").await, 0);
    assert!(database.number("SELECT count(*) FROM tickets").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_blocks_no_other() {
    let (_app, database) = database_with_people().await;
    let (holder, other) = (connect(&database.url).await, connect(&database.url).await);
    holder.batch_execute(&format!("BEGIN; {INSERT}")).await.expect("held open");
    other.batch_execute("SET lock_timeout = '2s'").await.expect("set");
    other.batch_execute(INSERT).await.expect("another create goes through");
    other.batch_execute("SELECT fold_ticket_counts()").await.expect("so does folding");
    holder.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(database.number(DIFFERENCES).await, 0);
    assert_eq!(database.number("SELECT count(*) FROM tickets").await, 6);
}
