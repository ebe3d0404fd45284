//! The event `SampleItemDoneIt`.

use mainstay_kernel::{events::Event, id};
use my_module::sample_item::events::SampleItemDoneIt;
use serde_json::json;

use crate::start;

#[tokio::test]
async fn webhooks_are_notified() {
    let server = start().await;
    let account = server.customer().await.account();
    let kinds = ["my_module.sample_item.done_it"];
    let endpoint = json!({ "url": "https://example.com/hooks", "eventTypes": kinds, "accountId": account });
    server.admin().await.post("/api/v1/webhook-endpoints", endpoint).await.success();
    let sample_item = id::new(server.app().clock.now());
    server.publish(vec![Event::of::<SampleItemDoneIt>(account, sample_item, 2)]).await;
    assert_eq!(server.database().sql("SELECT kind FROM webhook_deliveries").await, kinds);
}
