//! Tests of the gateway of the module: settlement and its faults are those of the product.

use std::os::unix::process::ExitStatusExt as _;

use mainstay_kernel::config::{Source, Verdict};
use mainstay_test_kit::{Client, Response, TestServer};
use serde_json::{Value, json};

use crate::{path, product, run_with};

const GATEWAY: (&str, &str) = ("PAYMENT_GATEWAY", "fleet.fuel_card");

async fn configured() -> TestServer {
    TestServer::builder(product()).set(GATEWAY.0, GATEWAY.1).start().await
}

/// Orders a product, and pays it with a card.
async fn pay(server: &TestServer, customer: &Client, card: &str) -> Response {
    let product = json!({ "name": "A tank", "price": { "amountMinor": "4200", "currencyCode": "EUR" } });
    let product = server.admin().await.post("/api/v1/products", product).await.data();
    let items = json!({ "items": [{ "productId": product["id"], "quantity": 1 }] });
    let order = customer.post("/api/v1/orders", items).await.data();
    let payment = json!({ "orderId": order["id"], "paymentMethod": card });
    customer.with("idempotency-key", card).post("/api/v1/payments/charge", payment).await
}

async fn charges(server: &TestServer) -> Vec<String> {
    server.database().sql("SELECT count(*) FROM sandbox_movements WHERE refusal_code IS NULL").await
}

async fn status(customer: &Client, payment: &Value) -> Value {
    customer.get(&path("payments", payment)).await.data()["status"].clone()
}

#[test]
fn a_stand_in_misses_the_requirement_of_production() {
    let modules = product().modules().expect("they fit together");
    let is_missed = |gateway: &str| {
        let config = modules.config(Source::of([(GATEWAY.0, gateway)])).expect("a good configuration");
        let payments = modules.requirements().iter().filter(|requirement| requirement.name == "payments");
        payments.filter(|requirement| matches!((requirement.check)(&config), Verdict::Missed(_))).count()
    };
    assert_eq!([GATEWAY.1, "sandbox"].map(is_missed), [1, 1]);
}

#[test]
fn the_url_of_the_operator_is_checked_at_the_start() {
    let modules = product().modules().expect("they fit together");
    let faults = |url: &str| {
        let faults = modules.settings(Source::of([("CHARGING_URL", url)])).errors.clone();
        faults.into_iter().map(|fault| fault.name).collect::<Vec<_>>()
    };
    for good in ["", "https://charging.example", "https://charging.example/v1/", "http://127.0.0.1:9000"] {
        assert_eq!(faults(good), [""; 0], "{good}");
    }
    for bad in ["charging.example", "http://charging.example", "ftp://localhost", "/sessions"] {
        assert_eq!(faults(bad), ["CHARGING_URL"], "{bad}");
    }
}

#[tokio::test]
async fn a_payment_remembers_the_gateway_of_the_module() {
    let server = configured().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let payment = pay(&server, &customer, "pm_card_visa").await.data();
    assert_eq!(status(&customer, &payment).await, "PAYMENT_STATUS_SUCCEEDED");
    assert_eq!(server.database().sql("SELECT gateway FROM payments").await, [GATEWAY.1]);
    pay(&server, &customer, "pm_card_visa_chargeDeclined").await.failure(422, "CARD_DECLINED");

    // As if the operator had selected another gateway meanwhile.
    server.database().sql("UPDATE payments SET gateway = 'sandbox'").await;
    let refund = format!("{}/refunds", path("payments", &payment));
    admin.with("idempotency-key", "refund").post(&refund, json!({})).await.failure(422, "GATEWAY_CHANGED");
    server.database().sql(&format!("UPDATE payments SET gateway = '{}'", GATEWAY.1)).await;
    admin.with("idempotency-key", "again").post(&refund, json!({})).await.success();
}

/// The response to the charge is lost, and the worker that asks for it dies after the gateway has answered.
#[tokio::test]
async fn a_charge_whose_response_and_worker_are_lost_is_made_once() {
    let server = configured().await;
    let customer = server.customer().await;
    let response = pay(&server, &customer, "pm_sandbox_error").await;
    assert_eq!(response.status, 202);
    let payment = response.data();
    let make_due = "UPDATE payments SET due_at = now() WHERE due_at IS NOT NULL";
    server.database().sql(make_due).await;
    let faults = [GATEWAY, ("MAINSTAY_FAULTS", "gateway.after=kill")];
    let died = run_with(&faults, &["worker"], server.database()).await;
    assert_eq!(died.status.signal(), Some(9), "{}", String::from_utf8_lossy(&died.stderr));
    assert_eq!(status(&customer, &payment).await, "PAYMENT_STATUS_PENDING");

    // The lease of the dead worker is over.
    server.database().sql("UPDATE payments SET due_at = now(), leased_until = now() WHERE due_at IS NOT NULL").await;
    server.run_jobs().await;
    assert_eq!(status(&customer, &payment).await, "PAYMENT_STATUS_SUCCEEDED");
    assert_eq!(charges(&server).await, ["1"]);
}

#[tokio::test]
async fn a_gateway_that_no_module_declares_stops_the_start() {
    let server = configured().await;
    let refused = run_with(&[("PAYMENT_GATEWAY", "fleet.cash")], &["worker"], server.database()).await;
    let report = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{report}");
    let fault = "PAYMENT_GATEWAY: must be one of sandbox, stripe, fleet.fuel_card";
    assert!(report.contains(fault), "{report}");
}
