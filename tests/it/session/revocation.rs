//! An access token ends with its session, on every instance.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{caller, new_session, refresh};
use crate::support::{Protocol, Response, TestApp, eventually};

pub(crate) async fn two_instances() -> (TestApp, TestApp) {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    (here, there)
}

/// Uses an access token on each instance, so that each has it in its cache.
pub(crate) async fn use_token(apps: [&TestApp; 2], pair: &Response) {
    for app in apps {
        caller(app, pair).rest("UserService.GetMe", json!({})).await.success();
    }
}

/// The connections on which instances have polled for revocations within `MAX_STALENESS`. An instance that does not poll
/// for that long checks each token in Postgres, and would also reject a revoked one.
const POLLING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND query LIKE 'SELECT subject, epoch, kept_session_id FROM revocations%' AND state_change > now() - interval '3 s'";

/// Waits until both instances poll for revocations.
pub(crate) async fn wait_until_both_poll(app: &TestApp) {
    eventually("both instances poll for revocations", async || app.database.number(POLLING).await >= 2).await;
}

/// Waits until an access token is rejected by an instance that polls.
pub(crate) async fn wait_until_refused(app: &TestApp, pair: &Response) {
    eventually("the access token is refused", async || {
        let answer = caller(app, pair).rest("UserService.GetMe", json!({})).await;
        answer.reason == "SESSION_REVOKED"
    })
    .await;
    wait_until_both_poll(app).await;
}

/// Asserts that changes at one instance reach the other within a second. `change` makes one and waits until it has an effect. A
/// busy machine may delay some changes, and a slow poll delays all of them but for the first: each begins when the poll before it
/// has ended. The second after the first is for the requests of the test: polls of two seconds or more are noticed.
pub(crate) async fn assert_within_a_second(app: &TestApp, mut change: impl AsyncFnMut(usize)) {
    wait_until_both_poll(app).await;
    change(0).await;
    let mut fastest = Duration::MAX;
    for number in 1..CHANGES {
        let since = Instant::now();
        change(number).await;
        fastest = fastest.min(since.elapsed());
    }
    assert!(fastest < Duration::from_secs(2), "the fastest change took {fastest:?}");
}

/// The number of changes of [`assert_within_a_second`].
pub(crate) const CHANGES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_access_token_elsewhere_within_a_second() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let mut pairs = Vec::new();
    for _ in 0..CHANGES {
        pairs.push(new_session(&here, &cast.customer).await);
    }
    for pair in &pairs {
        use_token([&here, &there], pair).await;
    }
    assert_within_a_second(&there, async |number| {
        let pair = &pairs[number];
        caller(&here, pair).call(Protocol::Grpc, "AuthService.Logout", json!({})).await.success();
        eventually("the access token is refused", async || {
            let answer = caller(&there, pair).rest("UserService.GetMe", json!({})).await;
            answer.reason == "SESSION_REVOKED"
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_access_token() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let (pair, other) = (new_session(&here, &cast.customer).await, new_session(&here, &cast.customer).await);
    for pair in [&pair, &other] {
        use_token([&here, &there], pair).await;
    }
    caller(&here, &pair).call(Protocol::Grpc, "AuthService.Logout", json!({})).await.success();
    caller(&here, &pair).rest("UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    wait_until_refused(&there, &pair).await;
    use_token([&here, &there], &other).await;
    // An instance that starts later knows it too.
    let later = TestApp::builder().on(&here.database).start().await;
    caller(&later, &pair).rest("UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_ends_its_access_token() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let (mine, other) = (new_session(&here, &cast.customer).await, new_session(&here, &cast.customer).await);
    use_token([&here, &there], &other).await;
    let request = json!({ "sessionId": other.text("/data/sessionId") });
    // Only its user can end the session.
    let stranger = new_session(&here, &cast.stranger).await;
    let response = caller(&here, &stranger).rest("SessionService.RevokeSession", request.clone()).await;
    response.failure("NOT_FOUND");
    use_token([&here, &there], &other).await;
    caller(&here, &mine).rest("SessionService.RevokeSession", request).await.success();
    for app in [&here, &there] {
        wait_until_refused(app, &other).await;
    }
    use_token([&here, &there], &mine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_ends_the_access_tokens_of_its_session() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let (stolen, other) = (new_session(&here, &cast.customer).await, new_session(&here, &cast.customer).await);
    let next = refresh(&here, &stolen, 0).await.success();
    let latest = refresh(&here, &next, 1).await.success();
    for pair in [&latest, &other] {
        use_token([&here, &there], pair).await;
    }
    refresh(&here, &stolen, 0).await.failure("SESSION_REVOKED");
    wait_until_refused(&here, &latest).await;
    wait_until_refused(&there, &latest).await;
    use_token([&here, &there], &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_ends_the_access_tokens_of_the_old_one() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let pair = new_session(&here, &cast.customer).await;
    use_token([&here, &there], &pair).await;
    let request = json!({ "userId": cast.customer.as_user().id.to_string(), "role": "ROLE_AGENT" });
    cast.admin.rest("UserService.SetUserRole", request).await.success();
    wait_until_refused(&there, &pair).await;
}
