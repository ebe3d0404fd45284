//! Sign-in attempts are limited per address and per e-mail, with or without Redis.

use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use crate::support::{Answer, PROTOCOLS, Protocol, TestApp, people::User};

const TRIES: usize = 5;

async fn start_app(redis: &Redis) -> TestApp {
    let builder = TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_LOGIN", "5/15m");
    builder.set("TRUSTED_PROXY_HOPS", "1").start().await
}

async fn try_password(app: &TestApp, protocol: Protocol, user: &User, password: &str, address: &str) -> Answer {
    let request = json!({ "email": user.email, "password": password });
    let nobody = crate::support::Actor::anonymous(&app.endpoint);
    nobody.call_with(protocol, "AuthService.Login", request, &[("x-forwarded-for", address)]).await
}

#[tokio::test]
async fn attempts_on_one_account_from_many_addresses_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.who();
    for number in 0..TRIES {
        let address = format!("192.0.2.{number}");
        try_password(&app, PROTOCOLS[number % 2], user, "a wrong password", &address)
            .await
            .refused("INVALID_CREDENTIALS");
    }
    // Accepting the right password would confirm it to a guesser.
    let refused = try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.99").await;
    assert!(refused.refused("RATE_LIMIT_EXCEEDED").header("retry-after").is_some());
    try_password(&app, Protocol::Grpc, user, &user.password, "192.0.2.98").await.refused("RATE_LIMIT_EXCEEDED");
    let other = cast.colleague.who();
    try_password(&app, Protocol::Rest, other, &other.password, "192.0.2.97").await.good();
}

#[tokio::test]
async fn attempts_on_many_accounts_from_one_address_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    for number in 0..TRIES {
        let cast = app.cast().await;
        let user = cast.customer.who();
        try_password(&app, PROTOCOLS[number % 2], user, "a wrong password", "192.0.2.7")
            .await
            .refused("INVALID_CREDENTIALS");
    }
    let cast = app.cast().await;
    let user = cast.customer.who();
    try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.7").await.refused("RATE_LIMIT_EXCEEDED");
    // An entry in front of the one from the deployment's own proxy is only the caller's claim.
    try_password(&app, Protocol::Rest, user, &user.password, "203.0.113.1, 192.0.2.7")
        .await
        .refused("RATE_LIMIT_EXCEEDED");
    try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.8").await.good();
}

#[tokio::test]
async fn postgres_counts_attempts_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.who();
    redis.crash();
    let mut reasons = Vec::new();
    for number in 0..TRIES + 3 {
        let address = format!("192.0.2.{number}");
        reasons.push(try_password(&app, PROTOCOLS[number % 2], user, "a wrong password", &address).await.reason);
    }
    let tried = reasons.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count();
    assert!((1..=TRIES).contains(&tried), "{reasons:?}");
    assert_eq!(reasons.last().map(String::as_str), Some("RATE_LIMIT_EXCEEDED"), "{reasons:?}");
    assert!(app.database.number("SELECT count(*) FROM login_limits").await > 0);
}
