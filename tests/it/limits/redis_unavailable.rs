//! Redis dies during a run: the server keeps answering, and each instance enforces its share of the limits.

use std::time::Duration;

use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use crate::{
    cases::draft,
    support::{Actor, PROTOCOLS, Protocol, TestApp, actor::sign_in, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_when_redis_dies() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = TestApp::builder()
        .set("REDIS_URL", redis.url())
        .set("RATE_LIMIT_READ", "80/1h")
        .set("INSTANCES", "2")
        .start()
        .await;
    let cast = app.cast().await;
    let pair = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    let who = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    cast.colleague.token().await.expect("a token");
    let mut count = 0;
    for number in 0..100 {
        if number == 5 {
            redis.crash();
        }
        let answer = who.call(PROTOCOLS[number % 2], "UserService.GetMe", json!({})).await;
        match answer.reason.as_str() {
            "" => count += 1,
            "RATE_LIMIT_EXCEEDED" => {}
            other => panic!("request {number}: {other}\n{answer:#?}"),
        }
    }
    // The burst is a quarter of the quota. Redis admitted five, and each of the two instances gets half of the rest.
    assert!((10..=20).contains(&count), "{count}");

    // Writes still work; session operations report that they are unavailable.
    who.call(Protocol::Rest, "TicketService.CreateTicket", draft()).await.success();
    let refresh = who
        .call(Protocol::Rest, "AuthService.Refresh", json!({ "refreshToken": pair.text("/data/refreshToken") }))
        .await;
    assert!(refresh.clone().failure("UNAVAILABLE").header("retry-after").is_some(), "{refresh:#?}");
    // The customer's reads are used up, so another caller reads.
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        let listed = cast.colleague.call(protocol, "SessionService.ListSessions", json!({})).await;
        let listed = listed.failure("UNAVAILABLE");
        assert!(listed.header("retry-after").is_some(), "{listed:#?}");
    }
    let sign_in_refused = sign_in(&app.endpoint, cast.customer.as_user()).await.failure("UNAVAILABLE");
    assert!(sign_in_refused.header("retry-after").is_some(), "{sign_in_refused:#?}");
    assert_eq!(app.endpoint.get("/readyz").await.status, 200);
    let health = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
    assert_eq!(health.status(), 503);
    assert!(health.text().await.expect("a text").contains("\"redis\":\"unavailable\""));

    redis.restart().await.expect("it comes back");
    let since = std::time::Instant::now();
    loop {
        let health = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
        if health.status() == 200 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "the app does not notice that Redis is back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sign_in(&app.endpoint, cast.customer.as_user()).await.success();
}

/// No request reports that Redis is unavailable, because there is none.
#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_an_idle_instance_notices_that_redis_is_gone() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = TestApp::builder().set("REDIS_URL", redis.url()).start().await;
    let status = async || {
        let report = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
        report.status().as_u16()
    };
    assert_eq!(status().await, 200);
    redis.crash();
    eventually("the report says that Redis is unavailable", async || status().await == 503).await;
    redis.restart().await.expect("it comes back");
    eventually("the report says that Redis is back", async || status().await == 200).await;
}
