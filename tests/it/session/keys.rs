//! The keys that sign access tokens: published, and replaced without logging anyone out.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Door, Endpoint, Process, TestDatabase, actor::sign_in, app::environment, people::Cast};

async fn published(endpoint: &Endpoint) -> Vec<String> {
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
async fn a_rotation_logs_nobody_out() {
    let database = TestDatabase::new().await;
    let instances = [Process::start(&database).await, Process::start(&database).await];
    let cast = Cast::new(&instances[0].endpoint, &database).await;
    let pair = sign_in(&instances[0].endpoint, cast.customer.who()).await.good();
    let old = pair.text("/data/accessToken");
    let before = published(&instances[0].endpoint).await;
    assert!(before.contains(&signer(&old)));
    assert_eq!(before, published(&instances[1].endpoint).await, "every instance has the same");

    let mut rotate = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    rotate.args(["keys", "rotate"]).envs(environment(&database, &[]).await).stdin(Stdio::null());
    let rotated = rotate.output().await.expect("the binary runs");
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let since = Instant::now();
    for instance in &instances {
        while published(&instance.endpoint).await.len() == before.len() {
            assert!(since.elapsed() < Duration::from_secs(90), "the new key is not published");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    for instance in &instances {
        let me = crate::support::Actor::bearer(&instance.endpoint, old.clone());
        me.call(Door::Grpc, "UserService.GetMe", json!({})).await.good();
        let fresh = sign_in(&instance.endpoint, cast.customer.who()).await.good().text("/data/accessToken");
        for other in &instances {
            let me = crate::support::Actor::bearer(&other.endpoint, fresh.clone());
            me.call(Door::Rest, "UserService.GetMe", json!({})).await.good();
        }
    }
    let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
    cast.anonymous.call(Door::Rest, "AuthService.Refresh", request).await.good();
}
