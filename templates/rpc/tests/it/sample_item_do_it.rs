//! `DoItSampleItem`.

use serde_json::json;

use crate::{sample_items, start};

#[tokio::test]
async fn it_makes_the_next_version() {
    let server = start().await;
    let customer = server.customer().await;
    let sample_item = sample_items::create(&customer).await;
    let path = format!("{}/{}/do-it", sample_items::COLLECTION, sample_item["id"].as_str().expect("an id"));
    server.customer().await.post(&path, json!({})).await.failure(404, "NOT_FOUND");
    let customer = customer.with("if-match", "\"1\"");
    let latest = customer.post(&path, json!({})).await.data();
    assert_eq!((&latest["id"], &latest["version"]), (&sample_item["id"], &json!("2")));
    customer.post(&path, json!({})).await.failure(412, "ETAG_MISMATCH");
}
