//! A sender that dies between the receiver's answer and its own record of it, and concurrent senders.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _, sync::Arc, time::Duration};

use nix::sys::signal::Signal;

use super::{create_endpoint, wait_for_delivery};
use crate::{
    cases::Scene,
    support::{Process, TestDatabase, eventually, receiver::Receiver},
};

async fn process(database: &TestDatabase, own: &[(&str, &str)]) -> Process {
    let mut all = vec![("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_FIRST_WAIT", "1ms")];
    all.extend(own);
    Process::with(database, &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_received_but_not_recorded_is_sent_again() {
    let database = Arc::new(TestDatabase::new().await);
    let healthy = process(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    scene.ticket().await;
    let mut doomed = process(&database, &[("MAINSTAY_FAULTS", "webhook.sent=kill")]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(receiver.wait_for(1).await.len(), 1, "it was received");
    let query = "SELECT (SELECT count(*) FROM webhook_deliveries WHERE state = 1 AND attempts = 0) * 10
                   + (SELECT count(*) FROM webhook_attempts)";
    assert_eq!(database.number(query).await, 10, "one delivery, and nothing recorded");

    let _restarted = process(&database, &[]).await;
    let delivery = wait_for_delivery(&scene, &id, "DELIVERED").await;
    let deliveries = receiver.wait_for(2).await;
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");
    assert!(
        deliveries.iter().all(|one| one.header("webhook-id") == delivery["eventId"]),
        "the event id differs: {deliveries:?}"
    );
    assert_eq!(deliveries[0].body, deliveries[1].body);
    assert_eq!(delivery["attemptCount"], 1, "{delivery}");
    assert_eq!(database.number("SELECT count(*) FROM webhook_deliveries").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_after_a_failed_attempt_does_not_lose_the_next_one() {
    let database = Arc::new(TestDatabase::new().await);
    let healthy = process(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let receiver = Receiver::answering(&[500, 204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    scene.ticket().await;
    // The next attempt is a job that is due later than the dead worker is detected.
    let far = [("MAINSTAY_FAULTS", "webhook.recorded=kill"), ("WEBHOOK_FIRST_WAIT", "1h")];
    let mut doomed = process(&database, &far).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 1 AND attempts = 1";
    assert_eq!(database.number(waiting).await, 1, "the failure is recorded");

    let _restarted = process(&database, &[]).await;
    let query = "SELECT count(*) FROM jobs WHERE lease IS NOT NULL";
    eventually("the dead worker's jobs are released", async || database.number(query).await == 0).await;
    assert_eq!(database.number(waiting).await, 1, "it is still pending");
    database.sql("UPDATE jobs SET due_at = now()").await;
    let delivery = wait_for_delivery(&scene, &id, "DELIVERED").await;
    assert_eq!(delivery["attemptCount"], 2, "{delivery}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_do_not_send_the_same_delivery() {
    let database = Arc::new(TestDatabase::new().await);
    let quiet = process(&database, &[("JOBS_IN_SERVE", "false"), ("OPEN_TICKET_LIMIT", "100")]).await;
    let scene = Scene::at(&quiet, &database).await;
    // Slow enough for the second worker to arrive while the first one is sending.
    let receiver = Receiver::slow(&[204], Duration::from_millis(300)).await;
    create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    for _ in 0..40 {
        scene.ticket().await;
    }
    assert_eq!(database.number("SELECT count(*) FROM webhook_deliveries").await, 40);
    let (_one, _other) = tokio::join!(process(&database, &[]), process(&database, &[]));
    let undelivered = "SELECT count(*) FROM webhook_deliveries WHERE state <> 2";
    eventually("everything is delivered", async || database.number(undelivered).await == 0).await;
    let mut counts = BTreeMap::<_, usize>::new();
    for delivery in receiver.deliveries() {
        *counts.entry(delivery.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), 40);
    assert!(counts.values().all(|times| *times == 1), "{counts:?}");
    assert_eq!(database.number("SELECT count(*) FROM webhook_attempts").await, 40);
}
