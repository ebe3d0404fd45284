//! A worker whose Postgres is unavailable, and one whose loops panic.

use std::time::Duration;

use mainstay_dev_servers::{Options, Postgres};

use super::wait_for_count;
use crate::{
    cases::webhook::webhook_request,
    support::{Process, Protocol, TestDatabase, eventually, people::Cast, servers, webhook},
};

/// Receives a webhook event, whose job makes it processed.
async fn receive_event(cast: &Cast) {
    let body = webhook::event("ping");
    let signature = webhook::stripe(&body, 0);
    let signed = [("stripe-signature", signature.as_str())];
    let request = webhook_request("stripe", &body);
    cast.anonymous.call_with(Protocol::Rest, "InboundEventService.ReceiveWebhook", request, &signed).await.success();
}

const PROCESSED: &str = "SELECT count(*) FROM inbound_events WHERE state <> 1";

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_a_worker_waits_with_few_words() {
    let options = Options::temporary().set("fsync", "on").set("synchronous_commit", "on").set("max_connections", "50");
    let mut postgres = Postgres::start(options).await.expect("a Postgres");
    let database = TestDatabase::foreign(postgres.url());
    servers::migrate(&database.url).await;
    let server = Process::with(&database, &[("DATABASE_POOL_WAIT", "800ms")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    receive_event(&cast).await;
    wait_for_count(&database, PROCESSED, 1).await;
    postgres.crash();
    server.wait_for_log("this worker waits").await;
    // The loops fail several times meanwhile.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(server.log().matches("this worker waits").count(), 1, "{}", server.log());
    postgres.restart().await.expect("it comes back");
    server.wait_for_log("this worker resumed").await;
    eventually("a webhook is accepted", async || server.private.get("/health").await.status == 200).await;
    receive_event(&cast).await;
    wait_for_count(&database, PROCESSED, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_panics_raises_an_alert_and_ends_no_other() {
    for (fault, name) in [("schedule.due", "schedule"), ("jobs.heartbeat", "bookkeeping")] {
        let database = TestDatabase::new().await;
        let server = Process::with(&database, &[("MAINSTAY_FAULTS", &format!("{fault}=panic"))]).await;
        let cast = Cast::new(&server.endpoint, &database).await;
        eventually("the panic is counted", async || {
            let metrics = server.private.get("/metrics").await.body.to_string();
            let counter = r#"mainstay_alerts_total{provider=\"jobs\",cause=\"loop_panicked\"} "#;
            metrics.split_once(counter).is_some_and(|(_, rest)| !rest.starts_with('0'))
        })
        .await;
        server.wait_for_log(&format!("\"subject\":\"{name}\"")).await;
        receive_event(&cast).await;
        wait_for_count(&database, PROCESSED, 1).await;
        wait_for_count(&database, "SELECT count(*) FROM jobs", 0).await;
    }
}
