//! Redis dies during a run: the server keeps answering, and each instance enforces its share of the limits.

use std::time::Duration;

use chrono::TimeDelta;
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use crate::{
    cases::draft,
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, actor::sign_in, eventually},
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

    // Writes still work, and so do sessions, which are in Postgres.
    who.rest("TicketService.CreateTicket", draft()).await.success();
    let again = json!({ "refreshToken": pair.text("/data/refreshToken") });
    who.rest("AuthService.Refresh", again).await.success();
    // The customer's reads are used up, so another caller reads.
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        cast.colleague.call(protocol, "SessionService.ListSessions", json!({})).await.success();
    }
    sign_in(&app.endpoint, cast.customer.as_user()).await.success();
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
        assert!(since.elapsed() < Duration::from_secs(60), "the app does not notice that Redis is back");
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

/// Sessions continue, begin and end in Postgres; the limits on sign-in count there, too.
#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_stay_signed_in_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) = TestApp::builder().set("REDIS_URL", redis.url()).start_with_cast().await;
    let (user, anonymous) = (cast.customer.as_user(), Actor::anonymous(&app.endpoint));
    let refresh = async |pair: &Response, protocol: Protocol| {
        let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
        anonymous.call(protocol, "AuthService.Refresh", request).await
    };
    let earlier = sign_in(&app.endpoint, user).await.success();
    redis.crash();
    let mut pairs = vec![earlier, sign_in(&app.endpoint, user).await.success()];
    for protocol in PROTOCOLS.into_iter().take(2) {
        for pair in &mut pairs {
            *pair = refresh(pair, protocol).await.success();
            let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
            let me = me.call(protocol, "UserService.GetMe", json!({})).await.success();
            assert_eq!(me.text("/data/email"), user.email);
        }
    }
    let list = Actor::bearer(&app.endpoint, pairs[0].text("/data/accessToken"));
    let list = list.rest("SessionService.ListSessions", json!({})).await.success();
    assert_eq!(list.data().as_array().map(Vec::len), Some(2), "{list:#?}");
    for pair in &pairs {
        let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
        me.rest("AuthService.Logout", json!({})).await.success();
        refresh(pair, Protocol::Rest).await.failure("SESSION_REVOKED");
    }
    let wrong = json!({ "email": user.email, "password": "not this one" });
    anonymous.rest("AuthService.Login", wrong).await.failure("INVALID_CREDENTIALS");
}

/// The known networks of all users are in Redis, so that each sign-in would cause a mail about an unknown one.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_without_redis_is_not_reported_by_mail() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) = TestApp::builder().set("REDIS_URL", redis.url()).start_with_cast().await;
    let (user, reports) = (cast.customer.as_user(), "SELECT count(*) FROM mails");
    sign_in(&app.endpoint, user).await.success();
    // The first sign-in of a new user is never reported.
    app.app.clock.advance(TimeDelta::days(2));
    redis.crash();
    sign_in(&app.endpoint, user).await.success();
    assert_eq!(app.database.number(reports).await, 0);
}
