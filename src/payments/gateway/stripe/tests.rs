//! Tests of how Stripe's responses are interpreted, against a server with scripted responses.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use mainstay_kernel::money::Currency;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{orders::id::OrderId, payments::gateway::stripe::api::unknown};

/// A request's method and path, the response's status, whether it is marked as a replay, and its body.
type Answer = (&'static str, u16, bool, Value);
/// The received requests, each with its idempotency key.
type Requests = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Starts a client and a server that returns these responses in order.
async fn stripe(answers: Vec<Answer>) -> (Stripe, Requests) {
    let requests = Requests::default();
    let answer = async move |State((answers, requests)): State<(Arc<Vec<Answer>>, Requests)>, request: Request| {
        let line = format!("{} {}", request.method(), request.uri().path());
        let key = request.headers().get("idempotency-key").map(|key| key.to_str().expect("ASCII").to_owned());
        let answer = answers.iter().find(|(named, ..)| *named == line).cloned();
        requests.lock().expect("no panic").push((line, key));
        let (_, status, is_replay, body) = answer.expect("an answer");
        let mut response = (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response();
        if is_replay {
            response.headers_mut().insert("idempotent-replayed", http::HeaderValue::from_static("true"));
        }
        response
    };
    let router = Router::new().fallback(answer).with_state((Arc::new(answers), requests.clone()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let seconds = Duration::from_secs(10);
    let bounds = Bounds { total: seconds, attempt_timeout: seconds, max_concurrency: 4, max_attempts: 1 };
    (Stripe::new(&"sk_test".into(), &url, bounds, &Alerts::default()).expect("a client"), requests)
}

async fn charge(status: u16, kind: &str, is_replay: bool) -> Outcome {
    let error = json!({ "error": { "type": kind, "code": "a_code", "message": "For developers." } });
    let (stripe, requests) = stripe(vec![("POST /v1/payment_intents", status, is_replay, error)]).await;
    let amount = Money::new(450, Currency::parse("EUR").expect("a currency")).expect("an amount");
    let (payment, order) = (PaymentId(Uuid::nil()), OrderId(Uuid::nil()));
    let (key, method) = ("a key".to_owned(), "pm_card_visa".to_owned());
    let outcome = stripe.charge(Charge { key, payment, order, amount, method, customer: None }).await;
    let expected = [("POST /v1/payment_intents".to_owned(), Some("a key".to_owned()))];
    assert_eq!(*requests.lock().expect("no panic"), expected);
    outcome
}

#[tokio::test]
async fn only_what_did_nothing_and_never_will_is_a_refusal() {
    let refusal = |outcome| match outcome {
        Outcome::Refused(failure) => (failure.kind, failure.message == "For developers."),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(charge(402, "card_error", false).await), (FailureKind::Declined, true));
    for status in [400, 404] {
        assert_eq!(refusal(charge(status, "invalid_request_error", false).await), (FailureKind::Rejected, false));
    }
    let unknown_yet = [
        (400, "idempotency_error"),
        (401, "invalid_request_error"),
        (409, "idempotency_error"),
        (409, "invalid_request_error"),
        (429, "invalid_request_error"),
        (500, "api_error"),
    ];
    for (status, kind) in unknown_yet {
        let outcome = charge(status, kind, false).await;
        assert!(matches!(outcome, Outcome::Unknown { remembered: false, .. }), "{status} {kind}: {outcome:?}");
    }
    let outcome = charge(500, "api_error", true).await;
    assert!(matches!(outcome, Outcome::Unknown { remembered: true, .. }), "{outcome:?}");
}

/// A refund is refused only after its payment was charged, so the refusal must not mark the payment as uncharged.
#[tokio::test]
async fn a_refused_refund_does_not_say_that_nothing_was_charged() {
    let error = json!({ "error": { "type": "invalid_request_error", "code": "charge_already_refunded" } });
    let (stripe, _) = stripe(vec![("POST /v1/refunds", 400, false, error)]).await;
    let amount = Money::new(450, Currency::parse("EUR").expect("a currency")).expect("an amount");
    let (key, refund, charge_id) = ("a key".to_owned(), RefundId(Uuid::nil()), "pi_1".to_owned());
    match stripe.refund(RefundRequest { key, refund, charge_id, amount }).await {
        Outcome::Refused(failure) => {
            assert_eq!(failure.code, "charge_already_refunded");
            assert_eq!(failure.message, "The gateway refused the request; no money was moved.");
        }
        other => panic!("{other:?}"),
    }
}

fn intent(status: &str, payment: Uuid) -> Value {
    let metadata = json!({ "mainstay_payment": payment });
    json!({ "id": "pi_1", "status": status, "amount": 450, "currency": "eur", "metadata": metadata })
}

fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("a currency")).expect("an amount")
}

/// Starts a client and a server whose search and list of intents return these.
async fn stripe_with(intents: Vec<Value>, has_more: bool) -> (Stripe, Requests) {
    let list = json!({ "data": intents, "has_more": has_more });
    let canceled = intent("canceled", Uuid::nil());
    stripe(vec![
        ("GET /v1/payment_intents/search", 200, false, list.clone()),
        ("GET /v1/payment_intents", 200, false, list),
        ("POST /v1/payment_intents/pi_1/cancel", 200, false, canceled),
    ])
    .await
}

/// Looks up a payment for which Stripe's search returns these intents.
async fn looked_up(intents: Vec<Value>, has_more: bool) -> (Lookup, usize) {
    let (stripe, requests) = stripe_with(intents, has_more).await;
    let lookup = stripe.find_charge(PaymentId(Uuid::nil()), euros(450)).await;
    let count = requests.lock().expect("no panic").len();
    (lookup, count)
}

/// Stripe's search may return objects that only resemble the query.
#[tokio::test]
async fn a_search_is_read_whole_and_only_for_what_is_ours() {
    let (ours, other) = (Uuid::nil(), Uuid::max());
    assert_eq!(looked_up(vec![intent("succeeded", other)], false).await, (Lookup::Nothing, 1));
    assert_eq!(looked_up(vec![intent("succeeded", ours)], false).await, (Lookup::Done("pi_1".to_owned()), 1));
    let cut = looked_up(vec![intent("canceled", ours)], true).await.0;
    assert!(matches!(cut, Lookup::Unknown { .. }), "{cut:?}");
    let running = looked_up(vec![intent("processing", ours), intent("canceled", ours)], false).await.0;
    assert!(matches!(running, Lookup::Unknown { .. }), "{running:?}");
    assert_eq!(looked_up(vec![intent("requires_action", ours)], false).await, (Lookup::Nothing, 2), "it is cancelled");
}

/// The list does not lag, and its length is bounded.
#[tokio::test]
async fn a_charge_is_found_in_a_list_that_ends() {
    let (ours, other, now) = (PaymentId(Uuid::nil()), Uuid::max(), DateTime::UNIX_EPOCH);
    let listed = async |intents: Vec<Value>, has_more| {
        let (stripe, _) = stripe_with(intents, has_more).await;
        stripe.find_listed_charge(ours, euros(450), (now, now)).await
    };
    let both = || vec![intent("succeeded", other), intent("succeeded", ours.0)];
    assert_eq!(listed(both(), false).await, Lookup::Done("pi_1".to_owned()));
    assert_eq!(listed(vec![intent("succeeded", other)], false).await, Lookup::Nothing);
    let endless = listed(vec![intent("succeeded", other)], true).await;
    assert!(matches!(endless, Lookup::Unknown { .. }), "{endless:?}");
}

#[tokio::test]
async fn only_the_refund_that_was_requested_is_found() {
    let refund = |id: Uuid| {
        let metadata = json!({ "mainstay_refund": id });
        json!({ "id": "re_1", "status": "succeeded", "amount": 50, "currency": "eur", "metadata": metadata })
    };
    for (id, expected) in [(Uuid::max(), Lookup::Nothing), (Uuid::nil(), Lookup::Done("re_1".to_owned()))] {
        let list = json!({ "data": [refund(id)], "has_more": false });
        let (stripe, _) = stripe(vec![("GET /v1/refunds", 200, false, list)]).await;
        assert_eq!(stripe.find_refund(RefundId(Uuid::nil()), "pi_1", euros(50)).await, expected);
    }
}

#[test]
fn only_a_success_of_the_requested_amount_is_found() {
    let refusal = || {
        let message = String::new();
        Outcome::Refused(Failure { kind: FailureKind::Declined, code: "canceled".to_owned(), message })
    };
    let done = |id: &str| Outcome::Done(id.to_owned());
    let lookup = |outcomes: Vec<(Outcome, i64)>| {
        let found = outcomes.into_iter().map(|(outcome, minor)| Found { outcome, amount: Some(euros(minor)) });
        decisive_outcome(&Alerts::default(), Uuid::nil(), euros(450), Ok(found.collect()))
    };
    assert_eq!(lookup(Vec::new()), Lookup::Nothing);
    assert_eq!(lookup(vec![(refusal(), 450)]), Lookup::Nothing);
    let failed = decisive_outcome(&Alerts::default(), Uuid::nil(), euros(450), Err(anyhow::anyhow!("away")));
    assert!(matches!(failed, Lookup::Unknown { .. }));
    let running = || (unknown("it is processing"), 450);
    assert!(matches!(lookup(vec![running(), (refusal(), 450)]), Lookup::Unknown { .. }));
    let first = Lookup::Done("pi_1".to_owned());
    assert_eq!(lookup(vec![(refusal(), 450), running(), (done("pi_1"), 450)]), first);
    // Each further success raises an alert, whatever its amount.
    assert_eq!(lookup(vec![(done("pi_0"), 100), (done("pi_1"), 450), (done("pi_2"), 450)]), first);
    let other = lookup(vec![(done("pi_0"), 100), (refusal(), 450)]);
    assert!(matches!(&other, Lookup::Unknown { why } if why.contains("EUR 1.00")), "{other:?}");
    let unknown_amount = vec![Found { outcome: done("pi_0"), amount: None }];
    let unknown_amount = decisive_outcome(&Alerts::default(), Uuid::nil(), euros(450), Ok(unknown_amount));
    assert!(matches!(unknown_amount, Lookup::Unknown { .. }), "{unknown_amount:?}");
}
