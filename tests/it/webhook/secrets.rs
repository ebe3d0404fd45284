//! Secrets of endpoints that were sealed under another SECRET_KEY.

use serde_json::json;

use super::outbound::{delivery_in_state, endpoint};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, receiver::Receiver},
};

/// A secret that is being replaced and can't be read any more is left out; the new one signs alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_secret_that_can_not_be_unsealed_holds_nothing_up() {
    let app = TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").with_jobs().start().await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    let rotate = json!({ "endpointId": id, "overlapSeconds": 60 });
    scene.cast.admin.call(Protocol::Rest, "WebhookEndpointService.RotateWebhookSecret", rotate).await.success();
    app.database.sql("UPDATE webhook_endpoints SET old_secret = '\\x00'").await;
    scene.ticket().await;
    delivery_in_state(&scene, &id, "DELIVERED").await;
    assert_eq!(receiver.wait_for(1).await[0].header("webhook-signature").split(' ').count(), 1);
}
