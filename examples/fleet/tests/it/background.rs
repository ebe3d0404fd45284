//! Tests of the job, the scheduled task and the event handler.

use std::{collections::BTreeMap, future::ready, sync::Mutex};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use mainstay::orders::events::OrderPaid;
use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
    events::Event,
    module::Module,
};
use mainstay_test_kit::TestServer;
use serde_json::json;
use uuid::Uuid;

use crate::{lease, path, product, start, vehicle};

#[tokio::test]
async fn a_job_recharges_the_vehicle_after_a_lease() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let vehicle = vehicle(&admin, "M-AI 1").await;
    let end = format!("{}/end", path("leases", &lease(&customer, &vehicle).await));
    customer.post(&end, json!({})).await.success();
    let status = async || admin.get(&path("vehicles", &vehicle)).await.data()["status"].clone();
    assert_eq!(status().await, "VEHICLE_STATUS_RECHARGING");
    server.run_jobs().await;
    assert_eq!(status().await, "VEHICLE_STATUS_AVAILABLE");
    lease(&customer, &vehicle).await;
}

#[tokio::test]
async fn a_task_ends_leases_whose_time_is_over() {
    let server = TestServer::builder(product()).set("LEASE_DAYS", "2").start().await;
    let customer = server.customer().await;
    let lease = path("leases", &lease(&customer, &vehicle(&server.admin().await, "M-AI 2").await).await);

    server.advance(TimeDelta::days(1));
    assert_eq!(server.run_task("fleet.expire_leases").await, 0);
    server.advance(TimeDelta::days(1));
    assert_eq!(server.run_task("fleet.expire_leases").await, 1);
    assert_eq!(server.run_task("fleet.expire_leases").await, 0, "it has ended");

    let customer = server.sign_in(customer.user()).await;
    let lease = customer.get(&lease).await.data();
    assert!(lease["endTime"].as_str() >= lease["expireTime"].as_str(), "{lease}");
}

#[tokio::test]
async fn an_account_gets_one_lease_with_an_order_that_it_paid() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    for plate in ["M-AI 3", "M-AI 4"] {
        vehicle(&admin, plate).await;
    }
    let order = mainstay_kernel::id::new(server.app().clock.now());
    // Delivery is at least once; here it is twice.
    for version in [2, 3] {
        server.publish(vec![Event::of::<OrderPaid>(customer.account(), order, version)]).await;
        server.run_jobs().await;
    }
    let leases = customer.get("/api/v1/leases").await.data();
    assert_eq!(leases.as_array().map(Vec::len), Some(1));
    assert_eq!(leases[0]["orderId"], order.to_string());
}

/// An order that was paid while no vehicle was available gets its lease later.
#[tokio::test]
async fn an_order_gets_its_lease_once_a_vehicle_is_available() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let order = mainstay_kernel::id::new(server.app().clock.now());
    server.publish(vec![Event::of::<OrderPaid>(customer.account(), order, 2)]).await;
    server.run_jobs().await;
    assert_eq!(customer.get("/api/v1/leases").await.data().as_array().map(Vec::len), Some(0));
    vehicle(&admin, "M-AI 7").await;
    server.database().sql("UPDATE jobs SET due_at = now()").await;
    server.run_jobs().await;
    assert_eq!(customer.get("/api/v1/leases").await.data()[0]["orderId"], order.to_string());
}

#[tokio::test]
async fn paying_an_order_grants_a_lease() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    vehicle(&admin, "M-AI 5").await;
    let product = json!({ "name": "A ride", "price": { "amountMinor": "1999", "currencyCode": "EUR" } });
    let product = admin.post("/api/v1/products", product).await.data();
    let items = json!({ "items": [{ "productId": product["id"], "quantity": 1 }] });
    let order = customer.post("/api/v1/orders", items).await.data();
    let payment = json!({ "orderId": order["id"], "paymentMethod": "pm_card_visa" });
    customer.with("idempotency-key", "pay").post("/api/v1/payments/charge", payment).await.success();
    server.run_jobs().await;
    assert_eq!(customer.get("/api/v1/leases").await.data()[0]["orderId"], order["id"]);
}

/// A task sends a mail of the module's own kind to each member of the account, once.
#[tokio::test]
async fn members_get_a_mail_about_a_lease_that_ends_soon() {
    let server = TestServer::builder(product()).set("LEASE_DAYS", "10").start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    lease(&customer, &vehicle(&admin, "M-AI 8").await).await;
    assert_eq!(server.run_task("fleet.announce_ends").await, 0, "it is too early");
    server.advance(TimeDelta::days(8));
    assert_eq!(server.run_task("fleet.announce_ends").await, 1);
    assert_eq!(server.run_task("fleet.announce_ends").await, 0, "it was announced");
    server.run_jobs().await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    let hello = format!("Hello {},", customer.user().name);
    let subject = "Subject: The lease of M-AI 8 ends soon\r\n";
    for part in [subject, customer.user().email.as_str(), "List-Unsubscribe:", &hello] {
        assert!(mails[0].contains(part), "{part}: {}", mails[0]);
    }
    // The cause and the parent make a mail unique, however often it is queued.
    server.database().sql("UPDATE fleet.leases SET announced_at = NULL").await;
    assert_eq!(server.run_task("fleet.announce_ends").await, 1);
    assert_eq!(server.database().sql("SELECT count(*) FROM mails").await, ["1"]);
}

#[tokio::test]
async fn a_lease_that_ended_meanwhile_is_not_announced() {
    let server = TestServer::builder(product()).set("LEASE_DAYS", "2").start().await;
    let customer = server.customer().await;
    let lease = lease(&customer, &vehicle(&server.admin().await, "M-AI 9").await).await;
    assert_eq!(server.run_task("fleet.announce_ends").await, 1);
    customer.post(&format!("{}/end", path("leases", &lease)), json!({})).await.success();
    server.run_jobs().await;
    assert_eq!(server.mails(), Vec::<String>::new());
    let why = server.database().sql("SELECT kind_name || ': ' || failure FROM mails").await;
    assert_eq!(why, ["fleet.lease_ending: there is no recipient"]);
}

/// The user was deactivated after the mail was queued.
#[tokio::test]
async fn a_deactivated_member_gets_no_mail() {
    let server = TestServer::builder(product()).set("LEASE_DAYS", "2").start().await;
    let customer = server.customer().await;
    lease(&customer, &vehicle(&server.admin().await, "M-AI 10").await).await;
    assert_eq!(server.run_task("fleet.announce_ends").await, 1);
    let deactivate = "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE email =";
    server.database().sql(&format!("{deactivate} '{}'", customer.user().email.as_str())).await;
    server.run_jobs().await;
    assert_eq!(server.mails(), Vec::<String>::new());
}

/// The attempts of [`fail_once`], by the resource of the event.
static ATTEMPTS: Mutex<BTreeMap<Uuid, usize>> = Mutex::new(BTreeMap::new());

/// A subscriber that fails at the first attempt.
fn fail_once<'a>(_: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    let mut attempts = ATTEMPTS.lock().expect("no panic");
    let attempt = attempts.entry(event.resource).and_modify(|attempt| *attempt += 1).or_insert(1);
    let failure = || Error::with_message(Reason::UpstreamFailed, "The tracker does not answer.");
    let handled = if *attempt == 1 { Err(failure()) } else { Ok(()) };
    Box::pin(ready(handled))
}

/// Each subscriber of an event has a job with its own attempts: the failure of one delays no other one, and repeats none.
#[tokio::test]
async fn a_subscriber_that_fails_is_retried_alone() {
    let depots = Module::new("depots", fleet::proto::DESCRIPTORS).without_migrations().on::<OrderPaid>(fail_once);
    // The failing one is registered, and its job is stored, first.
    let server = TestServer::start(mainstay::product().with(depots).with(fleet::module())).await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    for plate in ["M-AI 11", "M-AI 12"] {
        vehicle(&admin, plate).await;
    }
    let order = mainstay_kernel::id::new(server.app().clock.now());
    server.publish(vec![Event::of::<OrderPaid>(customer.account(), order, 2)]).await;
    server.run_jobs().await;
    let leases = async || customer.get("/api/v1/leases").await.data().as_array().map(Vec::len);
    assert_eq!(leases().await, Some(1), "the other subscriber has run");
    let waiting =
        "SELECT payload->>'module' || ' ' || attempts FROM jobs WHERE kind = 'handle_event' AND dead_at IS NULL";
    assert_eq!(server.database().sql(waiting).await, ["depots 1"]);

    server.database().sql("UPDATE jobs SET due_at = now() WHERE kind = 'handle_event'").await;
    server.run_jobs().await;
    assert_eq!(ATTEMPTS.lock().expect("no panic").get(&order), Some(&2));
    assert_eq!(server.database().sql(waiting).await, Vec::<String>::new());
    assert_eq!(leases().await, Some(1), "the other subscriber has not run again");
}
