//! Reasons for a watch that is rejected or ends.

use chrono::TimeDelta;
use mainstay_kernel::{
    changes::{Cursor, Snapshot},
    clock::Clock,
};
use serde_json::json;

use super::coverage::ReasonCoverage;
use crate::{
    cases::ticket,
    support::{PROTOCOLS, Protocol, TestApp, eventually, method},
    watch::{Reader, TICKETS, WatchEvent, change_of, token},
};

#[tokio::test(flavor = "multi_thread")]
async fn resume_token_expired() {
    let (app, cast) = TestApp::start_with_cast().await;
    let sealed = |minutes| {
        let then = Clock::default().now() - TimeDelta::minutes(minutes);
        let snapshot = Snapshot::parse("5:5:", then).expect("a snapshot");
        app.app.resume_tokens.seal(&Cursor::whole(snapshot), &method(TICKETS).path)
    };
    let mut coverage = ReasonCoverage::of("RESUME_TOKEN_EXPIRED");
    for protocol in PROTOCOLS {
        let request = json!({ "resumeToken": sealed(61) });
        let answer = cast.customer.call(protocol, TICKETS, request).await;
        assert_eq!(coverage.failure(protocol, answer).status, 410);
        let reason = Reader::try_open(&cast.customer, protocol, TICKETS, &sealed(61)).await.err();
        assert_eq!(reason.as_deref(), Some("RESUME_TOKEN_EXPIRED"), "{protocol:?}: as Last-Event-ID");
        assert!(Reader::try_open(&cast.customer, protocol, TICKETS, &sealed(59)).await.is_ok(), "{protocol:?}");
    }
}

/// Changes that a caller does not read stay in Postgres instead of the server's memory, and the caller resumes.
#[tokio::test(flavor = "multi_thread")]
async fn watch_lagged() {
    const CHANGES: usize = 90_000;

    // A busy machine may leave the connection unread for longer than the default.
    let (app, cast) = TestApp::builder().set("WRITE_TIMEOUT", "10m").start_with_cast().await;
    let mut slow = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    let mut last = token(&slow.message().await);
    let many = format!(
        "INSERT INTO changes (topic, resource_id, account_id, version, is_deleted)
         SELECT 'support.ticket', gen_random_uuid(), '{}', 1, true FROM generate_series(1, {CHANGES})",
        cast.customer.as_user().account
    );
    app.database.sql(&many).await;
    // Another caller, who reads, is not affected.
    let mut quick = Reader::open(&cast.customer, Protocol::Rest, TICKETS, "").await;
    let id = ticket(&cast.customer).await;
    while change_of(&quick.item().await).0 != id {}
    let mut ids = std::collections::HashSet::new();
    let mut lagged = ReasonCoverage::of("WATCH_LAGGED");
    while ids.len() < CHANGES + 1 {
        match slow.next().await {
            WatchEvent::Message(message) if message.as_object().is_some_and(|message| message.len() > 1) => {
                assert!(ids.insert(change_of(&message).0), "came twice");
                last = token(&message);
            }
            WatchEvent::Message(_) => {}
            WatchEvent::Failed(reason) => {
                lagged.code(Protocol::Grpc, &reason);
                slow = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, &last).await;
            }
            WatchEvent::End => panic!("it ended without a reason"),
        }
    }
}

async fn metric(app: &TestApp, name: &str) -> f64 {
    let text = app.private.get("/metrics").await;
    let text = text.body.as_str().expect("text").to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Watches are counted, and a caller who disconnects frees its place.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_watches() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut watches = Vec::new();
    for _ in 0..32 {
        watches.push(Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await);
    }
    let mut coverage = ReasonCoverage::of("TOO_MANY_WATCHES");
    for protocol in PROTOCOLS {
        let reason = Reader::try_open(&cast.customer, protocol, TICKETS, "").await.err();
        coverage.code(protocol, &reason.expect("one too many"));
    }
    Reader::open(&cast.colleague, Protocol::Rest, TICKETS, "").await.message().await;
    assert!(metric(&app, "mainstay_watches").await >= 32.0);
    drop(watches);
    eventually("a place is free", async || Reader::try_open(&cast.customer, Protocol::Grpc, TICKETS, "").await.is_ok())
        .await;
    let name = "mainstay_watches_ended_total{outcome=\"left\"}";
    eventually("they are counted", async || metric(&app, name).await >= 32.0).await;
}
