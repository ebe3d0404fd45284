//! Password resets: a single-use token, and every session ends.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{caller, refresh, signed_in};
use crate::support::{PROTOCOLS, Protocol, TestApp, TestDatabase, people::User, proxy::Proxy, unique};

/// Creates the token that the mail would contain, without sending a mail.
pub(crate) async fn token(database: &TestDatabase, user: &User) -> String {
    let token = format!("mpr_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique())));
    let statement = format!(
        "INSERT INTO password_resets (token_hash, user_id, expires_at)
         VALUES (sha256('{token}'), '{}', now() + interval '1 hour')",
        user.id
    );
    database.sql(&statement).await;
    token
}

#[tokio::test]
async fn a_reset_sets_the_password_once_and_ends_every_session() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.colleague, &cast.stranger][number];
        let pairs = [signed_in(&app, who).await, signed_in(&app, who).await];
        let token = token(&app.database, who.who()).await;
        let password = format!("brand new {}", unique());
        let request = json!({ "token": token, "password": password });
        let short = json!({ "token": token, "password": "short" });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", short).await.refused("VALIDATION_FAILED");
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", request.clone()).await.good();
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", request).await.refused("INVALID_TOKEN");
        for (protocol, pair) in pairs.iter().enumerate() {
            refresh(&app, pair, protocol).await.refused("SESSION_REVOKED");
        }
        let sign_in = |password: &str| json!({ "email": who.who().email, "password": password });
        let old = sign_in(&who.who().password);
        cast.anonymous.call(protocol, "AuthService.Login", old).await.refused("INVALID_CREDENTIALS");
        let pair = cast.anonymous.call(protocol, "AuthService.Login", sign_in(&password)).await.good();
        caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.good();
    }
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let token = token(&app.database, cast.customer.who()).await;
    app.app.clock.advance(chrono::TimeDelta::minutes(61));
    let request = json!({ "token": token, "password": "a brand new password" });
    cast.anonymous.call(Protocol::Rest, "AuthService.ConfirmPasswordReset", request).await.refused("INVALID_TOKEN");
}

/// Neither the response nor its cost depends on whether the address is known: for an unknown one, a mail without a
/// recipient is queued.
#[tokio::test]
async fn a_reset_request_does_not_reveal_whether_a_user_exists() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    // A single connection, so that all prepared statements exist before counting.
    let app = builder.set("DATABASE_POOL_SIZE", "1").start().await;
    let cast = app.cast().await;
    let known = json!({ "email": cast.customer.who().email });
    let unknown = json!({ "email": format!("{}@example.com", unique()) });
    let request_reset = async |protocol, who: &serde_json::Value| {
        let before = proxy.statements();
        let answer = cast.anonymous.call(protocol, "AuthService.RequestPasswordReset", who.clone()).await.good();
        (answer.comparable(), proxy.statements() - before)
    };
    request_reset(Protocol::Grpc, &known).await;
    for protocol in PROTOCOLS {
        assert_eq!(request_reset(protocol, &known).await, request_reset(protocol, &unknown).await);
    }
    let queued = "SELECT count(*) FROM mails JOIN graphile_worker.jobs ON key = 'send_mail:' || mails.id";
    assert_eq!(database.number(queued).await, 1 + 2 * 3);
    let to = format!("SELECT count(*) FROM mails WHERE user_id = '{}'", cast.customer.who().id);
    assert_eq!(database.number(&to).await, 1 + 3);
    assert_eq!(database.number("SELECT count(*) FROM password_resets").await, 0, "the token is created on sending");
}
