//! The requests: 70 of 100 read; the others create tickets, place and charge orders, and deliver webhooks.

use std::{sync::Mutex, time::Duration};

use mainstay_kernel::contract::policy::Role;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::world::Service;
use crate::{
    cases::post,
    support::{Actor, euro, people, unique, webhook},
};

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    /// The request failed with a retryable error, or without a response.
    Refused,
    /// A response that contradicts the contract, or an earlier response.
    Wrong(String),
}

/// The caller's timeout.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The caller's delay before it repeats a failed write, once and under its key, unless the response has a delay.
const WAIT: Duration = Duration::from_millis(500);
const CUSTOMERS: usize = 8;

/// A keyed write, and the responses its caller received.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) kind: Kind,
    customer: usize,
    key: String,
    body: Value,
    /// The status and the id.
    pub(super) answer: Option<(u16, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ticket,
    Order,
    Charge,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Ticket => "/api/v1/tickets",
            Self::Order => "/api/v1/orders",
            Self::Charge => "/api/v1/payments/charge",
        }
    }
}

/// The parts of a response that a caller acts on.
enum Reply {
    Good { status: u16, id: String },
    Again(Duration),
    Wrong(String),
}

/// Whether the request of a number writes.
pub(super) fn is_write(number: usize) -> bool {
    kind(number) >= 70
}

/// Steps of 37 spread the kinds evenly.
fn kind(number: usize) -> usize {
    number * 37 % 100
}

struct Customer {
    token: String,
    account: String,
}

pub(super) struct Mix {
    http: Client,
    base: String,
    /// Creates tickets for customers, whose own limit is lower.
    agent: String,
    customers: Vec<Customer>,
    product: String,
    post: String,
    pub(super) writes: Mutex<Vec<Write>>,
    /// The ids of webhooks that were acknowledged.
    pub(super) webhooks: Mutex<Vec<String>>,
}

impl Mix {
    pub(super) async fn new(service: &Service) -> Self {
        let endpoint = service.endpoint();
        let roles = [(Role::Agent, None), (Role::Admin, None)].into_iter();
        let roles: Vec<_> = roles.chain((0..CUSTOMERS).map(|_| (Role::Customer, None))).collect();
        let mut actors = Vec::new();
        for user in people::users(&service.database, &roles).await {
            actors.push((user.account.to_string(), Actor::user(&endpoint, user)));
        }
        let token = async |actor: &Actor| actor.token().await.expect("a user has one");
        let (agent, admin) = (&actors[0].1, &actors[1].1);
        let (post, _) = post::publish_post(agent).await;
        let product = json!({ "name": "A thing", "price": euro(150) });
        let product = admin.rest("ProductService.CreateProduct", product).await.success().id();
        let mut customers = Vec::new();
        for (account, actor) in &actors[2..] {
            let hook = json!({ "url": service.receiver.url(), "eventTypes": ["support.ticket.created"], "accountId": account });
            admin.rest("WebhookEndpointService.CreateWebhookEndpoint", hook).await.success();
            customers.push(Customer { token: token(actor).await, account: account.clone() });
        }
        let http = Client::builder().no_proxy().http1_only().build().expect("a client");
        let (base, agent) = (endpoint.base(), token(agent).await);
        let (writes, webhooks) = (Mutex::default(), Mutex::default());
        Self { http, base, agent, customers, product, post, writes, webhooks }
    }

    /// Sends the request of a number.
    pub(super) async fn request(&self, number: usize) -> Outcome {
        let customer = number % CUSTOMERS;
        match kind(number) {
            0..25 => self.read_one(Kind::Ticket, number).await,
            25..40 => self.read("/api/v1/tickets?pageSize=20", &self.agent).await,
            40..60 => self.read(&format!("/api/v1/posts/{}", self.post), &self.customers[customer].token).await,
            60..70 => self.read_one(Kind::Order, number).await,
            70..84 => self.create_ticket(customer, number).await,
            84..94 => self.purchase(customer, number).await,
            _ => self.deliver_webhook().await,
        }
    }

    async fn read(&self, path: &str, token: &str) -> Outcome {
        match send(self.http.get(format!("{}{path}", self.base)).bearer_auth(token)).await {
            Reply::Good { .. } => Outcome::Good,
            Reply::Again(_) => Outcome::Refused,
            Reply::Wrong(what) => Outcome::Wrong(format!("GET {path}: {what}")),
        }
    }

    /// Reads a resource that was created earlier, or a list if there is none yet.
    async fn read_one(&self, kind: Kind, number: usize) -> Outcome {
        let write = {
            let writes = self.writes.lock().expect("no panic");
            let (recent, is_of_kind) = (writes.iter().rev().take(500), |write: &&Write| write.kind == kind);
            let recent: Vec<_> = recent.filter(is_of_kind).filter(|write| write.answer.is_some()).collect();
            (!recent.is_empty()).then(|| recent[number % recent.len()].clone())
        };
        match write {
            Some(write) => {
                let id = write.answer.as_ref().map_or("", |(_, id)| id);
                self.read(&format!("{}/{id}", kind.path()), self.token(&write)).await
            }
            None => self.read(kind.path(), &self.agent).await,
        }
    }

    async fn create_ticket(&self, customer: usize, number: usize) -> Outcome {
        let account = &self.customers[customer].account;
        let body = json!({ "accountId": account, "subject": "The printer is on fire", "body": "It burns." });
        self.new_write(Kind::Ticket, customer, body, number).await.0
    }

    /// Places an order and charges it.
    async fn purchase(&self, customer: usize, number: usize) -> Outcome {
        let body = json!({ "items": [{ "productId": self.product, "quantity": 3 }] });
        let (outcome, index) = self.new_write(Kind::Order, customer, body, number).await;
        let (Outcome::Good, Some((_, order))) = (&outcome, self.answer(index)) else { return outcome };
        let body = json!({ "orderId": order, "paymentMethod": "pm_card_visa" });
        self.new_write(Kind::Charge, customer, body, number).await.0
    }

    /// Sends a new write, and repeats it once if it fails; one in ten is sent twice concurrently, as by an impatient
    /// caller.
    async fn new_write(&self, kind: Kind, customer: usize, body: Value, number: usize) -> (Outcome, usize) {
        let write = Write { kind, customer, key: unique(), body, answer: None };
        let index = {
            let mut writes = self.writes.lock().expect("no panic");
            writes.push(write);
            writes.len() - 1
        };
        let tries = async {
            let (outcome, wait) = self.try_write(index).await;
            if outcome != Outcome::Refused {
                return outcome;
            }
            tokio::time::sleep(wait).await;
            self.write(index).await
        };
        let is_impatient = (number / 100).is_multiple_of(10);
        let again = async { if is_impatient { self.write(index).await } else { Outcome::Refused } };
        match tokio::join!(tries, again) {
            (_, Outcome::Wrong(what)) => (Outcome::Wrong(what), index),
            (outcome, _) => (outcome, index),
        }
    }

    /// Sends a write under its key, and compares the response with earlier ones.
    pub(super) async fn write(&self, index: usize) -> Outcome {
        self.try_write(index).await.0
    }

    /// Does the same as [`Mix::write`], and returns the delay before the next try.
    async fn try_write(&self, index: usize) -> (Outcome, Duration) {
        let write = self.writes.lock().expect("no panic")[index].clone();
        let request = self.http.post(format!("{}{}", self.base, write.kind.path())).bearer_auth(self.token(&write));
        let outcome = match send(request.header("idempotency-key", &write.key).json(&write.body)).await {
            Reply::Good { status, id } => match self.writes.lock().expect("no panic")[index].record(status, id) {
                Ok(()) => Outcome::Good,
                Err(what) => Outcome::Wrong(what),
            },
            Reply::Again(wait) => return (Outcome::Refused, wait),
            Reply::Wrong(what) => Outcome::Wrong(format!("{write:?}: {what}")),
        };
        (outcome, WAIT)
    }

    async fn deliver_webhook(&self) -> Outcome {
        let (body, id) = (webhook::event("ping"), unique());
        let [timestamp, signature] = webhook::standard(&id, &body);
        let request = self.http.post(format!("{}/webhooks/standard", self.base)).header("webhook-id", &id);
        let request = request.header("webhook-timestamp", timestamp).header("webhook-signature", signature);
        match send(request.header("content-type", "application/json").body(body)).await {
            Reply::Good { .. } => {
                self.webhooks.lock().expect("no panic").push(id);
                Outcome::Good
            }
            Reply::Again(_) => Outcome::Refused,
            Reply::Wrong(what) => Outcome::Wrong(format!("a webhook: {what}")),
        }
    }

    pub(super) fn answer(&self, index: usize) -> Option<(u16, String)> {
        self.writes.lock().expect("no panic")[index].answer.clone()
    }

    fn token(&self, write: &Write) -> &str {
        match write.kind {
            Kind::Ticket => &self.agent,
            Kind::Order | Kind::Charge => &self.customers[write.customer].token,
        }
    }
}

impl Write {
    /// Records a response, which must not contradict an earlier one: a pending write may be done later.
    fn record(&mut self, status: u16, id: String) -> Result<(), String> {
        match &self.answer {
            None => self.answer = Some((status, id)),
            Some((202, before)) if *before == id => self.answer = Some((status, id)),
            // The response to the other of two concurrent requests, which was made earlier.
            Some((201, before)) if *before == id && status == 202 => {}
            Some(before) if *before == (status, id.clone()) => {}
            Some(before) => return Err(format!("{before:?} before, and now {:?} to {self:?}", (status, &id))),
        }
        Ok(())
    }
}

async fn send(request: RequestBuilder) -> Reply {
    let answer = async {
        let response = request.send().await?;
        let wait = response.headers().get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let wait = wait.map_or(WAIT, Duration::from_secs);
        Ok::<_, reqwest::Error>((response.status().as_u16(), wait, response.text().await?))
    };
    let Ok(Ok((status, wait, text))) = tokio::time::timeout(TIMEOUT, answer).await else { return Reply::Again(WAIT) };
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    match status {
        200..300 => Reply::Good { status, id: body["data"]["id"].as_str().unwrap_or_default().to_owned() },
        _ if body["error"]["retryable"] == true => Reply::Again(wait),
        _ => Reply::Wrong(format!("{status} {text}")),
    }
}
