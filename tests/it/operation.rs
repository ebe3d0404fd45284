//! Long-running operations: each one finishes although workers die in between, and no row is stored twice.

mod cancel;
mod command;
mod counters;
mod crashes;
mod rows;
mod sweep;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    cases::file,
    support::{Actor, Protocol, Response, TestDatabase, eventually},
};

/// A file of more than one batch: every tenth row is a duplicate, every hundredth is invalid.
pub(crate) fn large() -> String {
    let row = |number: usize| match number {
        number if number % 100 == 0 => ",,Incident,tag\n".to_owned(),
        number if number % 10 == 0 => format!("Subject {0},Body {0},Incident,tag\n", number - 1),
        number => format!("Subject {number},Body {number},Incident,tag\n"),
    };
    let rows: String = (1..=ROWS).map(row).collect();
    format!("subject,body,type,tag_1\n{rows}")
}

const ROWS: usize = 2500;
const WRONG: i64 = 25;
const GOOD: i64 = 2475;

/// Starts an import into the customer's account.
pub(crate) async fn begin(agent: &Actor, account: &str, text: &str, key: &str) -> String {
    let request = json!({ "accountId": account, "file": file(text) });
    agent.keyed(Protocol::Rest, "TicketService.ImportTickets", request, key).await.success().id()
}

/// Waits until an operation has finished, and returns it.
pub(crate) async fn wait_for_end(agent: &Actor, id: &str) -> Value {
    let since = Instant::now();
    loop {
        // A server that is being replaced does not answer.
        let answer: Response = agent.rest("OperationService.GetOperation", json!({ "operationId": id })).await;
        if answer.status == 200 && !answer.data()["finishTime"].is_null() {
            return answer.data().clone();
        }
        assert!(since.elapsed() < Duration::from_secs(90), "{answer:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that a whole import of [`large`] was stored exactly once.
pub(crate) async fn assert_imported_once(database: &TestDatabase) {
    // The job ends after its operation.
    eventually("the job has ended", async || database.number("SELECT count(*) FROM jobs").await == 0).await;
    for (what, count) in [
        ("SELECT count(*) FROM tickets", GOOD),
        ("SELECT count(*) FROM activities WHERE kind = 10", GOOD),
        ("SELECT count(*) FROM imported_rows", GOOD),
        ("SELECT count(*) FROM operation_errors", WRONG),
        ("SELECT count(DISTINCT subject) FROM tickets", 2250),
        ("SELECT count(*) FROM upload_chunks", 0),
        ("SELECT rows_created FROM operations", GOOD),
        ("SELECT rows_failed FROM operations", WRONG),
        ("SELECT rows_total FROM operations", 2500),
        ("SELECT state FROM operations", 3),
    ] {
        assert_eq!(database.number(what).await, count, "{what}");
    }
}
