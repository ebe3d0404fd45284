//! The creation of deliveries, and the outcome of a due one.

use chrono::TimeDelta;
use mainstay::webhooks::{
    delivery::{job::DeliverWebhook, ops::deliver_due},
    id::{WebhookDeliveryId, WebhookEndpointId},
};
use mainstay_kernel::{events::Event, id::AccountId, unit_of_work::Work};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::create_endpoint;
use crate::{
    cases::Scene,
    support::{TestApp, receiver::Receiver},
};

/// An app that runs no jobs by itself.
async fn start_app() -> (TestApp, Scene) {
    let (app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    (app, scene)
}

/// The job of the only delivery.
async fn job(app: &TestApp) -> DeliverWebhook {
    let row = app.database.sql("SELECT id, endpoint_id FROM webhook_deliveries").await.remove(0);
    let [delivery, endpoint] = [0, 1].map(|column: usize| row[column].as_ref().expect("an id").parse().expect("an id"));
    DeliverWebhook { delivery: WebhookDeliveryId(delivery), endpoint: WebhookEndpointId(endpoint) }
}

async fn deliver(app: &TestApp, job: DeliverWebhook) {
    deliver_due(&app.app, job, &CancellationToken::new()).await.expect("recorded");
}

/// Returns the state of the only delivery, and the numbers of its counted and of its recorded attempts.
async fn delivery_state(app: &TestApp) -> (i64, i64, i64) {
    let number = async |sql| app.database.number(sql).await;
    (
        number("SELECT state FROM webhook_deliveries").await,
        number("SELECT attempts FROM webhook_deliveries").await,
        number("SELECT count(*) FROM webhook_attempts").await,
    )
}

/// Two workers send it when the lease of the first one's job ends before the delivery does.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_two_workers_send_is_recorded_once() {
    let (app, scene) = start_app().await;
    let receiver = Receiver::holding().await;
    create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    scene.ticket().await;
    let job = job(&app).await;
    let open = async {
        receiver.wait_for(2).await;
        receiver.open();
    };
    tokio::join!(deliver(&app, job), deliver(&app, job), open);
    assert_eq!(delivery_state(&app).await, (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn due_deliveries_to_a_disabled_endpoint_are_given_up() {
    let (app, scene) = start_app().await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    scene.ticket().await;
    let disable = json!({ "endpointId": id, "endpoint": { "enabled": false } });
    scene.cast.admin.rest("WebhookEndpointService.UpdateWebhookEndpoint", disable).await.success();
    deliver(&app, job(&app).await).await;
    assert_eq!((delivery_state(&app).await, receiver.deliveries().len()), ((3, 0, 0), 0));
}

/// Events of several accounts and kinds, in one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_gets_the_events_of_its_account_and_its_kinds() {
    let (app, scene) = start_app().await;
    let (other, receiver) = (Scene::new(&app).await, Receiver::answering(&[204]).await);
    create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    create_endpoint(&scene, &receiver, &["support.ticket.resolved"]).await;
    create_endpoint(&other, &receiver, &["support.ticket.created"]).await;
    let event = |scene: &Scene, kind, version| {
        let account = AccountId(scene.cast.customer.as_user().account);
        Event::of_kind(kind, account, account.0, version)
    };
    let events = [
        event(&scene, "support.ticket.created", 1),
        event(&scene, "support.ticket.resolved", 2),
        event(&other, "support.ticket.created", 3),
    ];
    let transaction = async move |work: &mut Work| {
        events.into_iter().for_each(|event| work.publish(event));
        Ok(())
    };
    app.app.database.transaction(transaction).await.expect("published");
    let select = "SELECT payload::json -> 'data' ->> 'version', kinds[1], account_id FROM webhook_deliveries
               JOIN webhook_endpoints ON webhook_endpoints.id = endpoint_id ORDER BY 1";
    let rows: Vec<Vec<_>> =
        app.database.sql(select).await.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    let row = |version: &str, kind: &str, scene: &Scene| vec![version.to_owned(), kind.to_owned(), scene.account()];
    let expected = [
        row("1", "support.ticket.created", &scene),
        row("2", "support.ticket.resolved", &scene),
        row("3", "support.ticket.created", &other),
    ];
    assert_eq!(rows, expected);
}

/// Workers look for what is due by the clock of Postgres, so the wait must not begin at another time.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_by_the_clock_of_postgres() {
    for skew in [TimeDelta::minutes(-4), TimeDelta::minutes(4)] {
        let (app, scene) = start_app().await;
        let receiver = Receiver::answering(&[500]).await;
        create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
        scene.ticket().await;
        app.app.clock.advance(skew);
        deliver(&app, job(&app).await).await;
        let soon = "next_attempt_at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'";
        let count = format!("SELECT count(*) FROM webhook_deliveries WHERE {soon}");
        assert_eq!(app.database.number(&count).await, 1, "{skew}");
        // Its time has come by that clock.
        app.database.sql("UPDATE webhook_deliveries SET next_attempt_at = now()").await;
        let other = DeliverWebhook { delivery: WebhookDeliveryId(uuid::Uuid::nil()), ..job(&app).await };
        deliver(&app, other).await;
        assert_eq!(delivery_state(&app).await.1, 2, "{skew}");
    }
}
