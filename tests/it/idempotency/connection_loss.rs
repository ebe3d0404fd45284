//! The connection to Postgres breaks before or after COMMIT.

use super::Effects;
use crate::{
    cases::draft,
    support::{
        Protocol, TestApp, TestDatabase, eventually,
        proxy::{Cut, Proxy},
    },
};

const CREATE: &str = "TicketService.CreateTicket";

/// The first read of a customer who creates a ticket, which is sent with the BEGIN unless the request has a key.
const FIRST_READ: &str = r#"SELECT "users"."id" FROM "users""#;
const INSERT: &str = r#"INSERT INTO "tickets""#;

const OPEN_TRANSACTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";

/// The report of a server whose connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    /// Nothing was committed, or the outcome is unknown.
    Failure,
    /// The stored response.
    Success,
}

async fn cut(cut: Cut, statement: &'static str, key: Option<&str>, committed: bool, report: Report) {
    // Two connections: one that has yet to prepare the statement that stores the key, and the COMMIT sent with it; and
    // one that has prepared it.
    for earlier in [0, 1] {
        let database = std::sync::Arc::new(TestDatabase::new().await);
        let proxy = Proxy::new(&database).await;
        let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
        let app = app.set("DATABASE_POOL_SIZE", "1").start().await;
        let customer = app.cast().await.customer;
        customer.token().await;
        for number in 0..earlier {
            customer.keyed(Protocol::Rest, CREATE, draft(), &format!("earlier-{number}")).await.success();
        }
        proxy.cut(cut, statement);
        let response = match key {
            Some(key) => customer.keyed(Protocol::Rest, CREATE, draft(), key).await,
            None => customer.rest(CREATE, draft()).await,
        };
        match report {
            Report::Success => assert!(response.clone().success().is_replayed(), "{response:#?}"),
            Report::Failure => {
                // Postgres may not have noticed the broken connection when the server looks up the outcome.
                assert!(
                    [("UNAVAILABLE", 503), ("IDEMPOTENCY_IN_PROGRESS", 409)]
                        .contains(&(response.reason.as_str(), response.status)),
                    "{response:#?}"
                );
                assert!(response.header("retry-after").is_some());
            }
        }
        // The lock of the key, and the effects of a COMMIT, end with the transaction of the broken connection.
        eventually("no transaction is open", async || database.number(OPEN_TRANSACTIONS).await == 0).await;
        let effects = Effects::in_database(&database).await;
        let keys = earlier + i64::from(committed && key.is_some());
        assert_eq!(effects, Effects { keys, ..Effects::of(earlier + i64::from(committed)) });
        let Some(key) = key else { continue };
        let retried = customer.keyed(Protocol::Grpc, CREATE, draft(), key).await.success();
        assert_eq!(retried.is_replayed(), committed);
        assert_eq!(Effects::in_database(&database).await, Effects::of(earlier + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_commit_has_one_effect() {
    cut(Cut::BeforeCommit, INSERT, Some("one"), false, Report::Failure).await;
}

/// The stored response is looked up: a request whose effect is committed is not reported as failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_the_commit_has_one_effect_and_is_reported_as_a_success() {
    cut(Cut::AfterCommit, INSERT, Some("one"), true, Report::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_the_first_reads_has_no_effect() {
    cut(Cut::BeforeStatement, FIRST_READ, None, false, Report::Failure).await;
    cut(Cut::BeforeStatement, FIRST_READ, Some("one"), false, Report::Failure).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_the_queued_statements_has_no_effect() {
    cut(Cut::BeforeStatement, INSERT, None, false, Report::Failure).await;
    cut(Cut::BeforeStatement, INSERT, Some("one"), false, Report::Failure).await;
}

/// Without a key, the outcome of a COMMIT whose answer is lost stays unknown to the caller.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_the_commit_of_a_request_without_a_key_is_a_failure() {
    cut(Cut::BeforeCommit, INSERT, None, false, Report::Failure).await;
    cut(Cut::AfterCommit, INSERT, None, true, Report::Failure).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_backend_is_replaced() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(app.database.number(query).await > 0);
    // A request on a dead connection may get a retryable error, but no other one, and the ticket is never created
    // twice.
    for _ in 0..2 {
        let again = customer.keyed(Protocol::Rest, CREATE, draft(), "one").await;
        assert!(again.is_replayed() || again.reason == "UNAVAILABLE", "{again:#?}");
    }
    assert!(customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.is_replayed());
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(1));
}
