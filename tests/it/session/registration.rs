//! Registration: the holder of the mail's token creates the account, and no other caller learns anything.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{PROTOCOLS, Protocol, TestApp, TestDatabase, people::PASSWORD, proxy::Proxy, unique};

const REGISTER: &str = "AuthService.Register";
const CONFIRM: &str = "AuthService.ConfirmRegistration";

/// Creates the token that the mail would contain, without sending a mail.
pub(crate) async fn create_token(database: &TestDatabase, email: &str) -> String {
    let token = format!("mrg_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique())));
    let statement = format!(
        "INSERT INTO registrations (id, email, token_hash, expires_at)
         VALUES (gen_random_uuid(), '{email}', sha256('{token}'), now() + interval '24 hours')"
    );
    database.sql(&statement).await;
    token
}

fn confirmation(token: &str) -> Value {
    json!({ "token": token, "password": PASSWORD, "name": "Zoë" })
}

#[tokio::test]
async fn a_token_creates_one_user_that_can_sign_in() {
    let app = TestApp::start().await;
    let anonymous = app.cast().await.anonymous;
    for protocol in PROTOCOLS {
        let email = format!("{}@example.com", unique());
        let [first, second] = [create_token(&app.database, &email).await, create_token(&app.database, &email).await];
        for weak in ["password1234", &email, "Wjqzx Özgkfvü"] {
            let weak = json!({ "token": first, "password": weak, "name": "Wjqzx Özgkfvü" });
            anonymous.call(protocol, CONFIRM, weak).await.failure("VALIDATION_FAILED");
        }
        let response = anonymous.call(protocol, CONFIRM, confirmation(&first)).await.success();
        assert_eq!((response.status, response.text("/data/email")), (201, email.clone()));
        for used in [&first, &second] {
            anonymous.call(protocol, CONFIRM, confirmation(used)).await.failure("INVALID_TOKEN");
        }
        anonymous.call(protocol, "AuthService.Login", json!({ "email": email, "password": PASSWORD })).await.success();
    }
    let late = create_token(&app.database, "late@example.com").await;
    app.app.clock.advance(chrono::TimeDelta::hours(25));
    anonymous.rest(CONFIRM, confirmation(&late)).await.failure("INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_confirmations_create_one_user() {
    let app = TestApp::start().await;
    let anonymous = app.cast().await.anonymous;
    let email = format!("{}@example.com", unique());
    let token = create_token(&app.database, &email).await;
    let calls = (0..6).map(|number| anonymous.call(PROTOCOLS[number % 2], CONFIRM, confirmation(&token)));
    let responses = futures_util::future::join_all(calls).await;
    assert_eq!(responses.iter().filter(|answer| answer.reason.is_empty()).count(), 1, "{responses:#?}");
    assert_eq!(app.database.number(&format!("SELECT count(*) FROM users WHERE email = '{email}'")).await, 1);
}

/// Neither the response nor the statements depend on whether the address is registered.
#[tokio::test]
async fn a_registration_does_not_reveal_whether_a_user_exists() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    // A single connection, so that all prepared statements exist before counting.
    let (_app, cast) = builder.set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
    let existing = json!({ "email": cast.customer.as_user().email });
    let unknown = json!({ "email": format!("{}@example.com", unique()) });
    let register = async |protocol, request: &Value| {
        let before = proxy.statements();
        let answer = cast.anonymous.call(protocol, REGISTER, request.clone()).await.success();
        (answer.comparable(), proxy.statements() - before)
    };
    register(Protocol::Grpc, &existing).await;
    for protocol in PROTOCOLS {
        assert_eq!(register(protocol, &existing).await, register(protocol, &unknown).await);
    }
    assert_eq!(database.number("SELECT count(*) FROM registrations WHERE token_hash IS NOT NULL").await, 0);
}
