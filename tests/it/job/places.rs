//! Deliveries to receivers that hang take places of their own, so what moves money or imports files does not wait for
//! them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::{
    cases::{Scene, file, payment},
    support::{Door, TestApp},
};

/// A receiver that takes requests and never answers.
struct Hanging {
    url: String,
    held: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Hanging {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (held, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (now, peak) = (held.clone(), most.clone());
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
        Self { url, held, most }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_deliveries_that_hang_hold_up_neither_imports_nor_payments() {
    // One place for everything else: were it taken by one delivery alone, nothing would run for ten seconds, and for
    // eight minutes by all of them.
    let app = TestApp::builder()
        .set("WEBHOOK_ALLOW_PRIVATE", "true")
        .set("WEBHOOK_FIRST_WAIT", "1d")
        .set("WEBHOOK_CONCURRENCY", "3")
        .set("JOBS_CONCURRENCY", "1")
        .set("PAYMENT_RETRY_WAIT", "100ms")
        .with_jobs()
        .start()
        .await;
    let scene = Scene::new(&app).await;
    let receiver = Hanging::start().await;
    let endpoint = json!({ "url": receiver.url, "eventTypes": ["WEBHOOK_EVENT_TYPE_TICKET_CREATED"], "accountId": scene.account() });
    scene.cast.admin.call(Door::Rest, "WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.good();
    let one = json!({ "accountId": scene.account(), "subject": "One", "body": "Text" });
    let fifty = json!({ "tickets": vec![one; 50] });
    scene.cast.agent.call(Door::Rest, "TicketService.BatchCreateTickets", fifty).await.good();
    let since = Instant::now();
    while receiver.held.load(Ordering::SeqCst) < 3 {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is delivered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let import = json!({ "accountId": scene.account(), "file": file("subject,body\nOne,Two\n") });
    let import = scene.cast.agent.call(Door::Rest, "TicketService.ImportTickets", import).await.good().id();
    let payment = payment::unknown(&scene).await.id();
    let done =
        "SELECT (SELECT count(*) FROM operations WHERE state = 3) + (SELECT count(*) FROM payments WHERE status = 2)";
    let since = Instant::now();
    while app.database.number(done).await < 2 {
        assert!(since.elapsed() < Duration::from_secs(60), "{import} or {payment} waits for the receiver");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 1 AND attempts = 0";
    assert!(app.database.number(waiting).await > 3, "the receiver was waited for all the while");
    assert_eq!(receiver.most.load(Ordering::SeqCst), 3, "in no more places than there are");
}
