//! Service keys: only the complete secret is valid, and only until its expiry.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Actor, PROTOCOLS, Protocol, Response, TestApp};

const LIST: &str = "TicketService.ListTickets";

async fn create(admin: &Actor, expire_time: Option<String>) -> Response {
    let mut request = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
    if let Some(time) = expire_time {
        request["expireTime"] = Value::String(time);
    }
    admin.call(Protocol::Rest, "ServiceKeyService.CreateServiceKey", request).await.success()
}

#[tokio::test]
async fn the_id_of_a_key_with_another_secret_is_refused() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let secret = create(&cast.admin, None).await.text("/secret");
    let (id, _) = secret.split_at(secret.len() - 43);
    for protocol in PROTOCOLS {
        for (number, byte) in [0x00, 0x5a, 0xff].into_iter().enumerate() {
            let forged = format!("{id}{}", BASE64_URL_SAFE_NO_PAD.encode([byte; 32]));
            assert_eq!(forged.len(), secret.len());
            Actor::bearer(&app.endpoint, forged.clone()).call(protocol, LIST, json!({})).await.failure("INVALID_TOKEN");
            if number == 1 {
                // A cached valid secret does not make a wrong one valid.
                Actor::bearer(&app.endpoint, secret.clone()).call(protocol, LIST, json!({})).await.success();
            }
        }
    }
}

#[tokio::test]
async fn keys_are_listed_by_their_creator_and_outlive_the_creators_role() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let secret = create(&cast.admin, None).await.text("/secret");
    let creator = cast.admin.as_user().id.to_string();
    for protocol in PROTOCOLS {
        for (user, count) in [(creator.clone(), 1), (cast.customer.as_user().id.to_string(), 0)] {
            let request = json!({ "createdBy": user });
            let list = cast.admin.call(protocol, "ServiceKeyService.ListServiceKeys", request).await.success();
            let keys = list.data().as_array().expect("a list");
            assert_eq!(keys.len(), count, "{list:#?}");
            assert!(keys.iter().all(|key| key["createdBy"] == user), "{list:#?}");
        }
    }
    app.database.sql(&format!("UPDATE users SET role = 2 WHERE id = '{creator}'")).await;
    Actor::bearer(&app.endpoint, secret).call(Protocol::Rest, LIST, json!({})).await.success();
}

#[tokio::test]
async fn an_expired_key_is_refused_whether_it_was_used_before_or_not() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let end = app.app.clock.now() + TimeDelta::seconds(6);
    let secrets = [
        create(&cast.admin, Some(end.to_rfc3339())).await.text("/secret"),
        create(&cast.admin, Some(end.to_rfc3339())).await.text("/secret"),
    ];
    Actor::bearer(&app.endpoint, secrets[0].clone()).call(Protocol::Rest, LIST, json!({})).await.success();
    // Less than the cache's maximum age.
    app.app.clock.advance(TimeDelta::seconds(7));
    for secret in secrets {
        for protocol in PROTOCOLS {
            Actor::bearer(&app.endpoint, secret.clone()).call(protocol, LIST, json!({})).await.failure("INVALID_TOKEN");
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_here_and_within_ten_seconds_elsewhere() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    let key = create(&cast.admin, None).await;
    let [mine, elsewhere] = [&here, &there].map(|app| Actor::bearer(&app.endpoint, key.text("/secret")));
    for who in [&mine, &elsewhere] {
        who.call(Protocol::Grpc, LIST, json!({})).await.success();
    }
    let request = json!({ "serviceKeyId": key.id() });
    cast.admin.call(Protocol::Rest, "ServiceKeyService.RevokeServiceKey", request).await.success();
    mine.call(Protocol::Rest, LIST, json!({})).await.failure("INVALID_TOKEN");
    there.app.clock.advance(TimeDelta::seconds(10));
    elsewhere.call(Protocol::Rest, LIST, json!({})).await.failure("INVALID_TOKEN");
}
