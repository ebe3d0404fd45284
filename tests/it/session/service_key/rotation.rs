//! Rotation: two secrets are accepted for an overlap.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::json;

use super::{LIST, ROTATE, again, draft, key_of, wait_until};
use crate::{
    session::revocation::two_instances,
    support::{Actor, PROTOCOLS, Response},
};

async fn rotate(who: &Actor, id: &str, overlap: i64) -> Response {
    let request = json!({ "serviceKeyId": id, "overlapSeconds": overlap });
    who.rest(ROTATE, request).await.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_secret_is_accepted_for_the_overlap_on_every_instance() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let (id, first) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    for app in [&here, &there] {
        first.at(&app.endpoint).rest(LIST, json!({})).await.success();
    }
    let rotated = rotate(&cast.customer, &id, 3600).await;
    assert!(rotated.data()["earlierSecretExpireTime"].is_string(), "{rotated:#?}");
    let second = Actor::bearer(&here.endpoint, rotated.text("/secret"));
    for app in [&here, &there] {
        for protocol in PROTOCOLS {
            for secret in [&first, &second] {
                secret.at(&app.endpoint).call(protocol, LIST, json!({})).await.success();
            }
        }
    }
    for app in [&here, &there] {
        app.app.clock.advance(TimeDelta::seconds(3601));
        first.at(&app.endpoint).rest(LIST, json!({})).await.failure("INVALID_TOKEN");
        second.at(&app.endpoint).rest(LIST, json!({})).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_overlap_the_previous_secret_is_refused() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let (id, first) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let elsewhere = first.at(&there.endpoint);
    for who in [&first, &elsewhere] {
        who.rest(LIST, json!({})).await.success();
    }
    let second = Actor::bearer(&here.endpoint, rotate(&cast.customer, &id, 0).await.text("/secret"));
    first.rest(LIST, json!({})).await.failure("INVALID_TOKEN");
    wait_until(&elsewhere, "INVALID_TOKEN").await;
    second.at(&there.endpoint).rest(LIST, json!({})).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_before_the_previous_one_is_refused() {
    let (here, _there) = two_instances().await;
    let cast = here.cast().await;
    let (id, first) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let second = Actor::bearer(&here.endpoint, rotate(&cast.customer, &id, 3600).await.text("/secret"));
    let third = Actor::bearer(&here.endpoint, rotate(&again(&cast.customer), &id, 3600).await.text("/secret"));
    first.rest(LIST, json!({})).await.failure("INVALID_TOKEN");
    for secret in [second, third] {
        secret.rest(LIST, json!({})).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_keeps_the_end_of_a_key_of_the_platform() {
    let (here, _there) = two_instances().await;
    let cast = here.cast().await;
    let end = (here.app.clock.now() + TimeDelta::days(30)).to_rfc3339_opts(SecondsFormat::Secs, true);
    for (expire_time, is_kept) in [(Some(end), true), (None, false)] {
        let mut request = draft(&["support.tickets.read"]);
        if let Some(time) = expire_time {
            request["expireTime"] = time.into();
        }
        let key = cast.admin.rest(super::CREATE, request).await.success();
        let rotated = rotate(&cast.admin, &key.id(), 60).await;
        assert_eq!(rotated.data()["expireTime"], key.data()["expireTime"]);
        assert_eq!(rotated.data()["expireTime"].is_string(), is_kept, "{rotated:#?}");
    }
}
