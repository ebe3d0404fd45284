//! The connection to Postgres breaks before or after COMMIT.

use super::Effects;
use crate::{
    cases::draft,
    support::{
        Protocol, TestApp, TestDatabase,
        proxy::{Cut, Proxy},
    },
};

const CREATE: &str = "TicketService.CreateTicket";

async fn cut(cut: Cut, committed: bool) {
    // A connection that has yet to prepare the statement that stores the key, and the COMMIT sent with it; and one that has.
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
        proxy.cut(cut, r#"INSERT INTO "tickets""#);
        let response = customer.keyed(Protocol::Rest, CREATE, draft(), "one").await;
        assert_eq!((response.reason.as_str(), response.status), ("UNAVAILABLE", 503), "{response:#?}");
        assert!(response.header("retry-after").is_some());
        // Postgres may not have noticed the broken connection yet.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(Effects::in_database(&database).await, Effects::of(earlier + i64::from(committed)));
        let retried = customer.keyed(Protocol::Grpc, CREATE, draft(), "one").await.success();
        assert_eq!(retried.is_replayed(), committed);
        assert_eq!(Effects::in_database(&database).await, Effects::of(earlier + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_commit_has_one_effect() {
    cut(Cut::BeforeCommit, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_the_commit_has_one_effect() {
    cut(Cut::AfterCommit, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_backend_is_replaced() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(app.database.number(query).await > 0);
    // A request on a dead connection may be told to retry, but gets no other error, and the ticket is never created
    // twice.
    for _ in 0..2 {
        let again = customer.keyed(Protocol::Rest, CREATE, draft(), "one").await;
        assert!(again.is_replayed() || again.reason == "UNAVAILABLE", "{again:#?}");
    }
    assert!(customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.is_replayed());
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(1));
}
