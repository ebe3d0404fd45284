//! `kill -9` before or after each phase, then a restart, after which either the retry or the job finishes the work.

use std::{os::unix::process::ExitStatusExt as _, sync::Arc};

use nix::sys::signal::Signal;

use super::{
    CANCEL, CREATE, FakeGateway, agrees, call_until_final, cancel, create_subscription, deliver, event,
    subscription_request,
};
use crate::{
    cases::Scene,
    payment::process,
    support::{Protocol, TestDatabase, eventually},
};

/// The first process to run after the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Retry,
    Job,
}

/// Kills a server at `point` of a create. `intended`: whether the intent is committed by then.
async fn kill_create_at(point: &str, intended: bool, first: First) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let healthy = process(&database, &gateway, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let request = subscription_request(&scene).await;
    scene.cast.customer.token().await;
    let fault = format!("{point}=kill");
    let mut doomed = process(&database, &gateway, &[("MAINSTAY_FAULTS", &fault), ("JOBS_IN_SERVE", "false")]).await;
    let response = scene.cast.customer.at(&doomed.endpoint).keyed(Protocol::Rest, CREATE, request.clone(), "one").await;
    assert_eq!(response.status, 0, "the caller got a response: {response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let count = database.number("SELECT count(*) FROM subscriptions").await;
    assert_eq!(count, i64::from(intended), "after the kill at {point}");

    let restarted = process(&database, &gateway, &[]).await;
    if first == First::Job {
        assert_eq!(gateway.settled_books(&database).await, usize::from(intended), "the job alone, after {point}");
    }
    let customer = scene.cast.customer.at(&restarted.endpoint);
    let retried = call_until_final(&customer, Protocol::Grpc, CREATE, &request, "one").await.success();
    assert_eq!((retried.status, retried.is_replayed()), (201, intended), "the retry after {point}");
    assert_eq!(retried.text("/data/status"), "SUBSCRIPTION_STATUS_ACTIVE");
    assert_eq!(gateway.settled_books(&database).await, 1, "one payment after {point}");
    assert_eq!(gateway.objects("subscription").len(), 1, "one subscription after {point}");
    assert_eq!(gateway.objects("customer").len(), 1, "one customer after {point}");
}

/// Does the same as [`kill_create_at`], for a cancellation.
async fn kill_cancel_at(point: &str, first: First) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let healthy = process(&database, &gateway, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let request = cancel(&create_subscription(&scene).await.id(), false);
    let fault = format!("{point}=kill");
    let mut doomed = process(&database, &gateway, &[("MAINSTAY_FAULTS", &fault), ("JOBS_IN_SERVE", "false")]).await;
    let response = scene.cast.customer.at(&doomed.endpoint).keyed(Protocol::Grpc, CANCEL, request.clone(), "one").await;
    assert!(!response.reason.is_empty(), "{response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());

    let restarted = process(&database, &gateway, &[]).await;
    if first == First::Job {
        gateway.settled_books(&database).await;
        assert_eq!(gateway.objects("subscription")[0]["status"], "canceled", "the job alone, after {point}");
    }
    let customer = scene.cast.customer.at(&restarted.endpoint);
    let retried = call_until_final(&customer, Protocol::Rest, CANCEL, &request, "one").await.success();
    assert_eq!((retried.status, retried.text("/data/status").as_str()), (200, "SUBSCRIPTION_STATUS_CANCELLED"));
    assert_eq!(gateway.settled_books(&database).await, 1);
}

/// A worker that dies while processing an event's job leaves the job to the next worker.
async fn kill_sync_at(point: &str) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let idle = process(&database, &gateway, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&idle, &database).await;
    let id = create_subscription(&scene).await.id();
    let renewed = gateway.change_subscription(&id, "renewed").await;
    deliver(&scene, &event("customer.subscription.updated", &renewed)).await;
    let fault = format!("{point}=kill");
    let mut doomed = process(&database, &gateway, &[("MAINSTAY_FAULTS", &fault)]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let _next = process(&database, &gateway, &[]).await;
    // The dead worker's job is retried after a delay, which this skips.
    eventually("the subscription matches the gateway", async || {
        let due = "UPDATE jobs SET due_at = now() WHERE lease IS NULL";
        database.sql(due).await;
        super::stored_state(&database, &id).await == super::state_at_gateway(&renewed)
    })
    .await;
    agrees(&database, &id, &renewed).await;
    assert_eq!(gateway.settled_books(&database).await, 2);
}

macro_rules! kills {
    ($($name:ident: $kill:ident($($argument:expr),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $kill($($argument),*).await;
        }
    )*};
}

kills! {
    create_after_the_claim: kill_create_at("claim.after", false, First::Retry);
    create_before_the_intent_commits: kill_create_at("commit.before", false, First::Retry);
    create_after_the_intent_committed: kill_create_at("commit.after", true, First::Retry);
    create_before_the_gateway_and_nobody_asks_again: kill_create_at("gateway.before", true, First::Job);
    create_after_the_customer: kill_create_at("customer.after", true, First::Retry);
    create_after_the_customer_and_nobody_asks_again: kill_create_at("customer.after", true, First::Job);
    create_after_the_gateway: kill_create_at("gateway.after", true, First::Retry);
    create_after_the_gateway_and_nobody_asks_again: kill_create_at("gateway.after", true, First::Job);
    create_before_the_outcome_commits: kill_create_at("outcome.before_commit", true, First::Retry);
    create_before_the_outcome_commits_and_nobody_asks_again: kill_create_at("outcome.before_commit", true, First::Job);
    create_after_the_outcome_committed: kill_create_at("outcome.after", true, First::Retry);
    cancel_before_the_gateway: kill_cancel_at("gateway.before", First::Job);
    cancel_after_the_gateway: kill_cancel_at("gateway.after", First::Retry);
    cancel_after_the_gateway_and_nobody_asks_again: kill_cancel_at("gateway.after", First::Job);
    cancel_before_the_outcome_commits: kill_cancel_at("outcome.before_commit", First::Retry);
    cancel_after_the_outcome_committed: kill_cancel_at("outcome.after", First::Retry);
    sync_before_the_gateway: kill_sync_at("sync.before");
    sync_after_the_gateway: kill_sync_at("sync.after");
}
