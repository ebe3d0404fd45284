//! Reasons for too much data, too much time, and too many concurrent requests.

use std::time::{Duration, Instant};

use mainstay::proto::identity::v1::{GetMeRequest, user_service_client::UserServiceClient};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic_types::StatusExt as _;

use super::coverage::ReasonCoverage;
use crate::{
    cases::{Scene, draft, subscription::create_subscription, ticket},
    support::{PROTOCOLS, Protocol, TestApp, database::connect, eventually, method},
};

#[tokio::test]
async fn rate_limit_exceeded() {
    let (app, cast) = TestApp::builder().set("RATE_LIMIT_READ", "2/1h").start_with_cast().await;
    let mut last = None;
    for _ in 0..4 {
        last = Some(cast.customer.rest("UserService.GetMe", json!({})).await);
    }
    let mut coverage = ReasonCoverage::of("RATE_LIMIT_EXCEEDED");
    let response = coverage.failure(Protocol::Rest, last.expect("an answer"));
    assert!(response.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok()).is_some_and(|s| s >= 1));
    assert!(response.header("ratelimit").is_some_and(|value| value.contains("r=0")), "{response:#?}");
    let through = cast.customer.call(Protocol::Envoy, "UserService.GetMe", json!({})).await;
    assert!(coverage.failure(Protocol::Envoy, through).header("retry-after").is_some());
    let native = cast.customer.call(Protocol::Grpc, "UserService.GetMe", json!({})).await;
    let native = coverage.failure(Protocol::Grpc, native);
    assert!(native.header("retry-after").is_some());
    let mut request = tonic::Request::new(GetMeRequest::default());
    let token = format!("Bearer {}", cast.customer.token().await.expect("a token"));
    request.metadata_mut().insert("authorization", token.parse().expect("a value"));
    let status = UserServiceClient::new(app.endpoint.channel.clone()).get_me(request).await.expect_err("too many");
    let quota = status.get_details_quota_failure().expect("details");
    assert_eq!(quota.violations.iter().map(|of| of.subject.as_str()).collect::<Vec<_>>(), ["read"]);
    assert_eq!(native.text("/error/metadata/policy"), "read");
    cast.colleague.rest("UserService.GetMe", json!({})).await.success();
}

/// The transaction lock that a running request holds on its key.
fn lock(principal: uuid::Uuid, key: &str) -> i64 {
    let path = &method("TicketService.UpdateTicket").path;
    let scope = Sha256::new().chain_update(principal.as_bytes()).chain_update(path).chain_update([0]).chain_update(key);
    i64::from_be_bytes(scope.finalize()[..8].try_into().expect("8 of 32 bytes"))
}

#[tokio::test]
async fn idempotency_in_progress() {
    let (app, cast) = TestApp::start_with_cast().await;
    let request = json!({ "ticketId": ticket(&cast.customer).await, "ticket": { "subject": "Another" } });
    let other = connect(&app.database.url).await;
    let lock = lock(cast.customer.as_user().id, "one");
    other.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})")).await.expect("the lock");
    let mut coverage = ReasonCoverage::of("IDEMPOTENCY_IN_PROGRESS");
    for protocol in PROTOCOLS {
        // A request that waited for the lock would exceed its deadline, which is another reason.
        let call = cast.customer.keyed(protocol, "TicketService.UpdateTicket", request.clone(), "one").await;
        assert!(coverage.failure(protocol, call).header("retry-after").is_some());
    }
    other.batch_execute("COMMIT").await.expect("the lock goes");
    cast.customer.keyed(Protocol::Rest, "TicketService.UpdateTicket", request, "one").await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let mut coverage = ReasonCoverage::of("CONFLICT");
    for protocol in PROTOCOLS {
        let other = connect(&app.database.url).await;
        // The request holds its key's lock and waits for the ticket; the other transaction holds the ticket and waits for
        // the key's lock. The other transaction also checks for deadlocks later, so Postgres aborts the request.
        let hold = format!("SET deadlock_timeout = '30s'; BEGIN; SELECT id FROM tickets WHERE id = '{id}' FOR UPDATE");
        other.batch_execute(&hold).await.expect("the ticket");
        let request = json!({ "ticketId": id, "ticket": { "subject": "Another" } });
        let customer = cast.customer.clone();
        let ours =
            tokio::spawn(async move { customer.keyed(protocol, "TicketService.UpdateTicket", request, "one").await });
        app.database.locks_waited_for(1).await;
        let wait = format!("SELECT pg_advisory_xact_lock({})", lock(cast.customer.as_user().id, "one"));
        let theirs = tokio::spawn(async move { other.batch_execute(&wait).await.map(|()| other) });
        coverage.failure(protocol, ours.await.expect("no panic"));
        theirs.await.expect("no panic").expect("theirs goes on");
    }
}

#[tokio::test]
async fn deadline_exceeded() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let other = connect(&app.database.url).await;
    other
        .batch_execute(&format!("BEGIN; SELECT id FROM tickets WHERE id = '{id}' FOR UPDATE"))
        .await
        .expect("the ticket");
    let request = json!({ "ticketId": id });
    let mut coverage = ReasonCoverage::of("DEADLINE_EXCEEDED");
    for (protocol, header) in [
        (Protocol::Rest, ("x-request-timeout", "0.2")),
        (Protocol::Envoy, ("x-request-timeout", "0.2")),
        (Protocol::Grpc, ("grpc-timeout", "200m")),
    ] {
        // The caller's deadline applies, and not the two seconds of the method. On a busy machine, one fast response
        // of several proves it.
        eventually("the caller's deadline ends the call", async || {
            let since = Instant::now();
            let call =
                cast.customer.call_with(protocol, "TicketService.ResolveTicket", request.clone(), &[header]).await;
            // Tonic's gRPC client enforces the deadline too, and may time out first.
            let by_client = protocol == Protocol::Grpc && call.reason.contains("Timeout expired");
            coverage.code(protocol, if by_client { "DEADLINE_EXCEEDED" } else { &call.reason });
            since.elapsed() < Duration::from_millis(1500)
        })
        .await;
    }
    // The statement is canceled in Postgres too.
    app.database.locks_waited_for(0).await;
    other.batch_execute("ROLLBACK").await.expect("the ticket goes");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets WHERE status = 3").await, 0);
}

#[tokio::test]
async fn overloaded() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("MAX_IN_FLIGHT", "1")).await;
    let cast = &scene.cast;
    // The method's deadline of 20 seconds leaves the other calls their time.
    let id = create_subscription(&scene).await.id();
    let other = connect(&app.database.url).await;
    other
        .batch_execute(&format!("BEGIN; SELECT id FROM subscriptions WHERE id = '{id}' FOR UPDATE"))
        .await
        .expect("the subscription");
    let customer = cast.customer.clone();
    let stuck = tokio::spawn(async move {
        let request = json!({ "subscriptionId": id, "atPeriodEnd": true });
        customer.rest("SubscriptionService.CancelSubscription", request).await
    });
    app.database.locks_waited_for(1).await;
    let since = Instant::now();
    let calls = PROTOCOLS.map(|protocol| cast.customer.call(protocol, "TicketService.CreateTicket", draft()));
    let mut coverage = ReasonCoverage::of("OVERLOADED");
    for (protocol, answer) in PROTOCOLS.into_iter().zip(futures_util::future::join_all(calls).await) {
        assert!(coverage.failure(protocol, answer).header("retry-after").is_some());
    }
    assert!(since.elapsed() >= Duration::from_millis(900), "callers that come back at once are slowed");
    assert_eq!(app.endpoint.get("/livez").await.status, 200, "health is never refused");
    let customer = cast.customer.clone();
    let patient = tokio::spawn(async move { customer.rest("TicketService.CreateTicket", draft()).await });
    other.batch_execute("ROLLBACK").await.expect("the subscription goes");
    stuck.await.expect("no panic").success();
    patient.await.expect("no panic").success();
}
