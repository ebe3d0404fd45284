//! Service keys: only the complete secret is valid, and only until its expiry.

mod accounts;
mod networks;
mod persons;
mod rotation;

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    session::revocation::{CHANGES, assert_within_a_second, two_instances},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, eventually},
};

const CREATE: &str = "ServiceKeyService.CreateServiceKey";
const ROTATE: &str = "ServiceKeyService.RotateServiceKey";
const LIST: &str = "TicketService.ListTickets";
const PERSON: &str = "SERVICE_KEY_KIND_PERSON";
/// The maximum propagation delay of a single revocation, on a busy machine: half of the time for which a key is remembered.
pub(super) const MAX_NEWS_DELAY: Duration = Duration::from_secs(15);
/// The random part of a secret and its checksum.
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;

/// A request for a key with these scopes.
fn draft(scopes: &[&str]) -> Value {
    json!({ "name": "A key", "scopes": scopes })
}

async fn create(admin: &Actor, expire_time: Option<String>) -> Response {
    let mut request = draft(&["support.tickets.read"]);
    if let Some(time) = expire_time {
        request["expireTime"] = Value::String(time);
    }
    admin.rest(CREATE, request).await.success()
}

/// Creates a key, and returns its id and its holder at an instance.
async fn key_of(creator: &Actor, request: Value) -> (String, Actor) {
    let key = creator.rest(CREATE, request).await.success();
    (key.id(), Actor::bearer(&creator.endpoint, key.text("/secret")))
}

/// Waits until a credential is refused for a reason, before the cache would ask Postgres by itself.
async fn wait_until(who: &Actor, reason: &str) {
    let since = Instant::now();
    eventually("the key is refused", async || who.rest(LIST, json!({})).await.reason == reason).await;
    assert!(since.elapsed() < MAX_NEWS_DELAY, "after {:?}", since.elapsed());
}

/// A caller with a new session.
fn again(who: &Actor) -> Actor {
    Actor::user(&who.endpoint, who.as_user().clone())
}

#[tokio::test]
async fn the_id_of_a_key_with_another_secret_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let secret = create(&cast.admin, None).await.text("/secret");
    let (id, _) = secret.split_at(secret.len() - RANDOM - CHECKSUM);
    for protocol in PROTOCOLS {
        for (number, byte) in [0x00, 0x5a, 0xff].into_iter().enumerate() {
            // Without a checksum, as keys of earlier versions are.
            let forged = format!("{id}{}", BASE64_URL_SAFE_NO_PAD.encode([byte; 32]));
            assert_eq!(forged.len(), secret.len() - CHECKSUM);
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
    let (app, cast) = TestApp::start_with_cast().await;
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
    Actor::bearer(&app.endpoint, secret).rest(LIST, json!({})).await.success();
}

#[tokio::test]
async fn an_expired_key_is_refused_whether_it_was_used_before_or_not() {
    let (app, cast) = TestApp::start_with_cast().await;
    let end = app.app.clock.now() + TimeDelta::seconds(6);
    let secrets = [
        create(&cast.admin, Some(end.to_rfc3339())).await.text("/secret"),
        create(&cast.admin, Some(end.to_rfc3339())).await.text("/secret"),
    ];
    Actor::bearer(&app.endpoint, secrets[0].clone()).rest(LIST, json!({})).await.success();
    // Less than the cache's maximum age.
    app.app.clock.advance(TimeDelta::seconds(7));
    for secret in secrets {
        for protocol in PROTOCOLS {
            Actor::bearer(&app.endpoint, secret.clone()).call(protocol, LIST, json!({})).await.failure("INVALID_TOKEN");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_at_once_here_and_within_a_second_elsewhere() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let mut keys = Vec::new();
    for _ in 0..CHANGES {
        let (id, mine) = key_of(&cast.admin, draft(&["support.tickets.read"])).await;
        let elsewhere = mine.at(&there.endpoint);
        for who in [&mine, &elsewhere] {
            who.call(Protocol::Grpc, LIST, json!({})).await.success();
        }
        keys.push((id, mine, elsewhere));
    }
    assert_within_a_second(&there, async |number| {
        let (id, mine, elsewhere) = &keys[number];
        let request = json!({ "serviceKeyId": id });
        cast.admin.rest("ServiceKeyService.RevokeServiceKey", request).await.success();
        mine.rest(LIST, json!({})).await.failure("INVALID_TOKEN");
        // By the clock of the app, nothing has expired.
        wait_until(elsewhere, "INVALID_TOKEN").await;
    })
    .await;
}
