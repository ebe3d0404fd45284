//! Sample items: created, read, listed, changed and deleted, and invisible to other accounts.

use mainstay_test_kit::Client;
use serde_json::{Value, json};

use crate::start;

const COLLECTION: &str = "/api/v1/sample-items";

async fn create(caller: &Client, name: &str) -> Value {
    caller.post(COLLECTION, json!({ "name": name })).await.data()
}

fn path(sample_item: &Value) -> String {
    format!("{COLLECTION}/{}", sample_item["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn it_can_be_created_read_changed_and_deleted() {
    let server = start().await;
    let customer = server.customer().await;

    let response = customer.post(COLLECTION, json!({ "name": "First" })).await.success();
    assert_eq!((response.status, response.header("etag")), (201, "\"1\""));
    let sample_item = response.data();
    let path = path(&sample_item);
    assert_eq!(response.header("location"), path);
    assert_eq!(customer.get(&path).await.data(), sample_item);

    let latest = customer.patch(&path, json!({ "name": "Second" })).await.data();
    assert_eq!((&latest["name"], &latest["version"]), (&json!("Second"), &json!("2")));
    let refusal = customer.patch(&format!("{path}?updateMask=name"), json!({})).await;
    refusal.failure(422, "VALIDATION_FAILED");
    assert_eq!(refusal.body["error"]["fields"]["sampleItem.name"], "can't be cleared");

    assert_eq!(customer.delete(&path).await.status, 204);
    customer.get(&path).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_change_needs_the_current_version() {
    let server = start().await;
    let customer = server.customer().await;
    let path = path(&create(&customer, "First").await);
    customer.patch(&path, json!({ "name": "Second" })).await.success();
    let stale = customer.with("if-match", "\"1\"");
    stale.patch(&path, json!({ "name": "Third" })).await.failure(412, "ETAG_MISMATCH");
    stale.delete(&path).await.failure(412, "ETAG_MISMATCH");
}

#[tokio::test]
async fn other_accounts_do_not_reach_it() {
    let server = start().await;
    let path = path(&create(&server.customer().await, "First").await);
    let stranger = server.customer().await;
    stranger.get(&path).await.failure(404, "NOT_FOUND");
    stranger.patch(&path, json!({ "name": "Mine" })).await.failure(404, "NOT_FOUND");
    stranger.delete(&path).await.failure(404, "NOT_FOUND");
    assert_eq!(stranger.get(COLLECTION).await.data(), json!([]));
    assert_eq!(server.agent().await.get(&path).await.status, 200, "agents reach every account");
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_response() {
    let server = start().await;
    let customer = server.customer().await.with("idempotency-key", "the-same");
    let first = customer.post(COLLECTION, json!({ "name": "First" })).await.success();
    let second = customer.post(COLLECTION, json!({ "name": "First" })).await.success();
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, "true"));
    assert_eq!(first.body, second.body);
    customer.post(COLLECTION, json!({ "name": "Other" })).await.failure(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn lists_have_pages() {
    let server = start().await;
    let customer = server.customer().await;
    let mut newest_first = Vec::new();
    for name in ["First", "Second", "Third"] {
        newest_first.insert(0, create(&customer, name).await);
    }
    let first = customer.get(&format!("{COLLECTION}?pageSize=2")).await.success();
    assert_eq!(first.body["data"], json!(newest_first[..2]));
    assert_eq!(first.body["meta"]["total"], json!("3"));
    let token = first.body["meta"]["nextPageToken"].as_str().expect("a second page");
    let second = customer.get(&format!("{COLLECTION}?pageSize=2&pageToken={token}")).await.success();
    assert_eq!(second.body["data"], json!(newest_first[2..]));
}
