//! Secrets of endpoints: their rotation, and secrets that were sealed under another SECRET_KEY.

use serde_json::json;

use super::{create_endpoint, is_signed, start_app, wait_for_delivery};
use crate::{
    cases::Scene,
    support::{TestApp, receiver::Receiver},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_signs_until_its_time() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[200]).await;
    let (id, first) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    let rotate = json!({ "endpointId": id, "overlapSeconds": 60 });
    let second =
        scene.cast.admin.rest("WebhookEndpointService.RotateWebhookSecret", rotate).await.success().text("/secret");
    scene.ticket().await;
    let deliveries = receiver.wait_for(1).await;
    assert!(
        is_signed(&deliveries[0], &first) && is_signed(&deliveries[0], &second) && first != second,
        "{deliveries:?}"
    );
    // A second rotation does not shorten the time of the first secret.
    let again = json!({ "endpointId": id, "overlapSeconds": 600 });
    let again = scene.cast.admin.rest("WebhookEndpointService.RotateWebhookSecret", again).await;
    let third = again.success().text("/secret");
    scene.ticket().await;
    let deliveries = receiver.wait_for(2).await;
    assert!([&first, &second, &third].into_iter().all(|secret| is_signed(&deliveries[1], secret)), "{deliveries:?}");
    app.app.clock.advance(chrono::TimeDelta::seconds(61));
    scene.ticket().await;
    let deliveries = receiver.wait_for(3).await;
    let signs = [&first, &second, &third].map(|secret| is_signed(&deliveries[2], secret));
    assert_eq!(signs, [false, true, true], "{deliveries:?}");
    let at_once = json!({ "endpointId": id, "overlapSeconds": 0 });
    let at_once = scene.cast.admin.rest("WebhookEndpointService.RotateWebhookSecret", at_once).await;
    let fourth = at_once.success().text("/secret");
    scene.ticket().await;
    let deliveries = receiver.wait_for(4).await;
    let signs = [&first, &second, &third, &fourth].map(|secret| is_signed(&deliveries[3], secret));
    assert_eq!(signs, [false, false, false, true], "{deliveries:?}");
    // Neither secret is readable.
    let response =
        scene.cast.admin.rest("WebhookEndpointService.GetWebhookEndpoint", json!({ "endpointId": id })).await.success();
    assert!(!response.body.to_string().contains("whsec_"), "{response:?}");
    let rows = app.database.sql("SELECT webhook_endpoints::text FROM webhook_endpoints").await;
    assert!(!format!("{rows:?}").contains(&fourth[6..]), "{rows:?}");
}

/// An old secret that can't be unsealed is skipped; the new one signs alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_secret_that_can_not_be_unsealed_holds_nothing_up() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").with_jobs()).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    let rotate = json!({ "endpointId": id, "overlapSeconds": 60 });
    scene.cast.admin.rest("WebhookEndpointService.RotateWebhookSecret", rotate).await.success();
    app.database.sql("UPDATE webhook_endpoints SET old_secret = '\\x00'").await;
    scene.ticket().await;
    wait_for_delivery(&scene, &id, "DELIVERED").await;
    assert_eq!(receiver.wait_for(1).await[0].header("webhook-signature").split(' ').count(), 1);
}
