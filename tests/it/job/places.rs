//! Deliveries to hanging receivers have separate slots, so neither payments nor imports wait for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mainstay::webhooks::config::PER_ENDPOINT;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::wait_for_count;
use crate::{
    cases::{Scene, file, payment},
    support::{TestApp, database::connect, eventually, receiver::Receiver},
};

/// A receiver that accepts requests and never answers.
struct Hanging {
    url: String,
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Hanging {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (waiting, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (now, peak) = (waiting.clone(), most.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let now = now.clone();
                tokio::spawn(async move {
                    let mut piece = [0; 1024];
                    while matches!(stream.read(&mut piece).await, Ok(1..)) {}
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, waiting, most }
    }

    /// Waits until the receiver holds this many connections.
    async fn holds(&self, count: usize) {
        eventually("the receiver holds the deliveries", async || self.waiting.load(Ordering::SeqCst) >= count).await;
    }
}

/// Starts an app that sends each delivery once: none is retried within a test.
async fn start_app(own: &[(&str, &str)]) -> TestApp {
    TestApp::builder()
        .set("WEBHOOK_ALLOW_PRIVATE", "true")
        .set("WEBHOOK_FIRST_WAIT", "1d")
        .set_all(own.iter().copied())
        .with_jobs()
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_hanging_deliveries_block_neither_imports_nor_payments() {
    // One slot for everything else: if a single delivery took it, nothing else would run for ten seconds; if all of
    // them did, for eight minutes.
    let one_slot = [("WEBHOOK_CONCURRENCY", "1"), ("JOBS_CONCURRENCY", "1"), ("PAYMENT_RETRY_WAIT", "100ms")];
    let app = start_app(&one_slot).await;
    let scene = Scene::new(&app).await;
    let receiver = Hanging::start().await;
    register_endpoint(&scene, receiver.url.clone()).await;
    make_tickets(&scene, 50).await;
    receiver.holds(PER_ENDPOINT).await;

    let import = json!({ "accountId": scene.account(), "file": file("subject,body\nOne,Two\n") });
    let import = scene.cast.agent.rest("TicketService.ImportTickets", import).await.success().id();
    let payment = payment::unknown(&scene).await.id();
    let query =
        "SELECT (SELECT count(*) FROM operations WHERE state = 3) + (SELECT count(*) FROM payments WHERE status = 2)";
    let both = format!("import {import} and payment {payment} are done");
    eventually(&both, async || app.database.number(query).await >= 2).await;
    let waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 1 AND attempts = 0";
    assert!(app.database.number(waiting).await > 8, "deliveries were waiting for the receiver throughout");
    assert_eq!(receiver.most.load(Ordering::SeqCst), PER_ENDPOINT, "in no more slots than configured");
}

/// Registers a webhook endpoint for the tickets created from now on.
async fn register_endpoint(scene: &Scene, url: String) {
    let types = ["support.ticket.created"];
    let endpoint = json!({ "url": url, "eventTypes": types, "accountId": scene.account() });
    scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
}

async fn make_tickets(scene: &Scene, count: usize) {
    let one = json!({ "accountId": scene.account(), "subject": "One", "body": "Text" });
    let request = json!({ "tickets": vec![one; count] });
    scene.cast.agent.rest("TicketService.BatchCreateTickets", request).await.success();
}

/// Checks that a responsive receiver gets its deliveries at once.
async fn a_healthy_receiver_is_served(scene: &Scene) {
    let healthy = Receiver::answering(&[204]).await;
    register_endpoint(scene, healthy.url()).await;
    make_tickets(scene, 10).await;
    let since = Instant::now();
    healthy.wait_for(10).await;
    // Less than the timeout of a single call to a hanging receiver, which is ten seconds.
    assert!(since.elapsed() < Duration::from_millis(9500), "it took {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_endpoint_does_not_block_another_one() {
    let app = start_app(&[("WEBHOOK_CONCURRENCY", "2")]).await;
    let scene = Scene::new(&app).await;
    let hanging = Hanging::start().await;
    register_endpoint(&scene, hanging.url.clone()).await;
    make_tickets(&scene, 50).await;
    hanging.holds(2).await;
    a_healthy_receiver_is_served(&scene).await;
    let waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 1 AND attempts = 0";
    assert!(
        app.database.number(waiting).await >= i64::try_from(50 - 2 * PER_ENDPOINT).expect("a few"),
        "the other one hung throughout"
    );
}

/// The number of hanging endpoints equals the number of slots.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_hanging_endpoints_do_not_block_another_one() {
    let app = start_app(&[("WEBHOOK_CONCURRENCY", "16")]).await;
    let scene = Scene::new(&app).await;
    let mut hanging = Vec::new();
    for _ in 0..16 {
        let receiver = Hanging::start().await;
        register_endpoint(&scene, receiver.url.clone()).await;
        hanging.push(receiver);
    }
    make_tickets(&scene, 50).await;
    for receiver in &hanging {
        receiver.holds(PER_ENDPOINT).await;
    }
    a_healthy_receiver_is_served(&scene).await;
    for receiver in &hanging {
        assert_eq!(receiver.most.load(Ordering::SeqCst), PER_ENDPOINT, "one run at a time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_do_not_block_payments() {
    let one_slot = [("IMPORT_CONCURRENCY", "1"), ("JOBS_CONCURRENCY", "1"), ("PAYMENT_RETRY_WAIT", "100ms")];
    let app = start_app(&one_slot).await;
    let scene = Scene::new(&app).await;
    // An import cannot continue while this lock is held.
    let keeper = connect(&app.database.url).await;
    keeper.batch_execute("BEGIN; LOCK TABLE activities IN SHARE ROW EXCLUSIVE MODE").await.expect("locked");
    for _ in 0..2 {
        let import = json!({ "accountId": scene.account(), "file": file("subject,body\nOne,Two\n") });
        scene.cast.agent.rest("TicketService.ImportTickets", import).await.success();
    }
    app.database.locks_waited_for(1).await;
    let payment = payment::unknown(&scene).await.id();
    wait_for_count(&app.database, "SELECT count(*) FROM payments WHERE status = 2", 1).await;
    let waiting = "SELECT count(*) FROM operations WHERE state < 3";
    assert_eq!(app.database.number(waiting).await, 2, "{payment} was settled before any import finished");
    keeper.batch_execute("ROLLBACK").await.expect("unlocked");
    wait_for_count(&app.database, waiting, 0).await;
}
