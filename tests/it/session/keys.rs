//! The keys that sign access tokens: published, and rotated without logging anyone out.

use std::process::Stdio;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use mainstay::identity::signing_key::ops as signing_key;
use serde_json::{Value, json};

use crate::support::{
    Actor, Endpoint, PROTOCOLS, TestApp, TestDatabase, actor::sign_in, app::environment, database::connect,
};

async fn published_keys(endpoint: &Endpoint) -> Vec<String> {
    let answer = endpoint.get("/.well-known/jwks.json").await;
    let keys = answer.body["keys"].as_array().expect("keys").clone();
    for key in &keys {
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
        assert!(key.get("d").is_none(), "a private key is published");
    }
    keys.into_iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

fn signer(token: &str) -> String {
    let head = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a head")).expect("base64");
    let head: Value = serde_json::from_slice(&head).expect("JSON");
    assert_eq!(head["alg"], "EdDSA");
    head["kid"].as_str().expect("a kid").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_rotation_ends_no_session() {
    let first = TestApp::start().await;
    let second = TestApp::builder().on(&first.database).start().await;
    let cast = first.cast().await;
    let pair = sign_in(&first.endpoint, cast.customer.as_user()).await.success();
    let old = pair.text("/data/accessToken");
    let before = published_keys(&first.endpoint).await;
    assert!(before.contains(&signer(&old)));
    assert_eq!(before, published_keys(&second.endpoint).await, "every instance publishes the same keys");

    let key = signing_key::rotate(&first.app).await.expect("a new key");
    assert!(published_keys(&first.endpoint).await.contains(&key), "published before it signs");
    let still = sign_in(&first.endpoint, cast.customer.as_user()).await.success().text("/data/accessToken");
    assert_eq!(signer(&still), signer(&old), "the other instances do not know the new key yet");
    for app in [&first, &second] {
        app.app.clock.advance(TimeDelta::seconds(61));
    }
    let fresh = sign_in(&first.endpoint, cast.customer.as_user()).await.success().text("/data/accessToken");
    assert_eq!(signer(&fresh), key);
    for (protocol, endpoint) in PROTOCOLS.into_iter().zip([&first.endpoint, &second.endpoint]) {
        for token in [&old, &fresh] {
            Actor::bearer(endpoint, token.clone()).call(protocol, "UserService.GetMe", json!({})).await.success();
        }
        assert!(published_keys(endpoint).await.contains(&signer(&old)), "published while its tokens are valid");
    }
    let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
    cast.anonymous.at(&second.endpoint).rest("AuthService.Refresh", request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_with_a_key_that_is_not_loaded_yet_are_all_let_in() {
    let first = TestApp::start().await;
    let second = TestApp::builder().on(&first.database).start().await;
    let cast = first.cast().await;
    let key = signing_key::rotate(&first.app).await.expect("a new key");
    for app in [&first, &second] {
        app.app.clock.advance(TimeDelta::seconds(61));
    }
    let fresh = sign_in(&first.endpoint, cast.customer.as_user()).await.success().text("/data/accessToken");
    assert_eq!(signer(&fresh), key);
    let holder = connect(&first.database.url).await;
    holder.batch_execute("BEGIN; LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let calls = [(); 8].map(|()| {
        let caller = Actor::bearer(&second.endpoint, fresh.clone());
        tokio::spawn(async move { caller.rest("UserService.GetMe", json!({})).await })
    });
    first.database.locks_waited_for(1).await;
    holder.batch_execute("COMMIT").await.expect("unlocked");
    for call in calls {
        call.await.expect("no panic").success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_rotates_the_keys() {
    let database = TestDatabase::new().await;
    let values = environment(&database, &[]).await;
    for _ in 0..2 {
        let mut rotate = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        rotate.args(["keys", "rotate"]).envs(values.clone()).stdin(Stdio::null());
        let rotated = rotate.output().await.expect("the binary runs");
        assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    }
    assert!(database.number("SELECT count(*) FROM signing_keys").await >= 2);
    let entries =
        "SELECT count(*) FROM audit_entries JOIN signing_keys ON signing_keys.id = changes -> 'key' ->> 'after'
        WHERE method = 'command' AND resource_kind = 'identity.signing_key'";
    assert_eq!(database.number(entries).await, 2);
}
