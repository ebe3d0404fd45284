//! The gateway's webhook events, sent as Stripe sends them: signed, at least once, in no guaranteed order, and repeated
//! until acknowledged.
//!
//! Events are written to the ledger together with the change they report, and so are acknowledgments; a restart loses
//! neither.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mainstay_kernel::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::{
    Gateway, Response,
    books::{Books, Event, Line, Movement},
    objects::{charge_of, intent_of, invoice_of, now, respond},
};

/// The manner of sending events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    /// Not at all, until the next setting.
    Never,
    /// When they happen.
    Once,
    /// Each of them twice, at the same time.
    Twice,
    /// This many milliseconds after they happened.
    Late(u64),
    /// The events of a third of a second at a time, the last one first.
    Backwards,
}

/// The receivers of events, and the manner of sending them.
#[derive(Debug, Clone, Deserialize)]
struct Subscription {
    /// The URLs; each attempt goes to the next one.
    urls: Vec<String>,
    secret: String,
    manner: Manner,
}

/// The number of attempts per event until the next subscription.
const TRIES: usize = 8;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const GATHERED: Duration = Duration::from_millis(300);

/// The current subscription.
#[derive(Debug)]
pub(crate) struct Webhooks {
    subscription: watch::Sender<Option<Subscription>>,
    pub(crate) happened: Notify,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Webhooks {
    pub(crate) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { subscription: watch::Sender::new(None), happened: Notify::new(), client }
    }

    /// Reads `{"urls": …, "secret": …, "manner": …}`, which replaces the previous subscription.
    pub(crate) fn tell(&self, body: &[u8]) -> Response {
        match serde_json::from_slice(body) {
            Ok(subscription) => {
                self.subscription.send_replace(Some(subscription));
                respond(200, &json!({}), false)
            }
            Err(error) => respond(400, &json!({ "error": error.to_string() }), false),
        }
    }

    /// Makes one attempt.
    async fn try_at(&self, url: &str, secret: &str, body: &str) -> bool {
        let at = Clock::default().now().timestamp();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = http::Request::post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", format!("t={at},v1={hex}"))
            .body(Full::from(body.to_owned()))
            .expect("a request");
        let answer = tokio::time::timeout(Duration::from_secs(5), self.client.request(request)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
    }
}

/// Sends events for as long as the process lives.
pub(crate) async fn run(gateway: Arc<Gateway>) {
    let mut subscription = gateway.webhooks.subscription.subscribe();
    let mut ids = HashSet::new();
    loop {
        let whom = subscription.borrow_and_update().clone();
        if let Some(whom) = whom.filter(|whom| whom.manner != Manner::Never) {
            if whom.manner == Manner::Backwards {
                tokio::time::sleep(GATHERED).await;
            }
            let mut due: Vec<Event> = {
                let books = gateway.books.lock().await;
                books.undelivered_events().filter(|event| ids.insert(event.id.clone())).cloned().collect()
            };
            if whom.manner == Manner::Backwards {
                due.reverse();
                tokio::spawn(tell_in_turn(gateway.clone(), whom, due));
            } else {
                for event in due {
                    tokio::spawn(tell(gateway.clone(), whom.clone(), event));
                }
            }
        }
        tokio::select! {
            // A new subscription retries the events that were given up.
            _ = subscription.changed() => ids.clear(),
            () = gateway.webhooks.happened.notified() => {}
        }
    }
}

async fn tell_in_turn(gateway: Arc<Gateway>, whom: Subscription, events: Vec<Event>) {
    for event in events {
        tell(gateway.clone(), whom.clone(), event).await;
    }
}

/// Sends one event until it is acknowledged.
async fn tell(gateway: Arc<Gateway>, whom: Subscription, event: Event) {
    if let Manner::Late(ms) = whom.manner {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let body = json!({
        "id": event.id, "object": "event", "api_version": "2024-06-20", "livemode": false, "pending_webhooks": 1,
        "type": event.kind, "data": { "object": event.object },
    });
    let body = body.to_string();
    for number in 0..TRIES {
        let url = &whom.urls[number % whom.urls.len()];
        let one = gateway.webhooks.try_at(url, &whom.secret, &body);
        let is_acknowledged = if whom.manner == Manner::Twice {
            let other = gateway.webhooks.try_at(&whom.urls[(number + 1) % whom.urls.len()], &whom.secret, &body);
            let (one, other) = tokio::join!(one, other);
            one && other
        } else {
            one.await
        };
        if is_acknowledged {
            let result = gateway.books.lock().await.write(vec![Line::Delivered { event: event.id }]);
            return result.expect("a ledger");
        }
        tokio::time::sleep(FIRST_WAIT * (1 << number.min(5))).await;
    }
}

/// The events about the lines that are about to be written.
pub(crate) fn events_of(books: &Books, lines: &[Line]) -> Vec<Line> {
    let event = |(number, line): (usize, &Line)| match line {
        Line::Moved(movement) => Some(Line::Event(movement_event(books, movement))),
        Line::Object { object } if object["object"] == "subscription" => {
            let kind = match object["id"].as_str().map(|id| books.objects.contains_key(id)) {
                _ if object["status"] == "canceled" => "customer.subscription.deleted",
                Some(true) => "customer.subscription.updated",
                _ => "customer.subscription.created",
            };
            let id = format!("evt_{}_{number}", books.event_count());
            Some(Line::Event(Event { id, kind: kind.to_owned(), object: object.clone() }))
        }
        _ => None,
    };
    lines.iter().enumerate().filter_map(event).collect()
}

/// The event about a movement of money.
fn movement_event(books: &Books, movement: &Movement) -> Event {
    let (kind, object) = match movement.kind.as_str() {
        "charge" => {
            let object = json!({
                "id": movement.id, "object": "payment_intent", "status": "succeeded", "amount": movement.amount,
                "amount_received": movement.amount, "currency": movement.currency, "metadata": movement.metadata,
            });
            ("payment_intent.succeeded", object)
        }
        "invoice" => {
            let object = json!({
                "id": movement.id, "object": "invoice", "status": "paid", "amount_paid": movement.amount,
                "currency": movement.currency, "subscription": movement.of,
                "subscription_details": { "metadata": movement.metadata },
            });
            ("invoice.paid", object)
        }
        _ => ("charge.refunded", charge(books, movement)),
    };
    Event { id: format!("evt_{}", movement.id), kind: kind.to_owned(), object }
}

/// Returns the charge that a refund belongs to, in its later state.
fn charge(books: &Books, refund: &Movement) -> Value {
    let intent = refund.of.clone().unwrap_or_default();
    let charge = books.movements.iter().find(|movement| movement.id == intent).expect("what is given back was charged");
    // An intent that pays an invoice has no metadata.
    let metadata = if invoice_of(&intent).is_some() { &BTreeMap::new() } else { &charge.metadata };
    let refunded = charge.amount - books.refundable(&intent).unwrap_or_default() + refund.amount;
    json!({
        "id": charge_of(&intent), "object": "charge", "invoice": invoice_of(&intent), "status": "succeeded",
        "amount": charge.amount, "amount_refunded": refunded, "refunded": refunded == charge.amount, "currency": charge.currency,
        "payment_intent": intent_of(&intent), "metadata": metadata,
    })
}

/// The event about a declined charge.
pub(crate) fn declined_event(books: &Books, amount: i64, currency: &str, metadata: &BTreeMap<String, String>) -> Event {
    let id = books.next_id("pi");
    let object = json!({
        "id": id, "object": "payment_intent", "status": "requires_payment_method", "amount": amount,
        "amount_received": 0, "currency": currency, "metadata": metadata,
    });
    Event { id: format!("evt_{id}"), kind: "payment_intent.payment_failed".to_owned(), object }
}

/// A refund from the gateway's own console: `{"of": …, "amount": …}`, at most the unrefunded rest. For a subscription,
/// of its latest invoice.
#[derive(Debug, Deserialize)]
struct Console {
    /// The id of one of Mainstay's payments or subscriptions.
    of: String,
    amount: i64,
}

/// The bank returns a refund: `{"refund": …}`, by its id at the gateway.
#[derive(Debug, Deserialize)]
struct Comes {
    refund: String,
}

/// Fails a refund that was made long ago, as when the card holder's bank returns it.
pub(crate) async fn come_back(gateway: &Gateway, body: &[u8]) -> Response {
    let Ok(Comes { refund }) = serde_json::from_slice(body) else { return respond(400, &json!({}), false) };
    let mut books = gateway.books.lock().await;
    let Some(movement) = books.movements.iter().find(|movement| movement.id == refund).cloned() else {
        return respond(404, &json!({}), false);
    };
    books.write(vec![Line::Returned { refund: refund.clone() }]).expect("a ledger");
    let object = crate::objects::object(&books, &movement);
    let event = Event { id: format!("evt_{refund}_returned"), kind: "refund.failed".to_owned(), object };
    books.write(vec![Line::Event(event)]).expect("a ledger");
    gateway.webhooks.happened.notify_one();
    respond(200, &json!({}), false)
}

/// Makes a refund that bypasses the API, like an operator at the gateway's console.
pub(crate) async fn refund(gateway: &Gateway, body: &[u8]) -> Response {
    let Ok(Console { of, amount }) = serde_json::from_slice(body) else {
        return respond(400, &json!({}), false);
    };
    let mut books = gateway.books.lock().await;
    let is_of = |movement: &&Movement| {
        let names = ["mainstay_payment", "mainstay_subscription"];
        names.iter().any(|name| movement.metadata.get(*name) == Some(&of))
    };
    let Some(charge) = books.movements.iter().rev().find(is_of).cloned() else {
        return respond(404, &json!({}), false);
    };
    let amount = amount.min(books.refundable(&charge.id).unwrap_or_default());
    if amount == 0 {
        return respond(422, &json!({}), false);
    }
    let movement = Movement {
        kind: "refund".to_owned(),
        id: books.next_id("re"),
        amount,
        of: Some(charge.id),
        metadata: BTreeMap::new(),
        key: "console".to_owned(),
        created: Some(now()),
        ..charge
    };
    let id = movement.id.clone();
    let mut lines = vec![Line::Moved(movement)];
    lines.extend(events_of(&books, &lines));
    books.write(lines).expect("a ledger");
    gateway.webhooks.happened.notify_one();
    respond(200, &json!({ "id": id, "amount": amount }), false)
}
