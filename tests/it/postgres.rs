//! Postgres restarts; the server keeps running.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay_dev_servers::{Options, Postgres};
use serde_json::json;

use crate::{
    cases::{Scene, draft},
    support::{PROTOCOLS, Process, Protocol, TestApp, TestDatabase, people::Cast, proxy::Proxy, servers},
};

/// Temporary, but committed data survives a crash.
fn settings() -> Options {
    let durable = Options::temporary().set("fsync", "on").set("full_page_writes", "on").set("synchronous_commit", "on");
    durable.set("max_connections", "50")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_reports_and_survives_a_restart_of_postgres() {
    let mut postgres = Postgres::start(settings()).await.expect("a Postgres");
    let database = TestDatabase::foreign(postgres.url());
    servers::migrate(&database.url).await;
    let server = Process::with(&database, &[("DATABASE_POOL_WAIT", "800ms")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let made = cast.customer.call(Protocol::Rest, "TicketService.CreateTicket", draft()).await.good();
    let request = json!({ "ticketId": made.id() });

    for crash in [true, false] {
        if crash {
            postgres.crash();
            // Its sessions end by themselves; until then they may still answer.
            tokio::time::sleep(Duration::from_millis(500)).await;
            for number in 0..6 {
                let since = Instant::now();
                let away = cast.customer.call(PROTOCOLS[number % 2], "TicketService.GetTicket", request.clone()).await;
                let away = away.refused("UNAVAILABLE");
                assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
                assert!(away.header("retry-after").is_some(), "{away:#?}");
            }
            assert_eq!(server.endpoint.get("/readyz").await.status, 200);
            assert_eq!(server.endpoint.get("/livez").await.status, 200);
            assert_eq!(server.endpoint.get("/.well-known/jwks.json").await.status, 200);
        }
        postgres.restart().await.expect("it comes back");
        let since = Instant::now();
        loop {
            let answer = cast.customer.call(Protocol::Rest, "TicketService.GetTicket", request.clone()).await;
            if answer.reason.is_empty() {
                break;
            }
            assert_eq!(answer.reason, "UNAVAILABLE", "the only error is one that may be retried");
            assert!(since.elapsed() < Duration::from_secs(4), "not back after {:?}", since.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cast.customer.call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.good();
    }
}

/// The pool's connections go silent, as when a firewall has dropped their state: each one costs one caller its deadline
/// and is not lent out again.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_not_lent_out_again() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    let app = builder.set("DATABASE_POOL_SIZE", "1").start().await;
    let scene = Scene::new(&app).await;
    let request = json!({ "ticketId": scene.ticket().await });
    let customer = &scene.cast.customer;
    customer.call(Protocol::Rest, "TicketService.GetTicket", request.clone()).await.good();

    proxy.freeze();
    let since = Instant::now();
    let mut timed_out = 0;
    loop {
        let answer = customer.call(Protocol::Grpc, "TicketService.GetTicket", request.clone()).await;
        match answer.reason.as_str() {
            "" => break,
            "DEADLINE_EXCEEDED" => timed_out += 1,
            reason => assert_eq!(reason, "UNAVAILABLE", "no connection is free"),
        }
        assert!(since.elapsed() < Duration::from_secs(30), "lent out repeatedly: {timed_out} timed out");
    }
    // Callers that wait for the pool meanwhile time out too; lent out again, the connection would never let this end.
    assert!(timed_out > 0, "the connection was silent");
}
